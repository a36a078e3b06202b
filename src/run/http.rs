//! The HTTP API at work: the gate's thread, the workers that answer requests, a thread for each event stream.
//!
//! ```text
//!  gate ─▶ tiny_http ─▶ worker ─┬─▶ call::api (routes, checks)
//!                               ├─▶ the switch, through `Ask`
//!                               ├─▶ its own reading connection to the store
//!                               └─▶ a stream's thread, or a large response's
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use crossbeam_channel::bounded;
use serde_json::Value;

use super::bus::Bus;
use super::sse::Stream;
use crate::base::{Metrics, Secret};
use crate::call::api::{Access, Action, Read, Response, Routed, Selection, Selector, route};
use crate::call::command::{Answer, Command, Reply, SessionRef};
use crate::call::session::SessionId;
use crate::port::http::{Gate, Incoming, Server, Stop};
use crate::port::machine;
use crate::port::store::{Reader, StoreError};
use crate::sys::clock::mono;
use crate::sys::thread::{Role, Spawner};

/// Threads that answer requests.
const WORKERS: usize = 3;
/// Event streams at once; one more gets 503.
pub const STREAMS_MAX: usize = 128;
/// Bytes of a response that a worker sends itself: the sockets behind the gate take so much without waiting for
/// the client. Longer ones have a thread of their own.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// Longer responses at once; one more gets 503.
const LONG_RESPONSES_MAX: usize = 8;

/// Asks the switch, and waits for its answer, for at most a few seconds.
pub type Ask = Arc<dyn Fn(Command) -> Result<Reply, AskError> + Send + Sync>;

/// Why the switch gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It did not answer in time, or has too much to do.
    #[error("the service is busy")]
    Busy,
    /// It is gone: the service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// Names and pages that the configuration allows; whoever owns the configuration sets them anew.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Arc<RwLock<Arc<AllowedNames>>>);

/// `allowed_hosts` and `allowed_origins`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNames {
    /// More names of this service.
    pub hosts: Vec<String>,
    /// Pages of other origins that may ask.
    pub origins: Vec<String>,
}

impl Allowed {
    /// From the next request on.
    pub fn set(&self, names: AllowedNames) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
    }

    fn get(&self) -> Arc<AllowedNames> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where the API listens and what it works with.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Needed to listen beyond loopback.
    pub token: Option<Secret>,
    /// Where the database is.
    pub state_dir: PathBuf,
    /// A directory for the socket between gate and server; it is made, and made private.
    pub socket_dir: PathBuf,
    /// Names and pages.
    pub allowed: Allowed,
    /// What `/metrics` tells, and where the API counts.
    pub metrics: Arc<Metrics>,
}

/// The running API.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    gate: Stop,
    server: Arc<Server>,
}

impl Http {
    /// Takes no more connections, finishes what is being answered within half a second, and ends its threads.
    pub fn stop(&self) {
        self.gate.stop();
        self.server.close();
    }
}

/// Starts the API: the gate, the workers. The store must have been opened for writing before.
pub fn spawn(spawner: &Spawner, options: HttpOptions, ask: Ask, bus: Bus) -> io::Result<Http> {
    let token = options.token.filter(|token| !token.expose().is_empty());
    if token.is_none() && !options.listen.ip().to_canonical().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the API does not listen on {} without CALLSCOOT_API_TOKEN", options.listen),
        ));
    }
    let open_reader = || Reader::open(&options.state_dir).map_err(io::Error::other);
    let server = Arc::new(Server::open(&options.socket_dir, WORKERS)?);
    let mut gate = Gate::open(options.listen, server.clone(), options.metrics.clone())?;
    let http = Http { address: gate.address(), gate: gate.stop(), server: server.clone() };
    let shared = Arc::new(Shared {
        server,
        spawner: spawner.clone(),
        ask,
        bus,
        token,
        machine_name: machine_name(),
        state_dir: options.state_dir.clone(),
        allowed: options.allowed,
        metrics: options.metrics,
        stream_reader: Arc::new(Mutex::new(open_reader()?)),
        streams: Slots::default(),
        long_responses: Slots::default(),
    });
    for _ in 0..WORKERS {
        let (shared, reader) = (shared.clone(), open_reader()?);
        spawner.spawn(Role::HttpWorker, move || {
            while let Some(incoming) = shared.server.recv() {
                shared.serve(incoming, &reader);
            }
        })?;
    }
    spawner.spawn(Role::Gate, move || {
        loop {
            match gate.turn() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    log::error!("the API's gate cannot wait: {error}");
                    break;
                }
            }
        }
    })?;
    Ok(http)
}

/// The kernel's host name, without a domain.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

