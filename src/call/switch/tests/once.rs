//! The same request under the same `Idempotency-Key`: done once, through errors, failures and a restart.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, to};
use crate::call::api::Response;
use crate::call::command::{Answer, CallRequest, Command, Conflict, RefusalKind, Reply};
use crate::call::idempotency::{Fingerprint, Keyed};
use crate::call::journal::{CommitError, Recovered};
use crate::call::leg::{LegCommand, LegEnd, LegEvent, SipStatus};
use crate::call::switch::Input;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn under(key: &str, number: &str) -> CallRequest {
    let request = Fingerprint::of(&[number.as_bytes()]);
    CallRequest { keyed: Some(Keyed { key: key_of(key), request }), ..to(number) }
}

fn key_of(key: &str) -> Fingerprint {
    Fingerprint::of(&[key.as_bytes()])
}

fn dial(key: &str, number: &str) -> Command {
    Command::Dial(Box::new(under(key, number)))
}

fn create(key: &str, number: &str) -> Command {
    Command::CreatePending(Box::new(under(key, number)))
}

fn dials(world: &World) -> usize {
    world.legs.iter().filter(|command| matches!(command, LegCommand::Dial { .. })).count()
}

fn body_of(reply: Option<Reply>) -> Value {
    serde_json::from_str(&Response::of(reply.unwrap()).body).unwrap()
}

fn hang_up(world: &mut World) {
    world.ask(Command::Hangup(crate::call::command::SessionRef::Current)).unwrap().unwrap();
}

