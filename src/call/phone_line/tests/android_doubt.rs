//! What the Android Debug Bridge did not do, or may have done.

use super::android::{answer, by_adb, deaf, dial, end, give_up, leg, refuse};
use super::world::{A, World, called};
use crate::adb::{self, CallState as Seen, Failure, Task};
use crate::base::Pii;
use crate::call::leg::LegEnd;
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, PhoneSettings};
use crate::hfp::CallState;
use crate::hfp::ag::{Happening, Options};

#[test]
fn what_adb_surely_did_not_do_is_asked_of_the_phone_over_bluetooth() {
    for failure in [
        Failure::NoPhone,
        Failure::Unreadable,
        Failure::ByServer("device offline".into()),
        Failure::ByPhone(Pii("Permission Denial: +15550199".into())),
    ] {
        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        assert_eq!(world.got("ATD+15550199;"), 0);
        world.adb_did(Task::Dial, Err(failure));
        assert_eq!((world.got("ATD+15550199;"), world.on_handset()), (1, vec![CallState::Dialing]));
        world.wait(1000);
        let error = world.shown.phones[0].last_error.clone().unwrap();
        assert!(error.contains("ADB") && !error.contains("5550199"), "{error}");
        world.command(PhoneCommand::Hangup { call });
        world.adb_did(Task::End, Err(Failure::NoPhone));
        assert_eq!((world.got("AT+CHUP"), world.end_of(call)), (1, Some(leg(LegEnd::Cancelled))));
    }
    let mut world = World::with_android(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.adb_did(Task::Answer, Err(Failure::NoEffect));
    assert_eq!(world.got("ATA"), 1);
    world.wait(1000);
    assert!(world.has(&PhoneEvent::Active { call }));
}

#[test]
fn what_adb_may_have_done_is_not_done_twice() {
    for failure in [Failure::Busy, Failure::NoCall, Failure::Overtaken] {
        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        world.adb_did(Task::Dial, Err(failure));
        assert_eq!((world.end_of(call), world.got("ATD+15550199;")), (Some(leg(LegEnd::Failed)), 0));
    }
    for failure in [Failure::NoAnswer, Failure::NoEffect] {
        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        world.adb_did(Task::Dial, Err(failure.clone()));
        world.happens(Happening::OwnerDials(Pii("+15550199".into())));
        world.happens(Happening::OtherAnswers);
        world.wait(5000);
        assert!(world.has(&PhoneEvent::Active { call }), "it was dialled all the same");

        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        world.adb_did(Task::Dial, Err(failure.clone()));
        world.wait(29_000);
        assert_eq!(world.end_of(call), None);
        world.wait(2000);
        assert_eq!((world.end_of(call), world.got("ATD+15550199;")), (Some(leg(LegEnd::Failed)), 0));
        assert_eq!(world.told_adb(), [dial(call), end(call)], "should it come now, nobody would speak");

        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        world.command(PhoneCommand::Hangup { call });
        world.wait(6000);
        assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
        world.adb_did(Task::Dial, Err(failure));
        assert_eq!(world.told_adb(), [dial(call), give_up(call), end(call)]);
    }
    let mut world = World::with_android(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.adb_did(Task::Answer, Err(Failure::Busy));
    world.wait(5000);
    assert_eq!(
        (world.end_of(call), world.got("ATA")),
        (Some(leg(LegEnd::Failed)), 0),
        "there is another call"
    );
}

#[test]
fn a_call_that_was_given_up_before_the_phone_had_dialled_is_ended_when_it_has() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.command(PhoneCommand::Hangup { call });
    world.wait(6000);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
    assert_eq!(world.told_adb(), [dial(call), give_up(call)]);
    let second = world.dial("+15550199");
    assert_eq!(world.end_of(second), Some(leg(LegEnd::Failed)), "the first one may yet come");
    world.adb_sees(Seen::Dialing);
    world.adb_did(Task::Dial, Ok(()));
    assert_eq!(world.told_adb(), [end(call)]);
    let third = world.dial("+15550199");
    assert_eq!(world.told_adb(), [dial(third)]);
}

#[test]
fn a_call_that_was_given_up_is_ended_beside_no_other_one() {
    for (others, ends) in [
        (&[][..], true),
        (&[Happening::OwnerDials(Pii("+15550199".into()))], true),
        (&[called("+15550111")], false),
        (&[Happening::OwnerDials(Pii("+15550199".into())), called("+15550111")], false),
    ] {
        let mut world = World::with_android(deaf());
        let call = world.dial("+15550199");
        world.command(PhoneCommand::Hangup { call });
        world.wait(6000);
        for other in others {
            world.happens(other.clone());
        }
        world.told_adb();
        world.adb_did(Task::Dial, Ok(()));
        assert_eq!(world.told_adb(), if ends { vec![end(call)] } else { vec![] }, "{others:?}");
    }
}

#[test]
fn a_call_that_begins_while_it_is_given_up_is_ended_under_whatever_name_it_has() {
    for (listed, seen) in [(true, true), (false, true), (false, false)] {
        let mut world = World::with_android(deaf());
        let call = world.dial("+15550199");
        world.command(PhoneCommand::Hangup { call });
        assert_eq!(world.told_adb(), [dial(call), give_up(call)]);
        if listed {
            world.happens(Happening::OwnerDials(Pii("+15550199".into())));
        }
        if seen {
            world.adb_sees(Seen::Dialing);
        }
        world.adb_did(Task::Dial, Ok(()));
        assert_eq!(world.told_adb(), [end(call)]);
        if listed {
            world.happens(Happening::Over);
        }
        world.adb_sees(Seen::Idle);
        world.wait(5000);
        assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
    }
}

#[test]
fn an_answer_that_comes_late_is_not_taken_for_one_to_the_next_call() {
    let mut world = World::with_android(deaf());
    let first = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call: first });
    world.happens(Happening::Over);
    world.wait(5000);
    let second = world.rings("+15550111");
    world.command(PhoneCommand::Answer { call: second });
    assert_eq!(world.told_adb(), [answer(first), answer(second)]);
    world.happens(Happening::OwnerAnswers);
    world.adb_did_for(first, Task::Answer, Ok(()));
    world.wait(5000);
    assert!(!world.has(&PhoneEvent::Active { call: second }), "it may be the owner who took it");
    world.adb_did_for(first, Task::Answer, Err(Failure::Busy));
    assert_eq!(world.end_of(second), None);
    world.adb_did_for(second, Task::Answer, Ok(()));
    world.wait(5000);
    assert!(world.has(&PhoneEvent::Active { call: second }));

    world.command(PhoneCommand::Hangup { call: second });
    assert_eq!(world.told_adb(), [end(second)]);
    world.adb_did_for(first, Task::End, Err(Failure::NoEffect));
    assert_eq!(world.got("AT+CHUP"), 0);
    world.adb_did_for(second, Task::End, Err(Failure::NoEffect));
    assert_eq!(world.got("AT+CHUP"), 1);
}

