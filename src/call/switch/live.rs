//! One live call: its session, what belongs to it, and its deadlines.

use std::collections::BTreeMap;
use std::time::Instant;

use super::io::{AskId, AudioPath, Carrier, Why};
use crate::base::{CallId, Now, Number};
use crate::call::conversation::AgentCommand;
use crate::call::events::EventWriter;
use crate::call::guard::Talked;
use crate::call::idempotency::Fingerprint;
use crate::call::leg::{DialTarget, LineAudio, RemoteParty};
use crate::call::pending::PendingRequest;
use crate::call::phones::{PhoneName, Place};
use crate::call::session::{Direction, EndReason, SessionMeta};
use crate::call::transcript::Transcript;

/// Messages for a conversation that has not begun, as many as the agent's side keeps; beyond this the client is
/// refused, so that none is lost that was accepted.
pub(super) const EARLY_MESSAGES_MAX: usize = 64;

/// Where a call is; the drawing is in the module's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The session is being stored.
    Opening,
    /// We call.
    Dialing,
    /// We are called.
    Ringing,
    /// The answer was sent on its way.
    Answering,
    /// Both sides hear each other.
    Active,
    /// Waiting for leg, agent and media to be done.
    Ending,
    /// The last records are being stored.
    Closing,
}

/// The life of a part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<T> {
    /// Never begun.
    None,
    /// Asked for.
    Wanted,
    /// There.
    Open(T),
    /// Asked to end.
    Leaving,
    /// Gone.
    Gone,
}

impl<T> Part<T> {
    /// Whether the call can be closed without waiting for it.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::None | Self::Gone)
    }
}

/// What carries a call, and what only a call on that has.
#[derive(Debug)]
pub(super) enum On {
    Sip(OnSip),
    Phone(OnPhone),
}

/// A call over SIP.
#[derive(Debug)]
pub(super) struct OnSip {
    /// Outbound: whom the leg shall dial.
    pub(super) dial: Option<DialTarget>,
    pub(super) line: Option<LineAudio>,
    /// The last status.
    pub(super) code: Option<u16>,
    /// The last state told, for `sip_call_state_changed`.
    pub(super) state: &'static str,
}

impl OnSip {
    pub(super) fn new(dial: Option<DialTarget>) -> Self {
        let state = if dial.is_some() { "calling" } else { "incoming" };
        Self { dial, line: None, code: None, state }
    }
}

/// A call on a phone.
#[derive(Debug)]
pub(super) struct OnPhone {
    /// Which phone it is, as far as it is known.
    pub(super) name: Option<PhoneName>,
    /// Outbound: whom the phone shall dial.
    pub(super) dial: Option<Number>,
    pub(super) audio_at: Place,
    /// Since when the audio is (again) expected here.
    pub(super) here_since: Option<Instant>,
    /// On hold, by the phone.
    pub(super) held: bool,
    /// The conversation ended while the owner spoke: why the call ends when he gives it back.
    pub(super) agent_left: Option<(EndReason, Option<String>)>,
}

impl OnPhone {
    pub(super) fn new(name: Option<PhoneName>, dial: Option<Number>) -> Self {
        Self { name, dial, audio_at: Place::Agent, here_since: None, held: false, agent_left: None }
    }
}

impl On {
    pub(super) fn carrier(&self) -> Carrier {
        match self {
            Self::Sip(_) => Carrier::Sip,
            Self::Phone(_) => Carrier::Phone,
        }
    }
}

/// Everything about one live call.
pub(super) struct LiveCall {
    pub(super) call: CallId,
    pub(super) stage: Stage,
    pub(super) meta: SessionMeta,
    pub(super) events: EventWriter,
    pub(super) transcript: Transcript,
    pub(super) opened_at: Instant,
    pub(super) on: On,
    /// Outbound: the client that waits for 202.
    pub(super) ask: Option<AskId>,
    /// Outbound: the request as stored before the claim, for that client.
    pub(super) asked: Option<Box<PendingRequest>>,
    /// Outbound: the `Idempotency-Key` of that client.
    pub(super) key: Option<Fingerprint>,
    pub(super) remote: RemoteParty,
    /// The other party's number, if it has one.
    pub(super) number: Option<Number>,
    pub(super) leg: Part<()>,
    pub(super) agent: Part<()>,
    pub(super) media: Part<AudioPath>,
    /// A test call.
    pub(super) echo: bool,
    /// Inbound: answer as soon as media is open.
    pub(super) answer_wanted: bool,
    /// For an agent that does not exist yet.
    pub(super) early_messages: Vec<AgentCommand>,
    /// Messages that were taken before the conversation began.
    pub(super) early_count: usize,
    /// The agent's name for the conversation, once it has begun.
    pub(super) conversation_id: Option<String>,
    /// Why it ends; the first reason wins.
    pub(super) end: Option<(EndReason, Option<String>)>,
    /// Refused for lack of a line: never current, takes none.
    pub(super) without_line: bool,
    pub(super) answered_at: Option<Instant>,
    pub(super) deadlines: BTreeMap<Why, Instant>,
}

impl LiveCall {
    /// Whether it takes one of `max_concurrent_calls`.
    pub(super) fn takes_line(&self) -> bool {
        !self.without_line && self.stage != Stage::Closing
    }

    /// Whether it still can be talked to, answered or hung up.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Ending | Stage::Closing)
    }

    /// Whether its owner speaks, at the handset, and not the agent.
    pub(super) fn is_at_handset(&self) -> bool {
        match &self.on {
            On::Sip(_) => false,
            On::Phone(phone) => phone.audio_at == Place::Handset,
        }
    }

    /// When it was answered, for the budget of outbound minutes; what has ended is counted there already.
    pub(super) fn talked(&self, now: Now) -> Option<Talked> {
        let is_counted = self.is_inbound() || self.stage == Stage::Closing;
        let answered_at = self.answered_at.filter(|_| !is_counted)?;
        let long = now.mono.saturating_duration_since(answered_at);
        let from_unix_ms = now.unix_ms.saturating_sub(long.as_millis() as i64);
        Some(Talked { from_unix_ms, to_unix_ms: now.unix_ms })
    }

    pub(super) fn is_inbound(&self) -> bool {
        self.meta.direction == Direction::Inbound
    }

    /// Whether leg, agent and media are all done.
    pub(super) fn parts_are_done(&self) -> bool {
        self.leg.is_done() && self.agent.is_done() && self.media.is_done()
    }
}
