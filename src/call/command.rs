//! What a client asks of the switch, and what the switch answers; HTTP is spoken one floor up.

use serde_json::{Map, Value};

use super::conversation::Overrides;
use super::idempotency::{Fingerprint, Keyed};
use super::pending::PendingRequest;
use super::phones::Place;
use super::readiness::Readiness;
use super::session::SessionId;
use crate::hfp::host::Address;

/// Which session a client means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// The current call.
    Current,
    /// This one, live or past.
    Id(SessionId),
}

/// Whom a client wants called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A normalised number.
    Number(crate::base::Number),
    /// A `sip:` URI, as sent.
    Uri(crate::base::Pii<String>),
}

impl Target {
    /// The number, also of a URI whose user part is one.
    pub fn number(&self) -> Option<crate::base::Number> {
        match self {
            Self::Number(number) => Some(number.clone()),
            Self::Uri(uri) => {
                let (_, rest) = uri.0.split_once(':')?;
                let (user, _) = rest.split_once('@')?;
                // The digits as they are: separators inside a URI would not be dropped on the wire either.
                let user = user.split([';', ':']).next().unwrap_or_default();
                crate::base::Number::parse(user).ok().filter(|number| number.as_str() == user)
            }
        }
    }

    /// `target_number` of the API: the number when there is one, else the URI as sent.
    pub fn shown(&self) -> String {
        self.number().map_or_else(
            || match self {
                Self::Number(number) => number.as_str().to_owned(),
                Self::Uri(uri) => uri.0.clone(),
            },
            |number| number.as_str().to_owned(),
        )
    }
}

/// The body of both creating POSTs, after type checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallRequest {
    /// Required for an outbound call.
    pub target: Option<Target>,
    /// For the agent.
    pub dynamic_variables: Map<String, Value>,
    /// For the client.
    pub metadata: Map<String, Value>,
    /// Seconds until it expires.
    pub ttl_sec: u32,
    /// Another agent than the configured one.
    pub agent_id: Option<String>,
    /// Overrides of the agent's settings.
    pub overrides: Overrides,
    /// A test call without an agent (`callscoot echo`).
    pub echo: bool,
    /// `Idempotency-Key`: the same request under it is done once.
    pub keyed: Option<Keyed>,
}

/// What a client asks about phones themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneAsk {
    /// Everything that is known of them.
    List,
    /// Let phones find this machine and pair with it.
    OpenWindow {
        /// For so long; else for `discoverable_timeout`.
        timeout_sec: Option<u32>,
    },
    /// No longer.
    CloseWindow,
    /// The person's answer to the phone that pairs.
    AnswerPairing {
        /// Yes.
        accept: bool,
        /// It is for this phone's question, and for no other's; `None`: whatever is asked now.
        phone: Option<Address>,
        /// It is for the question about this number.
        number: Option<u32>,
    },
    /// Something with one of them.
    Do {
        /// What.
        task: PhoneTask,
        /// With which.
        phone: Address,
    },
}

