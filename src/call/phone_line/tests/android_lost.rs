//! The Bluetooth connection, or the voice link alone, is lost in a call that only the Android Debug Bridge shows.

use super::android::{deaf, dial, end, give_up, leg, serial};
use super::world::{A, World, called};
use crate::adb::{self, CallState as Seen, Failure, Task};
use crate::base::{CallId, Pii};
use crate::call::leg::LegEnd;
use crate::call::phones::{Mover, PhoneCommand, PhoneEnd, PhoneEvent, Place};
use crate::hfp::ag::Happening;
use crate::hfp::host::Event;
use crate::hfp::{CallState, Codec};

impl World {
    /// A call that was dialled over the bridge, and that the phone never lists.
    fn talks_unlisted() -> (Self, CallId) {
        let mut world = World::with_android(deaf());
        let call = world.dials_unlisted();
        assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (Some(Codec::Msbc), Some(call)));
        world.told_adb();
        (world, call)
    }

    fn goes_away(&mut self) {
        self.sim().near = false;
        self.breaks(A);
        assert_eq!(self.sims[&A].routed, None);
    }
}

#[test]
fn a_call_that_only_adb_shows_goes_on_with_its_audio_when_the_phone_is_back() {
    let (mut world, call) = World::talks_unlisted();
    world.breaks(A);
    world.wait(3000);
    assert_eq!(world.end_of(call), None);
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (Some(Codec::Msbc), Some(call)));
    assert_eq!(world.count(&PhoneEvent::Active { call }), 1);
    world.wait(60_000);
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::RemoteHangup)));
}

#[test]
fn a_call_that_only_adb_shows_is_seen_to_its_end_while_the_phone_is_away() {
    let (mut world, call) = World::talks_unlisted();
    world.goes_away();
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::RemoteHangup)));

    let (mut world, call) = World::talks_unlisted();
    world.goes_away();
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [end(call)]);
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::LocalHangup)));

    let (mut world, call) = World::talks_unlisted();
    world.goes_away();
    world.adb_sees(Seen::Held);
    world.adb_sees(Seen::Active);
    world.wait(9900);
    assert_eq!(world.end_of(call), None);
    world.wait(200);
    assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost), "the owner may talk on");
    assert_eq!(world.told_adb(), []);
}

#[test]
fn a_call_that_begins_while_the_phone_is_away_is_found_with_it() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.goes_away();
    world.adb_sees(Seen::Dialing);
    world.adb_did(Task::Dial, Ok(()));
    let progress = |event: &PhoneEvent| matches!(event, PhoneEvent::Progress { .. });
    assert!(!world.events.iter().any(progress), "nothing is told of a phone that is away");
    world.sim().near = true;
    world.wait(5000);
    assert!(world.events.iter().any(progress));
    world.adb_sees(Seen::Active);
    world.wait(3000);
    assert!(world.has(&PhoneEvent::Active { call }));
    assert_eq!(world.sims[&A].routed, Some(call));

    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.breaks(A);
    world.wait(3000);
    assert_eq!(world.end_of(call), None, "it may yet begin");
    world.happens(Happening::OwnerDials(Pii("+15550199".into())));
    world.happens(Happening::OtherAnswers);
    world.adb_did(Task::Dial, Ok(()));
    world.wait(3000);
    assert!(world.has(&PhoneEvent::Active { call }));
}

#[test]
fn a_call_that_does_not_begin_before_its_phone_is_given_up_is_ended_once_it_does() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.goes_away();
    world.wait(10_100);
    assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost));
    assert_eq!(world.told_adb(), [dial(call), give_up(call)]);
    world.adb_did(Task::Dial, Ok(()));
    assert_eq!(world.told_adb(), [end(call)]);

    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.goes_away();
    world.adb_did(Task::Dial, Err(Failure::NoAnswer));
    world.wait(10_100);
    assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost));
    assert_eq!(world.told_adb(), [dial(call), end(call)], "it may have been dialled all the same");
}

#[test]
fn the_audio_of_a_call_that_only_adb_shows_is_asked_for_again_and_at_last_left_at_the_handset() {
    let (mut world, call) = World::talks_unlisted();
    let asked = world.got("AT+BCC");
    world.voice_lost();
    world.wait(1600);
    assert_eq!(world.got("AT+BCC"), asked + 1);
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (Some(Codec::Msbc), Some(call)));
    world.happens(Happening::KeepsAudio(true));
    world.voice_lost();
    world.wait(60_000);
    assert_eq!(world.got("AT+BCC"), asked + 4);
    assert!(world.has(&PhoneEvent::Audio { call, at: Place::Handset, by: Mover::Phone }));
    assert_eq!(world.end_of(call), None);
}

#[test]
fn a_call_that_only_adb_shows_is_left_where_its_end_would_be_another_ones() {
    for (taken, unplugged) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut world, call) = World::talks_unlisted();
        world.happens(called("+15550111"));
        if taken {
            world.happens(Happening::OwnerAnswers);
        }
        let owners = if taken { CallState::Active } else { CallState::Incoming };
        let end = if unplugged {
            world.adb_says(adb::Event::Phone { serial: serial(), state: None });
            PhoneEnd::PhoneLost
        } else {
            world.command(PhoneCommand::Hangup { call });
            leg(LegEnd::LocalHangup)
        };
        world.wait(60_000);
        assert_eq!((world.told_adb(), world.got("AT+CHUP")), (vec![], 0));
        assert_eq!((world.end_of(call), world.on_handset()), (Some(end), vec![owners]));
    }
}

#[test]
fn an_owners_call_that_comes_before_the_second_try_is_not_ended_by_it() {
    let (mut world, call) = World::talks_unlisted();
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [end(call)]);
    world.happens(called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.adb_did(Task::End, Err(Failure::NoEffect));
    world.wait(60_000);
    assert_eq!((world.got("AT+CHUP"), world.on_handset()), (0, vec![CallState::Active]));
    assert_eq!(world.end_of(call), Some(leg(LegEnd::LocalHangup)));
}

#[test]
fn a_phone_of_which_nothing_is_known_is_kept_until_the_call_that_was_given_up_is_ended() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.command(PhoneCommand::Hangup { call });
    world.wait(6000);
    assert_eq!(world.told_adb(), [dial(call), give_up(call)]);
    world.goes_away();
    world.report(Event::DeviceGone(A));
    world.wait(1000);
    world.adb_did(Task::Dial, Ok(()));
    assert_eq!(world.told_adb(), [end(call)]);
    world.adb_did(Task::End, Ok(()));
    assert!(world.line.phones.is_empty());
}

#[test]
fn a_call_that_adb_shows_is_not_lost_to_a_listed_one_that_is_left_alone() {
    let (mut world, call) = World::talks_unlisted();
    world.line.phones.get_mut(&A).unwrap().left.insert(1);
    world.happens(Happening::OwnerDials(Pii("+15550199".into())));
    world.happens(Happening::OtherAnswers);
    world.wait(60_000);
    assert_eq!(world.end_of(call), None);
    world.happens(Happening::Over);
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::RemoteHangup)));
}
