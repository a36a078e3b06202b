//! What was promised: storage, configuration, recovery.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, to};
use crate::call::command::{Answer, Command, Conflict, RefusalKind};
use crate::call::conversation::{AgentEnd, AgentEvent};
use crate::call::journal::{CommitError, OpenSession, Record, Recovered};
use crate::call::leg::{LegCommand, LegEvent, SipStatus};
use crate::call::readiness::Readiness;
use crate::call::session::SessionId;
use crate::call::switch::Input;

fn patch(members: Value) -> Command {
    Command::PatchConfig(members.as_object().unwrap().clone())
}

#[test]
fn a_call_that_cannot_be_recorded_is_not_made() {
    let mut world = World::new(json!({}));
    world.store_fault = Some(CommitError::Storage("disk full".into()));
    assert_eq!(world.refused(Command::Dial(Box::new(to("1001")))).kind, RefusalKind::Storage);
    assert_eq!(world.refused(Command::CreatePending(Box::new(to("1001")))).kind, RefusalKind::Storage);
    assert!(world.legs.is_empty());
    world.called_by("1002");
    assert!(matches!(world.legs[..], [LegCommand::Reject { .. }]));
    world.store_fault = None;
    let Some(Ok(Answer::PendingList(list))) = world.ask(Command::ListPending) else { panic!() };
    assert!(list.is_empty());
    assert!(world.ask(Command::Dial(Box::new(to("1001")))).unwrap().is_ok());
}

#[test]
fn a_call_that_is_stored_after_its_client_gave_up_is_not_made() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    assert_eq!(world.ask(Command::Dial(Box::new(to("1001")))), None);
    world.pass(Duration::from_millis(4500));
    world.release();
    assert!(world.legs.is_empty(), "{:?}", world.legs);
    assert_eq!(world.only_meta()["end_reason"], "failed");
    assert!(matches!(world.replies.values().next(), Some(Err(refusal)) if refusal.request.is_some()));
    assert!(world.ask(Command::Dial(Box::new(to("1001")))).unwrap().is_ok());
}

#[test]
fn a_changed_account_reaches_the_leg_only_when_it_is_on_disk() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    assert_eq!(world.ask(patch(json!({ "sip_username": "1001", "sip_password": "secret" }))), None);
    assert_eq!(world.ask(patch(json!({ "max_call_duration_sec": 60 }))), None, "one after the other");
    assert!(world.legs.is_empty());
    world.release();
    assert!(
        matches!(&world.legs[..], [LegCommand::Configure(Some(account))] if account.username.as_deref() == Some("1001"))
    );
    let text = world.config_text.clone().unwrap();
    assert!(text.contains("secret") && text.contains("60"), "both changes are in the file");
    let saved: Vec<_> =
        world.replies.values().filter(|reply| matches!(reply, Ok(Answer::ConfigSaved(_)))).collect();
    assert_eq!(saved.len(), 2);
    assert!(!format!("{saved:?}").contains("secret"));
}

#[test]
fn a_bad_value_changes_nothing_and_an_edited_file_is_a_conflict() {
    let mut world = World::new(json!({}));
    let refusal = world.refused(patch(json!({ "auto_answer": true, "no_such_key": 1 })));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(refusal.message.contains("no_such_key"));
    assert_eq!(world.refused(patch(json!({ "timezone": "Mars/Olympus" }))).kind, RefusalKind::Invalid);
    world.store_fault = Some(CommitError::ConfigChanged);
    let refusal = world.refused(patch(json!({ "auto_answer": true })));
    assert_eq!(refusal.kind, RefusalKind::Conflict(Conflict::ConfigChanged));
    let Some(Ok(Answer::Config(config))) = world.ask(Command::Config) else { panic!() };
    assert_eq!(config["auto_answer"], json!(false));
}

