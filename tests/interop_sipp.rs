//! callscoot and SIPp: exact exchanges of messages, as callee and as caller, on a good wire and on a bad one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use serde_json::{Value, json};
use support::agent::Agent;
use support::ports::Lease;
use support::relay::{Fate, Relay};
use support::service::{Service, line_to, with};
use support::sipp::{Scenario, Sipp};
use support::sound::Sound;
use support::wait::until_is;

const NUMBER: &str = "5550100";
const PERSON_HERTZ: f64 = 880.0;

fn person() -> Sound {
    Sound::tone(8000, PERSON_HERTZ, 10_000)
}

fn callee(name: &'static str) -> Sipp {
    Sipp::start(&Scenario { name, sound: Some(person()), pause_ms: 500, ..Scenario::default() })
}

fn caller(name: &'static str, port: u16) -> Sipp {
    let calls = Some(port);
    Sipp::start(&Scenario {
        name,
        calls,
        callee: "line",
        sound: Some(person()),
        pause_ms: 500,
        ..Scenario::default()
    })
}

/// A service that takes calls on a port of its own.
fn taking_calls(agent: &Agent, more: Value) -> (Service, u16, Lease) {
    let ports = Lease::new();
    let line = with(
        line_to(9),
        json!({"sip_local_port": ports.at(0), "auto_answer": true, "auto_answer_delay_sec": 0}),
    );
    let service = Service::start(&with(line, more), Some(agent));
    (service, ports.at(0), ports)
}

#[test]
fn a_callee_answers_and_is_hung_up_on() {
    for name in ["uas_answer", "uas_answer_alaw"] {
        let sipp = callee(name);
        let agent = Agent::public("ulaw_8000");
        let service = Service::start(&line_to(sipp.port()), Some(&agent));
        let id = service.call(NUMBER);
        service.phase(&id, "active");
        if name == "uas_answer" {
            agent.conversation().hears(PERSON_HERTZ, 200);
        }
        assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup", "{name}");
        sipp.succeeds();
    }
}

#[test]
fn each_way_in_which_a_callee_ends_a_call_has_its_reason() {
    for (name, reason) in
        [("uas_hang_up", "remote_hangup"), ("uas_busy", "busy"), ("uas_decline", "rejected")]
    {
        let sipp = callee(name);
        let agent = Agent::public("ulaw_8000");
        let service = Service::start(&line_to(sipp.port()), Some(&agent));
        let session = service.ended(&service.call(NUMBER));
        assert_eq!(session["meta"]["end_reason"], reason, "{name}");
        sipp.succeeds();
    }
}

#[test]
fn a_callee_that_only_rings_is_given_up_with_cancel_rfc3261_9_1() {
    let sipp = callee("uas_ring");
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(sipp.port()), Some(&agent));
    let id = service.call(NUMBER);
    service.phase(&id, "alerting");
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
    sipp.succeeds();
}

#[test]
fn a_challenge_of_a_server_or_of_a_proxy_is_answered_with_a_digest_rfc3261_22() {
    for name in ["uas_challenge_401", "uas_challenge_407"] {
        let sipp = callee(name);
        // The account registers; SIPp plays the callee alone, so the wire takes the registration.
        let wire =
            Relay::to(
                sipp.port(),
                |line| if line.starts_with("REGISTER ") { Fate::Accept } else { Fate::Pass },
            );
        let agent = Agent::public("ulaw_8000");
        let account = json!({"sip_username": "alice", "sip_password": "secret"});
        let service = Service::start(&with(line_to(wire.port()), account), Some(&agent));
        until_is(
            "the registration",
            || service.api.get("/v1/status").1["sip_state"]["registered"].clone(),
            |registered| registered == true,
        );
        let id = service.call(NUMBER);
        service.phase(&id, "active");
        service.hang_up(&id);
        sipp.succeeds();
    }
}

#[test]
fn lost_provisional_answers_and_lost_requests_do_not_prevent_a_call_rfc3261_17_1_1() {
    let sipp = callee("uas_answer");
    let (mut invites, mut answers) = (0, 0);
    let wire = Relay::to(sipp.port(), move |line| {
        let counter = match line {
            line if line.starts_with("INVITE ") => &mut invites,
            line if line.starts_with("SIP/2.0 200 ") => &mut answers,
            line if line.starts_with("SIP/2.0 1") => return Fate::Lose,
            _ => return Fate::Pass,
        };
        *counter += 1;
        if *counter == 1 { Fate::Lose } else { Fate::Pass }
    });
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(wire.port()), Some(&agent));
    let id = service.call(NUMBER);
    service.phase(&id, "active");
    service.hang_up(&id);
    sipp.succeeds();
    assert_eq!((wire.count("INVITE", Fate::Lose), wire.count("SIP/2.0 200", Fate::Lose)), (1, 1));
}

