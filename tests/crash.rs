//! callscoot is stopped, killed and started again: nothing that it acknowledged is missing, and no call stays open.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::fs;
use std::process::Command;
use std::sync::Barrier;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::agent::Agent;
use support::baresip::{Baresip, Phone};
use support::process::Process;
use support::service::{CALLSCOOT, Service, line_to, with};
use support::sound::Sound;

const NUMBER: &str = "5550100";
const PERSON_HERTZ: f64 = 880.0;

fn phone() -> Baresip {
    Baresip::start(Phone { user: NUMBER, says: Sound::tone(8000, PERSON_HERTZ, 60_000), ..Phone::default() })
}

fn events(service: &Service, id: &str) -> Vec<Value> {
    let (status, reply) = service.api.get(&format!("/v1/calls/{id}/events"));
    assert_eq!(status, 200);
    reply["events"].as_array().unwrap().clone()
}

#[test]
fn after_a_kill_in_mid_call_the_session_is_closed_and_everything_acknowledged_is_there() {
    let phone = phone();
    let agent = Agent::public("ulaw_8000");
    let mut service = Service::start(&line_to(phone.port()), Some(&agent));
    let (status, queued) =
        service.api.post("/v1/pending-call-requests", &json!({"number": "5550111", "metadata": {"lead": 7}}));
    assert_eq!(status, 202);
    let id = service.call(NUMBER);
    let mut stream = service.api.events(&id);
    let mut conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 200);
    conversation.understood("Good morning.");
    let last_seen = stream.wait_for("transcript_final");
    let (status, update) = service
        .api
        .post(&format!("/v1/calls/{id}/contextual-update"), &json!({"text": "The caller is in a hurry."}));
    assert_eq!(status, 202);
    assert_eq!(service.api.patch("/v1/config", &json!({"latency_msec": 77})).0, 200);
    service.process().kill();

    service.run();
    // Without waiting: who can ask at all is told that it is over.
    let session = service.session(&id);
    assert_eq!(session["meta"]["end_reason"], "recovered_after_crash");
    assert_eq!(session["meta"]["state"], "idle");
    assert_eq!(session["transcript"][0]["text"], "Good morning.");
    assert_eq!(service.api.get("/v1/current-call").1["current_call"], Value::Null);
    let told = events(&service, &id);
    let seen_id = &last_seen.json["event_id"];
    assert!(told.iter().any(|event| &event["event_id"] == seen_id), "an event that was streamed is gone");
    let command = &update["command"]["command_id"];
    assert!(
        told.iter().any(|event| &event["payload"]["command_id"] == command),
        "an acknowledged command is gone"
    );
    let ends: Vec<usize> = (0..told.len()).filter(|at| told[*at]["event_type"] == "call_ended").collect();
    assert_eq!(ends, [told.len() - 1], "one call_ended, and it is the last");
    let request = queued["request"]["request_id"].as_str().unwrap();
    let (status, kept) = service.api.get(&format!("/v1/pending-call-requests/{request}"));
    assert_eq!((status, &kept["request"]["metadata"]), (200, &json!({"lead": 7})));
    assert_eq!(service.api.get("/v1/config").1["config"]["latency_msec"], 77);

    // The stream of a session that is over is all of it, in order, and ends.
    let mut ids: Vec<u64> = service.api.events(&id).rest().iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), told.len());
    assert!(
        ids.is_sorted() && {
            ids.dedup();
            ids.len() == told.len()
        },
        "{ids:?}"
    );
    // A number that was seen is never used again.
    let next = service.call(NUMBER);
    let first = service.api.events(&next).next().unwrap();
    assert!(first.id > last_seen.id && !ids.contains(&first.id));
    service.hang_up(&next);
}

#[test]
fn a_stop_in_mid_call_hangs_up_and_lets_the_agent_go() {
    let phone = phone();
    let agent = Agent::public("ulaw_8000");
    let mut service = Service::start(&line_to(phone.port()), Some(&agent));
    let id = service.call(NUMBER);
    let conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 200);
    let mut stream = service.api.events(&id);
    let status = service.process().terminate();
    assert!(status.success(), "{status}");
    phone.event("CALL_CLOSED");
    assert_eq!(conversation.closed(), 1000);
    assert_eq!(stream.wait_for("call_ended").json["payload"]["end_reason"], "shutdown");

    service.run();
    let session = service.session(&id);
    assert_eq!(session["meta"]["end_reason"], "shutdown");
    let folder = service.state(&format!("calls/{id}"));
    let meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["end_reason"], "shutdown");
}

