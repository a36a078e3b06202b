//! One client's connection, from its first byte to its last: a state machine without sockets.
//!
//! ```text
//!  Head ─▶ Body ─▶ Ready ─▶ Asked ─▶ Answering ─▶ Flushing ─▶ Lingering ─▶ Closed
//!    │       │        │        │                      ▲
//!    └───────┴────────┴────────┴── refused ───────────┘
//! ```
//!
//! The request is collected whole and within its limits before the server behind the gate hears of it, so nothing
//! of a slow client ever waits there. The response passes through a bounded buffer: who does not read is not read
//! for. At the end our side is shut and what still comes is read and dropped for a moment, because closing a
//! socket with unread bytes in it would take the response back (RFC 9112 9.6).

use std::mem;
use std::time::{Duration, Instant};

use super::chunks::Body;
use super::head::{self, HEAD_BYTES_MAX, Head};
use super::server::response_head;
use crate::base::Now;
use crate::call::api::{MEDIA_TYPE_JSON, Response};

/// A head has so long in all; then 408.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// A body has so long in all; then 408.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(15);
/// The response begins within this; then 503.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// A client that takes nothing of its response for so long is cut off.
pub(crate) const STALL_TIME_MAX: Duration = Duration::from_secs(30);
/// After the response, the client has so long to close.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of a response that wait for the client; full, the server behind the gate waits.
const TO_CLIENT_BYTES_MAX: usize = 64 << 10;
/// Bytes after the request that are read and dropped while its response is made; then they wait in the socket.
const SURPLUS_BYTES_MAX: usize = 64 << 10;

/// What happened to the connection.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Bytes came from the client.
    Client(&'a [u8]),
    /// The client will send no more.
    ClientEnd,
    /// The client is gone altogether.
    ClientGone,
    /// So many bytes of `to_client` were taken.
    ClientTook(usize),
    /// The server behind the gate was reached.
    Connected,
    /// Bytes of the response came.
    Server(&'a [u8]),
    /// The response is complete, or the server behind the gate has let go.
    ServerEnd,
    /// So many bytes of `to_server` were taken.
    ServerTook(usize),
    /// Something is full or out of reach: this is the response, if none has begun.
    Refused(Response),
}

/// What is to be done with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Shut our side of the client's socket.
    ShutClient,
    /// Drop it.
    Close,
    /// Write what `to_client` and `to_server` hold, read what is wanted, wait.
    Wait(Wants),
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Then `handle_timeout`.
    pub(crate) until: Option<Instant>,
    /// Bytes from the client.
    pub(crate) client: bool,
    /// Bytes from the server behind the gate.
    pub(crate) server: bool,
    /// To be passed on: the request is whole.
    pub(crate) connection: bool,
}

#[derive(Debug)]
enum State {
    Head { came: Vec<u8>, tried: usize },
    Body { head: Head, body: Body },
    Ready,
    Asked { came: Vec<u8> },
    Answering { stream: bool },
    Flushing,
    ShutNext,
    Lingering,
    Closed,
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    state: State,
    until: Option<Instant>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    surplus: usize,
    client_ended: bool,
    no_body: bool,
    /// Why the gate itself refused or cut it.
    cut: Option<&'static str>,
}

impl Exchange {
    /// A client connected.
    pub(crate) fn new(now: Now) -> Self {
        Self {
            state: State::Head { came: Vec::new(), tried: 0 },
            until: Some(now.mono + HEAD_TIME_MAX),
            to_client: Vec::new(),
            to_server: Vec::new(),
            surplus: 0,
            client_ended: false,
            no_body: false,
            cut: None,
        }
    }

    /// A client connected, and there is no room for it.
    pub(crate) fn refused(now: Now, response: &Response) -> Self {
        let mut exchange = Self::new(now);
        exchange.refuse(now, response);
        exchange
    }

    /// Bytes for the client.
    pub(crate) fn to_client(&self) -> &[u8] {
        &self.to_client
    }

    /// Bytes for the server behind the gate.
    pub(crate) fn to_server(&self) -> &[u8] {
        &self.to_server
    }

    /// Bytes that this connection keeps in memory.
    pub(crate) fn buffered(&self) -> usize {
        let collected = match &self.state {
            State::Head { came, .. } | State::Asked { came } => came.len(),
            State::Body { body, .. } => body.collected().len(),
            State::Ready
            | State::Answering { .. }
            | State::Flushing
            | State::ShutNext
            | State::Lingering
            | State::Closed => 0,
        };
        collected + self.to_client.len() + self.to_server.len()
    }

