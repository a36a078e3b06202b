//! The pairing window.

use super::world::{A, B, World, device};
use crate::call::phone_line::Memory;
use crate::call::phones::{PAIRING_WINDOW_SEC_MAX, PhoneCommand};
use crate::hfp::host::{Command, Device, Event, PairingAsk, Task};

fn stranger() -> Device {
    Device { paired: false, trusted: false, connected: true, audio_gateway: false, ..device(B) }
}

fn answers(world: &World) -> Vec<bool> {
    let accept = |command: &Command| {
        if let Command::AnswerPairing { accept, .. } = command { Some(*accept) } else { None }
    };
    world.host.iter().filter_map(accept).collect()
}

fn yes(ask: PairingAsk) -> PhoneCommand {
    PhoneCommand::AnswerPairing { phone: B, ask, accept: true }
}

#[test]
fn outside_the_window_nobody_pairs_and_nothing_is_shown() {
    let mut world = World::with_host(Memory::default());
    world.report(Event::Device(stranger()));
    world.report(Event::Pairing { device: B, ask: PairingAsk::Compare(123_456) });
    world.wait(300);
    assert_eq!((answers(&world), world.shown.pairing.asks.clone()), (vec![false], None));
    assert_eq!(world.shown.phones, [], "who is connected is no phone yet");
    world.command(yes(PairingAsk::Compare(123_456)));
    assert_eq!(answers(&world), [false], "there is nothing to accept");
}

#[test]
fn a_phone_that_pairs_in_the_window_is_shown_accepted_trusted_and_connected() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: 120 });
    let open = Command::PairingWindow { adapter: "hci0".into(), seconds: 120 };
    assert_eq!(world.host.last(), Some(&open));
    world.report(Event::Device(stranger()));
    world.report(Event::Pairing { device: B, ask: PairingAsk::Compare(123_456) });
    world.wait(300);
    let (name, ask) = world.shown.pairing.asks.clone().unwrap();
    assert_eq!((name.address, ask), (B, PairingAsk::Compare(123_456)));
    assert_eq!(world.shown.phones.len(), 1);
    world.command(yes(PairingAsk::Compare(123_457)));
    world.command(PhoneCommand::AnswerPairing { phone: A, ask: PairingAsk::Compare(123_456), accept: true });
    assert_eq!(answers(&world), Vec::<bool>::new(), "an answer to another question");
    world.command(yes(PairingAsk::Compare(123_456)));
    let answer = Command::AnswerPairing { device: B, ask: PairingAsk::Compare(123_456), accept: true };
    assert!(world.host.contains(&answer));
    world.report(Event::PairingOver);
    world.report(Event::Device(Device { trusted: false, ..device(B) }));
    assert!(world.host.contains(&Command::Trust(B, true)));
    let close = Command::PairingWindow { adapter: "hci0".into(), seconds: 0 };
    assert!(world.host.contains(&close), "after one success it closes");
    world.wait(3000);
    assert!(world.host.contains(&Command::Connect(B)));
    let pairing = &world.shown.pairing;
    assert_eq!((pairing.open_until, &pairing.asks), (None, &None));
    assert!(pairing.last.as_deref().unwrap().contains("is paired"));
    world.report(Event::Pairing { device: A, ask: PairingAsk::Allow });
    assert_eq!(answers(&world), [true, false]);
}

#[test]
fn a_phone_that_pairs_without_a_yes_for_it_is_not_trusted() {
    let paired = |address| Event::Device(Device { trusted: false, ..device(address) });
    let unpaired = |address| Event::Device(Device { paired: false, trusted: false, ..device(address) });
    let open = || {
        let mut world = World::with_host(Memory::default());
        world.command(PhoneCommand::OpenPairingWindow { seconds: 120 });
        world.report(Event::Device(stranger()));
        world
    };
    let ask = |device| Event::Pairing { device, ask: PairingAsk::Allow };
    let no = PhoneCommand::AnswerPairing { phone: B, ask: PairingAsk::Allow, accept: false };
    let answered_yes = Some(yes(PairingAsk::Allow));
    for (way, asks, answer, pairs) in [
        ("it never asked", false, None, B),
        ("nobody answered", true, None, B),
        ("the answer was no", true, Some(no), B),
        ("the yes was for another", true, answered_yes, A),
    ] {
        let mut world = open();
        world.report(unpaired(A));
        if asks {
            world.report(ask(B));
        }
        if let Some(answer) = answer {
            world.command(answer);
        }
        world.report(paired(pairs));
        world.wait(3000);
        let trusts = world.host.iter().any(|command| matches!(command, Command::Trust(_, true)));
        assert!(!trusts && world.shown.pairing.open_until.is_some(), "{way}");
    }
    let mut world = open();
    world.report(Event::Pairing { device: B, ask: PairingAsk::TypeThere(7) });
    world.report(paired(B));
    assert!(world.host.contains(&Command::Trust(B, true)), "it was typed there");
}