#[test]
fn a_file_that_was_read_again_is_in_force_at_once() {
    let mut world = World::new(json!({}));
    world.input(Input::ConfigRead(Ok(json!({ "telephony_backend": "sip", "sip_server": "192.0.2.9" })
        .as_object()
        .unwrap()
        .clone())));
    assert!(
        matches!(&world.legs[..], [LegCommand::Configure(Some(account))] if account.server == "192.0.2.9")
    );
    world.input(Input::ConfigRead(Err("line 1".into())));
    assert_eq!(world.legs.len(), 1, "a broken file changes nothing");
}

#[test]
fn a_session_found_open_is_closed_as_recovered_with_its_last_words() {
    let meta = json!({
        "id": "20261122-080000-1001", "started_at_ms": 1_795_334_400_000_i64, "phase": "active", "direction": "inbound",
        "offhook_started_at_ms": 1_795_334_402_000_i64, "incoming_number": "1001", "telephony_backend": "sip",
        "conversation_id": "conv_1",
    });
    let recovered = Recovered {
        next_seq: 8193,
        open_sessions: vec![OpenSession {
            id: SessionId::new("20261122-080000-1001"),
            meta: meta.as_object().unwrap().clone(),
            transcript: vec![
                json!({ "ts_ms": 1_795_334_410_000_i64, "speaker": "caller", "text": "Are you there?" }),
            ],
        }],
        ..Recovered::default()
    };
    let world = World::with(json!({}), recovered);
    let meta = world.only_meta();
    assert_eq!((&meta["end_reason"], &meta["state"]), (&json!("recovered_after_crash"), &json!("idle")));
    assert!(meta["summary"].as_str().unwrap().contains("Are you there?"));
    assert_eq!((&meta["conversation_id"], &meta["incoming_number"]), (&json!("conv_1"), &json!("1001")));
    assert_eq!(world.stream(), ["call_ended"]);
    assert!(world.events.iter().all(|event| event.seq >= 8193), "numbers are never used again");
}

#[test]
fn a_request_claimed_by_a_call_that_crashed_unanswered_waits_again() {
    let mut before = World::new(json!({ "auto_answer": true }));
    before.ask(Command::CreatePending(Box::new(to("1001")))).unwrap().unwrap();
    before.called_by("1001");
    let Some(Ok(Answer::PendingList(list))) = before.ask(Command::ListPending) else { panic!() };
    assert!(list.is_empty(), "claimed while it rings");
    let ringing = before.only_meta().as_object().unwrap().clone();
    let recover = |meta: &serde_json::Map<String, Value>| {
        let id = SessionId::new(meta["id"].as_str().unwrap());
        let open_sessions = vec![OpenSession { id, meta: meta.clone(), transcript: Vec::new() }];
        World::with(json!({}), Recovered { open_sessions, ..Recovered::default() })
    };
    let mut after = recover(&ringing);
    assert_eq!(after.only_meta()["client_request"], Value::Null);
    let Some(Ok(Answer::PendingList(list))) = after.ask(Command::ListPending) else { panic!() };
    assert_eq!(list.len(), 1);
    assert!(!list[0].consumed && list[0].claimed_session_id.is_none());

    let mut answered = ringing;
    answered.insert("offhook_started_at_ms".into(), json!(1_795_337_468_000_i64));
    let mut after = recover(&answered);
    assert!(after.only_meta()["client_request"].is_object());
    let summary = after.only_meta()["summary"].as_str().unwrap();
    assert!(!summary.contains("not answered"), "it was, and nobody spoke: {summary}");
    let Some(Ok(Answer::PendingList(list))) = after.ask(Command::ListPending) else { panic!() };
    assert!(list.is_empty());
}

#[test]
fn sequence_numbers_are_reserved_on_disk_before_they_are_used() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    world.ask(Command::Dial(Box::new(to("1001"))));
    let batch = world.held.first().unwrap();
    assert!(batch.durable);
    let reserved = batch.records.iter().position(|record| matches!(record, Record::SeqReserved(_)));
    let event = batch.records.iter().position(|record| matches!(record, Record::Event(_)));
    assert!(reserved.unwrap() < event.unwrap());
}