/// A simulated phone that answers at once, and its port.
fn sim_phone() -> (Process, u16) {
    let mut command = Command::new(CALLSCOOT);
    command.args(["sim", "phone", "--ring-ms", "0"]);
    let mut phone = Process::start("callscoot sim phone", &command);
    let status = phone.event("its port", |event| event["event"] == "status");
    let port = status["local"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    (phone, port)
}

#[test]
fn a_second_signal_ends_the_stop_that_waits_for_a_deaf_peer() {
    let (mut phone, port) = sim_phone();
    let agent = Agent::public("ulaw_8000");
    let mut service = Service::start(&line_to(port), Some(&agent));
    let id = service.call(NUMBER);
    service.phase(&id, "active");
    phone.signal(Signal::STOP);
    service.process().signal(Signal::TERM);
    service.process().err_line("the stop", |line| line.contains("conversation ended").then_some(()));
    let status = service.process().terminate();
    phone.signal(Signal::CONT);
    // A stop that gives up the peer by itself is a success.
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_test_call_that_is_interrupted_is_hung_up() {
    let (mut phone, port) = sim_phone();
    let service = Service::start(&line_to(port), None);
    let mut command = Command::new(CALLSCOOT);
    command.args(["echo", NUMBER, "--seconds", "60"]);
    command.env("CALLSCOOT_API_BASE", format!("http://127.0.0.1:{}", service.api.port()));
    let mut echo = Process::start("callscoot echo", &command);
    phone.event("the answer", |event| event["event"] == "answered");
    echo.signal(Signal::INT);
    phone.event("the end of the call", |event| event["event"] == "ended");
    assert_eq!(echo.ended().code(), Some(130));
    assert!(echo.out().iter().any(|line| line.contains("ended: local_hangup")), "{:?}", echo.out());
}

#[test]
fn a_call_asked_for_again_under_its_key_is_made_once_through_a_race_a_kill_and_a_restart() {
    let (mut phone, port) = sim_phone();
    let mut service = Service::start(&with(line_to(port), json!({"max_concurrent_calls": 4})), None);
    let calls = "/v1/outbound-calls";
    // As deep as a body may be: what is stored of it is read again after the kill.
    let deepest = (0..62).fold(json!(7), |inner, _| json!([inner]));
    let body = json!({"number": NUMBER, "echo": true, "metadata": {"lead": deepest}});
    let together = Barrier::new(2);
    let once = || {
        together.wait();
        service.api.post_once(calls, "lead-7", &body)
    };
    let mut raced = std::thread::scope(|scope| {
        [scope.spawn(once), scope.spawn(once)].map(|thread| thread.join().unwrap())
    });
    // The later one came while the first was running, or after it.
    raced.sort_by_key(|(status, _, replayed)| (*status, *replayed));
    let [(202, first, false), second] = raced else { panic!("{raced:?}") };
    let id = first["session_id"].as_str().unwrap();
    match second {
        (202, answer, true) => assert_eq!(answer, first),
        (409, answer, false) => assert!(answer["error"].as_str().unwrap().contains("still running")),
        other => panic!("{other:?}"),
    }
    assert_eq!(service.api.post_once(calls, "\"lead-7\"", &body), (202, first.clone(), true));
    let (status, error, _) = service.api.post_once(calls, "lead-7", &json!({"number": NUMBER}));
    assert_eq!((status, &error["status"]), (409, &json!(409)), "{error}");
    let request = json!({"target_number": "5550111", "metadata": {"lead": 8}});
    let requests = "/v1/pending-call-requests";
    assert_eq!(service.api.post_once(requests, "lead-7", &request).0, 409, "another endpoint");
    let (status, queued, _) = service.api.post_once(requests, "lead-8", &request);
    assert_eq!(status, 202);
    service.phase(id, "active");
    phone.event("the call", |event| event["event"] == "answered");
    service.process().kill();

    service.run();
    let meta = &service.session(id)["meta"];
    assert_eq!(
        (&meta["end_reason"], &meta["direction"]),
        (&json!("recovered_after_crash"), &json!("outbound"))
    );
    assert_eq!(meta["client_request"]["metadata"], body["metadata"]);
    assert_eq!(service.api.post_once(calls, "lead-7", &body), (202, first.clone(), true));
    assert_eq!(service.api.post_once(requests, "lead-8", &request), (202, queued, true));
    assert_eq!(
        service.api.get("/v1/calls").1["calls"].as_array().unwrap().len(),
        1,
        "nothing was dialled twice"
    );
    let waiting = service.api.get(requests).1;
    assert_eq!(waiting["pending_call_requests"].as_array().unwrap().len(), 1);
    let (status, fresh, replayed) = service.api.post_once(calls, "lead-9", &body);
    assert_eq!((status, replayed), (202, false));
    assert_ne!(fresh["session_id"], first["session_id"]);
    service.hang_up(fresh["session_id"].as_str().unwrap());
}

#[test]
fn after_an_error_the_same_key_may_try_again() {
    let (_phone, port) = sim_phone();
    let service = Service::start(&line_to(port), None);
    let body = json!({"number": NUMBER, "echo": true});
    let without_agent = json!({"number": NUMBER});
    let (status, refused, _) = service.api.post_once("/v1/outbound-calls", "k", &without_agent);
    assert_eq!((status, &refused["request"]["target_number"]), (502, &json!(NUMBER)), "{refused}");
    let (status, dialled, replayed) = service.api.post_once("/v1/outbound-calls", "k", &body);
    assert_eq!((status, replayed), (202, false), "{dialled}");
    for key in ["", "a b", "\"a"] {
        let (status, refused, _) = service.api.post_once("/v1/outbound-calls", key, &body);
        assert_eq!(status, 400, "{key}: {refused}");
    }
}

#[test]
fn an_idle_service_stops_and_starts_with_nothing_configured() {
    let mut service = Service::start(&json!({}), None);
    let (status, body) = service.api.get("/v1/status");
    assert_eq!(status, 200);
    assert!(body.to_string().contains("ELEVENLABS_AGENT_ID"), "the status names what is missing: {body}");
    let (status, reply) = service.api.post("/v1/outbound-calls", &json!({"number": NUMBER}));
    assert_eq!(status, 502, "{reply}");
    let status = service.process().terminate();
    assert!(status.success(), "{status}");
}
