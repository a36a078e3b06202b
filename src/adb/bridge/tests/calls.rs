//! Calls: how often a phone is looked at, and what becomes of commands.

use std::time::Duration;

use super::world::{CALL, World, serial};
use crate::adb::sim::{Android, Model, Phone};
use crate::adb::{CallState, Command, DeviceState, Event, Failure, Settings, Task};
use crate::base::CallId;

const SECOND: Duration = Duration::from_secs(1);
const LOOK: &str = "dumpsys telephony.registry";

/// Looks within this time.
fn looks(world: &mut World, time: Duration) -> usize {
    let before = world.bridge.status().counters.looks;
    world.wait(time);
    (world.bridge.status().counters.looks - before) as usize
}

#[test]
fn an_idle_phone_is_looked_at_only_while_a_call_is_expected() {
    let mut world = World::with(Phone::default());
    assert_eq!(looks(&mut world, 100 * SECOND), 0);
    world.watch(true);
    assert_eq!(looks(&mut world, 10 * SECOND), 20, "every half second");
    world.watch(false);
    assert_eq!(looks(&mut world, 100 * SECOND), 0);
}

#[test]
fn a_call_is_followed_from_its_ringing_to_its_end_and_its_caller_told_once() {
    let mut world = World::with(Phone::default());
    world.watch(true);
    world.phone().called_by("+15550100");
    world.told();
    assert_eq!(looks(&mut world, 10 * SECOND), 20);
    let told = world.told();
    let state = |state| Event::Call { serial: serial("A"), state };
    assert!(
        matches!(&told[..], [Event::Number { number, .. }, call]
        if number.0.as_str() == "+15550100" && *call == state(CallState::Incoming)),
        "{told:?}"
    );
    world.watch(false);
    assert_eq!(looks(&mut world, 10 * SECOND), 20, "a call that is known is followed anyway");
    world.phone().turns(CallState::Active);
    world.wait(SECOND);
    assert_eq!(world.calls(), [CallState::Active]);
    assert_eq!(looks(&mut world, 100 * SECOND), 50, "every two seconds");
    world.phone().turns(CallState::Held);
    world.wait(2 * SECOND);
    world.phone().hangs_up();
    world.wait(2 * SECOND);
    assert_eq!(world.calls(), [CallState::Held, CallState::Idle]);
    assert_eq!(looks(&mut world, 100 * SECOND), 0);
    // The same caller again is told again.
    world.phone().called_by("+15550100");
    world.watch(true);
    assert!(world.told().iter().any(|event| matches!(event, Event::Number { .. })));
}

#[test]
fn a_call_under_way_is_found_when_the_service_starts() {
    for android in [Android::Oldest, Android::Eight, Android::Fourteen] {
        let mut phone = Phone::from(Model { android, ..Model::default() });
        phone.turns(CallState::Active);
        let mut world = World::with(phone);
        assert_eq!(world.calls(), [CallState::Active], "{android:?}");
        assert_eq!(looks(&mut world, 10 * SECOND), 5);
    }
}

#[test]
fn only_an_android_whose_registry_says_no_more_is_asked_for_its_call_list() {
    for (android, lists) in [(Android::Oldest, true), (Android::Eight, false), (Android::Fourteen, false)] {
        let mut phone = Phone::from(Model { android, ..Model::default() });
        phone.turns(CallState::Dialing);
        let mut world = World::with(phone);
        assert_eq!(world.calls(), [CallState::Dialing]);
        assert_eq!(world.phone().said().contains(&"dumpsys telecom".into()), lists, "{android:?}");
    }
}

#[test]
fn a_number_is_dialled_and_done_when_the_call_is_seen() {
    let mut world = World::with(Phone::default());
    world.said();
    world.told();
    world.dial();
    assert_eq!(world.said(), [LOOK, "am start -a android.intent.action.CALL -d tel:%2B49301", LOOK]);
    let told = world.told();
    let done = Event::Done { serial: serial("A"), call: CALL, task: Task::Dial, result: Ok(()) };
    assert_eq!(told, [Event::Call { serial: serial("A"), state: CallState::Dialing }, done]);
    assert_eq!(looks(&mut world, 5 * SECOND), 10);
    world.end();
    assert_eq!(world.phone().call(), None);
    assert_eq!(world.done(), [(Task::End, Ok(()))]);
}

#[test]
fn a_phone_with_a_call_of_its_owner_is_not_dialled_on() {
    let mut world = World::with(Phone::default());
    world.phone().turns(CallState::Active);
    world.told();
    world.dial();
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::Busy))]);
    assert_eq!(world.phone().call(), Some((CallState::Active, "")));
}

#[test]
fn a_call_that_comes_in_is_answered_and_nothing_is_pressed_when_none_does() {
    let mut world = World::with(Phone::default());
    world.said();
    world.answer();
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::NoCall))]);
    assert_eq!(world.said(), [LOOK]);
    world.phone().called_by("0301");
    world.answer();
    assert_eq!(world.said(), [LOOK, "input keyevent 5", LOOK]);
    assert_eq!(world.done(), [(Task::Answer, Ok(()))]);
    // A second answer would put the caller on hold.
    world.answer();
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::Busy))]);
    assert_eq!(world.phone().call(), Some((CallState::Active, "0301")));
}