#[test]
fn each_of_two_commands_in_flight_has_its_own_answer() {
    let mut world = World::with_android(Options::default());
    let call = world.dial("+15550199");
    world.happens(Happening::OwnerDials(Pii("+15550199".into())));
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [dial(call), end(call)]);
    world.adb_did(Task::Dial, Err(Failure::Overtaken));
    assert_eq!((world.end_of(call), world.got("AT+CHUP")), (None, 0));
    world.adb_did(Task::End, Err(Failure::NoAnswer));
    assert_eq!((world.end_of(call), world.got("AT+CHUP")), (Some(leg(LegEnd::Cancelled)), 1));
    let next = world.dial("+15550199");
    assert_eq!(world.told_adb(), [dial(next)], "nothing is awaited any more");
}

#[test]
fn a_command_that_is_not_passed_on_is_given_over_bluetooth() {
    let mut world = World::with_android(Options::default());
    let dropped = |world: &mut World| {
        let answer = world.told_adb().pop().unwrap().not_passed_on().unwrap();
        world.adb_says(answer);
    };
    let call = world.dial("+15550199");
    dropped(&mut world);
    assert_eq!((world.got("ATD+15550199;"), world.on_handset()), (1, vec![CallState::Dialing]));
    world.command(PhoneCommand::Hangup { call });
    dropped(&mut world);
    assert_eq!((world.got("AT+CHUP"), world.end_of(call)), (1, Some(leg(LegEnd::Cancelled))));
    world.wait(5000);
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    dropped(&mut world);
    world.wait(1000);
    assert!(world.has(&PhoneEvent::Active { call }));
}