struct Shared {
    server: Arc<Server>,
    spawner: Spawner,
    ask: Ask,
    bus: Bus,
    token: Option<Secret>,
    machine_name: String,
    state_dir: PathBuf,
    allowed: Allowed,
    metrics: Arc<Metrics>,
    stream_reader: Arc<Mutex<Reader>>,
    streams: Slots,
    long_responses: Slots,
}

impl Shared {
    fn serve(&self, incoming: Incoming, reader: &Reader) {
        let begun = mono();
        let names = self.allowed.get();
        let access = Access {
            token: self.token.as_ref(),
            machine_name: &self.machine_name,
            allowed_hosts: &names.hosts,
            allowed_origins: &names.origins,
        };
        let request = incoming.request();
        let method = known_method(request.method);
        let Routed { action, origin, endpoint } = route(&request, &access);
        let counted = Counted { metrics: self.metrics.clone(), endpoint, method, begun };
        let response = match action {
            Action::Respond(response) => response,
            Action::Ask(command) => self.asked(command, reader).unwrap_or_else(|response| response),
            Action::Read(read) => self.read(read, reader).unwrap_or_else(|response| response),
            Action::Metrics => self.metrics.text().map_or_else(
                |error| {
                    log::error!("{error}");
                    Response::problem(500, "the metrics cannot be written")
                },
                Response::metrics,
            ),
            Action::Stream(selection) => match self.selected(&selection, reader) {
                Ok(session) => {
                    return self.stream(incoming, session, selection.after, origin, counted);
                }
                Err(response) => response,
            },
        };
        self.respond(incoming, Routed::allow_origin(origin.as_deref(), response), &counted);
    }

    /// What the switch answers. It knows live calls only: whether the session it refuses ever was, the store knows.
    fn asked(&self, command: Command, reader: &Reader) -> Result<Response, Response> {
        let id = command.session_id().cloned();
        let mut reply = (self.ask)(command).map_err(|error| Response::busy(&error.to_string()))?;
        if let Ok(Answer::Status(status)) = &mut reply {
            self.add_space(status);
        }
        if let (Some(id), Err(_)) = (id, &reply)
            && !reader.session_exists(id.as_str()).map_err(|e| unreadable(&e))?
        {
            return Err(session_not_found());
        }
        if let Ok(Answer::Again(key)) = reply
            && let Some((status, body)) = reader.answer(key).map_err(|e| unreadable(&e))?
        {
            return Ok(Response::replayed(status, body));
        }
        Ok(Response::of(reply))
    }

    /// To the status: the room where the service keeps what it keeps. Here, because a file system that hangs may hold
    /// up those who ask, but no call.
    fn add_space(&self, status: &mut Value) {
        let space = machine::space(&self.state_dir).ok();
        if let Some(Value::Object(service)) = status.get_mut("service") {
            service.insert("disk_free_bytes".into(), space.map(|space| space.free_bytes).into());
            service.insert("disk_total_bytes".into(), space.map(|space| space.total_bytes).into());
        }
    }

    /// The session that is meant; `None` when `current` means none now.
    fn session(&self, session: SessionRef) -> Result<Option<SessionId>, Response> {
        match session {
            SessionRef::Id(id) => Ok(Some(id)),
            SessionRef::Current => match (self.ask)(Command::CurrentCall) {
                Ok(Ok(Answer::CurrentCall(meta))) => {
                    Ok(meta.and_then(|meta| meta.get("id")?.as_str().map(SessionId::new)))
                }
                Ok(Ok(other)) => {
                    log::error!(
                        "the switch was asked for the current call and answered {:?}",
                        std::mem::discriminant(&other)
                    );
                    Err(Response::problem(500, "the current call is not known"))
                }
                Ok(Err(refusal)) => Err(Response::of(Err(refusal))),
                Err(error) => Err(Response::busy(&error.to_string())),
            },
        }
    }

