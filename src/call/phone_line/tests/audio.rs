//! Voice links: codecs, links that do not open or carry nothing, hand-over.

use super::world::{A, ADAPTER, World};
use crate::call::phone_line::{Memory, VoiceEvent};
use crate::call::phones::{Mover, PhoneCommand, PhoneEvent, Place};
use crate::hfp::ag::{Happening, Options};
use crate::hfp::{AgFeatures, CallState, Codec};

fn audio(call: crate::base::CallId, at: Place, by: Mover) -> PhoneEvent {
    PhoneEvent::Audio { call, at, by }
}

/// It knows CVSD alone, and cannot be asked for the voice link.
fn plain() -> Options {
    Options { features: Some(AgFeatures::ENHANCED_CALL_STATUS), ..Options::default() }
}

#[test]
fn a_call_is_active_a_second_after_it_was_taken_even_without_a_packet_h11() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.sim().voice_works = false;
    world.command(PhoneCommand::Answer { call });
    world.wait(990);
    assert!(!world.has(&PhoneEvent::Active { call }));
    world.wait(20);
    assert!(world.has(&PhoneEvent::Active { call }));
}

#[test]
fn a_voice_link_that_opens_while_it_rings_reaches_nobody_h11() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.happens(Happening::WantsAudio);
    world.wait(5000);
    assert_eq!(world.sims[&A].voice, Some(Codec::Msbc), "the phone rings through it");
    assert_eq!((world.sims[&A].routed, world.has(&PhoneEvent::Active { call })), (None, false));
    world.command(PhoneCommand::Answer { call });
    assert_eq!((world.sims[&A].routed, world.has(&PhoneEvent::Active { call })), (Some(call), true));
}

#[test]
fn a_codec_that_was_agreed_without_a_link_is_tried_again_with_cvsd_h4() {
    let mut world = World::with_phone(Options::default());
    let call = world.dial("+15550199");
    world.happens(Happening::OtherRings);
    let at = world.sims[&A].got.iter().position(|line| line.starts_with("ATD")).unwrap();
    let before = world.sims[&A].got.iter().position(|line| line == "AT+CNUM").unwrap();
    assert!(before < at, "dialled after everything was set up");
    world.happens(Happening::Over);
    world.wait(3000);
    assert!(world.ended(call).is_some());

    let call = world.rings("+15550100");
    world.sim().voice_works = false;
    world.command(PhoneCommand::Answer { call });
    world.wait(2900);
    assert_eq!(world.got("AT+BAC=1"), 0);
    world.wait(200);
    assert!(world.got("AT+BAC=1") >= 1);
    world.sim().voice_works = true;
    world.wait(2000);
    assert_eq!(world.sims[&A].voice, Some(Codec::Cvsd));
    assert!(!world.memory.is_cvsd_only(A, Some(ADAPTER)), "once is no proof");
    assert!(world.shown.phones[0].cvsd_only);
    assert_eq!(world.sims[&A].routed, Some(call));
}

#[test]
fn msbc_that_does_not_work_gives_way_to_cvsd_and_that_is_remembered_h3() {
    for mute in [true, false] {
        let mut world = World::with_phone(Options::default());
        world.sim().carries = (false, true);
        let call = world.rings("+15550100");
        world.command(PhoneCommand::Answer { call });
        if mute {
            world.wait(1990);
            assert_eq!(world.sims[&A].voice, Some(Codec::Msbc));
            world.wait(20);
        } else {
            world.voice(VoiceEvent::Heard);
            world.voice(VoiceEvent::Unusable);
        }
        world.wait(2000);
        assert_eq!(world.sims[&A].voice, Some(Codec::Cvsd));
        assert!(world.memory.is_cvsd_only(A, Some(ADAPTER)));
        assert!(!world.events.iter().any(|event| matches!(event, PhoneEvent::Audio { .. })));
        let memory = Memory::read(&world.memory.write()).unwrap();
        let mut again = World::with_host(memory);
        again.bring(A, Options::default());
        let features = again.sims[&A].got[0].strip_prefix("AT+BRSF=").unwrap().parse::<u16>().unwrap();
        assert_eq!(features & (1 << 7), 0, "codecs are not even negotiated");
        again.talks();
        assert_eq!(again.sims[&A].voice, Some(Codec::Cvsd));
    }
}

#[test]
fn audio_that_the_phone_takes_is_asked_for_three_times_and_then_told_h9() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().deaf_to = vec!["AT+BCC"];
    world.voice_lost();
    let links = world.connects();
    world.wait(5900);
    assert!(!world.has(&audio(call, Place::Handset, Mover::Phone)));
    world.wait(200);
    assert!(world.has(&audio(call, Place::Handset, Mover::Phone)));
    assert_eq!(world.sims[&A].routed, None);
    assert_eq!(world.connects(), links, "a phone that keeps the audio is not disconnected for it");
    world.wait(60_000);
    world.happens(Happening::WantsAudio);
    assert!(world.has(&audio(call, Place::Agent, Mover::Phone)), "the owner gave it back");
    assert_eq!(world.sims[&A].routed, Some(call));
    assert_eq!(world.count(&audio(call, Place::Handset, Mover::Phone)), 1);
}

