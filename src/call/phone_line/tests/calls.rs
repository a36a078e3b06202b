//! Calls from the first ring to the end.

use super::world::{A, World, called};
use crate::base::Pii;
use crate::call::leg::{LegEnd, RejectWhy, RemoteParty};
use crate::call::phone_line::VoiceEvent;
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent};
use crate::hfp::ag::{Happening, Options};
use crate::hfp::{CallState, Codec};

fn leg(end: LegEnd) -> PhoneEnd {
    PhoneEnd::Leg(end)
}

#[test]
fn a_call_comes_in_is_answered_heard_and_hung_up() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    let Some(PhoneEvent::Incoming { remote, phone, .. }) = world.events.last() else { panic!() };
    assert_eq!(remote.number.as_ref().unwrap().as_str(), "+15550100");
    assert_eq!((phone.address, phone.name.0.as_str()), (A, "Sam's phone"));
    assert_eq!(world.sims[&A].routed, None);
    world.command(PhoneCommand::Answer { call });
    assert_eq!(world.on_handset(), [CallState::Active]);
    assert_eq!(world.sims[&A].voice, Some(Codec::Msbc));
    assert!(!world.has(&PhoneEvent::Active { call }), "no packet came yet");
    world.wait(300);
    assert!(world.has(&PhoneEvent::Active { call }));
    assert_eq!(world.sims[&A].routed, Some(call));
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.ended(call), Some((leg(LegEnd::LocalHangup), "hung up here".into())));
    assert_eq!((world.on_handset(), world.sims[&A].routed), (vec![], None));
    world.wait(60_000);
    world.ended(call).unwrap();
    assert_eq!(world.sims[&A].voice, None);
}

#[test]
fn a_call_goes_out_rings_is_taken_and_ended_at_the_other_end() {
    let mut world = World::with_phone(Options::default());
    assert_eq!(world.shown.selected, Some(A));
    let call = world.dial("+15550199");
    assert_eq!(world.got("ATD+15550199;"), 1);
    let phone = world.shown.phones[0].name.clone();
    assert!(world.has(&PhoneEvent::Progress { call, phone: phone.clone(), alerting: false }));
    world.wait(400);
    assert_eq!(world.sims[&A].voice, Some(Codec::Msbc), "the phone's tones come over the link");
    assert_eq!(world.sims[&A].routed, None, "early media reaches nobody");
    world.happens(Happening::OtherRings);
    assert!(world.has(&PhoneEvent::Progress { call, phone, alerting: true }));
    world.wait(5000);
    assert!(!world.has(&PhoneEvent::Active { call }));
    world.happens(Happening::OtherAnswers);
    assert!(world.has(&PhoneEvent::Active { call }), "packets come already");
    assert_eq!(world.sims[&A].routed, Some(call));
    world.happens(Happening::Over);
    assert_eq!(world.ended(call).unwrap().0, leg(LegEnd::RemoteHangup));
}

#[test]
fn a_call_is_refused() {
    for (why, end) in [
        (RejectWhy::Busy, LegEnd::Busy),
        (RejectWhy::Declined, LegEnd::Rejected),
        (RejectWhy::NoAnswer, LegEnd::NoAnswer),
        (RejectWhy::Failed, LegEnd::Failed),
    ] {
        let mut world = World::with_phone(Options::default());
        let call = world.rings("+15550100");
        world.command(PhoneCommand::Reject { call, why });
        assert_eq!((world.ended(call).unwrap().0, world.on_handset()), (leg(end), vec![]));
    }
}

#[test]
fn a_caller_without_a_number_is_told_after_a_second_and_named_when_he_is() {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::Called(None));
    world.wait(900);
    assert_eq!(world.told_incoming(), None, "the number may come");
    world.wait(200);
    let call = world.told_incoming().unwrap();
    world.says("\r\n+CLIP: \"+15550100\",145\r\n");
    let number = crate::base::Number::parse("+15550100").unwrap();
    let remote = RemoteParty { number: Some(number), ..RemoteParty::default() };
    assert!(world.has(&PhoneEvent::Caller { call, remote }));
}

#[test]
fn a_caller_who_gives_up_is_told_so() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.happens(Happening::Over);
    assert_eq!(world.ended(call).unwrap().0, leg(LegEnd::Cancelled));
}