#[test]
fn a_waiting_call_is_never_answered_into_the_owners_call_nor_refused_for_another_ones_sake() {
    let mut world = World::with(Phone::default());
    world.phone().turns(CallState::Active);
    world.phone().called_by("0302");
    world.answer();
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::Busy))]);
    world.end();
    assert_eq!(world.done(), [(Task::End, Err(Failure::Busy))]);
    assert_eq!(world.phone().calls().count(), 2);
}

#[test]
fn a_call_that_rings_is_refused_only_where_it_is_the_one_to_be_ended() {
    let mut world = World::with(Phone::default());
    world.phone().called_by("0301");
    world.end();
    assert_eq!(world.done(), [(Task::End, Err(Failure::Busy))]);
    assert_eq!(world.phone().call(), Some((CallState::Incoming, "0301")));
    world.refuse();
    assert_eq!((world.done(), world.phone().call()), (vec![(Task::End, Ok(()))], None));
}

#[test]
fn a_dial_that_is_given_up_is_not_begun_unless_the_phone_was_told_of_it() {
    let give_up = |world: &mut World, call| world.command(Command::GiveUp { serial: serial("A"), call });
    let overtaken = || Err(Failure::Overtaken);
    let mut world = World::with(Phone::default());
    world.silent = true;
    let calls = [1, 2, 3].map(CallId);
    for call in calls {
        world.dial_for(call);
    }
    give_up(&mut world, calls[1]);
    assert_eq!(world.dialled(), [(calls[1], overtaken())], "one that waits");
    give_up(&mut world, calls[0]);
    assert_eq!(world.dialled(), [(calls[0], overtaken())], "the one for which the phone is looked at");
    give_up(&mut world, calls[0]);
    world.silent = false;
    world.wait(20 * SECOND);
    assert_eq!(world.dialled(), [(calls[2], Ok(()))]);
    assert_eq!(world.said().iter().filter(|said| said.starts_with("am ")).count(), 1);

    let mut world = World::with(Phone::default());
    world.phone().model.dials_late = true;
    world.dial();
    give_up(&mut world, CALL);
    assert_eq!(world.done(), []);
    world.phone().turns(CallState::Dialing);
    world.wait(5 * SECOND);
    assert_eq!(world.dialled(), [(CALL, Ok(()))], "whoever gave it up learns that it begins");
}

#[test]
fn every_answer_names_the_call_that_the_command_was_for() {
    let mut world = World::with(Phone::default());
    world.phone().model.dials_late = true;
    world.dial_for(CallId(7));
    world.command(Command::End { serial: serial("A"), call: CallId(8), rings: false });
    world.command(Command::Answer { serial: serial("B"), call: CallId(9) });
    let done = |event| {
        let Event::Done { call, task, result, .. } = event else { return None };
        Some((call.0, task, result))
    };
    let done: Vec<_> = world.told().into_iter().filter_map(done).collect();
    let (overtaken, no_phone) = (Err(Failure::Overtaken), Err(Failure::NoPhone));
    assert_eq!(done, [(7, Task::Dial, overtaken), (8, Task::End, Ok(())), (9, Task::Answer, no_phone)]);
}

#[test]
fn a_call_that_came_in_meanwhile_is_not_taken_for_the_one_that_was_dialled() {
    let mut world = World::with(Phone::default());
    world.phone().model.dials_late = true;
    world.dial();
    world.phone().called_by("0301");
    world.wait(SECOND);
    world.phone().turns(CallState::Active);
    world.wait(SECOND);
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::Busy))]);
}

#[test]
fn whether_a_command_was_done_is_not_known_once_it_was_passed_on() {
    let mut world = World::with(Phone::default());
    world.silent = true;
    world.dial();
    world.end();
    world.server.unplug("A");
    world.silent = false;
    world.settle();
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::NoPhone)), (Task::End, Err(Failure::NoPhone))]);

    let mut world = World::with(Phone::default());
    world.phone().model.dials_late = true;
    world.dial();
    world.command(Command::Configure(Settings {
        enabled: true,
        serial: Some(serial("B")),
        ..Settings::default()
    }));
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::NoAnswer))], "it may begin yet");
}

#[test]
fn a_command_that_the_phone_was_not_told_of_in_time_is_void() {
    let mut world = World::with(Phone::default());
    world.silent = true;
    world.dial();
    world.wait(4 * SECOND);
    world.wait(4 * SECOND);
    world.end();
    world.wait(30 * SECOND);
    world.silent = false;
    world.wait(30 * SECOND);
    assert!(!world.said().iter().any(|said| said.starts_with("am ") || said.starts_with("input")));
}

