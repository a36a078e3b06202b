//! tiny_http behind the gate: requests come out, responses and event streams go in.
//!
//! tiny_http's accept thread ends at its first error, and for good. It is then replaced: by the worker that is told
//! of it, or by the gate that finds nobody listening.

use std::io::{self, Cursor, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::head::BODY_BYTES_MAX;
use super::private::PrivateDir;
use crate::base::Now;
use crate::base::time::http_date;
use crate::call::api::{Headers, Request, Response, reason};
use crate::sys::clock;

/// What every response names as its server.
const SERVER_NAME: &str = "callscoot";

/// The server behind the gate, for any number of workers.
pub struct Server {
    current: Mutex<Arc<Listening>>,
    closing: AtomicBool,
    workers: usize,
    dir: PrivateDir,
}

/// One life of tiny_http.
struct Listening {
    http: tiny_http::Server,
    number: u64,
}

/// A request that waits for its response.
pub struct Incoming {
    request: tiny_http::Request,
    target: String,
    body: Vec<u8>,
}

/// The raw way to a client: what is sent is flushed.
pub struct EventWriter(Box<dyn Write + Send>);

impl Server {
    /// Listens in a directory that is made private. `workers` threads will call `recv`.
    pub fn open(dir: &Path, workers: usize) -> io::Result<Self> {
        let dir = PrivateDir::open(dir)?;
        let current = Mutex::new(Arc::new(listen(&dir, 0)?));
        Ok(Self { current, closing: AtomicBool::new(false), workers, dir })
    }

    /// The next request; `None` once the server is closed.
    pub fn recv(&self) -> Option<Incoming> {
        while !self.closing.load(Ordering::Acquire) {
            let listening = self.current();
            match listening.http.recv() {
                Ok(request) => {
                    if let Some(incoming) = Incoming::read(request) {
                        return Some(incoming);
                    }
                }
                Err(_) if self.closing.load(Ordering::Acquire) => {}
                // Either it has failed, or another has replaced it. If it cannot be replaced now (no descriptor is
                // free), the gate will, at the next request.
                Err(_) => self.replace(listening.number),
            }
        }
        None
    }

    /// Ends `recv` of every worker.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.unblock(&self.current());
    }

    /// A connection to tiny_http, which does not block.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let number = self.current().number;
        match self.dir.connect(number) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.replace(number);
                self.dir.connect(self.current().number)
            }
            result => result,
        }
    }

    fn current(&self) -> Arc<Listening> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || self.closing.load(Ordering::Acquire) {
            return;
        }
        match listen(&self.dir, number + 1) {
            Ok(listening) => {
                log::warn!("the HTTP server had stopped accepting and was replaced");
                let old = std::mem::replace(&mut *current, Arc::new(listening));
                drop(current);
                self.unblock(&old);
            }
            Err(error) => {
                log::warn!("the HTTP server has stopped accepting and cannot be replaced now: {error}");
            }
        }
    }

    fn unblock(&self, listening: &Listening) {
        for _ in 0..self.workers {
            listening.http.unblock();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({:?})", self.dir)
    }
}

fn listen(dir: &PrivateDir, number: u64) -> io::Result<Listening> {
    let http = tiny_http::Server::from_listener(dir.listen(number)?, None).map_err(io::Error::other)?;
    Ok(Listening { http, number })
}

impl Incoming {
    /// The body is there already: the gate sent all of it at once.
    fn read(mut request: tiny_http::Request) -> Option<Self> {
        let mut body = Vec::with_capacity(request.body_length().unwrap_or(0).min(BODY_BYTES_MAX));
        request.as_reader().take(BODY_BYTES_MAX as u64).read_to_end(&mut body).ok()?;
        let target = request.url().to_owned();
        Some(Self { request, target, body })
    }

    /// The request as the API sees it.
    pub fn request(&self) -> Request<'_> {
        let field = |name: &'static str| {
            let field = self.request.headers().iter().find(|header| header.field.equiv(name));
            field.map(|header| header.value.as_str())
        };
        Request {
            method: self.request.method().as_str(),
            target: &self.target,
            http10: *self.request.http_version() == tiny_http::HTTPVersion(1, 0),
            headers: Headers {
                host: field("Host"),
                origin: field("Origin"),
                authorization: field("Authorization"),
                content_type: field("Content-Type"),
                sec_fetch_site: field("Sec-Fetch-Site"),
                last_event_id: field("Last-Event-ID"),
                idempotency_key: field("Idempotency-Key"),
            },
            body: &self.body,
        }
    }

    /// Sends a response. A client that has left is no error.
    pub fn respond(self, response: Response) {
        let sent = if response.body.is_empty() {
            // tiny_http would announce the length of a 204, which RFC 9110 8.6 forbids.
            let mut writer = self.request.into_writer();
            writer
                .write_all(response_head(clock::now(), &response, &[]).as_bytes())
                .and_then(|()| writer.flush())
        } else {
            let length = response.body.len();
            let mut headers = response.headers;
            headers.extend([
                ("Content-Type", response.media_type.to_owned()),
                ("Server", SERVER_NAME.to_owned()),
            ]);
            let headers = headers
                .into_iter()
                .filter_map(|(name, value)| tiny_http::Header::from_bytes(name, value).ok())
                .collect();
            let body = Cursor::new(response.body);
            let response =
                tiny_http::Response::new(response.status.into(), headers, body, Some(length), None);
            // No chunks: the length is known, and HTTP/1.0 has none.
            self.request.respond(response.with_chunked_threshold(usize::MAX))
        };
        if let Err(error) = sent {
            log::debug!("a response could not be sent: {error}");
        }
    }

    /// Begins an event stream; these header fields go beside its own.
    pub fn stream(self, headers: Vec<(&'static str, String)>) -> io::Result<EventWriter> {
        let response = Response { headers, ..Response::text(200, String::new()) }
            .with_header("Content-Type", "text/event-stream")
            .with_header("Cache-Control", "no-store");
        let mut writer = EventWriter(self.request.into_writer());
        writer.send(&response_head(clock::now(), &response, &[]))?;
        Ok(writer)
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Incoming")
    }
}

impl EventWriter {
    /// Sends and flushes; waits while the client does not read. An error says that it has left.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())?;
        self.0.flush()
    }
}

impl std::fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventWriter")
    }
}

/// The head of a response that is not written by tiny_http; `more` beside the response's own fields.
pub(super) fn response_head(now: Now, response: &Response, more: &[(&'static str, String)]) -> String {
    let mut text = format!(
        "HTTP/1.1 {} {}\r\nServer: {SERVER_NAME}\r\nDate: {}\r\n",
        response.status,
        reason(response.status),
        http_date(now.unix_ms),
    );
    for (name, value) in more.iter().chain(&response.headers) {
        text.extend([name, ": ", value.as_str(), "\r\n"]);
    }
    text.push_str("\r\n");
    text
}
