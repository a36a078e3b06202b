//! Calls that a client asks for.

use std::time::Duration;

use serde_json::json;

use super::world::{World, line, to};
use crate::call::command::{Answer, Command, Conflict, RefusalKind, SessionRef};
use crate::call::conversation::{AgentCommand, AgentEvent};
use crate::call::guard::Talked;
use crate::call::journal::Recovered;
use crate::call::leg::{LegCommand, LegEnd, LegEvent};

#[test]
fn a_call_is_dialled_only_when_request_and_session_are_on_disk_and_202_comes_after() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    assert_eq!(world.ask(Command::Dial(Box::new(to("+905551112233")))), None);
    assert!(world.legs.is_empty() && world.metas.is_empty());
    world.release();
    assert!(matches!(world.legs[..], [LegCommand::Dial { rtp_port: 40_000, .. }]));
    let Some(Ok(Answer::Dialing { request, backend, number, uri, session })) =
        world.replies.values().next().cloned()
    else {
        panic!("{:?}", world.replies)
    };
    assert_eq!((backend, number.as_str()), ("sip", "+905551112233"));
    assert_eq!(uri.as_deref(), Some("sip:+905551112233@192.0.2.1"));
    assert_eq!(session.as_str(), "20261122-085107-+905551112233");
    assert!(!request.consumed);
    let Some(Ok(Answer::Status(status))) = world.ask(Command::Status) else { panic!() };
    assert_eq!(status["sip_state"]["remote_uri"], json!(uri));
    let meta = world.only_meta();
    assert_eq!(meta["client_request"]["request_id"], json!(request.request_id));
    assert_eq!(meta["client_request"]["claimed_session_id"], json!(session));
    assert_eq!(
        (&meta["state"], &meta["phase"], &meta["direction"]),
        (&json!("calling"), &json!("dialing"), &json!("outbound"))
    );
}

#[test]
fn messages_before_the_conversation_are_taken_as_long_as_there_is_room_and_then_refused() {
    let mut world = World::new(json!({}));
    world.ask(Command::Dial(Box::new(to("1001")))).unwrap().unwrap();
    let call = world.dialled();
    let message = || Command::UserMessage(SessionRef::Current, "hi".into());
    for _ in 0..64 {
        world.ask(message()).unwrap().unwrap();
    }
    assert_eq!(world.refused(message()).kind, RefusalKind::Conflict(Conflict::TooManyMessages));
    assert_eq!(world.agent_commands.len(), 64, "what was accepted is on its way");
    world.leg(LegEvent::Audio { call, line: line() });
    world.agent(call, AgentEvent::Started { conversation_id: "conv_1".into() });
    assert!(world.ask(message()).unwrap().is_ok());
}

#[test]
fn states_follow_the_line_and_the_agent_is_ready_before_the_answer() {
    let mut world = World::new(json!({}));
    world.ask(Command::Dial(Box::new(to("1001")))).unwrap().unwrap();
    let call = world.dialled();
    assert_eq!(world.plans.len(), 1, "the agent connects while it rings");
    assert!(world.agent_commands.is_empty(), "but does not begin");
    world.leg(LegEvent::Progress { call, code: 180 });
    assert_eq!(world.current().unwrap()["phase"], "alerting");
    world.leg(LegEvent::Audio { call, line: line() });
    assert_eq!(world.agent_commands, [AgentCommand::Activate]);
    let current = world.current().unwrap();
    assert_eq!((&current["state"], &current["phase"]), (&json!("offhook"), &json!("active")));
    world.pass(Duration::from_secs(61));
    assert_eq!(world.current().unwrap()["state"], "offhook", "the ring time-out is over with the answer");
}

#[test]
fn a_second_call_needs_a_second_line() {
    let mut world = World::new(json!({}));
    world.talking_to("1001");
    let refusal = world.refused(Command::Dial(Box::new(to("1002"))));
    assert_eq!(refusal.kind, RefusalKind::Conflict(Conflict::NoLine));
    let mut world = World::new(json!({ "max_concurrent_calls": 2 }));
    world.talking_to("1001");
    world.talking_to("1002");
    assert_eq!(world.current().unwrap()["incoming_number"], "1001", "the older call stays current");
}

#[test]
fn what_is_missing_is_named_at_once_and_nothing_is_kept() {
    let mut world = World::new(json!({ "sip_username": "1001" }));
    let refusal = world.refused(Command::Dial(Box::new(to("1002"))));
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    assert!(refusal.message.contains("not registered"), "{}", refusal.message);
    assert!(refusal.request.is_some());
    assert!(world.metas.is_empty());
    let Some(Ok(Answer::PendingList(list))) = world.ask(Command::ListPending) else { panic!() };
    assert!(list.is_empty());
}

#[test]
fn emergency_numbers_are_refused_with_409_and_a_spent_budget_with_429() {
    let mut world = World::new(json!({ "outbound_calls_per_hour_max": 1 }));
    let refusal = world.refused(Command::Dial(Box::new(to("112"))));
    assert_eq!(refusal.kind, RefusalKind::Conflict(Conflict::EmergencyNumber));
    let call = world.talking_to("5551001");
    world.leg(LegEvent::Ended { call, end: LegEnd::RemoteHangup, code: None, detail: String::new() });
    let refusal = world.refused(Command::Dial(Box::new(to("5551002"))));
    assert_eq!(refusal.kind, RefusalKind::Budget);
    assert!(refusal.retry_after_sec.is_some_and(|wait| (3590..=3600).contains(&wait)), "{refusal:?}");
    world.pass(Duration::from_secs(3601));
    assert!(world.ask(Command::Dial(Box::new(to("5551002")))).unwrap().is_ok());
}

