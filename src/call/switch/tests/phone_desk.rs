//! What clients ask about phones themselves.

use serde_json::{Value, json};

use super::phones::{PIXEL, connected, named, on_phones, phone, tell};
use super::world::World;
use crate::call::command::{Answer, Command, Conflict, PhoneAsk, PhoneTask, RefusalKind};
use crate::call::phones::{Pairing, Phone, PhoneCommand, PhoneEvent, PhoneLink, Phones};
use crate::hfp::Codec;
use crate::hfp::host::{Address, PairingAsk};
use crate::hfp::slc;

fn asks(ask: PairingAsk) -> Phones {
    let pairing = Pairing { asks: Some((named(PIXEL), ask)), ..Pairing::default() };
    Phones { pairing, ..connected() }
}

fn told(world: &mut World, phones: Phones) {
    tell(world, PhoneEvent::Phones(Box::new(phones)));
}

fn listed(world: &mut World) -> Value {
    match world.ask(Command::Phones(PhoneAsk::List)) {
        Some(Ok(Answer::Phones(phones))) => phones,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_question_is_one_command_for_the_phone_it_names() {
    let mut world = on_phones(json!({}));
    for (task, command) in [
        (PhoneTask::Connect, PhoneCommand::Connect { phone: PIXEL }),
        (PhoneTask::Disconnect, PhoneCommand::Disconnect { phone: PIXEL }),
        (PhoneTask::Trust, PhoneCommand::Trust { phone: PIXEL, trusted: true }),
        (PhoneTask::Untrust, PhoneCommand::Trust { phone: PIXEL, trusted: false }),
        (PhoneTask::Remove, PhoneCommand::Remove { phone: PIXEL }),
    ] {
        world.phones.clear();
        let Some(Ok(Answer::PhoneAsked(shown))) =
            world.ask(Command::Phones(PhoneAsk::Do { task, phone: PIXEL }))
        else {
            panic!("{task:?}")
        };
        assert_eq!((&shown["address"], &world.phones[..]), (&json!("00:1A:7D:DA:71:13"), &[command][..]));
    }
    world.phones.clear();
    let stranger = PhoneAsk::Do { task: PhoneTask::Connect, phone: Address::new([9; 6]) };
    let refusal = world.refused(Command::Phones(stranger));
    assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::NotFound, "phone not found"));
    assert!(world.phones.is_empty());
}

#[test]
fn a_window_is_open_as_long_as_is_asked_for_or_as_is_configured() {
    let mut world = on_phones(json!({ "discoverable_timeout": 77 }));
    for (timeout_sec, seconds) in [(None, 77), (Some(30), 30)] {
        world.phones.clear();
        let reply = world.ask(Command::Phones(PhoneAsk::OpenWindow { timeout_sec }));
        assert_eq!(reply, Some(Ok(Answer::PairingWindow { timeout_sec: seconds })));
        assert_eq!(world.phones, [PhoneCommand::OpenPairingWindow { seconds }]);
    }
    let mut world = on_phones(json!({ "discoverable_timeout": 0 }));
    let reply = world.ask(Command::Phones(PhoneAsk::OpenWindow { timeout_sec: None }));
    assert_eq!(reply, Some(Ok(Answer::PairingWindow { timeout_sec: 86_400 })), "0 would close it");
    world.ask(Command::Phones(PhoneAsk::CloseWindow)).unwrap().unwrap();
    assert_eq!(world.phones.last(), Some(&PhoneCommand::ClosePairingWindow));
}