    fn read(&self, read: Read, reader: &Reader) -> Result<Response, Response> {
        let unknown = session_not_found;
        let body = match read {
            Read::Sessions(limit) => {
                format!(r#"{{"calls":{}}}"#, list(&reader.sessions(limit).map_err(|e| unreadable(&e))?))
            }
            Read::Session(session) => {
                let id = self.session(session)?.ok_or_else(unknown)?;
                let stored = reader.session(id.as_str()).map_err(|e| unreadable(&e))?.ok_or_else(unknown)?;
                let (events, transcript) = (list(&stored.events), list(&stored.transcript));
                format!(r#"{{"meta":{},"events":{events},"transcript":{transcript}}}"#, stored.meta)
            }
            Read::AgentEvents(session) => {
                let id = self.session(session)?.ok_or_else(unknown)?;
                let events =
                    reader.agent_events(id.as_str()).map_err(|e| unreadable(&e))?.ok_or_else(unknown)?;
                let id = Value::from(id.as_str());
                format!(r#"{{"session_id":{id},"events":{}}}"#, list(&events))
            }
        };
        Ok(Response::text(200, body))
    }

    /// Whose events a stream carries; `None` for all.
    fn selected(&self, selection: &Selection, reader: &Reader) -> Result<Option<SessionId>, Response> {
        let Selector::Session(session) = &selection.selector else { return Ok(None) };
        let unknown = || Response::problem(404, "no active session");
        let id = self.session(session.clone())?.ok_or_else(unknown)?;
        if reader.session_exists(id.as_str()).map_err(|e| unreadable(&e))? {
            Ok(Some(id))
        } else {
            Err(unknown())
        }
    }

    fn stream(
        &self,
        incoming: Incoming,
        session: Option<SessionId>,
        after: Option<String>,
        origin: Option<String>,
        counted: Counted,
    ) {
        let metrics = self.metrics.clone();
        let stream =
            Stream { session, after, reader: self.stream_reader.clone(), bus: self.bus.clone(), metrics };
        // The header fields that let a page read, taken from a response that is not sent itself.
        let headers = Routed::allow_origin(origin.as_deref(), Response::text(200, String::new())).headers;
        let busy = Routed::allow_origin(origin.as_deref(), Response::busy("too many event streams"));
        let in_thread = counted.clone();
        let refused = self.aside(&self.streams, STREAMS_MAX, incoming, move |incoming| {
            in_thread.count(200);
            stream.metrics.sse_streams.inc();
            stream.metrics.sse_streams_open.inc();
            let ended =
                incoming.stream(headers).map_err(Into::into).and_then(|mut writer| stream.run(&mut writer));
            stream.metrics.sse_streams_open.dec();
            if let Err(error) = ended {
                log::debug!("an event stream ended early: {error}");
            }
        });
        if let Err(incoming) = refused {
            self.metrics.sse_refused.inc();
            counted.count(busy.status);
            incoming.respond(busy);
        }
    }

    fn respond(&self, incoming: Incoming, response: Response, counted: &Counted) {
        if response.body.len() <= RESPONSE_BYTES_MAX {
            counted.count(response.status);
            return incoming.respond(response);
        }
        let in_thread = counted.clone();
        let refused = self.aside(&self.long_responses, LONG_RESPONSES_MAX, incoming, move |incoming| {
            in_thread.count(response.status);
            incoming.respond(response);
        });
        if let Err(incoming) = refused {
            let busy = Response::busy("too many long responses");
            counted.count(busy.status);
            incoming.respond(busy);
        }
    }

    /// Goes on with a request in a thread of its own, because it may have to wait for the client. Gives it back
    /// when there is none.
    fn aside(
        &self,
        slots: &Slots,
        slots_max: usize,
        incoming: Incoming,
        body: impl FnOnce(Incoming) + Send + 'static,
    ) -> Result<(), Box<Incoming>> {
        let Some(slot) = slots.take(slots_max) else { return Err(incoming.into()) };
        // The request follows when the thread is known to have started: so it is answered either way.
        let (give, take) = bounded::<Incoming>(1);
        let started = self.spawner.spawn(Role::SseWriter, move || {
            if let Ok(incoming) = take.recv() {
                body(incoming);
            }
            drop(slot);
        });
        match started {
            Ok(_) => give.send(incoming).map_err(|unsent| unsent.0.into()),
            Err(error) => {
                log::warn!("no thread can be started for a client: {error}");
                Err(incoming.into())
            }
        }
    }
}

/// What is counted of a request once its answer is known, and before it is sent: who reads the answer finds it.
#[derive(Clone, Debug)]
struct Counted {
    metrics: Arc<Metrics>,
    endpoint: &'static str,
    method: &'static str,
    begun: Instant,
}

impl Counted {
    fn count(&self, status: u16) {
        let class = match status / 100 {
            2 => "2xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        self.metrics.http_requests.inc([self.endpoint, self.method, class]);
        self.metrics.http_request.observe([self.endpoint], mono().saturating_duration_since(self.begun));
    }
}

/// Methods are a client's own words: those of ours by name.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

/// Counts what lives at once.
#[derive(Clone, Debug, Default)]
struct Slots(Arc<AtomicUsize>);

/// One of them, given back when dropped.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Slots {
    fn take(&self, max: usize) -> Option<Slot> {
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1));
        taken.ok().map(|_| Slot(self.0.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn session_not_found() -> Response {
    Response::problem(404, "session not found")
}

fn unreadable(error: &StoreError) -> Response {
    log::error!("the store cannot be read: {error}");
    Response::busy("storage cannot be read")
}

/// A JSON list of texts that are JSON already.
fn list(texts: &[String]) -> String {
    format!("[{}]", texts.join(","))
}
