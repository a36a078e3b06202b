//! One live call: its session, what belongs to it, and its deadlines.

use std::collections::BTreeMap;
use std::time::Instant;

use super::io::{AskId, Why};
use crate::base::{CallId, Number};
use crate::call::conversation::AgentCommand;
use crate::call::events::EventWriter;
use crate::call::idempotency::Fingerprint;
use crate::call::leg::{DialTarget, LineAudio, RemoteParty};
use crate::call::pending::PendingRequest;
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

/// Everything about one live call.
pub(super) struct LiveCall {
    pub(super) call: CallId,
    pub(super) stage: Stage,
    pub(super) meta: SessionMeta,
    pub(super) events: EventWriter,
    pub(super) transcript: Transcript,
    pub(super) opened_at: Instant,
    /// Outbound: whom the leg shall dial.
    pub(super) dial: Option<DialTarget>,
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
    /// The RTP port, once open.
    pub(super) media: Part<u16>,
    pub(super) line: Option<LineAudio>,
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
    pub(super) sip_code: Option<u16>,
    /// The last SIP state told, for `sip_call_state_changed`.
    pub(super) sip_state: &'static str,
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

    pub(super) fn is_inbound(&self) -> bool {
        self.meta.direction == Direction::Inbound
    }

    /// Whether leg, agent and media are all done.
    pub(super) fn parts_are_done(&self) -> bool {
        self.leg.is_done() && self.agent.is_done() && self.media.is_done()
    }
}