#[test]
fn ending_nothing_is_done_without_a_key_that_would_darken_the_screen() {
    let mut world = World::with(Phone::default());
    world.said();
    world.end();
    assert_eq!((world.done(), world.said()), (vec![(Task::End, Ok(()))], vec![LOOK.into()]));
}

#[test]
fn keys_that_do_nothing_are_told_after_four_seconds() {
    let mut world = World::with(Model { ignores_keys: true, ..Model::default() });
    world.phone().called_by("0301");
    world.told();
    world.answer();
    world.wait(Duration::from_millis(3900));
    assert_eq!(world.done(), []);
    world.wait(SECOND);
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::NoEffect))]);
    world.refuse();
    world.wait(5 * SECOND);
    assert_eq!(world.done(), [(Task::End, Err(Failure::NoEffect))]);
}

#[test]
fn a_phone_that_refuses_says_so_and_its_words_are_not_for_a_log() {
    let mut world = World::with(Model { refuses_to_dial: true, ..Model::default() });
    world.told();
    world.dial();
    let done = world.done();
    assert!(
        matches!(&done[..], [(Task::Dial, Err(Failure::ByPhone(words)))] if words.0.contains("Permission Denial"))
    );
    assert_eq!(format!("{done:?}"), "[(Dial, Err(ByPhone(***)))]");
}

#[test]
fn a_dialled_call_that_never_comes_is_told_after_ten_seconds() {
    let mut world = World::with(Phone::default());
    world.dial();
    world.phone().hangs_up();
    // The call was seen for a moment: a command is done once.
    assert_eq!(world.done(), [(Task::Dial, Ok(()))]);
    world.wait(SECOND);
    world.server.refuse("shell:am", "closed");
    world.dial();
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::ByServer("closed".into())))]);
}

#[test]
fn ending_does_not_wait_for_the_effect_of_what_came_before() {
    let mut world = World::with(Model { ignores_keys: true, ..Model::default() });
    world.phone().called_by("0301");
    world.told();
    world.answer();
    world.phone().model.ignores_keys = false;
    world.refuse();
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::Overtaken)), (Task::End, Ok(()))]);
    assert_eq!(world.phone().call(), None);
}

#[test]
fn commands_in_a_row_have_an_end() {
    let mut world = World::with(Phone::default());
    world.silent = true;
    for _ in 0..6 {
        world.answer();
    }
    assert_eq!(world.done(), [(Task::Answer, Err(Failure::Busy))], "one under way, four wait");
}

#[test]
fn a_phone_that_hides_its_calls_is_told_once_can_be_hung_up_and_not_dialled() {
    let mut world = World::with(Model { hides_calls: true, ..Model::default() });
    world.wait(60 * SECOND);
    let blind = Event::Blind { serial: serial("A"), failure: Failure::Unreadable };
    assert_eq!(world.told().into_iter().filter(|event| *event == blind).count(), 1);
    assert_eq!(world.bridge.status().counters.looks, 3);
    world.dial();
    assert_eq!(world.done(), [(Task::Dial, Err(Failure::Unreadable))]);
    world.phone().turns(CallState::Active);
    world.end();
    assert_eq!(world.phone().call(), None);
    world.wait(10 * SECOND);
    assert_eq!(world.done(), [(Task::End, Err(Failure::NoEffect))], "done, as far as can be seen not");
    world.phone().model.hides_calls = false;
    world.watch(true);
    assert_eq!(world.calls(), [CallState::Idle]);
}

#[test]
fn a_phone_unplugged_in_a_command_ends_it_and_half_a_dump_is_no_look() {
    let mut world = World::with(Phone::default());
    world.phone().turns(CallState::Active);
    world.watch(true);
    world.told();
    world.silent = true;
    world.end();
    let link = *world.open.last().unwrap();
    let half = b"OKAYOKAYlast known state:\n  Phone Id=0\n    mCallState=0\n";
    world.bridge.handle_input(world.now, crate::adb::Input::Bytes(link, half));
    world.bridge.handle_input(world.now, crate::adb::Input::Closed(link, Ok(())));
    world.silent = false;
    let phone = world.server.unplug("A").unwrap();
    world.settle();
    assert_eq!(world.phone_events(), [None]);
    let told = world.told();
    assert!(!told.iter().any(|event| matches!(event, Event::Call { .. })), "{told:?}");
    world.server.plug("A", DeviceState::Online, phone);
    world.settle();
    assert_eq!(world.calls(), [CallState::Active]);
}

#[test]
fn a_phone_that_does_not_answer_keeps_its_call_for_three_looks() {
    let mut world = World::with(Phone::default());
    world.phone().turns(CallState::Active);
    world.watch(true);
    world.told();
    world.silent = true;
    world.wait(15 * SECOND);
    assert_eq!(world.told(), []);
    world.wait(10 * SECOND);
    assert_eq!(world.told(), [Event::Blind { serial: serial("A"), failure: Failure::NoAnswer }]);
    assert!(world.open.len() <= 2, "late answers are hung up: {}", world.open.len());
    world.silent = false;
    world.wait(10 * SECOND);
    assert_eq!(world.calls(), [CallState::Active]);
}
