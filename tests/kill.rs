//! The whole service under `kill -9`, at any moment while clients write as fast as they can, again and again: whatever
//! a client was told is there after the next start, and no number is used twice.
//!
//! `make long` plays hundreds of rounds (`CALLSCOOT_KILL_ROUNDS`), each run with another seed (`CALLSCOOT_KILL_SEED`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "clients are threads, and a random moment is waited for")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use callscoot::base::Rng;
use serde_json::{Value, json};
use support::agent::Agent;
use support::http::Answer;
use support::measurements;
use support::peer::Peer;
use support::service::{Service, line_to, with};
use support::wait::{PATIENCE, until};

/// In `make test`.
const ROUNDS: u32 = 12;
/// The service lives for at most so long after its first acknowledgement.
const LIFE_MAX: Duration = Duration::from_millis(400);

/// What clients were told in one life of the service.
#[derive(Debug, Default)]
struct Told {
    /// The last setting that was acknowledged, and the one that may have been saved unheard.
    patched: Option<u64>,
    tried: u64,
    /// Requests that were acknowledged, with the number in their metadata.
    pending: Vec<(String, u64)>,
    /// Requests whose withdrawal was acknowledged.
    withdrawn: Vec<String>,
    /// Key, body and request id of idempotent requests.
    keyed: Vec<(String, Value, String)>,
    /// Number and id of events that were seen.
    seen: Vec<(u64, String)>,
}

#[derive(Debug, Default)]
struct Sums {
    patches: u64,
    requests: usize,
    withdrawn: usize,
    keyed: usize,
    events: usize,
}

#[test]
fn nothing_that_a_client_was_told_is_lost_when_the_service_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let rounds = number("CALLSCOOT_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds as u32);
    let seed = number("CALLSCOOT_KILL_SEED").unwrap_or(1);
    println!("{rounds} rounds, CALLSCOOT_KILL_SEED={seed}");
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let config = with(
        line_to(peer.sip_port()),
        json!({"outbound_calls_per_hour_max": 1_000_000, "outbound_calls_per_day_max": 1_000_000}),
    );
    let mut service = Service::start_with(&config, Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    let mut chance = Rng::from_u64(seed);
    let (mut sums, mut events, mut patched) = (Sums::default(), BTreeMap::new(), 0);
    for round in 0..rounds {
        let id = service.call("5550100");
        let told = live_and_die(&mut service, &agent, &id, patched, &mut chance);
        let file = fs::read_to_string(service.config()).unwrap();
        let saved: Value = serde_json::from_str(&file).unwrap_or_else(|error| panic!("{error}: {file:?}"));
        service.run();
        let latency = service.api.get("/v1/config").1["config"]["latency_msec"].as_u64().unwrap();
        if let Some(acknowledged) = told.patched {
            assert!((acknowledged..=told.tried).contains(&latency), "round {round}: {latency}, {told:?}");
            assert_eq!(saved["latency_msec"], latency, "round {round}");
        }
        patched = latency;
        check(&service, &id, &told, &mut events, round);
        sums.patches += u64::from(told.patched.is_some());
        sums.requests += told.pending.len();
        sums.withdrawn += told.withdrawn.len();
        sums.keyed += told.keyed.len();
        sums.events += told.seen.len();
    }
    let figures = format!(
        "kill -9 in {rounds} rounds, seed {seed}: {} requests, {} withdrawals, {} keyed requests and {} events that \
         clients had been told of, settings acknowledged in {} rounds; everything was there, the highest number \
         is {}",
        sums.requests,
        sums.withdrawn,
        sums.keyed,
        sums.events,
        sums.patches,
        events.keys().max().unwrap(),
    );
    println!("{figures}");
    if rounds > ROUNDS {
        measurements::record("kill", &figures);
    }
}

/// Clients write until the service is killed under their hands.
fn live_and_die(service: &mut Service, agent: &Agent, id: &str, patched: u64, chance: &mut Rng) -> Told {
    let mut conversation = agent.conversation();
    let api = service.api.clone();
    let stream = open_stream(api.port(), id);
    let life = LIFE_MAX * chance.below(1000) / 1000;
    let mut told = Told::default();
    let (tell, acknowledged_first) = mpsc::channel();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let patches = scope.spawn(|| {
            // Within the range of the setting, and never twice in a life.
            let mut number = if patched > 1000 { 0 } else { patched };
            let mut acknowledged = None;
            loop {
                number += 1;
                match api.try_request("PATCH", "/v1/config", &[], &json!({"latency_msec": number})) {
                    Some(Answer { status: 200, .. }) => acknowledged = Some(number),
                    Some(other) => panic!("{other:?}"),
                    None => return (acknowledged, number),
                }
            }
        });
        let requests = scope.spawn(|| pending_requests(&api, tell));
        let keyed = scope.spawn(|| keyed_requests(&api, id));
        let seen = scope.spawn(|| read_events(stream));
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                conversation.try_understood("Yes, tomorrow at ten would suit me well.");
                thread::sleep(Duration::from_millis(2));
            }
        });
        let acknowledged = acknowledged_first.recv_timeout(PATIENCE);
        thread::sleep(life);
        service.process().kill();
        over.store(true, Ordering::Relaxed);
        acknowledged.unwrap();
        (told.patched, told.tried) = patches.join().unwrap();
        (told.pending, told.withdrawn) = requests.join().unwrap();
        told.keyed = keyed.join().unwrap();
        told.seen = seen.join().unwrap();
    });
    told
}

