//! The server and its phones: there, not there, plugged in, hostile.

use std::time::Duration;

use super::world::{World, serial};
use crate::adb::sim::{ConnectionId, Model, Phone};
use crate::adb::{
    BluetoothAddress, CallState, Command, DeviceState, Event, Input, LinkId, Settings, Task, Why,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_phone_that_is_plugged_in_is_told_looked_at_once_and_then_left_alone() {
    let mut world = World::with(Phone::default());
    let all = world.told();
    let online = Event::Phone { serial: serial("A"), state: Some(DeviceState::Online) };
    let idle = Event::Call { serial: serial("A"), state: CallState::Idle };
    assert_eq!(all, [Event::Up { version: 41 }, online, idle]);
    let asked = world.connects;
    assert_eq!(world.settle(), None, "no deadline at all");
    world.wait(3600 * SECOND);
    assert_eq!(world.connects, asked);
    assert_eq!(world.open.len(), 1, "only the list stays open");
}

#[test]
fn nothing_is_connected_until_it_is_enabled_and_all_is_closed_when_it_is_not() {
    let mut world = World::new();
    world.server.plug("A", DeviceState::Online, Phone::default());
    world.wait(60 * SECOND);
    assert_eq!(world.connects, 0);
    world.enable();
    assert_eq!(world.open.len(), 1);
    world.told();
    world.command(Command::Configure(Settings::default()));
    assert_eq!(world.told(), [Event::Phone { serial: serial("A"), state: None }]);
    assert_eq!((world.open.len(), world.settle()), (0, None));
}

#[test]
fn phones_come_change_and_go_without_being_asked_for() {
    let mut world = World::with(Phone::default());
    world.told();
    world.server.unplug("A");
    world.server.plug("B", DeviceState::Unauthorized, Phone::default());
    world.settle();
    let state = |name, state| Event::Phone { serial: serial(name), state };
    assert_eq!(world.told(), [state("A", None), state("B", Some(DeviceState::Unauthorized))]);
    let asked = world.connects;
    world.wait(60 * SECOND);
    assert_eq!(world.connects, asked, "a phone that does not allow it is not asked");
    world.server.plug("B", DeviceState::Online, Phone::default());
    world.settle();
    assert_eq!(world.calls(), [CallState::Idle]);
}

#[test]
fn a_server_that_is_not_there_is_told_once_and_looked_for_with_growing_waits() {
    let mut world = World::new();
    world.listens = false;
    world.enable();
    assert_eq!(world.told(), [Event::Down("Connection refused".into())]);
    world.wait(120 * SECOND);
    assert_eq!(world.told(), []);
    assert!((7..14).contains(&world.connects), "{} tries in two minutes", world.connects);
    let tries = world.connects;
    world.wait(600 * SECOND);
    assert!((20..=40).contains(&(world.connects - tries)), "every 15 to 30 s: {}", world.connects - tries);
    assert_eq!(world.bridge.status().fault.as_deref(), Some("Connection refused"));
    world.listens = true;
    world.server.plug("A", DeviceState::Online, Phone::default());
    world.wait(30 * SECOND);
    assert!(world.told().contains(&Event::Up { version: 41 }));
}

#[test]
fn a_server_that_ends_takes_its_phones_along_and_is_found_again_soon() {
    let mut world = World::with(Phone::default());
    world.wait(60 * SECOND);
    world.told();
    world.server_ends();
    let gone = Event::Phone { serial: serial("A"), state: None };
    assert_eq!(world.told(), [gone, Event::Down("the adb server closed the connection".into())]);
    world.listens = true;
    world.wait(SECOND);
    assert!(matches!(world.told().as_slice(), [Event::Up { .. }, Event::Phone { .. }, Event::Call { .. }]));
}

#[test]
fn what_answers_but_is_no_adb_server_is_one() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"OKAY0004 xyz", b"FAIL0002no"] {
        let mut world = World::new();
        world.silent = true;
        world.enable();
        world.bridge.handle_input(world.now, Input::Bytes(LinkId(1), bytes));
        world.settle();
        let told = world.told();
        assert!(matches!(told.as_slice(), [Event::Down(why)] if why.contains("adb server")), "{told:?}");
        assert_eq!(world.open.len(), 0);
    }
}