#[test]
fn how_a_call_that_goes_out_fails_is_told_in_the_words_of_the_phone() {
    for (words, end) in [
        ("BUSY", LegEnd::Busy),
        ("NO ANSWER", LegEnd::NoAnswer),
        ("NO CARRIER", LegEnd::Failed),
        ("DELAYED", LegEnd::Failed),
        ("BLACKLISTED", LegEnd::Rejected),
    ] {
        for words_first in [true, false] {
            let mut world = World::with_phone(Options::default());
            let call = world.dial("+15550199");
            if words_first {
                world.says(&format!("\r\n{words}\r\n"));
            }
            world.happens(Happening::Over);
            if !words_first {
                world.says(&format!("\r\n{words}\r\n"));
            }
            world.wait(300);
            assert_eq!(world.ended(call), Some((leg(end), words.to_owned())), "{words_first}");
        }
    }
}

#[test]
fn without_words_it_counts_whether_it_rang() {
    for (rings, end) in [(true, LegEnd::NoAnswer), (false, LegEnd::Failed)] {
        let mut world = World::with_phone(Options::default());
        let call = world.dial("+15550199");
        if rings {
            world.happens(Happening::OtherRings);
        }
        world.happens(Happening::Over);
        world.wait(300);
        assert_eq!(world.ended(call).unwrap().0, leg(end));
    }
}

#[test]
fn a_call_is_given_up_while_it_rings() {
    let mut world = World::with_phone(Options::default());
    let call = world.dial("+15550199");
    world.happens(Happening::OtherRings);
    world.command(PhoneCommand::Hangup { call });
    assert_eq!((world.ended(call).unwrap().0, world.on_handset()), (leg(LegEnd::Cancelled), vec![]));
}

#[test]
fn a_call_of_the_owners_is_told_to_nobody_and_nothing_is_dialled_beside_it_h12() {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::OwnerDials(Pii("5550123".into())));
    world.happens(Happening::OtherAnswers);
    world.wait(10_000);
    assert_eq!(world.shown.phones[0].calls, 1);
    assert_eq!(world.shown.selected, None);
    let call = world.dial("+15550199");
    let (end, detail) = world.ended(call).unwrap();
    assert_eq!((end, detail.contains("in a call")), (leg(LegEnd::Failed), true));
    assert!(!world.sims[&A].got.iter().any(|line| line.starts_with("ATD")));
    assert_eq!(world.on_handset(), [CallState::Active]);
}

#[test]
fn a_waiting_call_is_neither_told_nor_touched_until_it_is_the_only_one_h12() {
    let mut world = World::with_phone(Options::default());
    let first = world.talks();
    let sent = world.sims[&A].got.len();
    world.happens(called("+15550111"));
    world.wait(10_000);
    assert_eq!(world.told_incoming(), Some(first), "the second one is not told");
    let after = &world.sims[&A].got[sent..];
    assert!(after.iter().all(|line| line == "AT+CLCC"), "{after:?}");
    assert_eq!(world.shown.phones[0].calls, 2);
    world.command(PhoneCommand::Hangup { call: first });
    assert_eq!(world.ended(first).unwrap().0, leg(LegEnd::LocalHangup));
    assert_eq!(world.on_handset(), [CallState::Incoming]);
    world.wait(1100);
    let second = world.told_incoming().unwrap();
    assert_ne!(second, first);
    world.command(PhoneCommand::Answer { call: second });
    world.wait(1000);
    assert!(world.has(&PhoneEvent::Active { call: second }));
}

#[test]
fn a_phone_that_is_lost_in_a_call_and_found_again_goes_on_with_it() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    let before = world.connects();
    world.breaks(A);
    world.wait(3000);
    assert_eq!(world.connects(), before + 1, "it is called for at once");
    assert_eq!(world.ended(call), None);
    assert_eq!((world.sims[&A].routed, world.sims[&A].voice), (Some(call), Some(Codec::Msbc)));
    assert_eq!(world.count(&PhoneEvent::Active { call }), 1);
    world.voice_lost();
    world.voice(VoiceEvent::Lost);
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.ended(call).unwrap().0, leg(LegEnd::LocalHangup));
}

#[test]
fn a_call_that_takes_the_index_of_ours_between_two_lists_is_not_ours() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().deaf_to = vec!["AT+CLCC"];
    let lists = world.got("AT+CLCC");
    world.says("\r\n+CIEV: 3,1\r\n\r\n+CIEV: 3,0\r\n");
    assert_eq!(world.got("AT+CLCC"), lists + 1);
    world.says("\r\n+CLCC: 1,1,0,0,0,\"+15550177\",145\r\n\r\nOK\r\n");
    assert_eq!(world.ended(call).unwrap().0, leg(LegEnd::RemoteHangup));
    assert_eq!((world.sims[&A].routed, world.got("AT+CHUP")), (None, 0), "nobody hears that one");
    world.wait(300);
    assert_eq!(world.shown.phones[0].calls, 1);
}
