//! Requests: latency one after the other, and how many a second four clients get answered. The control of a reading
//! request is tiny_http alone with an answer of the same length; of a durable one, a write and an fsync of the same
//! disk: no answer can come sooner.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use callscoot::call::journal::{Batch, Record};
use callscoot::call::session::{Direction, EndReason, Phase, SessionId, SessionMeta};
use callscoot::port::store::Writer;
use callscoot::sys::clock;
use serde_json::json;

use super::ms;
use super::support::service::Service;
use super::support::wait::PATIENCE;
use super::table::{Aim, Row};

/// Sessions in the store.
const SESSIONS: u64 = 10_000;
/// Requests of each kind, one after the other.
const TIMED: usize = 1000;
/// Durable ones.
const TIMED_POSTS: usize = 300;
/// How long the rate of requests is taken, and by how many clients.
const RATE_WINDOW: Duration = Duration::from_secs(3);
const CLIENTS: usize = 4;
/// What a commit writes, about: two pages and their frame heads.
const COMMIT_BYTES: usize = 8 << 10;

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut service = Service::start_with(&json!({}), None, &[("CALLSCOOT_LOG", "info")]);
    service.process().terminate();
    fill(&service);
    service.run();
    let port = service.api.port();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let body = json!({"number": "5550111", "ttl_sec": 60, "metadata": {"lead": 7}}).to_string();
    let length = body.len();
    let post = format!(
        "POST /v1/pending-call-requests HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let mut rows = Vec::new();
    for (what, rate, request, aim) in [
        ("GET /v1/health", "GET /v1/health, 4 clients", get("/v1/health"), Aim::AddedAtMost(1.0)),
        ("GET /v1/status", "GET /v1/status, 4 clients", get("/v1/status"), Aim::AddedAtMost(1.0)),
        (
            "GET /v1/calls?limit=20 of 10,000 sessions",
            "GET /v1/calls?limit=20, 4 clients",
            get("/v1/calls?limit=20"),
            Aim::AddedAtMost(2.0),
        ),
    ] {
        let bare = Bare::answering(asked(port, &request).len());
        let mut row = Row { what, unit: "ms", values: Vec::new(), control: Vec::new(), aim };
        for _ in 0..TIMED {
            row.values.push(timed(port, &request));
            row.control.push(timed(bare.port, &request));
        }
        rows.push(row);
        let (values, control) = (vec![per_second(port, &request)], vec![per_second(bare.port, &request)]);
        rows.push(Row { what: rate, unit: "1/s", values, control, aim: Aim::Told });
    }
    let mut disk = File::create(service.state("control")).unwrap();
    let mut row = Row {
        what: "POST /v1/pending-call-requests (control: write and fsync)",
        unit: "ms",
        values: Vec::new(),
        control: Vec::new(),
        aim: Aim::AddedAtMost(3.0),
    };
    for _ in 0..TIMED_POSTS {
        row.values.push(timed(port, &post));
        let begin = Instant::now();
        disk.write_all(&[7; COMMIT_BYTES]).unwrap();
        disk.sync_all().unwrap();
        row.control.push(ms(begin.elapsed()));
    }
    rows.push(row);
    let values = vec![per_second(port, &post)];
    let what = "POST /v1/pending-call-requests, 4 clients";
    rows.push(Row { what, unit: "1/s", values, control: Vec::new(), aim: Aim::Told });
    rows
}

/// Stores sessions as ended calls leave them.
fn fill(service: &Service) {
    let (mut writer, _) = Writer::open(&service.state(""), clock::now()).unwrap();
    let unix_ms = clock::now().unix_ms;
    let batches: Vec<Batch> = (0..SESSIONS)
        .map(|number| {
            let id = SessionId::new(format!("20261122-085107-+4930{number:07}"));
            let meta = SessionMeta {
                phase: Phase::Disconnected,
                end_reason: Some(EndReason::LocalHangup),
                summary: Some("The caller asked for the opening hours and was told.".into()),
                ..SessionMeta::new(id, Direction::Outbound, unix_ms)
            };
            let opened = Record::SessionOpened(Box::new(meta.clone()));
            Batch { records: vec![opened, Record::SessionChanged(Box::new(meta))], ..Batch::default() }
        })
        .collect();
    for group in batches.chunks(500) {
        assert!(writer.commit(group).iter().all(Result::is_ok));
    }
    writer.close().unwrap();
}

/// One request on a connection of its own, to its end.
fn asked(port: u16, request: &str) -> Vec<u8> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
    answer
}

fn timed(port: u16, request: &str) -> f64 {
    let begin = Instant::now();
    asked(port, request);
    ms(begin.elapsed())
}

fn per_second(port: u16, request: &str) -> f64 {
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    asked(port, request);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(RATE_WINDOW);
        over.store(true, Ordering::Relaxed);
    });
    answered.into_inner() as f64 / RATE_WINDOW.as_secs_f64()
}

/// tiny_http as it is, with as many workers as the service has.
struct Bare {
    port: u16,
    server: std::sync::Arc<tiny_http::Server>,
}

const WORKERS: usize = 3;

impl Bare {
    /// Answers everything with about so many bytes.
    fn answering(bytes: usize) -> Self {
        let server = std::sync::Arc::new(tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0)).unwrap());
        for _ in 0..WORKERS {
            let server = std::sync::Arc::clone(&server);
            thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    let body = "x".repeat(bytes.saturating_sub(200));
                    let _ = request.respond(tiny_http::Response::from_string(body));
                }
            });
        }
        Self { port: server.server_addr().to_ip().unwrap().port(), server }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for _ in 0..WORKERS {
            self.server.unblock();
        }
    }
}