#[test]
fn only_a_question_that_is_there_is_answered() {
    let mut world = on_phones(json!({}));
    let answer = |phone, number| Command::Phones(PhoneAsk::AnswerPairing { accept: true, phone, number });
    let yes = || answer(None, None);
    assert_eq!(world.refused(yes()).kind, RefusalKind::Conflict(Conflict::NothingAsked));
    told(&mut world, asks(PairingAsk::TypeThere(7)));
    assert!(world.refused(yes()).message.contains("typed on the phone"));
    for ask in [PairingAsk::Compare(7), PairingAsk::Allow, PairingAsk::Pin("1234".into())] {
        world.phones.clear();
        told(&mut world, asks(ask.clone()));
        world.ask(yes()).unwrap().unwrap();
        assert_eq!(world.phones, [PhoneCommand::AnswerPairing { phone: PIXEL, ask, accept: true }]);
    }
    let other = Some(Address::new([9; 6]));
    for (ask, phone, number, answers) in [
        (PairingAsk::Compare(7), Some(PIXEL), Some(7), true),
        (PairingAsk::Compare(7), Some(PIXEL), None, false),
        (PairingAsk::Allow, Some(PIXEL), None, true),
        (PairingAsk::Compare(7), other, Some(7), false),
        (PairingAsk::Compare(8), Some(PIXEL), Some(7), false),
        (PairingAsk::Pin("000007".into()), Some(PIXEL), Some(7), true),
        (PairingAsk::Allow, Some(PIXEL), Some(7), false),
        (PairingAsk::TypeThere(7), other, Some(7), false),
    ] {
        world.phones.clear();
        told(&mut world, asks(ask.clone()));
        let reply = world.ask(answer(phone, number)).unwrap();
        assert_eq!((reply.is_ok(), world.phones.len()), (answers, usize::from(answers)), "{ask:?}");
        if let Err(refusal) = reply {
            assert_eq!(refusal.kind, RefusalKind::Conflict(Conflict::AskedOtherwise), "{ask:?}");
        }
    }
}

#[test]
fn without_bluetooth_nothing_is_asked_and_the_fault_is_told() {
    let mut world = on_phones(json!({}));
    let fault = "hci0 is blocked: rfkill unblock bluetooth";
    told(&mut world, Phones { fault: Some(fault.into()), ..asks(PairingAsk::Allow) });
    for ask in [
        PhoneAsk::OpenWindow { timeout_sec: None },
        PhoneAsk::CloseWindow,
        PhoneAsk::AnswerPairing { accept: true, phone: None, number: None },
        PhoneAsk::Do { task: PhoneTask::Connect, phone: PIXEL },
    ] {
        let refusal = world.refused(Command::Phones(ask));
        assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Unavailable, fault), "{ask:?}");
    }
    assert!(world.phones.is_empty());
    assert_eq!(listed(&mut world)["fault"], fault);
}

#[test]
fn phones_are_measured_by_their_place_and_a_phone_that_is_gone_has_no_battery() {
    let mut world = on_phones(json!({}));
    let said = slc::Phone { battery: 4, signal: 3, ..slc::Phone::default() };
    let here = Phone { said: Some(said), voice: Some(Codec::Msbc), ..phone(PIXEL) };
    told(&mut world, Phones { phones: vec![here.clone()], ..connected() });
    assert_eq!(world.metric("callscoot_phones_connected"), 1);
    assert_eq!(world.metric("callscoot_phone_battery_level{phone=\"1\"}"), 4);
    assert_eq!(world.metric("callscoot_phone_signal_level{phone=\"1\"}"), 3);
    assert_eq!(world.metric("callscoot_phone_voice_links_open{codec=\"msbc\"}"), 1);
    assert_eq!(world.metric("callscoot_phone_voice_links_open{codec=\"cvsd\"}"), 0);
    let gone = Phone { link: PhoneLink::Away, voice: None, ..here };
    told(&mut world, Phones { phones: vec![gone], ..connected() });
    assert_eq!(world.metric("callscoot_phones_connected"), 0);
    let text = world.metrics.text().unwrap();
    assert!(!text.contains("callscoot_phone_battery_level{") && !text.contains("00:1A"), "{text}");
}

#[test]
fn a_phone_that_comes_back_is_counted() {
    let mut world = on_phones(json!({}));
    for reconnects in [0, 1, 2] {
        tell(&mut world, PhoneEvent::Connected { phone: named(PIXEL) });
        assert_eq!(world.metric("callscoot_phone_reconnects_total"), reconnects);
        tell(&mut world, PhoneEvent::Disconnected { phone: named(PIXEL), sentence: "it went".into() });
    }
    for other in 0..20 {
        let phone = named(Address::new([other; 6]));
        tell(&mut world, PhoneEvent::Connected { phone: phone.clone() });
        tell(&mut world, PhoneEvent::Connected { phone });
    }
    assert_eq!(world.metric("callscoot_phone_reconnects_total"), 2 + 7, "eight phones have a place");
}

#[test]
fn the_status_shows_the_same_phones() {
    let mut world = on_phones(json!({}));
    let listed = listed(&mut world);
    let Some(Ok(Answer::Status(status))) = world.ask(Command::Status) else { panic!() };
    assert_eq!(status["phones"], listed);
    assert_eq!(listed["phones"][0]["selected"], true);
}