#[test]
fn bluetooth_is_not_asked_to_dial_beside_a_call_nor_when_it_is_away_and_has_its_own_time() {
    let mut world = World::with_android(Options::default());
    let call = world.dial("+15550199");
    world.happens(called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.adb_did(Task::Dial, Err(Failure::Unreadable));
    assert_eq!((world.end_of(call), world.got("ATD+15550199;")), (Some(leg(LegEnd::Failed)), 0));

    let mut world = World::with_android(Options::default());
    world.sim().near = false;
    let call = world.dial("+15550199");
    world.breaks(A);
    world.adb_did(Task::Dial, Err(Failure::Unreadable));
    assert_eq!(world.end_of(call), Some(leg(LegEnd::Failed)));

    let mut world = World::with_android(deaf());
    world.sim().deaf_to.push("ATD");
    let call = world.dial("+15550199");
    world.wait(20_000);
    world.adb_did(Task::Dial, Err(Failure::Unreadable));
    world.wait(4000);
    assert_eq!((world.got("ATD+15550199;"), world.end_of(call)), (1, None));
    world.wait(12_000);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::Failed)));
}

#[test]
fn who_picked_up_is_known_by_whether_the_key_was_pressed() {
    for (failure, ours) in [
        (Failure::Busy, false),
        (Failure::NoPhone, false),
        (Failure::NoAnswer, true),
        (Failure::NoEffect, true),
    ] {
        let mut world = World::with_android(Options::default());
        let call = world.rings("+15550100");
        world.command(PhoneCommand::Answer { call });
        world.happens(Happening::OwnerAnswers);
        world.adb_did(Task::Answer, Err(failure));
        world.wait(5000);
        assert_eq!(world.has(&PhoneEvent::Active { call }), ours);
        assert_eq!(world.end_of(call), (!ours).then_some(PhoneEnd::OwnerAnswered));
        assert_eq!(world.got("ATA"), 0);
    }
}

#[test]
fn a_call_that_is_being_refused_is_not_taken_after_all() {
    let mut world = World::with_android(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.command(PhoneCommand::Hangup { call });
    world.adb_did(Task::Answer, Err(Failure::Overtaken));
    assert_eq!((world.got("ATA"), world.told_adb()), (0, vec![answer(call), refuse(call)]));

    let mut world = World::with_android(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.adb_did(Task::Answer, Ok(()));
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [answer(call), end(call)], "another one that rings is not meant");
}

#[test]
fn settings_that_free_a_phone_in_the_middle_of_an_answer_have_it_answered_over_bluetooth() {
    let mut world = World::with_android(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.command(PhoneCommand::Configure(PhoneSettings { adb_serial: Some("OTHER".into()), ..by_adb() }));
    assert_eq!(world.got("ATA"), 1);
    assert!(world.adb.iter().any(|told| matches!(told, adb::Command::Watch { on: false, .. })));
    world.wait(1000);
    assert!(world.has(&PhoneEvent::Active { call }));
}