#[test]
fn a_repeated_call_is_not_dialled_and_its_first_answer_is_in_the_store() {
    let mut world = World::new(json!({}));
    let first = body_of(world.ask(dial("k", "1001")));
    assert_eq!(first["dialing"], true);
    for _ in 0..2 {
        assert_eq!(world.ask(dial("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    }
    assert_eq!(world.answers[&key_of("k")].1, first, "word for word");
    // Neither a busy line nor the end of the call changes that.
    hang_up(&mut world);
    assert_eq!(world.ask(dial("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    assert_eq!((dials(&world), world.metas.len()), (1, 1));
}

#[test]
fn a_repeated_request_is_stored_once() {
    let mut world = World::new(json!({}));
    let first = body_of(world.ask(create("k", "1001")));
    assert_eq!(world.ask(create("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    assert_eq!(world.answers[&key_of("k")].1, first);
    let Some(Ok(Answer::PendingList(list))) = world.ask(Command::ListPending) else { panic!() };
    assert_eq!(list.len(), 1);
    assert!(world.ask(create("other", "1001")).unwrap().is_ok());
}

#[test]
fn another_request_under_the_key_and_one_that_is_still_running_are_conflicts() {
    let mut world = World::new(json!({ "max_concurrent_calls": 9 }));
    world.hold_commits = true;
    assert_eq!(world.ask(dial("k", "1001")), None);
    let running = world.refused(dial("k", "1001"));
    assert_eq!(
        (running.kind, running.retry_after_sec),
        (RefusalKind::Conflict(Conflict::KeyRunning), Some(1))
    );
    assert!(running.message.contains("still running"), "{}", running.message);
    world.release();
    assert_eq!(world.ask(dial("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    let other = world.refused(dial("k", "1002"));
    assert_eq!(other.kind, RefusalKind::Conflict(Conflict::KeyOfAnother));
    assert!(other.message.contains("another request"), "{}", other.message);
    assert_eq!(dials(&world), 1);
}

#[test]
fn after_an_error_the_same_key_may_try_again() {
    let mut world = World::new(json!({}));
    world.leg(LegEvent::Status(SipStatus::default()));
    assert_eq!(world.refused(dial("k", "1001")).kind, RefusalKind::Unavailable);
    world.leg(LegEvent::Status(SipStatus { started: true, ..SipStatus::default() }));
    for command in [dial, create] {
        world.store_fault = Some(CommitError::Storage("disk full".into()));
        assert_eq!(world.refused(command("k", "1001")).kind, RefusalKind::Storage);
        world.store_fault = None;
    }
    assert!(world.answers.is_empty());
    assert_eq!(body_of(world.ask(dial("k", "1001")))["dialing"], true);
    assert_eq!(world.refused(dial("another", "1002")).message, "no line is free");
    hang_up(&mut world);
    assert_eq!(body_of(world.ask(dial("another", "1002")))["dialing"], true);
}

#[test]
fn a_key_whose_call_failed_after_it_was_stored_is_free_again_on_disk_too() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    assert_eq!(world.ask(dial("k", "1001")), None);
    world.pass(Duration::from_millis(4500));
    world.release();
    let failed = body_of(world.replies.values().next().cloned());
    assert_eq!((&failed["status"], &failed["request"]["consumed"]), (&json!(502), &json!(false)));
    assert!(world.answers.is_empty(), "a restart would give an answer that was never given");
    assert_eq!(body_of(world.ask(dial("k", "1001")))["dialing"], true);
    assert_eq!(dials(&world), 1);
}

#[test]
fn while_the_failure_itself_is_not_on_disk_the_key_is_not_free() {
    let mut world = World::new(json!({}));
    world.hold_commits = true;
    assert_eq!(world.ask(dial("k", "1001")), None);
    world.pass(Duration::from_millis(4500));
    // The session is stored, what closes it is not.
    world.store_fault = Some(CommitError::Storage("disk full".into()));
    world.release();
    let failed = world.replies.values().next().unwrap().clone().unwrap_err();
    assert_eq!(failed.kind, RefusalKind::Unavailable);
    assert!(world.refused(dial("k", "1001")).message.contains("still running"));
    world.store_fault = None;
    world.pass(Duration::from_secs(2));
    assert_eq!(body_of(world.ask(dial("k", "1001")))["dialing"], true);
}

#[test]
fn a_key_is_forgotten_after_a_day_in_memory_and_on_disk() {
    let mut world = World::new(json!({}));
    let first = body_of(world.ask(create("k", "1001")));
    world.pass(Duration::from_secs(86_399));
    assert_eq!(world.ask(create("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    assert_eq!(world.answers.len(), 1);
    world.pass(Duration::from_secs(1));
    assert!(world.answers.is_empty());
    assert_eq!(world.deadline, None, "nothing wakes an idle switch");
    let second = body_of(world.ask(create("k", "1001")));
    assert_ne!(second["request"]["request_id"], first["request"]["request_id"]);
}

#[test]
fn a_restart_keeps_the_key() {
    let mut before = World::new(json!({}));
    before.ask(dial("k", "1001")).unwrap().unwrap();
    let answered = before.answers.values().map(|(answered, _)| answered.clone()).collect();
    let mut after = World::with(json!({}), Recovered { answered, ..Recovered::default() });
    assert_eq!(after.ask(dial("k", "1001")), Some(Ok(Answer::Again(key_of("k")))));
    let other = after.refused(dial("k", "1002"));
    assert_eq!(other.kind, RefusalKind::Conflict(Conflict::KeyOfAnother));
    assert_eq!(dials(&after), 0);
    after.pass(DAY);
    assert_eq!(body_of(after.ask(dial("k", "1001")))["dialing"], true);
}

#[test]
fn a_call_that_was_answered_and_then_refused_by_the_other_side_keeps_its_key() {
    let mut world = World::new(json!({}));
    world.ask(dial("k", "1001")).unwrap().unwrap();
    let call = world.dialled();
    let end = LegEvent::Ended { call, end: LegEnd::Busy, code: Some(486), detail: "Busy Here".into() };
    world.input(Input::Leg(end));
    assert_eq!(world.only_meta()["end_reason"], "busy");
    assert_eq!(world.ask(dial("k", "1001")), Some(Ok(Answer::Again(key_of("k")))), "202 was the answer");
}
