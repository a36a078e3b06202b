//! What goes into the switch and what comes out of it.

use std::sync::Arc;
use std::time::Instant;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::base::{CallId, CallIds, Metrics, Rng, Secret};
use crate::call::command::{Command, Reply};
use crate::call::config::Config;
use crate::call::conversation::{AgentCommand, AgentEvent, AgentPlan};
use crate::call::journal::{Batch, CommitError, CommitId, Recovered};
use crate::call::leg::{LegCommand, LegEvent, LineAudio};
use crate::call::phones::{PhoneCommand, PhoneEvent};

/// Names one question of a client until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// SIP and RTP.
    Sip,
    /// A phone, over Bluetooth.
    Phone,
}

/// The way of a call's audio, once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioPath {
    /// RTP, received on this port.
    Rtp {
        /// Of UDP.
        port: u16,
    },
    /// The voice link of whatever phone has the call; it has no number to tell.
    VoiceLink,
}

/// Finds a time zone by its IANA name, the system's for `None`; `None` when there is no such zone.
pub type Zones = Box<dyn Fn(Option<&str>) -> Option<TimeZone> + Send>;

/// Who the agent is, from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// `ELEVENLABS_BASE_URL`.
    pub base_url: String,
    /// `ELEVENLABS_AGENT_ID`.
    pub agent_id: Option<String>,
    /// `ELEVENLABS_API_KEY`.
    pub api_key: Option<Secret>,
}

/// Everything a switch is born with.
pub struct Setup {
    /// Shared with the legs.
    pub ids: CallIds,
    /// For UUIDs.
    pub rng: Rng,
    /// As read from `config.json`.
    pub config: Config,
    /// Time zones by name.
    pub zones: Zones,
    /// The agent of this machine.
    pub agent: AgentSettings,
    /// What the last run left.
    pub recovered: Recovered,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// What the switch is told.
#[derive(Debug)]
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
pub enum Input {
    /// A client asks; answered by exactly one `Output::Reply`.
    Command { ask: AskId, command: Command },
    /// SIP reports.
    Leg(LegEvent),
    /// The phones report.
    Phone(PhoneEvent),
    /// The conversation of a call reports.
    Agent { call: CallId, event: AgentEvent },
    /// `Output::MediaOpen` is done: the way that is open, or a sentence.
    MediaOpened { call: CallId, path: Result<AudioPath, String> },
    /// `Output::MediaLook` is done: for how long no packet has come, in milliseconds.
    MediaSeen { call: CallId, silent_ms: u64 },
    /// `Output::MediaClose` is done: what was measured, for the session's `audio` member.
    MediaClosed { call: CallId, measured: Map<String, Value> },
    /// A commit that wanted an answer.
    Committed { commit: CommitId, result: Result<(), CommitError> },
    /// `config.json` was read again: the object, or a sentence why not.
    ConfigRead(Result<Map<String, Value>, String>),
    /// End in order: hang up, flush, `Output::Stopped`.
    Stop,
}

/// What shall be done.
#[derive(Debug)]
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
pub enum Output {
    /// To SIP.
    Leg(LegCommand),
    /// To the phones.
    Phone(PhoneCommand),
    /// Start the conversation of a call whose media is open.
    AgentBegin(Box<AgentPlan>),
    /// To the conversation of a call.
    Agent { call: CallId, command: AgentCommand },
    /// Open the audio link for a call, over SIP with an RTP port.
    MediaOpen { call: CallId, carrier: Carrier },
    /// Over SIP: the line is up, or changed.
    MediaStart { call: CallId, line: LineAudio },
    /// Ask for how long no packet has come.
    MediaLook { call: CallId, carrier: Carrier },
    /// Close link and port.
    MediaClose { call: CallId, carrier: Carrier },
    /// Store this.
    Commit(Batch),
    /// Answer a client.
    Reply { ask: AskId, reply: Reply },
    /// The configuration in force changed.
    ConfigChanged(Arc<Config>),
    /// Everything is hung up and handed to the store.
    Stopped,
    /// Nothing more to do until an input comes, or this time with its reason.
    Timeout(Option<(Instant, Why)>),
}

/// What a deadline of the switch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// `auto_answer_delay_sec` has passed.
    AutoAnswer,
    /// `ring_timeout_sec` has passed.
    RingTimeout,
    /// `max_call_duration_sec` has passed.
    MaxDuration,
    /// Time to look whether packets still come.
    MediaLook,
    /// A leg or an agent takes too long to end.
    Ending,
    /// A commit failed and is tried again.
    CommitRetry,
    /// A pending request expires.
    PendingExpiry,
    /// An `Idempotency-Key` is a day old.
    KeyExpiry,
    /// A phone is no longer as it was told, and may be told again.
    PhoneNews,
    /// The service stops now, whatever is still open.
    Stopping,
}