#[test]
fn minutes_of_answered_calls_are_a_budget_across_restarts_and_for_what_is_dialled_alone() {
    let now_unix_ms = 1_795_337_467_000;
    let yesterday = Talked { from_unix_ms: now_unix_ms - 7_200_000, to_unix_ms: now_unix_ms - 7_140_000 };
    let recovered = Recovered { outbound_talked: vec![yesterday], ..Recovered::default() };
    let limits = json!({ "outbound_minutes_per_day": 4, "max_concurrent_calls": 3, "auto_answer": true });
    let mut world = World::with(limits, recovered);
    let ended = |call| LegEvent::Ended { call, end: LegEnd::RemoteHangup, code: None, detail: String::new() };
    let call = world.talking_to("5551001");
    world.pass(Duration::from_secs(100));
    world.leg(ended(call));
    let call = world.talking_to("5551002");
    world.pass(Duration::from_secs(79));
    let ringing = world.ask(Command::Dial(Box::new(to("5551003")))).unwrap();
    assert!(ringing.is_ok(), "a second is left: {ringing:?}");
    world.pass(Duration::from_secs(1));
    let refusal = world.refused(Command::Dial(Box::new(to("5551004"))));
    assert_eq!(refusal.kind, RefusalKind::Budget);
    assert!(refusal.message.contains("4 outbound minutes per day"), "{}", refusal.message);
    // Two hours less three minutes ago the minute of the last run began; it is a day old in 22 hours.
    assert!(refusal.retry_after_sec.is_some_and(|wait| (79_000..79_200).contains(&wait)), "{refusal:?}");
    assert!(world.current().is_some_and(|meta| meta["ended_at"].is_null()), "a call under way goes on");
    world.leg(ended(call));
    assert_eq!(
        world.refused(Command::Dial(Box::new(to("5551004")))).kind,
        RefusalKind::Budget,
        "counted once more"
    );
}

#[test]
fn premium_and_short_numbers_are_refused_with_409_and_nothing_is_kept() {
    let mut world = World::new(json!({ "country_code": "49", "allowed_short_numbers": ["1001"] }));
    for (number, key) in [("0900 1 234567", "premium_numbers"), ("22333", "allowed_short_numbers")] {
        let refusal = world.refused(Command::Dial(Box::new(to(number))));
        assert!(matches!(refusal.kind, RefusalKind::Conflict(_)));
        assert!(refusal.message.contains(key), "{}", refusal.message);
    }
    assert!(world.metas.is_empty() && world.legs.is_empty());
    world.talking_to("1001");
}

#[test]
fn messages_before_the_agent_is_there_reach_it_in_order() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    world.ask(Command::Dial(Box::new(to("1001"))));
    world.release();
    let call = world.dialled();
    let update = Command::ContextualUpdate(SessionRef::Current, "warm lead".into());
    let Some(Ok(Answer::MessageQueued(object))) = world.ask(update) else { panic!() };
    assert_eq!(
        (&object["type"], &object["payload"]["text"]),
        (&json!("contextual_update"), &json!("warm lead"))
    );
    world.ask(Command::UserMessage(SessionRef::Current, "hello".into())).unwrap().unwrap();
    world.leg(LegEvent::Audio { call, line: line() });
    assert_eq!(
        world.agent_commands,
        [
            AgentCommand::ContextualUpdate { text: "warm lead".into() },
            AgentCommand::UserMessage { text: "hello".into() },
            AgentCommand::Activate,
        ]
    );
    let stream = world.stream();
    assert!(
        stream.contains(&"contextual_update_queued") && stream.contains(&"user_message_queued"),
        "{stream:?}"
    );
}

#[test]
fn words_of_both_sides_are_told_and_kept_with_their_corrections() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.agent(call, AgentEvent::Started { conversation_id: "conv_1".into() });
    world.agent(call, AgentEvent::ResponseStarted { reply: 1 });
    world.agent(call, AgentEvent::Response { reply: 1, text: "We open at eight and close at six.".into() });
    world.agent(call, AgentEvent::Interrupted { reason: "caller".into() });
    world.agent(call, AgentEvent::CutOff { reply: 1, played_ms: 900 });
    world.agent(
        call,
        AgentEvent::Correction {
            reply: 1,
            original: "We open at eight and close at six.".into(),
            corrected: "We open at eight".into(),
            vendor: json!({ "corrected_agent_response": "We open at eight" }),
        },
    );
    world.agent(call, AgentEvent::UserTranscript { text: "Thanks".into() });
    let first = &world.transcript[&0];
    assert_eq!((&first["speaker"], &first["text"]), (&json!("assistant"), &json!("We open at eight")));
    assert_eq!((&first["interrupted"], &first["played_ms"]), (&json!(true), &json!(900)));
    assert_eq!(first["original_text"], "We open at eight and close at six.");
    assert_eq!(world.transcript[&1]["speaker"], "caller");
    assert_eq!(
        world.stream(),
        [
            "call_started",
            "agent_session_started",
            "conversation_started",
            "agent_response_started",
            "agent_response_finished",
            "interruption",
            "agent_response_correction",
            "transcript_final"
        ]
    );
}
