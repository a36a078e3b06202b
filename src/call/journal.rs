//! What the switch tells the store, and what the store gives back at the start.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::guard::Talked;
use super::idempotency::{Answered, Fingerprint, Keyed};
use super::pending::PendingRequest;
use super::phones::PhoneName;
use super::session::{SessionId, SessionMeta};

/// Which list an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `events` of a session: states, policy, registration.
    Call,
    /// `/events` of a session and the event stream.
    Agent,
}

/// One event, rendered once: the same text is stored, listed and streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Global sequence number, never reused; also the SSE `id:`.
    pub seq: u64,
    /// Whose event it is; `None` for one that belongs to no call, which is an agent event and not kept for ever.
    pub session: Option<SessionId>,
    /// Which list it belongs to.
    pub kind: EventKind,
    /// `event_type` or `type`.
    pub name: String,
    /// The whole object as one line of JSON.
    pub json: String,
}

impl Event {
    /// Whether the stream of its session ends after it.
    pub fn ends_stream(&self) -> bool {
        self.kind == EventKind::Agent && self.name == "call_ended"
    }
}

/// One change, stored in the order given.
#[derive(Clone, Debug)]
pub enum Record {
    /// Events up to this number (exclusive) may be used; durable before the first of them is.
    SeqReserved(u64),
    /// A new session. Its id must be new: otherwise the whole commit fails.
    SessionOpened(Box<SessionMeta>),
    /// The session as it is now.
    SessionChanged(Box<SessionMeta>),
    /// An event; published to subscribers after the commit.
    Event(Arc<Event>),
    /// Entry number `index` of a session's transcript: new, or corrected.
    Transcript {
        /// Whose transcript.
        session: SessionId,
        /// Position in it, from 0.
        index: u32,
        /// The entry as clients see it.
        entry: Value,
    },
    /// A request as it is now (new, or claimed).
    Pending(Box<PendingRequest>),
    /// A request was withdrawn, or expired and was swept.
    PendingGone {
        /// Its id.
        request_id: String,
    },
    /// The answer to a request under an `Idempotency-Key`, to be given again until then.
    Answered {
        /// Which key, which request.
        keyed: Keyed,
        /// Until then.
        expires_unix_ms: i64,
        /// The status of the response.
        status: u16,
        /// Its body.
        body: String,
    },
    /// A key is free: its request failed after all, or its day is over.
    KeyGone(Fingerprint),
}

/// Names one commit, for the answer `Committed` or `CommitFailed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// Changes that are stored all or none.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order.
    pub records: Vec<Record>,
    /// Replaces `config.json` (after the records); the text is the whole file.
    pub config: Option<ConfigWrite>,
    /// Must survive a power cut before it is acknowledged (`synchronous=FULL`).
    pub durable: bool,
    /// Answer when done; `None` for events alone.
    pub acknowledge: Option<CommitId>,
}

/// A new `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWrite {
    /// The whole file.
    pub text: String,
}

/// Why a commit did not happen. Nothing of it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// `config.json` was changed by someone else since it was read.
    #[error("config.json was changed on disk meanwhile; send SIGHUP to read it again")]
    ConfigChanged,
    /// The disk is full, read-only or broken.
    #[error("storage cannot commit: {0}")]
    Storage(String),
}

/// What the last run left behind.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The first sequence number that no one has ever seen.
    pub next_seq: u64,
    /// Requests that are neither consumed nor expired, oldest first.
    pub pending: Vec<PendingRequest>,
    /// Requests that were answered under an `Idempotency-Key` that still counts.
    pub answered: Vec<Answered>,
    /// Sessions that were open when the service died, oldest first.
    pub open_sessions: Vec<OpenSession>,
    /// Phones whose last event says that they are connected.
    pub phones_here: Vec<PhoneName>,
    /// When outbound calls of the last 24 hours began, in Unix milliseconds, for the guard's budgets.
    pub outbound_started_unix_ms: Vec<i64>,
    /// When outbound calls of the last 24 hours were answered, for the guard's budget of minutes.
    pub outbound_talked: Vec<Talked>,
    /// Ids of the newest sessions, so that none is minted twice.
    pub recent_session_ids: Vec<SessionId>,
}

/// A session found open.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Its id.
    pub id: SessionId,
    /// Its meta object as last stored.
    pub meta: Map<String, Value>,
    /// The transcript as far as it was stored.
    pub transcript: Vec<Value>,
}
