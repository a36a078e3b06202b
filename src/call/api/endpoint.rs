//! The paths and their methods, in one table; `openapi.json` describes the same.

use crate::call::command::PhoneTask;

/// Bytes of an id in a path; longer ones name nothing.
const ID_BYTES_MAX: usize = 384;

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Health,
    Metrics,
    Liveness,
    Readiness,
    OpenApi,
    Status,
    Config,
    OutboundCalls,
    PendingRequests,
    PendingRequest,
    CurrentCall,
    Calls,
    Call,
    CallEvents,
    EventStream,
    ContextualUpdate,
    UserMessage,
    Answer,
    Hangup,
    HandOver,
    Phones,
    PairingWindow,
    PairingAnswer,
    Phone,
    PhoneTask(PhoneTask),
}

/// One path of the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    /// A segment in braces takes an id. A call's path without one means the current call.
    pub(super) path: &'static str,
    /// The value of `Allow`. A stream has no end, so there is no HEAD of it.
    pub(super) methods: &'static str,
    pub(super) resource: Resource,
}

const fn at(path: &'static str, methods: &'static str, resource: Resource) -> Endpoint {
    Endpoint { path, methods, resource }
}

pub(super) const ENDPOINTS: [Endpoint; 34] = [
    at("/health", READ, Resource::Health),
    at("/v1/health", READ, Resource::Health),
    at("/healthz", READ, Resource::Liveness),
    at("/metrics", READ, Resource::Metrics),
    at("/readyz", READ, Resource::Readiness),
    at("/v1/openapi.json", READ, Resource::OpenApi),
    at("/v1/status", READ, Resource::Status),
    at("/v1/config", "GET, HEAD, PATCH", Resource::Config),
    at("/v1/outbound-calls", WRITE, Resource::OutboundCalls),
    at("/v1/pending-call-requests", "GET, HEAD, POST", Resource::PendingRequests),
    at("/v1/pending-call-requests/{request_id}", "GET, HEAD, DELETE", Resource::PendingRequest),
    at("/v1/current-call", READ, Resource::CurrentCall),
    at("/v1/current-call/contextual-update", WRITE, Resource::ContextualUpdate),
    at("/v1/current-call/user-message", WRITE, Resource::UserMessage),
    at("/v1/current-call/answer", WRITE, Resource::Answer),
    at("/v1/current-call/hangup", WRITE, Resource::Hangup),
    at("/v1/current-call/handover", WRITE, Resource::HandOver),
    at("/v1/calls", READ, Resource::Calls),
    at("/v1/calls/{session_id}", READ, Resource::Call),
    at("/v1/calls/{session_id}/events", READ, Resource::CallEvents),
    at("/v1/calls/{session_id}/contextual-update", WRITE, Resource::ContextualUpdate),
    at("/v1/calls/{session_id}/user-message", WRITE, Resource::UserMessage),
    at("/v1/calls/{session_id}/answer", WRITE, Resource::Answer),
    at("/v1/calls/{session_id}/hangup", WRITE, Resource::Hangup),
    at("/v1/calls/{session_id}/handover", WRITE, Resource::HandOver),
    at("/v1/phones", READ, Resource::Phones),
    at("/v1/phones/pairing-window", "POST, DELETE", Resource::PairingWindow),
    at("/v1/phones/pairing-answer", WRITE, Resource::PairingAnswer),
    at("/v1/phones/{address}", "DELETE", Resource::Phone),
    at("/v1/phones/{address}/connect", WRITE, Resource::PhoneTask(PhoneTask::Connect)),
    at("/v1/phones/{address}/disconnect", WRITE, Resource::PhoneTask(PhoneTask::Disconnect)),
    at("/v1/phones/{address}/trust", WRITE, Resource::PhoneTask(PhoneTask::Trust)),
    at("/v1/phones/{address}/untrust", WRITE, Resource::PhoneTask(PhoneTask::Untrust)),
    at("/v1/events/stream", "GET", Resource::EventStream),
];

impl Endpoint {
    /// The endpoint of a path, and the id in it.
    pub(super) fn find(segments: &[String]) -> Option<(Self, Option<&str>)> {
        ENDPOINTS.into_iter().find_map(|endpoint| endpoint.matched(segments))
    }

    /// Whether it may be asked without a token.
    pub(super) fn is_open(self) -> bool {
        matches!(self.resource, Resource::Health | Resource::Liveness | Resource::Readiness)
    }

    pub(super) fn has(self, method: &str) -> bool {
        self.methods.split(", ").any(|known| known == method)
    }

    fn matched(self, segments: &[String]) -> Option<(Self, Option<&str>)> {
        let mut id = None;
        let mut given = segments.iter();
        for wanted in self.path.split('/').skip(1) {
            let given = given.next()?;
            if wanted.starts_with('{') && id_is_fine(given) {
                id = Some(given.as_str());
            } else if wanted != given {
                return None;
            }
        }
        given.next().is_none().then_some((self, id))
    }
}

/// An id is looked up as it is; what could never be one names nothing.
pub(super) fn id_is_fine(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id != "." && id != ".." && !id.contains(['/', '\\', '\0'])
}