/// What is done with a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneTask {
    /// Connect it, and keep it connected.
    Connect,
    /// Disconnect it.
    Disconnect,
    /// Let it connect by itself.
    Trust,
    /// No longer.
    Untrust,
    /// Forget it.
    Remove,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `GET /healthz`: does the switch answer.
    Health,
    /// `GET /readyz`: could a call be made now.
    Readiness,
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/config`.
    Config,
    /// `PATCH /v1/config`: the members as sent.
    PatchConfig(Map<String, Value>),
    /// `POST /v1/outbound-calls`.
    Dial(Box<CallRequest>),
    /// `POST /v1/pending-call-requests`.
    CreatePending(Box<CallRequest>),
    /// `GET /v1/pending-call-requests`.
    ListPending,
    /// `GET /v1/pending-call-requests/ID`.
    Pending(String),
    /// `DELETE /v1/pending-call-requests/ID`.
    DeletePending(String),
    /// `GET /v1/current-call`.
    CurrentCall,
    /// Background for the agent of a session.
    ContextualUpdate(SessionRef, String),
    /// Words as if the caller had said them.
    UserMessage(SessionRef, String),
    /// `POST …/answer`.
    Answer(SessionRef),
    /// `POST …/hangup`.
    Hangup(SessionRef),
    /// `POST …/handover`.
    HandOver(SessionRef, Place),
    /// `/v1/phones…`.
    Phones(PhoneAsk),
}

impl Command {
    /// The id by which the client names a session, if it does.
    pub fn session_id(&self) -> Option<&SessionId> {
        match self {
            Self::ContextualUpdate(session, _)
            | Self::UserMessage(session, _)
            | Self::Answer(session)
            | Self::Hangup(session)
            | Self::HandOver(session, _) => match session {
                SessionRef::Id(id) => Some(id),
                SessionRef::Current => None,
            },
            Self::Health
            | Self::Readiness
            | Self::Status
            | Self::Config
            | Self::PatchConfig(_)
            | Self::Dial(_)
            | Self::CreatePending(_)
            | Self::ListPending
            | Self::Pending(_)
            | Self::DeletePending(_)
            | Self::Phones(_)
            | Self::CurrentCall => None,
        }
    }
}

/// What the switch answers when it does what was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The switch is there.
    Alive,
    /// What works, part by part.
    Readiness(Readiness),
    /// The whole body of `GET /v1/status`.
    Status(Value),
    /// The configuration, secrets masked.
    Config(Value),
    /// The same, after it was saved.
    ConfigSaved(Value),
    /// The call is being dialled.
    Dialing {
        /// As stored before the claim.
        request: Box<PendingRequest>,
        /// `sip`, `hfp` or `adb`.
        backend: &'static str,
        /// The number or URI that is dialled.
        number: String,
        /// `sip:NUMBER@SERVER`, over SIP.
        uri: Option<String>,
        /// The session made for it.
        session: SessionId,
    },
    /// A request was stored.
    Queued(Box<PendingRequest>),
    /// It was done before under this `Idempotency-Key`: the answer is in the store.
    Again(Fingerprint),
    /// All live requests, oldest first.
    PendingList(Vec<PendingRequest>),
    /// One live request.
    Pending(Box<PendingRequest>),
    /// It was deleted.
    Deleted(String),
    /// The current call's meta, or null.
    CurrentCall(Option<Value>),
    /// A message for the agent was queued; the object of the contract.
    MessageQueued(Value),
    /// The call is being answered.
    Answering {
        /// `sip`, `hfp` or `adb`.
        backend: &'static str,
        /// Which session.
        session: SessionId,
    },
    /// Everything that is known of phones.
    Phones(Value),
    /// It was asked of them.
    PhonesAsked,
    /// It was asked of this one.
    PhoneAsked(Value),
    /// Phones may pair.
    PairingWindow {
        /// For so long.
        timeout_sec: u32,
    },
    /// The call's audio is on its way.
    HandingOver {
        /// `hfp` or `adb`.
        backend: &'static str,
        /// Which session.
        session: SessionId,
        /// Where to.
        to: Place,
    },
    /// The call is being hung up.
    HangingUp {
        /// `sip`, `hfp` or `adb`.
        backend: &'static str,
        /// Which session.
        session: SessionId,
    },
}

/// What kind of refusal it is; HTTP makes a status of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// A value is wrong (400).
    Invalid,
    /// There is no such thing (404).
    NotFound,
    /// Not now, or never (409).
    Conflict(Conflict),
    /// A budget is spent (429).
    Budget,
    /// Something needed is missing or down (502).
    Unavailable,
    /// It could not be stored, or is not even tried: too much at once, or the service is stopping (503).
    Storage,
}

/// Which conflict it is: sentences are for people, this is for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// There is no such call, or it is ending.
    NoActiveCall,
    /// The call does not ring.
    NothingToAnswer,
    /// `max_concurrent_calls` are taken.
    NoLine,
    /// It is never dialled.
    EmergencyNumber,
    /// It costs extra.
    PremiumNumber,
    /// Too short for a number that is dialled.
    ShortNumber,
    /// As many requests wait as there may be.
    TooManyRequests,
    /// As many messages wait for the agent as there may be.
    TooManyMessages,
    /// Only a phone has a handset.
    NotOnPhone,
    /// It is not answered yet.
    CallNotActive,
    /// The call's audio is where it is wanted.
    AudioIsThere,
    /// The agent has left the call.
    ConversationOver,
    /// No phone that pairs wants to hear anything from here.
    NothingAsked,
    /// Something else is asked by now, or by another phone.
    AskedOtherwise,
    /// The `Idempotency-Key` stands for another request.
    KeyOfAnother,
    /// The first request under the `Idempotency-Key` is not done.
    KeyRunning,
    /// `config.json` was changed on disk.
    ConfigChanged,
}

impl Conflict {
    const ALL: [Self; 17] = [
        Self::NoActiveCall,
        Self::NothingToAnswer,
        Self::NoLine,
        Self::EmergencyNumber,
        Self::PremiumNumber,
        Self::ShortNumber,
        Self::TooManyRequests,
        Self::TooManyMessages,
        Self::NotOnPhone,
        Self::CallNotActive,
        Self::AudioIsThere,
        Self::ConversationOver,
        Self::NothingAsked,
        Self::AskedOtherwise,
        Self::KeyOfAnother,
        Self::KeyRunning,
        Self::ConfigChanged,
    ];

    /// Reads the API's word; `None` for one of a service that knows more.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|which| which.as_str() == word)
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoActiveCall => "no_active_call",
            Self::NothingToAnswer => "nothing_to_answer",
            Self::NoLine => "no_line",
            Self::EmergencyNumber => "emergency_number",
            Self::PremiumNumber => "premium_number",
            Self::ShortNumber => "short_number",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyMessages => "too_many_messages",
            Self::NotOnPhone => "not_on_a_phone",
            Self::CallNotActive => "call_not_active",
            Self::AudioIsThere => "audio_is_there",
            Self::ConversationOver => "conversation_over",
            Self::NothingAsked => "nothing_asked",
            Self::AskedOtherwise => "asked_otherwise",
            Self::KeyOfAnother => "key_of_another_request",
            Self::KeyRunning => "key_still_running",
            Self::ConfigChanged => "config_changed",
        }
    }
}

/// Why the switch does not do what was asked: a sentence for people, and what programs need.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// A sentence; the contract's fixed texts where it has one.
    pub message: String,
    /// When it is worth trying again.
    pub retry_after_sec: Option<u64>,
    /// The request that was withdrawn because of it.
    pub request: Option<Box<PendingRequest>>,
}

impl Refusal {
    /// A refusal with a sentence and nothing else.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_sec: None, request: None }
    }

    /// A conflict (409).
    pub fn conflict(which: Conflict, message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Conflict(which), message)
    }
}

/// The answer to one command.
pub type Reply = Result<Answer, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conflicts_are_those_of_the_description() {
        // The last variant's number says whether the list has them all.
        assert_eq!(Conflict::ConfigChanged as usize, Conflict::ALL.len() - 1);
        crate::call::api::document::lists("ConflictReason", Conflict::ALL.map(Conflict::as_str));
        assert_eq!(Conflict::ALL.map(|which| Conflict::read(which.as_str())), Conflict::ALL.map(Some));
        assert_eq!(Conflict::read("no such word"), None);
    }
}
