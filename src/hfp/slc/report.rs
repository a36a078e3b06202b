//! What is said of a phone and of what went wrong with it, as values.

use crate::base::Pii;
use crate::hfp::at::CallFailure;

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The phone said so, with a code of 3GPP 27.007 9.2 if it gave one.
    ByPhone(Option<u16>),
    /// The phone said how the call failed.
    Call(CallFailure),
    /// It did not answer.
    NoAnswer,
    /// Too many wait already, or it makes no sense.
    Here,
}

/// Why the connection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The phone does not answer a command of the set-up.
    #[error("the phone does not answer")]
    Silent,
    /// It refuses what nothing works without.
    #[error("the phone refuses to tell about its calls")]
    Refused,
    /// Its indicators lack the two for calls.
    #[error("the phone has no indicators for calls")]
    Indicators,
}

/// What a phone says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phone {
    /// It has a network.
    pub service: bool,
    /// 0 to 5.
    pub signal: u8,
    /// In a foreign network.
    pub roaming: bool,
    /// 0 to 5.
    pub battery: u8,
    /// The network's name.
    pub operator: Option<String>,
    /// Its own number; any characters.
    pub own_number: Option<Pii<String>>,
}

/// What was counted instead of being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines that were too long.
    pub too_long: u64,
    /// Lines that mean nothing here.
    pub unknown: u64,
    /// `RING`s.
    pub rings: u64,
    /// Ends of commands that were not outstanding.
    pub unasked: u64,
    /// Commands without an answer.
    pub unanswered: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, more: Self) {
        let Self { too_long, unknown, rings, unasked, unanswered } = more;
        self.too_long += too_long;
        self.unknown += unknown;
        self.rings += rings;
        self.unasked += unasked;
        self.unanswered += unanswered;
    }
}
