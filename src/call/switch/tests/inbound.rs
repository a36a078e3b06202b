//! Calls that come in.

use std::time::Duration;

use serde_json::json;

use super::world::{World, to};
use crate::call::command::{Answer, Command, Conflict, RefusalKind, SessionRef};
use crate::call::leg::{LegCommand, LegEnd, LegEvent, RejectWhy};

fn asked_for(world: &mut World, number: &str) -> String {
    match world.ask(Command::CreatePending(Box::new(to(number)))) {
        Some(Ok(Answer::Queued(request))) => request.request_id,
        other => panic!("{other:?}"),
    }
}

fn pending(world: &mut World) -> usize {
    match world.ask(Command::ListPending) {
        Some(Ok(Answer::PendingList(list))) => list.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_policy_allows_is_answered_after_the_delay_and_claims_its_request() {
    let mut world = World::new(json!({ "auto_answer": true }));
    let request_id = asked_for(&mut world, "5551001");
    world.called_by("5551001");
    assert!(matches!(world.legs[..], [LegCommand::Ring { .. }]));
    world.pass(Duration::from_millis(1900));
    assert_eq!(world.legs.len(), 1, "auto_answer_delay_sec has not passed");
    world.pass(Duration::from_millis(200));
    assert!(matches!(world.legs[..], [LegCommand::Ring { .. }, LegCommand::Answer { rtp_port: 40_000, .. }]));
    let current = world.current().unwrap();
    assert_eq!(
        (&current["policy_action"], &current["policy_reason"]),
        (&json!("answer"), &json!("allow_all"))
    );
    assert_eq!(current["client_request"]["request_id"], json!(request_id));
    assert_eq!((&current["direction"], &current["phase"]), (&json!("inbound"), &json!("active")));
    assert_eq!(pending(&mut world), 0);
}

#[test]
fn a_caller_who_gives_up_leaves_the_request_to_the_next_call() {
    let mut world = World::new(json!({ "auto_answer": true }));
    asked_for(&mut world, "5551001");
    let call = world.called_by("5551001");
    world.leg(LegEvent::Ended { call, end: LegEnd::Cancelled, code: Some(487), detail: "Cancelled".into() });
    assert_eq!(world.only_meta()["end_reason"], "cancelled");
    assert_eq!(world.only_meta()["client_request"], json!(null));
    assert_eq!(pending(&mut world), 1);
    assert_eq!(world.current(), None);
    assert_eq!(world.stream().last(), Some(&"call_ended"));
}

#[test]
fn without_auto_answer_it_rings_until_a_client_answers() {
    let mut world = World::new(json!({}));
    assert_eq!(world.refused(Command::Answer(SessionRef::Current)).message, "no active call");
    world.called_by("5551001");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.legs.len(), 1);
    assert!(matches!(
        world.ask(Command::Answer(SessionRef::Current)),
        Some(Ok(Answer::Answering { backend: "sip", .. }))
    ));
    assert!(matches!(world.legs[1], LegCommand::Answer { .. }));
    let again = world.refused(Command::Answer(SessionRef::Current));
    let kind = RefusalKind::Conflict(Conflict::NothingToAnswer);
    assert_eq!((again.kind, again.message.as_str()), (kind, "nothing to answer"));
}

#[test]
fn nobody_answers_within_the_ring_time_out() {
    let mut world = World::new(json!({ "ring_timeout_sec": 20 }));
    world.called_by("5551001");
    world.pass(Duration::from_secs(21));
    assert!(matches!(world.legs[1], LegCommand::Reject { why: RejectWhy::NoAnswer, .. }));
    assert_eq!(world.only_meta()["end_reason"], "no_answer");
}

#[test]
fn policy_rejects_and_ignores_and_both_are_sessions() {
    let blocked =
        json!({ "auto_answer": true, "call_policy_mode": "blocklist", "blocked_callers": ["5551001"] });
    let mut reject = blocked.clone();
    reject["auto_reject_blocked"] = json!(true);
    let mut world = World::new(reject);
    world.called_by("5551001");
    assert!(matches!(world.legs[1], LegCommand::Reject { why: RejectWhy::Declined, .. }));
    assert_eq!(world.only_meta()["end_reason"], "policy_denied");
    assert_eq!(world.only_meta()["policy_reason"], "blocklist_match");

    let mut world = World::new(blocked);
    let call = world.called_by("5551001");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.legs.len(), 1, "an ignored call goes on ringing");
    world.leg(LegEvent::Ended { call, end: LegEnd::Cancelled, code: Some(487), detail: String::new() });
    assert_eq!(world.only_meta()["policy_action"], "ignore");
    assert_eq!(world.only_meta()["end_reason"], "policy_denied");
}

#[test]
fn a_call_without_a_free_line_is_busy_recorded_and_never_current() {
    let mut world = World::new(json!({ "auto_answer": true }));
    world.talking_to("5551000");
    world.called_by("5551001");
    assert!(matches!(world.legs.last(), Some(LegCommand::Reject { why: RejectWhy::Busy, .. })));
    assert_eq!(world.current().unwrap()["incoming_number"], "5551000");
    let refused = world.metas.values().find(|meta| meta["incoming_number"] == "5551001").unwrap();
    assert_eq!((&refused["end_reason"], &refused["state"]), (&json!("busy"), &json!("idle")));
}

#[test]
fn the_caller_who_cancels_while_the_session_is_being_stored_still_leaves_a_whole_session() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    let call = world.called_by("5551001");
    world.leg(LegEvent::Ended { call, end: LegEnd::Cancelled, code: Some(487), detail: String::new() });
    world.release();
    assert_eq!(world.only_meta()["end_reason"], "cancelled");
    assert_eq!(world.stream(), ["call_started", "call_ended"]);
    assert_eq!(world.current(), None);
}
