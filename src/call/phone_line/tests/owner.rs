//! The owner and his calls.

use super::world::{A, World, called};
use crate::base::Pii;
use crate::call::leg::LegEnd;
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, PhoneSettings};
use crate::hfp::CallState;
use crate::hfp::ag::{Happening, Options};

/// The owner is in a call that he dialled.
fn owner_talks() -> World {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::OwnerDials(Pii("5550123".into())));
    world.happens(Happening::OtherAnswers);
    world
}

#[test]
fn a_call_that_the_owner_takes_on_the_handset_is_his() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.happens(Happening::OwnerAnswers);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::OwnerAnswered);
    world.wait(60_000);
    assert_eq!((world.on_handset(), world.sims[&A].routed), (vec![CallState::Active], None));
    assert_eq!((world.got("ATA"), world.got("AT+CHUP")), (0, 0));
    world.happens(Happening::Over);
    world.ended(call).unwrap();
    let next = world.rings("+15550101");
    assert_ne!(next, call, "the next one is for us again");
}

#[test]
fn the_owner_who_is_faster_than_we_keeps_the_call() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.sim().deaf_to = vec!["ATA"];
    world.command(PhoneCommand::Answer { call });
    world.sim().ag.happens(Happening::OwnerAnswers);
    world.says("\r\nERROR\r\n");
    world.wait(3000);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::OwnerAnswered);
    assert!(!world.has(&PhoneEvent::Active { call }));
    assert_eq!((world.sims[&A].routed, world.on_handset()), (None, vec![CallState::Active]));
}

#[test]
fn a_phone_that_does_not_let_us_answer_ends_it_here_and_is_not_asked_again() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.sim().deaf_to = vec!["ATA"];
    world.command(PhoneCommand::Answer { call });
    world.says("\r\nERROR\r\n");
    world.wait(2100);
    assert_eq!(world.ended(call), Some((PhoneEnd::Leg(LegEnd::Failed), "ATA was refused".into())));
    world.happens(Happening::RingsAgain);
    world.wait(10_000);
    assert_eq!(world.told_incoming(), Some(call), "the same call is told once");
}

#[test]
fn a_voice_link_for_the_owners_call_is_given_back_at_once_h9() {
    let mut world = owner_talks();
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (None, None));
    assert_eq!(world.line.counters().given_back, 1);
    for given_back in 2..5 {
        world.wait(2000);
        world.happens(Happening::WantsAudio);
        assert_eq!((world.sims[&A].voice, world.line.counters().given_back), (None, given_back));
    }
    world.wait(60_000);
    assert_eq!(world.got("AT+BCC"), 0, "it is never asked for");
}

#[test]
fn a_voice_link_without_any_call_of_the_phone_is_nobodys_h18() {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::WantsAudio);
    world.wait(900);
    assert!(world.sims[&A].voice.is_some(), "the call may be told in a moment");
    world.wait(200);
    assert_eq!((world.sims[&A].voice, world.line.counters().given_back), (None, 1));
    assert_eq!((world.told_incoming(), world.sims[&A].routed), (None, None));
}

#[test]
fn a_link_that_comes_just_before_its_call_is_kept_h18() {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::WantsAudio);
    world.wait(500);
    world.rings("+15550100");
    world.wait(10_000);
    assert!(world.sims[&A].voice.is_some());
}

#[test]
fn a_waiting_call_is_not_answered_into_the_owners_h12() {
    let mut world = owner_talks();
    world.happens(called("+15550100"));
    world.wait(30_000);
    assert_eq!(world.told_incoming(), None);
    assert_eq!(world.on_handset(), [CallState::Active, CallState::Waiting]);
    assert_eq!((world.got("ATA"), world.got("AT+CHLD=0"), world.got("AT+CHUP")), (0, 0, 0));
}

#[test]
fn an_answer_that_comes_after_the_owner_began_a_call_is_not_given_h12() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.happens(Happening::OwnerDials(Pii("5550123".into())));
    world.happens(Happening::OtherAnswers);
    world.command(PhoneCommand::Answer { call });
    assert_eq!((world.ended(call).unwrap().0, world.got("ATA")), (PhoneEnd::OwnerAnswered, 0));
}

#[test]
fn our_call_on_hold_is_heard_by_nobody_and_ended_without_the_owners() {
    for (options, way) in [
        (Options::default(), "AT+CHLD=0"),
        (Options { holds: "0,1,1x,2,2x,3", ..Options::default() }, "AT+CHLD=11"),
    ] {
        let mut world = World::with_phone(options);
        let call = world.talks();
        world.happens(called("+15550111"));
        world.happens(Happening::OwnerAnswers);
        assert_eq!(world.on_handset(), [CallState::Held, CallState::Active]);
        assert!(world.has(&PhoneEvent::Held { call, held: true }));
        assert_eq!((world.sims[&A].routed, world.sims[&A].voice), (None, None));
        world.wait(10_000);
        world.command(PhoneCommand::Hangup { call });
        assert_eq!(world.ended(call).unwrap().0, PhoneEnd::Leg(LegEnd::LocalHangup));
        assert_eq!((world.on_handset(), world.got(way)), (vec![CallState::Active], 1));
    }
}

#[test]
fn our_call_that_comes_back_from_hold_is_heard_again() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.happens(called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.wait(10_000);
    world.happens(Happening::Over);
    world.happens(Happening::Resumes);
    world.wait(3000);
    assert!(world.has(&PhoneEvent::Held { call, held: false }));
    assert_eq!(world.sims[&A].routed, Some(call));
    assert!(world.sims[&A].voice.is_some());
}

#[test]
fn phones_that_are_not_in_use_ring_for_their_owner_alone() {
    let mut world = World::with_phone(Options::default());
    world.command(PhoneCommand::Configure(PhoneSettings { in_use: false, ..super::world::settings() }));
    world.happens(called("+15550100"));
    world.wait(10_000);
    assert_eq!(world.told_incoming(), None);
    assert!(world.sims[&A].linked, "they stay connected");
}

#[test]
fn calls_that_change_places_change_who_is_heard() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.happens(called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.wait(10_000);
    world.happens(Happening::Swaps);
    world.wait(3000);
    assert_eq!(world.sims[&A].routed, Some(call));
    world.happens(Happening::Swaps);
    assert_eq!((world.sims[&A].routed, world.sims[&A].voice), (None, None), "the owner talks at once");
}

#[test]
fn on_a_phone_without_a_list_our_call_on_hold_is_not_taken_for_the_owners() {
    let old = Options { features: None, lists_calls: false, ..Options::default() };
    let mut world = World::with_phone(old);
    // Its first call teaches that it lists none.
    world.happens(called("+15550100"));
    world.happens(Happening::Over);
    world.wait(10_000);
    let call = world.talks();
    world.happens(called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.wait(1000);
    assert!(world.has(&PhoneEvent::Held { call, held: true }));
    assert_eq!((world.sims[&A].routed, world.sims[&A].voice), (None, None));
    world.happens(Happening::Over);
    world.happens(Happening::Resumes);
    world.wait(3000);
    assert_eq!(world.sims[&A].routed, Some(call));
}
