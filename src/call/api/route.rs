//! The routes, and the order in which a request is checked.

use super::access::{Access, Origin};
use super::body::{Fields, check_media_type};
use super::endpoint::{Endpoint, Resource, id_is_fine};
use super::key::keyed;
use super::openapi::DOCUMENT;
use super::path::{parameter, segments};
use super::request::Request;
use super::response::{Response, alive};
use crate::call::command::{CallRequest, Command, PhoneAsk, PhoneTask, SessionRef};
use crate::call::session::SessionId;

/// Sessions in one list at most; a larger `limit` is cut to it.
pub const CALLS_LIMIT_MAX: usize = 1000;
/// Sessions in one list when nothing is said.
const CALLS_LIMIT_DEFAULT: usize = 20;

/// In place of a path template.
const NONE: &str = "none";

/// What a request comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// What is to be done.
    pub action: Action,
    /// The page of another origin that asked and may: `allow_origin` its response.
    pub origin: Option<String>,
    /// The template of its path; `none` when the path names nothing or the request was refused before.
    pub endpoint: &'static str,
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
    /// Tell what was counted.
    Metrics,
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
                .with_header("Access-Control-Expose-Headers", "Retry-After, Idempotent-Replayed")
                .with_header("Vary", "Origin"),
        }
    }
}

/// Checks a request in the contract's order and says what it comes to.
pub fn route(request: &Request<'_>, access: &Access<'_>) -> Routed {
    let origin = match access.check_host(request).and_then(|()| access.check_origin(request)) {
        Ok(Origin::Own) => None,
        Ok(Origin::Allowed(origin)) => Some(origin.to_owned()),
        Err(response) => return Routed { action: Action::Respond(response), origin: None, endpoint: NONE },
    };
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let segments = segments(path);
    let found = segments.as_deref().and_then(Endpoint::find);
    let endpoint = found.map_or(NONE, |(endpoint, _)| endpoint.path);
    if origin.is_some() && request.method == "OPTIONS" {
        // A browser asks first whether it may ask; it sends no token with that.
        let leave = Response::text(204, String::new())
            .with_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
            .with_header(
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
            )
            .with_header("Access-Control-Max-Age", "600");
        return Routed { action: Action::Respond(leave), origin, endpoint };
    }
    let action = action(request, access, found, query).unwrap_or_else(Action::Respond);
    Routed { action, origin, endpoint }
}

fn action(
    request: &Request<'_>,
    access: &Access<'_>,
    found: Option<(Endpoint, Option<&str>)>,
    query: &str,
) -> Result<Action, Response> {
    if !found.is_some_and(|(endpoint, _)| endpoint.is_open()) {
        access.check_token(request)?;
    }
    let (endpoint, id) = found.ok_or_else(|| Response::problem(404, "not found"))?;
    if !endpoint.has(request.method) {
        return Err(Response::problem(405, "method not allowed").with_header("Allow", endpoint.methods));
    }
    check_media_type(request)?;
    asked(endpoint, id, request, query)
}

/// The method is one that the resource has.
fn asked(
    endpoint: Endpoint,
    id: Option<&str>,
    request: &Request<'_>,
    query: &str,
) -> Result<Action, Response> {
    let reads = matches!(request.method, "GET" | "HEAD");
    let request_id = || id.unwrap_or_default().to_owned();
    let session = id.map_or(SessionRef::Current, session);
    Ok(Action::Ask(match endpoint.resource {
        Resource::Health => return Ok(Action::Respond(Response::json(200, &alive()))),
        Resource::OpenApi => return Ok(Action::Respond(Response::text(200, DOCUMENT.to_owned()))),
        Resource::Metrics => return Ok(Action::Metrics),
        Resource::Calls => return Ok(Action::Read(Read::Sessions(limit(query)?))),
        Resource::Call => return Ok(Action::Read(Read::Session(session))),
        Resource::CallEvents => return Ok(Action::Read(Read::AgentEvents(session))),
        Resource::EventStream => return Ok(Action::Stream(selection(request, query)?)),
        Resource::Liveness => Command::Health,
        Resource::Readiness => Command::Readiness,
        Resource::Status => Command::Status,
        Resource::CurrentCall => Command::CurrentCall,
        Resource::Config if reads => Command::Config,
        Resource::Config => Command::PatchConfig(Fields::of(request)?.into_members()),
        Resource::OutboundCalls => Command::Dial(wanted(endpoint, request, Fields::into_outbound)?),
        Resource::PendingRequests if reads => Command::ListPending,
        Resource::PendingRequests => Command::CreatePending(wanted(endpoint, request, Fields::into_pending)?),
        Resource::PendingRequest if reads => Command::Pending(request_id()),
        Resource::PendingRequest => Command::DeletePending(request_id()),
        Resource::ContextualUpdate => Command::ContextualUpdate(session, Fields::of(request)?.into_text()?),
        Resource::UserMessage => Command::UserMessage(session, Fields::of(request)?.into_text()?),
        Resource::Answer => {
            Fields::of(request)?;
            Command::Answer(session)
        }
        Resource::HandOver => Command::HandOver(session, Fields::of(request)?.into_place()?),
        Resource::Phones => Command::Phones(PhoneAsk::List),
        Resource::PairingWindow if request.method == "DELETE" => {
            Fields::of(request)?;
            Command::Phones(PhoneAsk::CloseWindow)
        }
        Resource::PairingWindow => {
            Command::Phones(PhoneAsk::OpenWindow { timeout_sec: Fields::of(request)?.into_timeout()? })
        }
        Resource::PairingAnswer => Command::Phones(Fields::of(request)?.into_pairing_answer()?),
        Resource::Phone => phone_task(request, PhoneTask::Remove, id)?,
        Resource::PhoneTask(task) => phone_task(request, task, id)?,
        Resource::Hangup => {
            Fields::of(request)?;
            Command::Hangup(session)
        }
    }))
}

/// Something with the phone of this address.
fn phone_task(request: &Request<'_>, task: PhoneTask, address: Option<&str>) -> Result<Command, Response> {
    Fields::of(request)?;
    let phone = address.unwrap_or_default().parse().map_err(|_| Response::problem(404, "phone not found"))?;
    Ok(Command::Phones(PhoneAsk::Do { task, phone }))
}

/// The body of a creating POST, with its key if it has one.
fn wanted(
    endpoint: Endpoint,
    request: &Request<'_>,
    read: fn(Fields) -> Result<CallRequest, Response>,
) -> Result<Box<CallRequest>, Response> {
    let fields = Fields::of(request)?;
    let keyed = keyed(request, endpoint.path, &fields)?;
    Ok(Box::new(CallRequest { keyed, ..read(fields)? }))
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
