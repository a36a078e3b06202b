//! The routes, and the order in which a request is checked.

use super::access::{Access, Origin};
use super::body::{Fields, check_media_type};
use super::path::{parameter, segments};
use super::request::Request;
use super::response::Response;
use crate::call::command::{Command, SessionRef};
use crate::call::session::SessionId;

/// Sessions in one list at most; a larger `limit` is cut to it.
pub const CALLS_LIMIT_MAX: usize = 1000;
/// Sessions in one list when nothing is said.
const CALLS_LIMIT_DEFAULT: usize = 20;
/// Bytes of an id in a path; longer ones name nothing.
const ID_BYTES_MAX: usize = 384;

/// What a request comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// What is to be done.
    pub action: Action,
    /// The page of another origin that asked and may: `allow_origin` its response.
    pub origin: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing more: this is the response.
    Respond(Response),
    /// Ask the switch.
    Ask(Command),
    /// Read the store.
    Read(Read),
    /// Stream events.
    Stream(Selection),
}

/// What is read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The newest sessions, at most so many.
    Sessions(usize),
    /// A session with its events and transcript.
    Session(SessionRef),
    /// A session's agent events.
    AgentEvents(SessionRef),
}

/// Which events are streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Whose.
    pub selector: Selector,
    /// Only those after this `id:`, as the client sent it.
    pub after: Option<String>,
}

/// Whose events are streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One session's, until its `call_ended`.
    Session(SessionRef),
    /// Every session's, without end.
    All,
}

impl Routed {
    /// Lets the page that asked read the response (WHATWG Fetch 3.3).
    pub fn allow_origin(origin: Option<&str>, response: Response) -> Response {
        match origin {
            None => response,
            Some(origin) => response
                .with_header("Access-Control-Allow-Origin", origin)
                .with_header("Access-Control-Expose-Headers", "Retry-After")
                .with_header("Vary", "Origin"),
        }
    }
}

