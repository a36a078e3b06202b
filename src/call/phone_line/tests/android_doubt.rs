//! What the Android Debug Bridge did not do, or may have done.

use super::android::{answer, by_adb, deaf, dial, end, give_up, leg};
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
        assert_eq!(world.told_adb(), [dial(), end()], "should it come now, nobody would speak");

        let mut world = World::with_android(Options::default());
        let call = world.dial("+15550199");
        world.command(PhoneCommand::Hangup { call });
        world.wait(6000);
        assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
        world.adb_did(Task::Dial, Err(failure));
        assert_eq!(world.told_adb(), [dial(), give_up(), end()]);
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
    assert_eq!(world.told_adb(), [dial(), give_up()]);
    let second = world.dial("+15550199");
    assert_eq!(world.end_of(second), Some(leg(LegEnd::Failed)), "the first one may yet come");
    world.adb_sees(Seen::Dialing);
    world.adb_did(Task::Dial, Ok(()));
    assert_eq!(world.told_adb(), [], "the bridge ends it by itself");
    world.dial("+15550199");
    assert_eq!(world.told_adb(), [dial()]);
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
    assert_eq!((world.got("ATA"), world.told_adb()), (0, vec![answer(), end()]));
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
