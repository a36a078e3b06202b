//! How calls end.

use std::time::Duration;

use serde_json::json;

use super::world::{World, to};
use crate::call::command::{Answer, Command, RefusalKind, SessionRef};
use crate::call::conversation::{AgentCommand, AgentEnd, AgentEvent};
use crate::call::leg::{LegCommand, LegEnd, LegEvent};
use crate::call::switch::Input;

#[test]
fn the_other_side_hangs_up() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.agent(call, AgentEvent::Response { reply: 1, text: "Hello".into() });
    world.pass(Duration::from_secs(3));
    world.leg(LegEvent::Ended { call, end: LegEnd::RemoteHangup, code: None, detail: "BYE".into() });
    assert_eq!(world.agent_commands.last(), Some(&AgentCommand::Close));
    let meta = world.only_meta();
    assert_eq!((&meta["end_reason"], &meta["end_detail"]), (&json!("remote_hangup"), &json!("BYE")));
    assert_eq!((&meta["state"], &meta["ended_at"]), (&json!("idle"), &json!("2026-11-22T08:51:10Z")));
    assert!(meta["summary"].as_str().unwrap().contains("Hello"), "{}", meta["summary"]);
    assert_eq!(world.stream().last(), Some(&"call_ended"));
}

#[test]
fn a_client_hangs_up_and_asking_again_while_it_ends_is_accepted() {
    let mut world = World::new(json!({}));
    world.talking_to("1001");
    world.deaf_legs = true;
    for _ in 0..2 {
        let reply = world.ask(Command::Hangup(SessionRef::Current));
        assert!(matches!(reply, Some(Ok(Answer::HangingUp { backend: "sip", .. }))), "{reply:?}");
    }
    assert_eq!(world.legs.iter().filter(|command| matches!(command, LegCommand::Hangup { .. })).count(), 1);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.only_meta()["end_reason"], "local_hangup");
    assert_eq!(world.refused(Command::Hangup(SessionRef::Current)).message, "no active call");
}

#[test]
fn the_agent_ends_the_conversation_or_fails() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.agent(call, AgentEvent::Ended(AgentEnd::Finished));
    assert!(matches!(world.legs.last(), Some(LegCommand::Hangup { .. })));
    assert_eq!(world.only_meta()["end_reason"], "agent_hangup");

    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.agent(call, AgentEvent::Ended(AgentEnd::Failed { error: "quota".into() }));
    assert_eq!(
        (&world.only_meta()["end_reason"], &world.only_meta()["end_detail"]),
        (&json!("agent_error"), &json!("quota"))
    );
    assert_eq!(world.stream()[2..], ["client_error", "call_ended"]);
}

#[test]
fn the_longest_duration_is_kept() {
    let mut world = World::new(json!({ "max_call_duration_sec": 30 }));
    world.talking_to("1001");
    world.pass(Duration::from_secs(31));
    assert_eq!(world.only_meta()["end_reason"], "max_duration");
    assert!(world.events.iter().any(|event| event.name == "max_call_duration_reached"));
}

#[test]
fn packets_that_stop_coming_end_the_call_but_not_on_hold() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.input(Input::MediaSeen { call, silent_ms: 29_000 });
    assert!(world.current().is_some());
    let mut held = super::world::line();
    held.receive = false;
    world.leg(LegEvent::Audio { call, line: held });
    world.input(Input::MediaSeen { call, silent_ms: 31_000 });
    assert!(world.current().is_some());
    world.leg(LegEvent::Audio { call, line: super::world::line() });
    world.input(Input::MediaSeen { call, silent_ms: 31_000 });
    assert_eq!(world.only_meta()["end_reason"], "media_timeout");
}

#[test]
fn call_ended_is_stored_before_the_current_call_vanishes_and_the_line_is_free_from_then_on() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.hold_commits = true;
    world.leg(LegEvent::Ended { call, end: LegEnd::RemoteHangup, code: None, detail: String::new() });
    assert!(world.current().is_some(), "nothing of the end is on disk yet");
    assert_eq!(world.ask(Command::Dial(Box::new(to("1002")))), None, "waits for the disk, is not refused");
    world.release();
    assert_eq!(world.current().unwrap()["incoming_number"], "1002");
}

#[test]
fn a_full_disk_delays_the_end_but_loses_nothing() {
    let mut world = World::new(json!({}));
    let call = world.talking_to("1001");
    world.store_fault = Some(crate::call::journal::CommitError::Storage("disk full".into()));
    world.leg(LegEvent::Ended { call, end: LegEnd::RemoteHangup, code: None, detail: String::new() });
    world.pass(Duration::from_secs(5));
    assert!(world.current().is_some());
    world.store_fault = None;
    world.pass(Duration::from_secs(3));
    let ended =
        "callscoot_calls_ended_total{backend=\"sip\",direction=\"outbound\",end_reason=\"remote_hangup\"}";
    assert_eq!(
        (world.metric(ended), world.metric("callscoot_calls_live")),
        (1, 0),
        "counted once, tried often"
    );
    assert_eq!(world.metric("callscoot_call_duration_seconds_count{direction=\"outbound\"}"), 1);
    assert_eq!(world.metric("callscoot_call_ring_seconds_count{direction=\"outbound\"}"), 1);
    assert_eq!(world.current(), None);
    assert_eq!(world.only_meta()["end_reason"], "remote_hangup");
    assert_eq!(world.stream().iter().filter(|name| **name == "call_ended").count(), 1);
}

#[test]
fn a_stop_hangs_up_everything_and_comes_to_an_end_even_with_deaf_peers() {
    let mut world = World::new(json!({ "max_concurrent_calls": 2 }));
    world.talking_to("1001");
    world.called_by("1002");
    world.deaf_legs = true;
    world.input(Input::Stop);
    assert!(world.legs.contains_close());
    assert!(!world.stopped);
    world.pass(Duration::from_millis(1800));
    assert!(world.stopped);
    assert!(world.metas.values().all(|meta| meta["end_reason"] == "shutdown"), "{:?}", world.metas);
    assert_eq!(world.stream().iter().filter(|name| **name == "call_ended").count(), 2);
    let refusal = world.refused(Command::Dial(Box::new(to("1003"))));
    assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Storage, "the service is stopping"));
}

trait ContainsClose {
    fn contains_close(&self) -> bool;
}

impl ContainsClose for Vec<LegCommand> {
    fn contains_close(&self) -> bool {
        self.iter().any(|command| matches!(command, LegCommand::Close))
    }
}
