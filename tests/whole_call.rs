//! One whole call through every room: asked for over HTTP, rung and answered over SIP, talked over RTP with an agent
//! on a WebSocket, watched as events, kept on disk. The telephone is baresip, the agent the tests' own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::agent::{Agent, Conversation};
use support::baresip::{Baresip, Phone};
use support::ports::Lease;
use support::service::{Service, line_to, with};
use support::sound::Sound;
use support::wait::until_is;

const NUMBER: &str = "5550100";
const PERSON_HERTZ: f64 = 880.0;
const AGENT_HERTZ: f64 = 440.0;

fn phone() -> Baresip {
    Baresip::start(Phone { user: NUMBER, says: Sound::tone(8000, PERSON_HERTZ, 60_000), ..Phone::default() })
}

fn speaks(conversation: &mut Conversation, event_id: u64, text: &str, ms: usize) {
    let sound = Sound::tone(conversation.rate(), AGENT_HERTZ, ms);
    conversation.say(event_id, text, &sound);
}

fn lines(service: &Service, path: &str) -> Vec<Value> {
    let text = fs::read_to_string(service.state(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

#[test]
fn everything_said_in_a_call_is_streamed_listed_and_on_disk() {
    let phone = phone();
    let agent = Agent::public("pcm_16000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let body = json!({"number": "555-01.00", "dynamic_variables": {"contact_name": "Efe", "visits": [1, 2]},
        "metadata": {"lead_id": "lead-123"}, "overrides": {"first_message": "Good morning, Efe."}});
    let (status, reply) = service.api.post("/v1/outbound-calls", &body);
    assert_eq!(status, 202, "{reply}");
    assert_eq!(
        (&reply["via"], &reply["backend"], &reply["number"]),
        (&json!("sip"), &json!("sip"), &json!(NUMBER))
    );
    assert_eq!(reply["uri"], format!("sip:{NUMBER}@127.0.0.1"));
    assert_eq!(reply["request"]["consumed"], false, "the request as stored before the claim");
    let id = reply["session_id"].as_str().unwrap();
    let mut stream = service.api.events("current");

    // Sent before the agent is there: delivered when it is.
    let early = json!({"text": "A warm lead."});
    assert_eq!(service.api.post("/v1/current-call/contextual-update", &early).0, 202);
    let mut conversation = agent.conversation();
    let variables = &conversation.initiation["dynamic_variables"];
    assert_eq!((&variables["contact_name"], &variables["visits"]), (&json!("Efe"), &json!("[1,2]")));
    assert_eq!(variables["caller_tier"], "standard");
    let first = &conversation.initiation["conversation_config_override"]["agent"]["first_message"];
    assert_eq!(first, "Good morning, Efe.");
    assert_eq!(conversation.message("contextual_update")["text"], "A warm lead.");

    conversation.send(&json!({"type": "ping", "ping_event": {"event_id": 17, "ping_ms": 48}}));
    assert_eq!(conversation.message("pong")["event_id"], 17);
    speaks(&mut conversation, 1, "Good morning, Efe.", 600);
    stream.wait_for("agent_response_finished");
    conversation.understood("Who is speaking?");
    speaks(&mut conversation, 2, "A long answer that nobody waits for.", 10_000);
    conversation.hears(PERSON_HERTZ, 1500);
    conversation.interrupt(2);
    conversation.send(&json!({"type": "agent_response_correction", "agent_response_correction_event": {"event_id": 2,
        "original_agent_response": "A long answer that nobody waits for.", "corrected_agent_response": "A long"}}));
    stream.wait_for("agent_response_correction");
    let asked =
        service.api.post(&format!("/v1/calls/{id}/user-message"), &json!({"text": "Ask for a time."}));
    assert_eq!((asked.0, &asked.1["command"]["type"]), (202, &json!("user_message")));
    assert_eq!(conversation.message("user_message")["text"], "Ask for a time.");
    service.hang_up(id);
    phone.event("CALL_CLOSED");

    let rest = stream.rest();
    assert_eq!(rest.last().unwrap().name(), "call_ended");
    assert_eq!(service.api.get("/v1/current-call").1, json!({"current_call": null}));
    let session = service.session(id);
    let meta = &session["meta"];
    assert_eq!((&meta["direction"], &meta["incoming_number"]), (&json!("outbound"), &json!(NUMBER)));
    assert_eq!(meta["client_request"]["metadata"]["lead_id"], "lead-123");
    assert_eq!(meta["client_request"]["claimed_session_id"], id);
    assert!(meta["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{meta}");

    let transcript = session["transcript"].as_array().unwrap();
    let said: Vec<_> =
        transcript.iter().map(|e| (e["speaker"].as_str().unwrap(), e["text"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [("assistant", "Good morning, Efe."), ("caller", "Who is speaking?"), ("assistant", "A long")]
    );
    assert_eq!(transcript[2]["interrupted"], true);
    assert_eq!(transcript[2]["original_text"], "A long answer that nobody waits for.");

    // One truth: the stream, the list, and the files say the same.
    let (_, listed) = service.api.get(&format!("/v1/calls/{id}/events"));
    let listed = listed["events"].as_array().unwrap();
    let streamed: Vec<Value> = service.api.events(id).rest().into_iter().map(|event| event.json).collect();
    assert_eq!(&streamed, listed);
    for expected in
        ["call_started", "ws_connected", "conversation_started", "transcript_final", "interruption"]
    {
        assert_eq!(
            names(listed).iter().filter(|name| **name == expected).count(),
            1,
            "{expected}: {:?}",
            names(listed)
        );
    }
    assert_eq!(names(listed)[0], "call_started");
    assert_eq!(&lines(&service, &format!("calls/{id}/agent_events.jsonl")), listed);
    assert_eq!(&json!(lines(&service, &format!("calls/{id}/events.jsonl"))), &session["events"]);
    assert_eq!(&json!(lines(&service, &format!("calls/{id}/transcript.jsonl"))), &session["transcript"]);
    let summary = fs::read_to_string(service.state(&format!("calls/{id}/summary.txt"))).unwrap();
    assert_eq!(summary.trim_end(), meta["summary"].as_str().unwrap().trim_end());
}

#[test]
fn a_stream_that_broke_goes_on_where_it_was() {
    let phone = phone();
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let id = service.call(NUMBER);
    agent.conversation().hears(PERSON_HERTZ, 100);
    service.hang_up(&id);
    let all = service.api.events(&id).rest();
    let from = all[1].id;
    let after: Vec<u64> = service.api.events_after(&id, from).rest().iter().map(|e| e.id).collect();
    assert_eq!(after, all[2..].iter().map(|event| event.id).collect::<Vec<_>>());
}

#[test]
fn context_that_waits_for_a_caller_reaches_the_agent_when_that_caller_comes() {
    let ports = Lease::new();
    let mut phone = phone();
    let line = json!({"sip_local_port": ports.at(0), "auto_answer": true, "auto_answer_delay_sec": 0});
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&with(line_to(phone.port()), line), Some(&agent));
    let ask = |number: &str, name: &str| {
        let body = json!({"target_number": number, "dynamic_variables": {"name": name}});
        let (status, reply) = service.api.post("/v1/pending-call-requests", &body);
        assert_eq!(status, 202, "{reply}");
        reply["request"]["request_id"].as_str().unwrap().to_owned()
    };
    let (own, other) = (ask(NUMBER, "Ada"), ask("5550177", "Bob"));
    phone.dial(&format!("sip:line@127.0.0.1:{}", ports.at(0)));
    let conversation = agent.conversation();
    assert_eq!(conversation.initiation["dynamic_variables"]["name"], "Ada");
    let call = service.current_call();
    assert_eq!(call["client_request"]["request_id"], own);
    assert_eq!(service.api.get(&format!("/v1/pending-call-requests/{own}")).0, 404, "claimed once");
    assert_eq!(service.api.get(&format!("/v1/pending-call-requests/{other}")).0, 200);
    assert_eq!(service.api.delete(&format!("/v1/pending-call-requests/{other}")).0, 200);
    service.hang_up(call["id"].as_str().unwrap());
}

#[test]
fn the_guard_refuses_before_anything_rings() {
    let phone = phone();
    let agent = Agent::public("ulaw_8000");
    let service =
        Service::start(&with(line_to(phone.port()), json!({"outbound_calls_per_hour_max": 1})), Some(&agent));
    for (number, status) in [("112", 409), ("9-1-1", 409), ("*21*5550100#", 400), ("", 400)] {
        let (found, reply) = service.api.post("/v1/outbound-calls", &json!({"number": number}));
        assert_eq!(found, status, "{number}: {reply}");
    }
    let id = service.call(NUMBER);
    service.phase(&id, "active");
    service.hang_up(&id);
    let (status, reply) = service.api.post("/v1/outbound-calls", &json!({"number": NUMBER}));
    assert_eq!(status, 429, "{reply}");
    assert_eq!(phone.events("CALL_ESTABLISHED").len(), 1);
    assert_eq!(service.api.get("/v1/pending-call-requests").1, json!({"pending_call_requests": []}));
}

#[test]
fn two_lines_carry_two_calls_and_a_third_is_refused() {
    let (one, two) = (phone(), phone());
    let agent = Agent::public("ulaw_8000");
    let service =
        Service::start(&with(line_to(one.port()), json!({"max_concurrent_calls": 2})), Some(&agent));
    let first = service.call(NUMBER);
    let heard_first = agent.conversation();
    let second = service.call(&format!("sip:{NUMBER}@127.0.0.1:{}", two.port()));
    let heard_second = agent.conversation();
    let (status, reply) = service.api.post("/v1/outbound-calls", &json!({"number": NUMBER}));
    assert_eq!(status, 409, "{reply}");
    heard_first.hears(PERSON_HERTZ, 300);
    heard_second.hears(PERSON_HERTZ, 300);
    assert_eq!(service.current_call()["id"], json!(first));
    service.hang_up(&first);
    // The end can be read before the next call takes its place.
    until_is("the second call", || service.current_call()["id"].clone(), |id| *id == json!(second));
    service.hang_up(&second);
}

#[test]
fn a_call_ends_when_its_time_is_over_or_its_agent_is_gone() {
    let phone = phone();
    let agent = Agent::public("ulaw_8000");
    let service =
        Service::start(&with(line_to(phone.port()), json!({"max_call_duration_sec": 1})), Some(&agent));
    let id = service.call(NUMBER);
    agent.conversation();
    let session = service.ended(&id);
    assert_eq!(session["meta"]["end_reason"], "max_duration");
    let limit =
        session["events"].as_array().unwrap().iter().find(|e| e["type"] == "max_call_duration_reached");
    assert_eq!(limit.unwrap()["limit_sec"], 1);

    assert_eq!(service.api.patch("/v1/config", &json!({"max_call_duration_sec": 0})).0, 200);
    let id = service.call(NUMBER);
    agent.conversation().cut();
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "agent_error");
    until_is("both ends at the telephone", || phone.events("CALL_CLOSED").len(), |ends| *ends == 2);
}