#[test]
fn the_window_closes_by_itself_and_refuses_who_still_asks() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: 30 });
    world.wait(20_000);
    world.command(PhoneCommand::OpenPairingWindow { seconds: 30 });
    world.wait(20_000);
    assert!(world.shown.pairing.open_until.is_some(), "asked for again, it is open that long from then");
    world.report(Event::Pairing { device: B, ask: PairingAsk::Allow });
    world.wait(11_000);
    assert_eq!(answers(&world), [false]);
    assert_eq!((world.shown.pairing.open_until, world.shown.pairing.asks.clone()), (None, None));
    assert!(world.shown.pairing.last.is_some());
}

#[test]
fn the_pin_of_an_old_phone_is_shown_while_the_window_is_open() {
    let mut world = World::with_host(Memory::default());
    let shown = |world: &mut World| {
        world.wait(300);
        world.shown.pairing.pin.clone()
    };
    world.report(Event::PairingPin("111111".into()));
    assert_eq!(shown(&mut world), None);
    world.command(PhoneCommand::OpenPairingWindow { seconds: 30 });
    for pin in ["012345", "543210"] {
        world.report(Event::PairingPin(pin.into()));
        assert_eq!(shown(&mut world).as_deref(), Some(pin));
    }
    world.wait(30_000);
    assert_eq!(shown(&mut world), None, "it has closed");
    world.command(PhoneCommand::OpenPairingWindow { seconds: 30 });
    assert_eq!(shown(&mut world), None, "the next window has its own");
    world.report(Event::PairingPin("012345".into()));
    world.report(Event::Down("bluetoothd is gone".into()));
    assert_eq!(shown(&mut world), None);
}

#[test]
fn the_longest_window_that_the_switch_grants_is_open_to_its_end() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: PAIRING_WINDOW_SEC_MAX });
    let open = Command::PairingWindow { adapter: "hci0".into(), seconds: PAIRING_WINDOW_SEC_MAX };
    assert_eq!(world.host.last(), Some(&open));
    world.wait(u64::from(PAIRING_WINDOW_SEC_MAX) * 1000 - 1000);
    assert!(world.shown.pairing.open_until.is_some());
    world.wait(1500);
    assert_eq!(world.shown.pairing.open_until, None);
}

#[test]
fn a_pairing_that_comes_to_nothing_leaves_the_window_open() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: 120 });
    world.report(Event::Pairing { device: B, ask: PairingAsk::TypeThere(4711) });
    world.command(yes(PairingAsk::TypeThere(4711)));
    assert_eq!(answers(&world), Vec::<bool>::new(), "a number to type takes no answer");
    world.report(Event::Pairing { device: B, ask: PairingAsk::Compare(1) });
    world.report(Event::PairingOver);
    world.wait(300);
    let pairing = &world.shown.pairing;
    assert!(pairing.open_until.is_some() && pairing.asks.is_none() && pairing.last.is_some());
}

#[test]
fn a_phone_known_as_paired_is_not_taken_for_one_that_pairs() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: 120 });
    world.report(Event::Device(device(A)));
    world.wait(300);
    assert!(world.shown.pairing.open_until.is_some());
}

#[test]
fn the_window_stays_shut_without_an_adapter_and_says_why() {
    let mut world = World::new(Memory::default());
    world.command(PhoneCommand::OpenPairingWindow { seconds: 120 });
    world.wait(300);
    assert!(world.shown.pairing.last.as_deref().unwrap().contains("not answered yet"));
    assert_eq!(world.shown.pairing.open_until, None);
}

#[test]
fn a_phone_that_is_removed_is_forgotten() {
    let mut world = World::with_phone(crate::hfp::ag::Options::default());
    let call = world.talks();
    world.command(PhoneCommand::Remove { phone: A });
    assert!(world.ended(call).is_some());
    assert!(world.host.ends_with(&[Command::Disconnect(A), Command::Remove(A)]));
    world.wait(60_000);
    assert_eq!(world.connects(), 1, "not while it is being removed");
    let task = Task::Remove;
    world.report(Event::Done { task, device: A, result: Err("not now".into()) });
    assert!(world.memory.is_dismissed(A) && world.memory.rank(A) == 0, "it is still there");
    world.report(Event::Done { task, device: A, result: Ok(()) });
    assert_eq!(world.memory, Memory::default());
    world.wait(60_000);
    assert_eq!(world.connects(), 1);
    world.report(Event::DeviceGone(A));
    world.wait(300);
    assert_eq!(world.shown.phones, []);
}