/// Checks a request in the contract's order and says what it comes to.
pub fn route(request: &Request<'_>, access: &Access<'_>) -> Routed {
    let origin = match access.check_host(request).and_then(|()| access.check_origin(request)) {
        Ok(Origin::Own) => None,
        Ok(Origin::Allowed(origin)) => Some(origin.to_owned()),
        Err(response) => return Routed { action: Action::Respond(response), origin: None },
    };
    if origin.is_some() && request.method == "OPTIONS" {
        // A browser asks first whether it may ask; it sends no token with that.
        let leave = Response::text(204, String::new())
            .with_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
            .with_header("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
            .with_header("Access-Control-Max-Age", "600");
        return Routed { action: Action::Respond(leave), origin };
    }
    let action = action(request, access).unwrap_or_else(Action::Respond);
    Routed { action, origin }
}

fn action(request: &Request<'_>, access: &Access<'_>) -> Result<Action, Response> {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let segments = segments(path);
    let segments: Option<Vec<&str>> =
        segments.as_ref().map(|segments| segments.iter().map(String::as_str).collect());
    if !matches!(segments.as_deref(), Some(["health"] | ["v1", "health"])) {
        access.check_token(request)?;
    }
    let endpoint = segments.as_deref().and_then(Endpoint::of);
    let endpoint = endpoint.ok_or_else(|| Response::problem(404, "not found"))?;
    let allow = endpoint.methods();
    if !allow.split(", ").any(|method| method == request.method) {
        return Err(Response::problem(405, "method not allowed").with_header("Allow", allow));
    }
    check_media_type(request)?;
    endpoint.action(request, query)
}

/// One resource of the API.
enum Endpoint {
    Health,
    Status,
    Config,
    OutboundCalls,
    PendingRequests,
    PendingRequest(String),
    CurrentCall,
    Calls,
    Call(SessionRef),
    CallEvents(SessionRef),
    EventStream,
    ContextualUpdate(SessionRef),
    UserMessage(SessionRef),
    Answer(SessionRef),
    Hangup(SessionRef),
}

impl Endpoint {
    fn of(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["health"] | ["v1", "health"] => Self::Health,
            ["v1", "status"] => Self::Status,
            ["v1", "config"] => Self::Config,
            ["v1", "outbound-calls"] => Self::OutboundCalls,
            ["v1", "pending-call-requests"] => Self::PendingRequests,
            ["v1", "pending-call-requests", id] if id_is_fine(id) => Self::PendingRequest((*id).to_owned()),
            ["v1", "current-call"] => Self::CurrentCall,
            ["v1", "current-call", verb] => Self::of_verb(verb, SessionRef::Current)?,
            ["v1", "calls"] => Self::Calls,
            ["v1", "calls", id] if id_is_fine(id) => Self::Call(session(id)),
            ["v1", "calls", id, "events"] if id_is_fine(id) => Self::CallEvents(session(id)),
            ["v1", "calls", id, verb] if id_is_fine(id) => Self::of_verb(verb, session(id))?,
            ["v1", "events", "stream"] => Self::EventStream,
            _ => return None,
        })
    }

    fn of_verb(verb: &str, session: SessionRef) -> Option<Self> {
        Some(match verb {
            "contextual-update" => Self::ContextualUpdate(session),
            "user-message" => Self::UserMessage(session),
            "answer" => Self::Answer(session),
            "hangup" => Self::Hangup(session),
            _ => return None,
        })
    }

    /// The value of `Allow`. A stream has no end, so there is no HEAD of it.
    fn methods(&self) -> &'static str {
        match self {
            Self::Health
            | Self::Status
            | Self::CurrentCall
            | Self::Calls
            | Self::Call(_)
            | Self::CallEvents(_) => "GET, HEAD",
            Self::Config => "GET, HEAD, PATCH",
            Self::PendingRequests => "GET, HEAD, POST",
            Self::PendingRequest(_) => "GET, HEAD, DELETE",
            Self::EventStream => "GET",
            Self::OutboundCalls
            | Self::ContextualUpdate(_)
            | Self::UserMessage(_)
            | Self::Answer(_)
            | Self::Hangup(_) => "POST",
        }
    }

    /// The method is one of `methods`.
    fn action(self, request: &Request<'_>, query: &str) -> Result<Action, Response> {
        let reads = matches!(request.method, "GET" | "HEAD");
        Ok(Action::Ask(match self {
            Self::Health => return Ok(Action::Respond(health())),
            Self::Calls => return Ok(Action::Read(Read::Sessions(limit(query)?))),
            Self::Call(session) => return Ok(Action::Read(Read::Session(session))),
            Self::CallEvents(session) => return Ok(Action::Read(Read::AgentEvents(session))),
            Self::EventStream => return Ok(Action::Stream(selection(request, query)?)),
            Self::Status => Command::Status,
            Self::CurrentCall => Command::CurrentCall,
            Self::Config if reads => Command::Config,
            Self::Config => Command::PatchConfig(Fields::of(request)?.into_members()),
            Self::OutboundCalls => Command::Dial(Box::new(Fields::of(request)?.into_outbound()?)),
            Self::PendingRequests if reads => Command::ListPending,
            Self::PendingRequests => Command::CreatePending(Box::new(Fields::of(request)?.into_pending()?)),
            Self::PendingRequest(id) if reads => Command::Pending(id),
            Self::PendingRequest(id) => Command::DeletePending(id),
            Self::ContextualUpdate(session) => {
                Command::ContextualUpdate(session, Fields::of(request)?.into_text()?)
            }
            Self::UserMessage(session) => Command::UserMessage(session, Fields::of(request)?.into_text()?),
            Self::Answer(session) => {
                Fields::of(request)?;
                Command::Answer(session)
            }
            Self::Hangup(session) => {
                Fields::of(request)?;
                Command::Hangup(session)
            }
        }))
    }
}

fn health() -> Response {
    Response::json(200, &serde_json::json!({"ok": true, "version": env!("CARGO_PKG_VERSION")}))
}

/// An id is looked up as it is; what could never be one names nothing.
fn id_is_fine(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id != "." && id != ".." && !id.contains(['/', '\\', '\0'])
}

fn session(id: &str) -> SessionRef {
    if id == "current" { SessionRef::Current } else { SessionRef::Id(SessionId::new(id)) }
}

fn value(query: &str, name: &str) -> Result<String, Response> {
    let value =
        parameter(query, name).map_err(|()| Response::problem(400, &format!("{name} is not UTF-8")))?;
    Ok(value.unwrap_or_default())
}

fn limit(query: &str) -> Result<usize, Response> {
    let text = value(query, "limit")?;
    if text.is_empty() {
        return Ok(CALLS_LIMIT_DEFAULT);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Response::problem(400, "limit must be a whole number"));
    }
    // Digits alone that do not fit are a number above the limit.
    Ok(text.parse().unwrap_or(CALLS_LIMIT_MAX).min(CALLS_LIMIT_MAX))
}

fn selection(request: &Request<'_>, query: &str) -> Result<Selection, Response> {
    // Form encoding makes a space of `+`; ids hold no space.
    let id = value(query, "session_id")?.replace(' ', "+");
    let selector = match id.as_str() {
        "" => Selector::Session(SessionRef::Current),
        "all" => Selector::All,
        id if id_is_fine(id) => Selector::Session(session(id)),
        _ => return Err(Response::problem(404, "no active session")),
    };
    // A browser that reconnects keeps its old address and knows better where it stopped.
    let resumed = request.headers.last_event_id.map(ToOwned::to_owned);
    let after = resumed.map_or_else(|| value(query, "after"), Ok)?;
    Ok(Selection { selector, after: Some(after).filter(|after| !after.is_empty()) })
}