#[test]
fn datagrams_that_come_twice_are_one_call_rfc3261_17_2() {
    let sipp = callee("uas_answer");
    let wire =
        Relay::to(sipp.port(), |line| if line.starts_with("SIP/2.0 ") { Fate::Double } else { Fate::Pass });
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(wire.port()), Some(&agent));
    let id = service.call(NUMBER);
    service.phase(&id, "active");
    service.hang_up(&id);
    sipp.succeeds();
    assert_eq!(service.api.get("/v1/calls").1["calls"].as_array().unwrap().len(), 1);

    let (service, port, _ports) = taking_calls(&agent, json!({}));
    let wire = Relay::to(port, |_| Fate::Double);
    caller("uac_call", wire.port()).succeeds();
    assert_eq!(service.api.get("/v1/calls").1["calls"].as_array().unwrap().len(), 1);
}

#[test]
fn a_caller_is_answered_heard_and_let_go() {
    let agent = Agent::public("pcm_16000");
    let (service, port, _ports) = taking_calls(&agent, json!({}));
    let sipp = caller("uac_call", port);
    let conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 200);
    let id = service.api.get("/v1/calls").1["calls"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "remote_hangup");
    assert_eq!(conversation.closed(), 1000);
    sipp.succeeds();

    let sipp = caller("uac_call_waits", port);
    let conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 100);
    let id = service.current_call()["id"].as_str().unwrap().to_owned();
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
    sipp.succeeds();
}

#[test]
fn a_caller_is_answered_although_the_wire_loses_our_first_ringing_and_answer() {
    let agent = Agent::public("ulaw_8000");
    let (_service, port, _ports) = taking_calls(&agent, json!({}));
    let mut answers = 0;
    let wire = Relay::to(port, move |line| {
        answers += u32::from(line.starts_with("SIP/2.0 200 "));
        let lost = line.starts_with("SIP/2.0 18") || line.starts_with("SIP/2.0 200 ") && answers == 1;
        if lost { Fate::Lose } else { Fate::Pass }
    });
    caller("uac_call", wire.port()).succeeds();
    assert_eq!(wire.count("SIP/2.0 200", Fate::Lose), 1);
}

#[test]
fn a_caller_who_gives_up_is_a_session_without_agent_rfc3261_9_2() {
    let agent = Agent::public("ulaw_8000");
    let (service, port, _ports) = taking_calls(&agent, json!({"auto_answer": false}));
    caller("uac_cancel", port).succeeds();
    let call = service.api.get("/v1/calls").1["calls"][0].clone();
    let session = service.ended(call["id"].as_str().unwrap());
    assert_eq!(session["meta"]["end_reason"], "cancelled");
    assert_eq!(session["meta"]["offhook_started_at"], Value::Null);
    assert!(agent.is_alone());
}

#[test]
fn a_second_caller_finds_the_line_busy_and_an_unwanted_one_is_declined() {
    let agent = Agent::public("ulaw_8000");
    let (service, port, _ports) = taking_calls(&agent, json!({}));
    let first = caller("uac_call_waits", port);
    let conversation = agent.conversation();
    let id = service.current_call()["id"].as_str().unwrap().to_owned();
    caller("uac_refused", port).succeeds();
    assert_eq!(service.current_call()["id"], json!(id), "the refused call never became current");
    conversation.hears(PERSON_HERTZ, 300);
    service.hang_up(&id);
    first.succeeds();

    let block = json!({"call_policy_mode": "allowlist", "auto_reject_blocked": true});
    assert_eq!(service.api.patch("/v1/config", &block).0, 200);
    caller("uac_declined", port).succeeds();
    let call = service.api.get("/v1/calls?limit=1").1["calls"][0].clone();
    let session = service.ended(call["id"].as_str().unwrap());
    assert_eq!(session["meta"]["end_reason"], "policy_denied");
    assert_eq!(session["meta"]["policy_action"], "reject");
}

#[test]
fn what_it_cannot_do_is_said_in_the_words_of_sip() {
    let agent = Agent::public("ulaw_8000");
    let (service, port, _ports) = taking_calls(&agent, json!({}));
    caller("uac_no_audio", port).succeeds();
    caller("uac_options", port).succeeds();
    assert!(agent.is_alone());
    // The refused call is a session all the same.
    let calls = || service.api.get("/v1/calls").1["calls"].clone();
    let refused = until_is("the end of the refused call", calls, |calls| calls[0]["end_reason"] == "failed");
    assert!(refused[0]["end_detail"].as_str().unwrap().starts_with("488 "), "{refused}");
    until_is(
        "no call",
        || service.api.get("/v1/current-call").1,
        |now| *now == json!({"current_call": null}),
    );
}
