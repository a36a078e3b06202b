//! Phones in the stream: what is told of them outside calls.

use std::time::Duration;

use serde_json::{Value, json};

use super::phones::{PIXEL, connected, named, on_phones, phone, tell};
use super::world::World;
use crate::base::Pii;
use crate::call::command::{Answer, Command, PhoneAsk};
use crate::call::journal::Recovered;
use crate::call::phones::{Phone, PhoneEvent, PhoneLink, Phones};
use crate::call::switch::Input;
use crate::hfp::Codec;
use crate::hfp::slc;

/// A phone is on its way: it is shown, and not yet as connected.
fn on_its_way() -> World {
    let mut world = on_phones(json!({}));
    shows(&mut world, Phone { link: PhoneLink::Connecting, ..phone(PIXEL) });
    world
}

fn comes(world: &mut World) {
    tell(world, PhoneEvent::Connected { phone: named(PIXEL) });
}

fn goes(world: &mut World, sentence: &str) {
    tell(world, PhoneEvent::Disconnected { phone: named(PIXEL), sentence: sentence.into() });
}

fn shows(world: &mut World, shown: Phone) {
    let phones = Phones { phones: vec![shown], ..connected() };
    tell(world, PhoneEvent::Phones(Box::new(phones)));
}

fn with(battery: u8) -> Phone {
    let said = slc::Phone { battery, own_number: Some(Pii("+4930123".into())), ..slc::Phone::default() };
    Phone { said: Some(said), ..phone(PIXEL) }
}

/// What was told of phones so far: name and payload.
fn told(world: &World) -> Vec<(&str, Value)> {
    let of_no_call = world.events.iter().filter(|event| event.session.is_none());
    of_no_call
        .map(|event| {
            let object: Value = serde_json::from_str(&event.json).unwrap();
            assert_eq!((&object["call_id"], &object["caller_id"]), (&json!(null), &json!(null)));
            (event.name.as_str(), object["payload"].clone())
        })
        .collect()
}

#[test]
fn a_phone_is_told_as_the_status_shows_it_when_it_comes_changes_and_goes() {
    assert_eq!(told(&on_phones(json!({}))), [], "what is shown has not come");
    let mut world = on_its_way();
    comes(&mut world);
    // It is shown a moment later; until then it is as it was.
    assert_eq!(told(&world), []);
    shows(&mut world, with(3));
    shows(&mut world, Phone { voice: Some(Codec::Msbc), ..with(2) });
    let Some(Ok(Answer::Phones(phones))) = world.ask(Command::Phones(PhoneAsk::List)) else { panic!() };
    goes(&mut world, "connection reset");
    let told = told(&world);
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["phone_connected", "phone_changed", "phone_disconnected"]);
    for (_, payload) in &told {
        assert_eq!(payload["address"], PIXEL.to_string());
        assert_eq!(payload["name"], named(PIXEL).name.0);
    }
    assert_eq!((&told[0].1["phone"]["battery"], &told[0].1["phone"]["voice"]), (&json!(3), &json!(null)));
    assert_eq!(told[1].1["phone"], phones["phones"][0]);
    assert_eq!((&told[1].1["phone"]["battery"], &told[1].1["phone"]["voice"]), (&json!(2), &json!("msbc")));
    assert_eq!(told[2].1["reason"], "connection reset");
    assert_eq!(told[2].1.as_object().unwrap().len(), 3);
}

#[test]
fn a_change_too_soon_after_another_is_told_when_its_time_comes_although_nothing_happens_then() {
    let mut world = on_its_way();
    comes(&mut world);
    for battery in [5, 4, 3, 2] {
        shows(&mut world, with(battery));
    }
    assert_eq!(told(&world).len(), 2);
    world.pass(Duration::from_millis(9_999));
    assert_eq!(told(&world).len(), 2);
    world.pass(Duration::from_millis(1));
    assert_eq!(told(&world)[2].1["phone"]["battery"], 2);
    world.pass(Duration::from_secs(3600));
    assert_eq!(told(&world).len(), 3, "it is told once");
}

#[test]
fn a_phone_that_is_back_before_it_was_shown_to_be_away_is_told_although_nothing_new_is_shown() {
    let mut world = on_its_way();
    comes(&mut world);
    shows(&mut world, with(3));
    goes(&mut world, "connection reset");
    comes(&mut world);
    world.pass(Duration::from_millis(9_999));
    assert_eq!(told(&world).len(), 2);
    world.pass(Duration::from_millis(1));
    let told = told(&world);
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["phone_connected", "phone_disconnected", "phone_connected"]);
    assert_eq!(told[2].1, told[0].1);
}

#[test]
fn what_changes_of_a_phone_that_is_away_is_not_told() {
    let mut world = on_its_way();
    comes(&mut world);
    shows(&mut world, with(3));
    goes(&mut world, "out of range");
    for ms in [0, 20_000, 40_000] {
        let link = PhoneLink::Waiting(world.now.mono + Duration::from_millis(ms));
        shows(&mut world, Phone { link, trusted: ms == 0, ..phone(PIXEL) });
        world.pass(Duration::from_secs(60));
    }
    assert_eq!(told(&world).len(), 2);
    comes(&mut world);
    goes(&mut world, "it came and went before anybody saw it");
    assert_eq!(told(&world).len(), 2);
}

#[test]
fn a_phone_that_was_connected_when_the_service_died_is_told_to_be_gone_at_the_start() {
    let phones_here = vec![named(PIXEL)];
    let world = World::with(json!({}), Recovered { next_seq: 70, phones_here, ..Recovered::default() });
    let told = told(&world);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0, &told[0].1["address"]), ("phone_disconnected", &json!(PIXEL.to_string())));
    assert_eq!(world.events[0].seq, 70);
}

#[test]
fn the_end_of_the_service_is_the_end_of_a_phones_connection_and_is_stored() {
    let mut world = on_its_way();
    comes(&mut world);
    shows(&mut world, with(3));
    world.input(Input::Stop);
    goes(&mut world, "the phones are closed");
    assert_eq!(told(&world).last().unwrap().0, "phone_disconnected");
}