#[test]
fn a_server_without_an_answer_is_given_up_after_five_seconds() {
    let mut world = World::new();
    world.silent = true;
    world.enable();
    assert_eq!(world.settle(), Some((world.now + 5 * SECOND, Why::Answer)));
    world.wait(5 * SECOND);
    assert_eq!(world.told(), [Event::Down("the adb server does not answer".into())]);
    assert_eq!(world.open.len(), 0);
}

#[test]
fn the_answers_may_come_byte_by_byte() {
    let mut world = World::new();
    world.piece = 1;
    world.server.plug("A", DeviceState::Online, Phone::default());
    world.enable();
    assert_eq!(world.calls(), [CallState::Idle]);
}

#[test]
fn the_bluetooth_address_is_learnt_once_and_looked_for_in_every_place() {
    let address = BluetoothAddress::parse("a0:b1:c2:d3:e4:f5").unwrap();
    let mut world = World::with(Model {
        bluetooth_address: Some(address.to_string().to_ascii_lowercase()),
        ..Model::default()
    });
    let told = Event::Address { serial: serial("A"), address: address.clone() };
    assert!(world.told().contains(&told));
    assert_eq!(world.phone().said(), ["dumpsys telephony.registry", "settings get secure bluetooth_address"]);
    assert_eq!(world.bridge.status().phones[0].address, Some(address.clone()));

    let mut world = World::with(Phone::default());
    assert_eq!(world.phone().said().len(), 5, "a look and four places");
    assert_eq!(world.bridge.status().phones[0].address, None);

    let mut world = World::new();
    world.server.plug("A", DeviceState::Online, Phone::default());
    let bindings = [(serial("A"), address.clone())].into();
    world.command(Command::Configure(Settings { enabled: true, serial: None, bindings }));
    assert_eq!(world.phone().said(), ["dumpsys telephony.registry"], "what is bound is not asked for");
    assert_eq!(world.bridge.status().phones[0].address, Some(address));
}

#[test]
fn only_the_chosen_phone_is_asked_and_commanded() {
    let mut world = World::new();
    world.server.plug("A", DeviceState::Online, Phone::default());
    world.server.plug("B", DeviceState::Online, Phone::default());
    let settings = Settings { enabled: true, serial: Some(serial("B")), ..Settings::default() };
    world.command(Command::Configure(settings));
    assert_eq!(world.phone().said(), [""; 0]);
    world.told();
    world.end();
    assert_eq!(world.done(), [(Task::End, Err(crate::adb::Failure::NoPhone))]);
    let used: Vec<bool> = world.bridge.status().phones.iter().map(|phone| phone.used).collect();
    assert_eq!(used, [false, true]);
    world.enable();
    assert_eq!(world.phone().said()[0], "dumpsys telephony.registry", "it is used now");
}

#[test]
fn a_dump_without_end_costs_a_megabyte() {
    let mut world = World::with(Phone::default());
    world.silent = true;
    world.watch(true);
    let link = *world.open.last().unwrap();
    let now = world.now;
    world.bridge.handle_input(now, Input::Bytes(link, b"OKAYOKAY"));
    let line = [b'x'; 4096];
    for _ in 0..255 {
        world.bridge.handle_input(now, Input::Bytes(link, &line));
    }
    world.settle();
    assert!(world.open.contains(&link));
    world.bridge.handle_input(now, Input::Bytes(link, &line));
    world.settle();
    assert!(!world.open.contains(&link));
    // What still comes on it is nobody's.
    world.bridge.handle_input(now, Input::Bytes(link, b"mCallState=2\n"));
    world.server.closed(ConnectionId(link.0));
}
