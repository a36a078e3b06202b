//! A client of the local API as a stranger would write it: plain requests, and the event stream read line by line.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::wait::PATIENCE;

/// What came back: status and JSON body.
pub type Reply = (u16, Value);

/// An answer with its head.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The lines of its head.
    pub head: String,
    /// The body.
    pub json: Value,
}

impl Answer {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// The API of one running service.
#[derive(Clone, Debug)]
pub struct Api {
    port: u16,
    base: String,
    agent: Agent,
}

impl Api {
    /// Talks to `127.0.0.1:port`.
    pub fn new(port: u16) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self { port, base: format!("http://127.0.0.1:{port}"), agent: config.into() }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        reply(path, self.agent.get(self.url(path)).call())
    }

    /// POST with a JSON body, or with none.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.agent.post(self.url(path));
        match body {
            Value::Null => reply(path, request.send_empty()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                reply(path, request.content_type("application/json").send(body.to_string()))
            }
        }
    }

    /// POST under an `Idempotency-Key`; the last member says whether the answer was a repeated one.
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> (u16, Value, bool) {
        let request = self.agent.post(self.url(path)).content_type("application/json");
        let result = request.header("Idempotency-Key", key).send(body.to_string());
        let replayed = result.as_ref().is_ok_and(|r| r.headers().contains_key("Idempotent-Replayed"));
        let (status, json) = reply(path, result);
        (status, json, replayed)
    }

    /// PATCH with a JSON body.
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        let request = self.agent.patch(self.url(path)).content_type("application/json");
        reply(path, request.send(body.to_string()))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        reply(path, self.agent.delete(self.url(path)).call())
    }

    /// Asks a service that may end at any moment, with these header fields; `None` when no whole answer came.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &Value,
    ) -> Option<Answer> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let fields: String =
            fields.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{fields}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.write_all(request.as_bytes()).ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), json: serde_json::from_str(body).ok()? })
    }

    /// What it counted, as Prometheus' text.
    pub fn metrics(&self) -> String {
        let mut response = self.agent.get(self.url("/metrics")).call().unwrap();
        let media_type = response.headers().get("content-type").unwrap().to_str().unwrap();
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
        response.body_mut().read_to_string().unwrap()
    }

    /// Whether it answers at all.
    pub fn answers(&self) -> bool {
        self.agent.get(self.url("/v1/health")).call().is_ok_and(|response| response.status() == 200)
    }

    /// Opens the event stream of a session, of the current call, or of all.
    pub fn events(&self, session: &str) -> EventStream {
        self.events_after(session, 0)
    }

    /// The same from the event after number `after` on; 0 is from the beginning.
    pub fn events_after(&self, session: &str, after: u64) -> EventStream {
        let after = if after == 0 { String::new() } else { format!("&after={after}") };
        let url = format!("{}/v1/events/stream?session_id={}{after}", self.base, percent(session));
        let config = Agent::config_builder().http_status_as_error(false).build();
        let response = Agent::from(config).get(&url).call().unwrap();
        assert_eq!(response.status(), 200, "the stream of {session}");
        let (lines, received) = channel();
        thread::spawn(move || {
            for line in BufReader::new(response.into_body().into_reader()).lines() {
                let Ok(line) = line else { return };
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        EventStream { lines: received }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn percent(text: &str) -> String {
    text.replace('%', "%25").replace('+', "%2B").replace('&', "%26")
}

fn reply(path: &str, result: Result<Response<Body>, ureq::Error>) -> Reply {
    let mut response = result.unwrap_or_else(|error| panic!("{path}: {error}"));
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap_or_else(|error| panic!("{path}: {error}"));
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
    (status, json)
}

/// One event as it was streamed.
#[derive(Clone, Debug)]
pub struct StreamedEvent {
    /// The `id:` line.
    pub id: u64,
    /// The `data:` line.
    pub json: Value,
}

impl StreamedEvent {
    /// Its `event_type`.
    pub fn name(&self) -> &str {
        self.json["event_type"].as_str().unwrap_or("")
    }
}

/// A client that reads an event stream.
#[derive(Debug)]
pub struct EventStream {
    lines: Receiver<String>,
}

impl EventStream {
    /// The next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<StreamedEvent> {
        let mut id = None;
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("no event, comment or end within {PATIENCE:?}"),
            };
            if let Some(text) = line.strip_prefix("id:") {
                id = text.trim().parse().ok();
            } else if let Some(text) = line.strip_prefix("data:") {
                let json = serde_json::from_str(text.trim()).unwrap();
                return Some(StreamedEvent { id: id.expect("an id before the data"), json });
            } else {
                assert!(line.is_empty() || line.starts_with(':'), "no line of an event stream: {line}");
            }
        }
    }

    /// Waits for an event of this name; all that came before it are passed over.
    pub fn wait_for(&mut self, name: &str) -> StreamedEvent {
        let mut passed = Vec::new();
        while let Some(event) = self.next() {
            if event.name() == name {
                return event;
            }
            passed.push(event.name().to_owned());
        }
        panic!("the stream ended without {name}, after {passed:?}");
    }

    /// Everything up to the end of the stream.
    pub fn rest(&mut self) -> Vec<StreamedEvent> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// That the stream stays open and silent (but for comments) for `span`.
    pub fn stays_silent(&mut self, span: Duration) {
        match self.lines.recv_timeout(span) {
            Ok(line) => assert!(line.is_empty() || line.starts_with(':'), "unexpected {line}"),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the stream ended"),
        }
    }
}
