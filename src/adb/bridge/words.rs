//! What goes into the bridge and what comes out.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::adb::address::BluetoothAddress;
use crate::adb::device::{DeviceState, Serial};
use crate::adb::registry::CallState;
use crate::base::{CallId, Number, Pii};

/// One connection to the server. Each is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What goes in.
#[derive(Debug)]
pub enum Input<'b> {
    /// The user wants something.
    Command(Command),
    /// The connection is there.
    Connected(LinkId),
    /// Bytes of the server.
    Bytes(LinkId, &'b [u8]),
    /// The connection is over, or could not be made: then why, in a sentence.
    Closed(LinkId, Result<(), String>),
}

/// What is used, and what is known already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Without it there is no connection to the server at all.
    pub enabled: bool,
    /// Only this phone is asked and commanded; none named: every one.
    pub serial: Option<Serial>,
    /// Phones whose Bluetooth address need not be asked for.
    pub bindings: BTreeMap<Serial, BluetoothAddress>,
}

/// What the user wants. Where it is for a call, that one is said again in the answer: an answer may come late, and be
/// of a call that is long over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Use these settings from now on.
    Configure(Settings),
    /// Let the phone call this number, if it has no call.
    Dial {
        /// Which phone.
        serial: Serial,
        /// For which call.
        call: CallId,
        /// Whom.
        number: Number,
    },
    /// Take the call that comes in, if it is the only one.
    Answer {
        /// Which phone.
        serial: Serial,
        /// For which call.
        call: CallId,
    },
    /// Refuse or end the call, if no other one waits.
    End {
        /// Which phone.
        serial: Serial,
        /// For which call.
        call: CallId,
        /// It comes in, and was not taken: any other one that rings is not meant.
        rings: bool,
    },
    /// The call that is being dialled is no longer wanted: if the phone was not told of it, it is not dialled. If it
    /// was, that cannot be taken back, and the end of `Dial` says what came of it.
    GiveUp {
        /// Which phone.
        serial: Serial,
        /// Which call.
        call: CallId,
    },
    /// A call is expected: look at the phone again and again, or not any more. A call that is known is watched anyway.
    Watch {
        /// Which phone.
        serial: Serial,
        /// Look.
        on: bool,
    },
}

impl Command {
    /// The answer to it when it did not reach the bridge. `None`: it has none.
    pub fn not_passed_on(self) -> Option<Event> {
        let (serial, call, task) = match self {
            Self::Dial { serial, call, .. } => (serial, call, Task::Dial),
            Self::Answer { serial, call } => (serial, call, Task::Answer),
            Self::End { serial, call, .. } => (serial, call, Task::End),
            Self::Configure(_) | Self::GiveUp { .. } | Self::Watch { .. } => return None,
        };
        Some(Event::Done { serial, call, task, result: Err(Failure::NotPassedOn) })
    }
}

/// A command that comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// `Command::Dial`.
    Dial,
    /// `Command::Answer`.
    Answer,
    /// `Command::End`.
    End,
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection to the server.
    Connect(LinkId),
    /// Bytes for it.
    Transmit(LinkId, Vec<u8>),
    /// Close it; nothing of it is wanted any more.
    Close(LinkId),
    /// Something to know.
    Event(Event),
    /// Nothing more until this time (and why), or until an input.
    Timeout(Option<(Instant, Why)>),
}

/// Why the bridge wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The server may not answer.
    Answer,
    /// It is looked for again.
    Reconnect,
    /// A phone is looked at.
    Look,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server is there: its phones are told next.
    Up {
        /// Version of its protocol.
        version: u32,
    },
    /// It is not, and why, in a sentence. Told once; it is looked for until it is there. Every phone is gone.
    Down(String),
    /// A phone is new or stands otherwise; `None`: it was unplugged. Its call is unknown then.
    Phone {
        /// Which phone.
        serial: Serial,
        /// How it stands.
        state: Option<DeviceState>,
    },
    /// The phone's own Bluetooth address was learnt.
    Address {
        /// Which phone.
        serial: Serial,
        /// Its address.
        address: BluetoothAddress,
    },
    /// The phone's call stands otherwise; the first look is told too.
    Call {
        /// Which phone.
        serial: Serial,
        /// How it stands.
        state: CallState,
    },
    /// Who calls, or is waiting, is known.
    Number {
        /// Which phone.
        serial: Serial,
        /// The caller.
        number: Pii<Number>,
    },
    /// The phone does not tell about its calls (any more), and is asked only while it is watched. Its call is unknown.
    Blind {
        /// Which phone.
        serial: Serial,
        /// Why.
        failure: Failure,
    },
    /// A command came to its end; `Ok`: its effect was seen.
    Done {
        /// Which phone.
        serial: Serial,
        /// For which call.
        call: CallId,
        /// Which command.
        task: Task,
        /// How.
        result: Result<(), Failure>,
    },
}

/// Why something was not done, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is not plugged in, not ready (in time), or not the one that is used. It was not told of the command.
    #[error("the phone is not there")]
    NoPhone,
    /// Too many commands wait on the way to the bridge.
    #[error("it was not passed on")]
    NotPassedOn,
    /// It has a call, or too many commands wait.
    #[error("the phone is busy")]
    Busy,
    /// Nobody calls (any more).
    #[error("no call comes in")]
    NoCall,
    /// What it tells about its calls cannot be read.
    #[error("the phone does not tell about its calls")]
    Unreadable,
    /// The server did not pass it on, and why.
    #[error("the adb server refuses: {0}")]
    ByServer(String),
    /// The phone did not do it, and why. Its words may hold the number.
    #[error("the phone refuses")]
    ByPhone(Pii<String>),
    /// Neither of them answered.
    #[error("no answer")]
    NoAnswer,
    /// The phone took it, and nothing came of it.
    #[error("it had no effect")]
    NoEffect,
    /// Another command came before its effect was seen.
    #[error("overtaken by another command")]
    Overtaken,
}

/// What was counted instead of being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions to the server.
    pub queries: u64,
    /// Those without an answer.
    pub failed: u64,
    /// Looks at phones among them.
    pub looks: u64,
    /// Times the server was lost or not there.
    pub lost: u64,
}

/// How the bridge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As configured.
    pub enabled: bool,
    /// Version of the server's protocol, while it is there.
    pub version: Option<u32>,
    /// Why it is not there.
    pub fault: Option<String>,
    /// The phones.
    pub phones: Vec<PhoneStatus>,
    /// What was counted.
    pub counters: Counters,
}

/// How a phone stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneStatus {
    /// Which phone.
    pub serial: Serial,
    /// How it stands with the server.
    pub state: DeviceState,
    /// It is one that is used.
    pub used: bool,
    /// Its Bluetooth address, where known.
    pub address: Option<BluetoothAddress>,
    /// Its call, where known.
    pub call: Option<CallState>,
}