    /// Whether the server behind the gate has the request and has not begun to answer.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked { .. })
    }

    /// Whether the request is still coming in.
    pub(crate) fn is_collecting(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Body { .. })
    }

    /// Whether the server behind the gate has still something to say.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.state, State::Asked { .. } | State::Answering { .. })
    }

    /// Why the gate itself refused or cut it, in a word for counting; `None` while all is well.
    pub(crate) fn cut(&self) -> Option<&'static str> {
        self.cut
    }

    /// Takes one input.
    pub(crate) fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Client(bytes) => self.client(now, bytes),
            Input::ClientEnd => self.client_end(now),
            Input::ClientGone => self.close(),
            Input::ClientTook(count) => {
                self.to_client.drain(..count.min(self.to_client.len()));
                if matches!(self.state, State::Answering { .. } | State::Flushing) {
                    self.until = (!self.to_client.is_empty()).then(|| now.mono + STALL_TIME_MAX);
                }
            }
            Input::Connected => self.state = State::Asked { came: Vec::new() },
            Input::Server(bytes) => self.server(now, bytes),
            Input::ServerEnd => match self.state {
                State::Answering { .. } => self.state = State::Flushing,
                State::Asked { .. } => {
                    self.refuse(now, &Response::problem(500, "the request was not answered"));
                }
                State::Head { .. }
                | State::Body { .. }
                | State::Ready
                | State::Flushing
                | State::ShutNext
                | State::Lingering
                | State::Closed => {}
            },
            Input::ServerTook(count) => {
                self.to_server.drain(..count.min(self.to_server.len()));
            }
            Input::Refused(response) => match self.state {
                State::Head { .. } | State::Body { .. } | State::Ready | State::Asked { .. } => {
                    self.refuse(now, &response);
                }
                State::Answering { .. } => self.close(),
                State::Flushing | State::ShutNext | State::Lingering | State::Closed => {}
            },
        }
        if matches!(self.state, State::Flushing) && self.to_client.is_empty() {
            self.state = if self.client_ended { State::Closed } else { State::ShutNext };
            self.until = Some(now.mono + LINGER_TIME_MAX);
        }
    }

    /// Looks whether the time is up.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.until.is_none_or(|until| now.mono < until) {
            return;
        }
        match self.state {
            State::Head { .. } => {
                self.refuse(now, &Response::problem(408, "the request head came too slowly"));
            }
            State::Body { .. } => self.refuse(now, &Response::problem(408, "the body came too slowly")),
            State::Ready | State::Asked { .. } => {
                self.cut = Some("unanswered");
                self.refuse(now, &Response::busy("the service did not answer in time"));
            }
            State::Answering { .. } | State::Flushing => {
                self.cut.get_or_insert("stalled");
                self.close();
            }
            State::ShutNext | State::Lingering | State::Closed => self.close(),
        }
    }

    /// What is to be done now. Ask until it is `Wait` or `Close`.
    pub(crate) fn poll_output(&mut self) -> Output {
        let (client, server) = match self.state {
            State::Closed => return Output::Close,
            State::ShutNext => {
                self.state = State::Lingering;
                return Output::ShutClient;
            }
            State::Head { .. } | State::Body { .. } | State::Lingering => (true, false),
            State::Ready => (self.surplus < SURPLUS_BYTES_MAX, false),
            State::Asked { .. } | State::Answering { .. } => {
                (self.surplus < SURPLUS_BYTES_MAX, self.to_client.len() < TO_CLIENT_BYTES_MAX)
            }
            State::Flushing => (false, false),
        };
        Output::Wait(Wants {
            until: self.until,
            client: client && !self.client_ended,
            server,
            connection: matches!(self.state, State::Ready),
        })
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.until = None;
        self.to_client = Vec::new();
        self.to_server = Vec::new();
    }

    fn refuse(&mut self, now: Now, response: &Response) {
        self.cut.get_or_insert(match response.status {
            408 => "too_slow",
            413 | 431 => "too_large",
            503 => "busy",
            500 => "unanswered",
            _ => "malformed",
        });
        self.to_server = Vec::new();
        self.to_client.extend(rendered(now, response, self.no_body));
        self.state = State::Flushing;
        self.until = Some(now.mono + LINGER_TIME_MAX);
    }

    fn client(&mut self, now: Now, bytes: &[u8]) {
        match &mut self.state {
            State::Head { came, tried } => {
                came.extend_from_slice(bytes);
                // Parsing from the start after each byte of a slow head would be quadratic: only where a head may
                // have ended, and whenever it has doubled, so that garbage is refused early.
                let ended = [&b"\n\r\n"[..], b"\n\n"].iter().any(|end| {
                    let from = came.len().saturating_sub(bytes.len() + end.len());
                    came[from..].windows(end.len()).any(|window| window == *end)
                });
                if ended || came.len() >= *tried * 2 || came.len() > HEAD_BYTES_MAX {
                    *tried = came.len();
                    let came = mem::take(came);
                    self.head(now, came);
                }
            }
            State::Body { body, .. } => match body.take(bytes) {
                Ok(()) => self.body(now),
                Err(response) => self.refuse(now, &response),
            },
            State::Ready | State::Asked { .. } | State::Answering { .. } => self.surplus += bytes.len(),
            State::Flushing | State::ShutNext | State::Lingering | State::Closed => {}
        }
    }

    fn head(&mut self, now: Now, came: Vec<u8>) {
        match head::parse(&came) {
            Ok(None) => self.state = State::Head { tried: came.len(), came },
            Ok(Some((head, length))) => {
                self.no_body = head.is_head();
                let body = Body::new(head.framing);
                let expects_continue = head.expects_continue && came.len() == length && !body.is_whole();
                self.state = State::Body { head, body };
                self.until = Some(now.mono + BODY_TIME_MAX);
                if expects_continue {
                    self.to_client.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                match came.get(length..) {
                    Some(rest) if !rest.is_empty() => self.client(now, rest),
                    _ => self.body(now),
                }
            }
            Err(response) => self.refuse(now, &response),
        }
    }

    fn body(&mut self, now: Now) {
        if let State::Body { head, body } = &self.state
            && body.is_whole()
        {
            self.to_server = head.normalised(body.collected());
            self.state = State::Ready;
            self.until = Some(now.mono + ANSWER_TIME_MAX);
        }
    }

    fn client_end(&mut self, now: Now) {
        if mem::replace(&mut self.client_ended, true) {
            return self.close();
        }
        match &self.state {
            State::Head { came, .. } if !came.is_empty() => {
                self.refuse(now, &Response::problem(400, "the request head is incomplete"));
            }
            State::Body { .. } => self.refuse(now, &Response::problem(400, "the body is incomplete")),
            // Who asked and then shut its side may still read; who reads a stream has left.
            State::Ready | State::Asked { .. } | State::Answering { stream: false } | State::Flushing => {}
            State::Head { .. }
            | State::Answering { stream: true }
            | State::ShutNext
            | State::Lingering
            | State::Closed => self.close(),
        }
    }

    fn server(&mut self, now: Now, bytes: &[u8]) {
        match &mut self.state {
            State::Asked { came } => {
                came.extend_from_slice(bytes);
                let head_end = came.windows(4).position(|window| window == b"\r\n\r\n");
                let line_end = came.iter().position(|byte| *byte == b'\n');
                match (head_end, line_end) {
                    (Some(head_end), Some(line_end)) => {
                        let stream = came[..head_end].windows(17).any(|part| part == b"text/event-stream");
                        let (line, rest) = came.split_at(line_end + 1);
                        self.to_client.extend_from_slice(line);
                        self.to_client.extend_from_slice(b"Connection: close\r\n");
                        self.to_client.extend_from_slice(rest);
                        self.state = State::Answering { stream };
                        self.until = Some(now.mono + STALL_TIME_MAX);
                        if stream && self.client_ended {
                            self.close();
                        }
                    }
                    _ if came.len() > HEAD_BYTES_MAX => {
                        self.refuse(now, &Response::problem(500, "the response was malformed"));
                    }
                    _ => {}
                }
            }
            State::Answering { .. } => {
                if self.to_client.is_empty() {
                    self.until = Some(now.mono + STALL_TIME_MAX);
                }
                self.to_client.extend_from_slice(bytes);
            }
            State::Head { .. }
            | State::Body { .. }
            | State::Ready
            | State::Flushing
            | State::ShutNext
            | State::Lingering
            | State::Closed => {}
        }
    }
}

/// A whole response of the gate's own.
fn rendered(now: Now, response: &Response, no_body: bool) -> Vec<u8> {
    let own = [
        ("Content-Type", MEDIA_TYPE_JSON.to_owned()),
        ("Content-Length", response.body.len().to_string()),
        ("Connection", "close".to_owned()),
    ];
    let mut text = response_head(now, response, &own);
    if !no_body {
        text.push_str(&response.body);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests;