#[test]
fn an_expired_request_is_gone_by_itself() {
    let mut world = World::new(json!({}));
    world.ask(Command::CreatePending(Box::new(to("1001")))).unwrap().unwrap();
    assert!(world.deadline.is_some());
    world.pass(Duration::from_secs(301));
    let Some(Ok(Answer::PendingList(list))) = world.ask(Command::ListPending) else { panic!() };
    assert!(list.is_empty());
    assert_eq!(world.deadline, None, "nothing wakes an idle switch");
}

fn readiness(world: &mut World) -> Readiness {
    let Some(Ok(Answer::Readiness(readiness))) = world.ask(Command::Readiness) else {
        panic!("no readiness")
    };
    readiness
}

#[test]
fn readiness_is_the_truth_of_the_services_and_repeats_no_word_of_a_server() {
    let mut world = World::new(json!({ "sip_username": "4930123" }));
    for (started, code, registered) in
        [(false, None, false), (true, None, false), (true, Some(403), false), (true, Some(200), true)]
    {
        let text = code.map(|_| "no such user +4930123".to_owned());
        let status = SipStatus {
            started,
            registered,
            registration_status_code: code,
            registration_status_text: text.clone(),
            last_error: text,
            ..SipStatus::default()
        };
        world.leg(LegEvent::Status(status));
        let readiness = readiness(&mut world);
        let Some(Ok(Answer::Status(status))) = world.ask(Command::Status) else { panic!("no status") };
        assert_eq!(status["services"]["callscoot-daemon"], json!(readiness.telephony.is_none()));
        assert_eq!((readiness.telephony.is_none(), readiness.fault().is_none()), (registered, registered));
        assert!(!readiness.fault().unwrap_or_default().contains("4930123"), "{readiness:?}");
    }
    let call = world.talking_to("+4930777");
    let error = "the agent service is down".to_owned();
    world.agent(call, AgentEvent::Ended(AgentEnd::Failed { error }));
    assert!(readiness(&mut world).agent.is_some_and(|fault| fault.contains("/v1/status")));
    world.pass(Duration::from_secs(301));
    assert_eq!(readiness(&mut world).agent, None, "only the next call would show whether it is still so");
    world.input(Input::Stop);
    assert_eq!(readiness(&mut world).api.as_deref(), Some("the service is stopping"));
    assert_eq!(world.ask(Command::Health), Some(Ok(Answer::Alive)));
}

#[test]
fn a_storage_that_refused_is_tried_when_readiness_is_asked_and_only_once() {
    let mut world = World::new(json!({}));
    world.store_fault = Some(CommitError::Storage("disk full".into()));
    world.refused(Command::CreatePending(Box::new(to("+49301"))));
    world.hold_commits = true;
    readiness(&mut world);
    readiness(&mut world);
    let tried: Vec<&Record> = world.held.iter().flat_map(|batch| &batch.records).collect();
    assert!(matches!(tried[..], [Record::SeqReserved(_)]), "{tried:?}");
}

#[test]
fn what_is_not_dialled_is_counted_by_its_reason_and_a_call_that_was_not_stored_is_none() {
    let mut world = World::new(json!({ "outbound_calls_per_hour_max": 2, "max_concurrent_calls": 1 }));
    world.refused(Command::Dial(Box::new(to("112"))));
    world.store_fault = Some(CommitError::Storage("disk full".into()));
    world.refused(Command::Dial(Box::new(to("1001"))));
    world.store_fault = None;
    assert_eq!(world.metric("callscoot_calls_started_total{backend=\"sip\",direction=\"outbound\"}"), 0);
    world.talking_to("1001");
    world.refused(Command::Dial(Box::new(to("1002"))));
    world.ask(Command::CreatePending(Box::new(to("1003")))).unwrap().unwrap();
    for (sample, count) in [
        ("outbound_refused_total{reason=\"emergency\"}", 1),
        ("outbound_refused_total{reason=\"no_line\"}", 1),
        ("outbound_refused_total{reason=\"budget\"}", 0),
        ("calls_started_total{backend=\"sip\",direction=\"outbound\"}", 1),
        ("calls_live", 1),
        ("pending_requests", 1),
    ] {
        assert_eq!(world.metric(&format!("callscoot_{sample}")), count, "{sample}");
    }
}