/// Requests made, every third withdrawn again; those that were acknowledged, each told at once.
fn pending_requests(api: &support::http::Api, tell: Sender<()>) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut made, mut withdrawn) = (Vec::new(), Vec::new());
    for number in 0.. {
        let body = json!({"number": "5550111", "metadata": {"lead": number}});
        let Some(answer) = api.try_request("POST", "/v1/pending-call-requests", &[], &body) else { break };
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json["request"]["request_id"].as_str().unwrap().to_owned();
        if number % 3 != 0 {
            made.push((id, number));
            // Only the first is waited for.
            let _ = tell.send(());
            continue;
        }
        let path = format!("/v1/pending-call-requests/{id}");
        // Unheard, it may be withdrawn or not.
        let Some(answer) = api.try_request("DELETE", &path, &[], &Value::Null) else { break };
        assert_eq!(answer.status, 200, "{answer:?}");
        withdrawn.push(id);
    }
    (made, withdrawn)
}

fn keyed_requests(api: &support::http::Api, session: &str) -> Vec<(String, Value, String)> {
    let mut made = Vec::new();
    for number in 0.. {
        let (key, body) =
            (format!("{session}-{number}"), json!({"number": "5550112", "metadata": {"n": number}}));
        let fields = [("Idempotency-Key", key.as_str())];
        let Some(answer) = api.try_request("POST", "/v1/pending-call-requests", &fields, &body) else {
            break;
        };
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json["request"]["request_id"].as_str().unwrap().to_owned();
        made.push((key, body, id));
    }
    made
}

fn open_stream(port: u16, id: &str) -> BufReader<TcpStream> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /v1/events/stream?session_id={id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    BufReader::new(client)
}

/// Number and id of every event that came whole.
fn read_events(mut stream: BufReader<TcpStream>) -> Vec<(u64, String)> {
    let (mut seen, mut number) = (Vec::new(), None);
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|length| length > 0) && line.ends_with('\n') {
        if let Some(id) = line.strip_prefix("id: ") {
            number = Some(id.trim().parse().unwrap());
        } else if let Some(data) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data).unwrap();
            seen.push((number.unwrap(), event["event_id"].as_str().unwrap().to_owned()));
        }
        line.clear();
    }
    seen
}

fn check(service: &Service, id: &str, told: &Told, events: &mut BTreeMap<u64, String>, round: u32) {
    let listed = service.api.get("/v1/pending-call-requests").1["pending_call_requests"].clone();
    let listed: BTreeMap<&str, &Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|request| (request["request_id"].as_str().unwrap(), &request["metadata"]["lead"]))
        .collect();
    for (request, number) in &told.pending {
        assert_eq!(listed.get(request.as_str()), Some(&&json!(number)), "round {round}: {request}");
    }
    for request in &told.withdrawn {
        assert!(!listed.contains_key(request.as_str()), "round {round}: {request} is back");
    }
    for (key, body, request) in &told.keyed {
        assert!(listed.contains_key(request.as_str()), "round {round}: {request}");
        let fields = [("Idempotency-Key", key.as_str())];
        let answer = service.api.try_request("POST", "/v1/pending-call-requests", &fields, body).unwrap();
        assert_eq!(answer.status, 202, "round {round}: {answer:?}");
        assert_eq!(answer.json["request"]["request_id"], request.as_str(), "round {round}");
        assert_eq!(answer.field("idempotent-replayed"), Some("true"), "round {round}");
    }
    // The lists stay short: what was checked is withdrawn.
    for request in listed.keys() {
        assert_eq!(service.api.delete(&format!("/v1/pending-call-requests/{request}")).0, 200);
    }
    let session = until("the session", || Some(service.session(id)));
    assert_eq!(session["meta"]["end_reason"], "recovered_after_crash", "round {round}");
    let stored: Vec<(u64, String)> = service
        .api
        .events(id)
        .rest()
        .iter()
        .map(|event| (event.id, event.json["event_id"].as_str().unwrap().to_owned()))
        .collect();
    for seen in &told.seen {
        assert!(stored.contains(seen), "round {round}: {seen:?} was streamed and is gone");
    }
    let highest = events.keys().max().copied().unwrap_or(0);
    for (number, event) in stored {
        assert!(number > highest, "round {round}: {number} after {highest}");
        assert_eq!(events.insert(number, event), None, "round {round}: {number} was used twice");
    }
}
