//! Phones and hosts that mean no good.

use super::world::{A, World, called};
use crate::base::Rng;
use crate::call::leg::LegEnd;
use crate::call::phone_line::{Memory, VoiceEvent};
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, Place};
use crate::hfp::ag::{Happening, Options};
use crate::hfp::host::{Address, Device, Event, PairingAsk, Task};

#[test]
fn ten_thousand_rings_cost_one_call_and_a_few_lines() {
    let mut world = World::with_phone(Options::default());
    world.happens(called("+15550100"));
    let (events, shows) = (world.events.len(), world.shows);
    for _ in 0..100 {
        world.says(&"\r\nRING\r\n\r\n+CLIP: \"+15550100\",145\r\n".repeat(100));
        world.wait(10);
    }
    assert_eq!(world.events.len(), events);
    assert!(world.shows - shows <= 6, "{}", world.shows - shows);
}

#[test]
fn indicators_that_never_rest_are_shown_five_times_a_second() {
    let mut world = World::with_phone(Options::default());
    let shows = world.shows;
    for _ in 0..1000 {
        world.says("\r\n+CIEV: 5,1\r\n\r\n+CIEV: 5,2\r\n\r\n+CIEV: 5,4\r\n");
        world.wait(5);
        world.says("\r\n+CIEV: 5,3\r\n");
        world.wait(5);
    }
    let shows = world.shows - shows;
    assert!((10..=51).contains(&shows), "{shows} in ten seconds");
    world.wait(300);
    assert_eq!(world.shown.phones[0].said.as_ref().unwrap().signal, 3, "the last word counts");
}

#[test]
fn calls_that_come_and_go_without_end_are_told_every_two_seconds_at_most() {
    let old = Options { features: None, lists_calls: false, ..Options::default() };
    let mut world = World::with_phone(old);
    let events = world.events.len();
    for _ in 0..1000 {
        world.says("\r\n+CIEV: 3,1\r\n\r\nRING\r\n\r\n+CLIP: \"5550100\",129\r\n");
        world.says("\r\n+CIEV: 3,0\r\n");
        world.wait(10);
    }
    assert!(world.events.len() - events <= 12, "{}", world.events.len() - events);
}

#[test]
fn a_phone_that_does_not_hang_up_is_asked_twice_and_left() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().deaf_to = vec!["AT+CHUP"];
    world.command(PhoneCommand::Hangup { call });
    world.command(PhoneCommand::Hangup { call });
    world.wait(30_000);
    let (end, detail) = world.ended(call).unwrap();
    assert_eq!((end, detail.as_str()), (PhoneEnd::Leg(LegEnd::LocalHangup), "the phone did not end it"));
    assert!(world.got("AT+CHUP") <= 4, "{}", world.got("AT+CHUP"));
    assert_eq!(world.sims[&A].routed, None);
}

#[test]
fn a_phone_that_says_nothing_of_a_dialled_call_is_not_waited_for() {
    let mut world = World::with_phone(Options::default());
    world.sim().deaf_to = vec!["ATD"];
    let call = world.dial("+15550199");
    world.wait(14_000);
    assert_eq!(world.ended(call), None);
    world.wait(1_100);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::Leg(LegEnd::Failed));
}

#[test]
fn a_phone_that_refuses_to_dial_says_why() {
    for (words, end) in [
        ("+CME ERROR: 30", LegEnd::NetworkError),
        ("+CME ERROR: 3", LegEnd::Failed),
        ("BUSY", LegEnd::Busy),
        ("ERROR", LegEnd::Failed),
    ] {
        let mut world = World::with_phone(Options::default());
        world.sim().deaf_to = vec!["ATD"];
        let call = world.dial("+15550199");
        world.says(&format!("\r\n{words}\r\n"));
        assert_eq!(world.ended(call), Some((PhoneEnd::Leg(end), words.to_owned())));
    }
}

#[test]
fn a_phone_that_is_lost_for_good_takes_its_call_along_after_ten_seconds() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().near = false;
    world.breaks(A);
    world.wait(9_900);
    assert_eq!(world.ended(call), None);
    world.wait(200);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::PhoneLost);
}

#[test]
fn a_call_that_ended_while_the_phone_was_away_is_over_and_one_to_be_ended_is_ended() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().near = false;
    world.breaks(A);
    world.sim().ag.happens(Happening::Over);
    world.sim().near = true;
    world.wait(5000);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::Leg(LegEnd::RemoteHangup));

    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().near = false;
    world.breaks(A);
    world.command(PhoneCommand::Hangup { call });
    world.sim().near = true;
    world.wait(5000);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::Leg(LegEnd::LocalHangup));
    assert_eq!(world.on_handset(), []);
}

#[test]
fn more_devices_than_anybody_has_are_not_kept() {
    let mut world = World::with_host(Memory::default());
    for last in 0..=255 {
        let address = Address::new([1, 2, 3, 4, 5, last]);
        world.report(Event::Device(Device { address, ..super::world::device(address) }));
    }
    world.wait(300);
    assert_eq!(world.shown.phones.len(), 64);
}

/// Whatever comes in whatever order: every deadline is worked off, every call ends once, and closing ends all.
#[test]
fn nothing_that_comes_in_any_order_makes_it_run_without_end_or_end_a_call_twice() {
    for seed in 0..300 {
        let mut rng = Rng::from_u64(seed);
        let mut world = World::with_phone(if seed % 3 == 0 {
            Options { features: None, lists_calls: false, ..Options::default() }
        } else {
            Options::default()
        });
        let mut calls = vec![];
        for _ in 0..60 {
            let call = calls.last().copied().unwrap_or(crate::base::CallId(1));
            match rng.below(24) {
                0 => world.happens(called("+15550100")),
                1 => world.happens(Happening::OwnerAnswers),
                2 => world.happens(Happening::OtherAnswers),
                3 | 4 => world.happens(Happening::Over),
                5 => world.happens(Happening::WantsAudio),
                6 => world.happens(Happening::OwnerDials(crate::base::Pii("5550123".into()))),
                7 => calls.push(world.dial("+15550199")),
                8 | 9 => world.command(PhoneCommand::Answer { call }),
                10 => world.command(PhoneCommand::Hangup { call }),
                11 => world.command(PhoneCommand::HandOver { call, to: Place::Handset }),
                12 => world.command(PhoneCommand::HandOver { call, to: Place::Agent }),
                13 if world.sims[&A].linked => world.breaks(A),
                14 if world.sims[&A].voice.is_some() => world.voice_lost(),
                15 => world.voice(VoiceEvent::Mute),
                16 => world.voice(VoiceEvent::Unusable),
                17 => world.voice(VoiceEvent::Failed("EBUSY".into())),
                18 => world.sim().voice_works ^= true,
                19 => world.sim().near ^= true,
                20 => world.report(Event::Pairing { device: A, ask: PairingAsk::Allow }),
                21 => world.report(Event::Done { task: Task::Connect, device: A, result: Err("x".into()) }),
                _ => world.wait(u64::from(rng.below(4000))),
            }
            calls.extend(world.told_incoming());
            calls.dedup();
        }
        world.command(PhoneCommand::Close);
        world.wait(2000);
        assert_eq!(world.events.last(), Some(&PhoneEvent::Closed), "seed {seed}");
        for call in calls {
            assert!(world.ended(call).is_some(), "seed {seed}");
        }
        assert_eq!(world.drain(), None);
    }
}