#[test]
fn audio_that_comes_back_when_asked_for_is_no_event_h9() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.voice_lost();
    world.wait(1600);
    assert_eq!((world.sims[&A].voice, world.got("AT+BCC")), (Some(Codec::Msbc), 1));
    assert!(!world.events.iter().any(|event| matches!(event, PhoneEvent::Audio { .. })));
    assert_eq!(world.sims[&A].routed, Some(call));
}

#[test]
fn a_link_that_does_not_open_is_bounded_tried_again_and_at_last_the_connection_is_made_anew_once_h10() {
    let mut world = World::with_phone(plain());
    let call = world.rings("+15550100");
    world.sim().voice_works = false;
    world.command(PhoneCommand::Answer { call });
    let links = world.connects();
    world.wait(8000);
    assert!(world.sims[&A].opens >= 1 && world.sims[&A].closes >= 1, "what hangs is closed");
    assert_eq!(world.connects(), links + 1, "the last step");
    assert_eq!(world.ended(call), None);
    world.wait(60_000);
    assert_eq!(world.connects(), links + 1, "once in a call");
    assert!(world.has(&audio(call, Place::Handset, Mover::Phone)));
    assert_eq!(world.on_handset(), [CallState::Active], "the call itself was never touched");
    world.command(PhoneCommand::Hangup { call });
    assert!(world.ended(call).is_some());
}

#[test]
fn a_new_connection_cures_a_voice_link_that_was_stuck_h10() {
    let mut world = World::with_phone(plain());
    let call = world.rings("+15550100");
    world.sim().voice_works = false;
    world.command(PhoneCommand::Answer { call });
    world.wait(6100);
    world.sim().voice_works = true;
    world.wait(4000);
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (Some(Codec::Cvsd), Some(call)));
    assert!(!world.events.iter().any(|event| matches!(event, PhoneEvent::Audio { .. })));
}

#[test]
fn a_link_that_is_refused_is_tried_again_after_a_pause_h10() {
    let mut world = World::with_phone(plain());
    let call = world.talks();
    world.sim().voice_works = false;
    world.voice_lost();
    world.wait(1600);
    assert_eq!(world.sims[&A].opens, 1);
    world.voice(VoiceEvent::Failed("connect: EBUSY".into()));
    world.sim().voice_works = true;
    world.wait(3000);
    assert_eq!((world.sims[&A].opens, world.sims[&A].routed), (2, Some(call)));
}

#[test]
fn a_link_that_carries_nothing_is_given_back_to_the_owner_h2() {
    let mut world = World::with_phone(Options::default());
    world.sim().carries = (false, false);
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    world.wait(120_000);
    assert!(world.has(&audio(call, Place::Handset, Mover::Phone)));
    assert_eq!(world.sims[&A].voice, None);
    assert!(world.sims[&A].closes < 10, "{}", world.sims[&A].closes);
    assert!(world.shown.phones[0].last_error.as_deref().unwrap().contains("doctor"));
}

#[test]
fn the_audio_is_handed_to_the_handset_and_back() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    assert!(world.has(&audio(call, Place::Handset, Mover::Us)));
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (None, None));
    world.wait(600_000);
    assert_eq!((world.sims[&A].voice, world.got("AT+BCC")), (None, 0), "it stays there");
    world.command(PhoneCommand::HandOver { call, to: Place::Agent });
    assert!(world.has(&audio(call, Place::Agent, Mover::Us)));
    assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (Some(Codec::Msbc), Some(call)));
    assert_eq!(world.on_handset(), [CallState::Active]);
}

#[test]
fn bringing_the_audio_back_at_once_waits_until_the_old_link_is_gone() {
    let mut world = World::with_phone(plain());
    let call = world.talks();
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    world.command(PhoneCommand::HandOver { call, to: Place::Agent });
    assert_eq!(world.sims[&A].opens, 0);
    world.wait(399);
    assert_eq!(world.sims[&A].opens, 0);
    world.wait(2);
    assert_eq!(world.sims[&A].opens, 1);
    assert!(world.has(&audio(call, Place::Agent, Mover::Us)));
}

#[test]
fn a_hand_over_that_the_phone_does_not_follow_is_told_and_the_audio_stays_where_it_is() {
    let mut world = World::with_phone(Options::default());
    let call = world.rings("+15550100");
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    assert!(matches!(world.events.last(), Some(PhoneEvent::NotMoved { .. })), "it is not active");
    world.command(PhoneCommand::Answer { call });
    world.wait(1000);
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    world.sim().deaf_to = vec!["AT+BCC"];
    world.command(PhoneCommand::HandOver { call, to: Place::Agent });
    world.wait(8100);
    let told = world.events.iter().filter(|event| matches!(event, PhoneEvent::NotMoved { .. })).count();
    assert_eq!(told, 2);
    assert_eq!((world.sims[&A].routed, world.count(&audio(call, Place::Agent, Mover::Us))), (None, 0));
}

#[test]
fn a_phone_that_insists_is_not_the_owner_who_fetches_the_agent() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    for _ in 0..10 {
        world.happens(Happening::WantsAudio);
        assert_eq!((world.sims[&A].voice, world.sims[&A].routed), (None, None));
        world.wait(1000);
    }
    assert_eq!(world.line.counters().given_back, 10);
    world.wait(3000);
    world.happens(Happening::WantsAudio);
    assert!(world.has(&audio(call, Place::Agent, Mover::Phone)), "that was the owner");
    assert_eq!(world.sims[&A].routed, Some(call));
}
