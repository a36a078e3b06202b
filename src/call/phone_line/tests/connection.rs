//! The adapter, the profile, and phones that come and go.

use super::world::{A, B, World, adapter, device, settings};
use crate::call::leg::LegEnd;
use crate::call::phone_line::{Input, Memory};
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, PhoneLink, PhoneSettings, Place};
use crate::hfp::CallState;
use crate::hfp::ag::{Happening, Options};
use crate::hfp::host::{Adapter, Command, Device, Event};

fn registrations(world: &World) -> usize {
    world.host.iter().filter(|command| **command == Command::RegisterProfile).count()
}

fn fault(world: &World) -> String {
    world.shown.fault.clone().unwrap_or_default()
}

#[test]
fn an_adapter_is_switched_on_the_profile_registered_and_the_phone_connected_h6() {
    let mut world = World::new(Memory::default());
    world.report(Event::Up);
    assert_eq!(world.host, [Command::RegisterProfile]);
    world.report(Event::Adapter(Adapter { powered: false, ..adapter() }));
    assert_eq!(world.host.last(), Some(&Command::PowerOn { adapter: "hci0".into() }));
    world.report(Event::Adapter(adapter()));
    world.bring(A, Options::default());
    assert_eq!(world.connects(), 0, "not before the profile is ours");
    world.report(Event::ProfileRegistered);
    assert_eq!(world.host.last(), Some(&Command::Connect(A)));
    let phone = world.shown.phones[0].name.clone();
    world.wait(300);
    assert!(world.has(&PhoneEvent::Connected { phone }));
    assert_eq!((world.shown.phones[0].link, world.shown.fault.clone()), (PhoneLink::Ready, None));
    assert_eq!(world.shown.phones[0].said.as_ref().map(|said| said.battery), Some(3));
}

#[test]
fn what_keeps_every_phone_from_being_used_is_said() {
    let mut world = World::new(Memory::default());
    world.wait(300);
    assert!(fault(&world).contains("not answered yet"), "{}", fault(&world));
    world.report(Event::Down("org.bluez is not on the bus".into()));
    world.wait(300);
    assert!(fault(&world).contains("not on the bus"), "{}", fault(&world));
    world.report(Event::Up);
    world.wait(300);
    assert!(fault(&world).contains("no Bluetooth adapter"));
    world.report(Event::Adapter(Adapter { powered: false, blocked: true, ..adapter() }));
    world.wait(60_000);
    assert!(fault(&world).contains("rfkill unblock bluetooth"));
    let powers = |world: &World| world.host.iter().filter(|c| matches!(c, Command::PowerOn { .. })).count();
    assert_eq!(powers(&world), 0, "a blocked adapter is not fought");
    world.report(Event::Adapter(Adapter { powered: false, ..adapter() }));
    assert_eq!(powers(&world), 1);
    let sentence = "org.bluez.Error.Busy".to_owned();
    world.report(Event::AdapterRefused { adapter: "hci0".into(), sentence });
    world.wait(10_000);
    assert!(fault(&world).contains("does not switch on: org.bluez.Error.Busy"));
    assert_eq!(powers(&world), 2);
    world.report(Event::Adapter(adapter()));
    let by = Some("wireplumber".to_owned());
    world.report(Event::ProfileRefused { by, sentence: "UUID already registered".into() });
    world.wait(300);
    assert!(fault(&world).contains("bluez5.roles"));
    let call = world.dial("5550199");
    let (end, detail) = world.ended(call).unwrap();
    assert_eq!((end, detail), (PhoneEnd::Leg(LegEnd::NetworkError), fault(&world)));
}

#[test]
fn a_profile_that_belongs_to_another_program_is_asked_for_once_a_minute_h7() {
    let mut world = World::new(Memory::default());
    world.report(Event::Up);
    world.report(Event::Adapter(adapter()));
    for tries in 1..=5 {
        assert_eq!(registrations(&world), tries);
        world.report(Event::ProfileRefused { by: Some("ofonod".into()), sentence: String::new() });
        world.wait(59_000);
        assert_eq!(registrations(&world), tries);
        world.wait(1_500);
    }
    world.report(Event::ProfileRegistered);
    world.wait(600_000);
    assert_eq!((registrations(&world), world.shown.fault.clone()), (6, None));
}

#[test]
fn a_profile_that_nobody_has_any_more_is_taken_at_once_h7() {
    let mut world = World::new(Memory::default());
    let taken = |hands_free| Event::Adapter(Adapter { hands_free, ..adapter() });
    world.report(Event::Up);
    world.report(taken(true));
    world.report(Event::ProfileRefused { by: Some("wireplumber".into()), sentence: String::new() });
    world.wait(10_000);
    world.report(taken(true));
    assert_eq!(registrations(&world), 1);
    world.report(taken(false));
    assert_eq!(registrations(&world), 2);
    world.report(Event::ProfileRegistered);
    world.report(taken(true));
    world.report(taken(false));
    world.wait(600_000);
    assert_eq!((registrations(&world), world.shown.fault.clone()), (2, None));
}

#[test]
fn after_a_restart_of_the_host_or_of_the_adapter_everything_is_asked_for_again_h5() {
    let mut world = World::with_phone(Options::default());
    world.report(Event::Down("org.bluez left the bus".into()));
    world.breaks(A);
    world.wait(60_000);
    assert_eq!((registrations(&world), world.connects()), (1, 1));
    world.report(Event::Up);
    world.report(Event::Adapter(adapter()));
    world.report(Event::Device(device(A)));
    world.report(Event::ProfileRegistered);
    assert_eq!((registrations(&world), world.connects()), (2, 2), "at once");
    assert!(world.sims[&A].linked);
    world.report(Event::AdapterGone("hci0".into()));
    world.breaks(A);
    world.wait(10_000);
    assert_eq!(world.connects(), 2);
    world.report(Event::Adapter(adapter()));
    world.wait(2000);
    assert_eq!(world.connects(), 3);
}

#[test]
fn a_call_outlives_the_host_and_its_phone_is_still_shown_as_what_it_is() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.report(Event::Down("org.bluez left the bus".into()));
    world.wait(60_000);
    assert!(fault(&world).contains("left the bus"));
    let shown = &world.shown.phones[0];
    assert_eq!((shown.link, shown.paired, shown.voice.is_some()), (PhoneLink::Ready, true, true));
    assert_eq!((shown.name.name.0.as_str(), world.ended(call)), ("Sam's phone", None));
    world.breaks(A);
    world.wait(11_000);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::PhoneLost);
    assert!(world.shown.phones[0].paired && world.connects() == 1);
    world.report(Event::Up);
    world.wait(300);
    assert_eq!(world.shown.phones, [], "the host that comes does not know it any more");
}

#[test]
fn a_phone_that_is_not_there_is_called_for_for_ever_once_a_minute_h5() {
    let mut world = World::with_phone(Options::default());
    world.sim().near = false;
    world.breaks(A);
    world.wait(600_000);
    let before = world.connects();
    world.wait(24 * 3_600_000);
    let tries = world.connects() - before;
    assert!((24 * 60..=24 * 120).contains(&tries), "{tries} in a day");
    assert!(matches!(world.shown.phones[0].link, PhoneLink::Waiting(_)));
    assert!(world.shown.phones[0].last_error.as_deref().unwrap().contains("page-timeout"));
    world.sim().near = true;
    world.wait(61_000);
    assert!(world.sims[&A].linked);
    assert_eq!(world.shown.phones[0].last_error, None);
}

#[test]
fn a_phone_that_goes_as_soon_as_it_came_is_not_called_for_without_end_h13() {
    let mut world = World::with_phone(Options::default());
    for _ in 0..20 {
        world.wait(61_000);
        world.breaks(A);
        world.wait(1);
    }
    let tries = world.connects();
    for _ in 0..600 {
        if world.sims[&A].linked {
            world.breaks(A);
        }
        world.wait(1000);
    }
    assert!(world.connects() - tries < 30, "{}", world.connects() - tries);
}

#[test]
fn a_phone_that_connects_for_media_alone_is_called_for_h6() {
    let mut world = World::with_host(Memory::default());
    world.bring(A, Options::default());
    world.sim().near = false;
    world.breaks(A);
    world.wait(3_600_000);
    let before = world.connects();
    world.sim().near = true;
    world.report(Event::Device(Device { connected: true, ..device(A) }));
    world.wait(2100);
    assert_eq!((world.connects(), world.sims[&A].linked), (before + 1, true));
}

#[test]
fn what_the_user_disconnects_stays_so_until_it_comes_by_itself_or_he_wants_it() {
    let mut world = World::with_phone(Options::default());
    world.command(PhoneCommand::Disconnect { phone: A });
    assert_eq!(world.host.last(), Some(&Command::Disconnect(A)));
    world.wait(3_600_000);
    assert_eq!((world.connects(), world.sims[&A].linked), (1, false));
    assert_eq!(world.shown.phones[0].link, PhoneLink::Away);
    let gone = [Event::DeviceGone(A), Event::AdapterGone("hci0".into()), Event::Down("it ends".into())];
    for orderly in [false, true] {
        gone.iter().filter(|_| orderly).for_each(|event| world.report(event.clone()));
        world.wait(60_000);
        world.report(Event::Up);
        world.wait(1000);
        assert_eq!(world.shown.phones, []);
        for event in [Event::Adapter(adapter()), Event::Device(device(A)), Event::ProfileRegistered] {
            world.report(event);
        }
        world.wait(60_000);
        assert_eq!(world.connects(), 1, "nor does a restart of the host change that");
    }
    world.sim().linked = true;
    world.input(Input::Linked { phone: A });
    world.wait(300);
    assert_eq!(world.shown.phones[0].link, PhoneLink::Ready);
    world.command(PhoneCommand::Disconnect { phone: A });
    world.command(PhoneCommand::Connect { phone: A });
    assert_eq!((world.connects(), world.sims[&A].linked), (2, true));
}

/// Another run, which finds what this one remembered; the phone is near.
fn again(world: &World) -> World {
    let mut again = World::with_host(Memory::read(&world.memory.write()).unwrap());
    again.bring(A, Options::default());
    again.wait(60_000);
    again
}

#[test]
fn what_the_user_disconnects_stays_so_over_a_restart_until_he_wants_it() {
    let mut world = World::with_phone(Options::default());
    assert_eq!(again(&world).connects(), 1, "one that nobody disconnected is connected to");
    world.command(PhoneCommand::Disconnect { phone: A });
    let mut world = again(&world);
    assert_eq!((world.connects(), world.sims[&A].linked), (0, false));
    assert_eq!(world.shown.phones[0].link, PhoneLink::Away);
    assert_eq!(again(&world).connects(), 0, "nor is it said once only");
    world.command(PhoneCommand::Connect { phone: A });
    assert_eq!(world.connects(), 1);
    assert_eq!(again(&world).connects(), 1);
}

#[test]
fn a_phone_that_comes_by_itself_or_is_paired_anew_after_a_restart_is_wanted_again() {
    let mut world = World::with_phone(Options::default());
    world.command(PhoneCommand::Disconnect { phone: A });
    let mut came = again(&world);
    came.sim().linked = true;
    came.input(Input::Linked { phone: A });
    assert!(!came.memory.is_dismissed(A));
    came.wait(300);
    came.breaks(A);
    came.wait(60_000);
    assert_eq!((came.connects(), came.sims[&A].linked), (1, true));

    // Its adapter was unplugged: it is no other phone when that is back.
    let mut paired = again(&world);
    paired.report(Event::DeviceGone(A));
    paired.report(Event::Device(device(A)));
    paired.wait(60_000);
    assert_eq!(paired.connects(), 0);
    // Somebody else removed it and pairs it again.
    paired.report(Event::DeviceGone(A));
    paired.report(Event::Device(Device { paired: false, connected: true, ..device(A) }));
    paired.report(Event::Device(device(A)));
    paired.wait(60_000);
    assert_eq!((paired.connects(), paired.sims[&A].linked), (1, true));
    assert!(!paired.memory.is_dismissed(A));
}

#[test]
fn what_the_user_wants_connected_outlives_a_host_that_ends_in_order_and_not_a_new_pairing() {
    let mut world = World::with_host(Memory::default());
    let by_hand = PhoneSettings { auto_select: false, ..settings() };
    world.command(PhoneCommand::Configure(by_hand));
    world.bring(A, Options::default());
    world.command(PhoneCommand::Connect { phone: A });
    assert_eq!(world.connects(), 1);
    let ends = [Event::DeviceGone(A), Event::AdapterGone("hci0".into()), Event::Down("it ends".into())];
    let comes = [Event::Up, Event::Adapter(adapter()), Event::Device(device(A)), Event::ProfileRegistered];
    world.breaks(A);
    ends.into_iter().chain(comes).for_each(|event| world.report(event));
    assert_eq!((world.connects(), world.sims[&A].linked), (2, true));
    world.breaks(A);
    world.report(Event::DeviceGone(A));
    world.report(Event::Device(Device { paired: false, connected: true, ..device(A) }));
    world.report(Event::Device(device(A)));
    world.wait(60_000);
    assert_eq!(world.connects(), 2);
}

#[test]
fn with_a_target_only_that_phone_is_called_for_and_dials() {
    let mut world = World::with_host(Memory::default());
    world.command(PhoneCommand::Configure(PhoneSettings { target: Some(B), ..settings() }));
    world.bring(A, Options::default());
    world.wait(300);
    assert!(world.shown.no_selection.as_deref().unwrap().contains("not paired"));
    world.bring(B, Options::default());
    world.wait(300);
    assert_eq!((world.sims[&A].linked, world.sims[&B].linked), (false, true));
    assert_eq!(world.shown.selected, Some(B));
    world.sims.get_mut(&A).unwrap().linked = true;
    world.input(Input::Linked { phone: A });
    world.happens(super::world::called("+15550100"));
    world.wait(5000);
    assert_eq!(world.told_incoming(), None, "the other phone's calls are its owner's");
}

#[test]
fn a_target_that_is_not_paired_is_named_with_the_key_that_chose_it() {
    let mut world = World::with_host(Memory::default());
    let by_serial = PhoneSettings {
        by_adb: true,
        target: Some(B),
        adb_serial: Some("R5CT".into()),
        bindings: [("R5CT".into(), B)].into(),
        ..settings()
    };
    let other = PhoneSettings { target: Some(A), ..by_serial.clone() };
    let over_bluetooth = PhoneSettings { by_adb: false, ..by_serial.clone() };
    for (settings, key) in
        [(by_serial, "(adb_serial)"), (other, "(target_device)"), (over_bluetooth, "(target_device)")]
    {
        world.command(PhoneCommand::Configure(settings));
        world.wait(300);
        let sentence = world.shown.no_selection.as_deref().unwrap();
        assert!(sentence.contains("not paired") && sentence.contains(key), "{sentence}");
    }
}

#[test]
fn the_phone_used_last_dials_and_that_is_remembered() {
    let mut world = World::with_host(Memory::default());
    world.bring(A, Options::default());
    world.bring(B, Options::default());
    assert_eq!(world.shown.selected, Some(A));
    let first = world.dial("5550199");
    world.wait(300);
    assert_eq!(world.shown.selected, Some(B), "the other one is free");
    let second = world.dial("5550198");
    for phone in [A, B] {
        world.sims.get_mut(&phone).unwrap().ag.happens(Happening::Over);
        world.drain();
    }
    world.wait(500);
    assert!(world.ended(first).is_some() && world.ended(second).is_some());
    assert_eq!(world.shown.selected, Some(B));
    let memory = Memory::read(&world.memory.write()).unwrap();
    let mut again = World::with_host(memory);
    again.bring(A, Options::default());
    again.bring(B, Options::default());
    assert_eq!(again.shown.selected, Some(B));
}

#[test]
fn one_phone_is_called_for_at_a_time_and_none_while_another_one_talks() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.bring(B, Options::default());
    world.wait(60_000);
    assert_eq!(world.connects(), 1);
    world.command(PhoneCommand::Hangup { call });
    world.wait(2000);
    assert!(world.sims[&B].linked);
}

#[test]
fn closing_hangs_up_what_is_ours_and_gives_the_profile_back() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.command(PhoneCommand::Close);
    assert_eq!(world.ended(call).unwrap().0, PhoneEnd::Leg(LegEnd::LocalHangup));
    assert_eq!((world.on_handset(), world.sims[&A].linked), (vec![], false));
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
    assert_eq!(world.host.last(), Some(&Command::UnregisterProfile));
    assert_eq!(world.drain(), None);
    world.report(Event::Up);
    world.dial("5550199");
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed), "nothing comes after it");
}

#[test]
fn closing_leaves_the_owners_call_alone_and_waits_for_no_deaf_phone() {
    let mut world = World::with_phone(Options::default());
    world.happens(Happening::OwnerDials(crate::base::Pii("5550123".into())));
    world.command(PhoneCommand::Close);
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
    assert_eq!((world.on_handset().len(), world.got("AT+CHUP")), (1, 0));

    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.sim().deaf_to = vec!["AT+CHUP"];
    world.command(PhoneCommand::Close);
    assert_eq!(world.ended(call), None);
    world.wait(1300);
    let (end, detail) = world.ended(call).unwrap();
    assert_eq!((end, detail.contains("may go on there")), (PhoneEnd::PhoneLost, true));
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
}

#[test]
fn a_stop_leaves_the_owner_his_conversation_and_a_call_that_rings_for_him() {
    let mut world = World::with_phone(Options::default());
    let call = world.talks();
    world.command(PhoneCommand::HandOver { call, to: Place::Handset });
    world.command(PhoneCommand::Close);
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
    assert_eq!((world.got("AT+CHUP"), world.on_handset()), (0, vec![CallState::Active]));

    let mut world = World::with_phone(Options::default());
    world.rings("+15550100");
    world.command(PhoneCommand::Close);
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
    assert_eq!((world.got("AT+CHUP"), world.on_handset()), (0, vec![CallState::Incoming]));
}

#[test]
fn a_call_that_is_hung_up_before_its_first_packet_leaves_no_deadline_in_the_past() {
    let mut world = World::with_phone(Options::default());
    world.sim().voice_works = false;
    let call = world.dial("+15550100");
    world.happens(Happening::OtherAnswers);
    world.sim().deaf_to = vec!["AT+CHUP"];
    world.command(PhoneCommand::Hangup { call });
    // It fails when it runs without end.
    world.wait(5000);
}

#[test]
fn a_hold_that_is_not_told_any_more_leaves_no_deadline_in_the_past() {
    for breaks in [true, false] {
        let mut world = World::with_phone(Options::default());
        let call = world.talks();
        world.happens(super::world::called("+15550111"));
        world.happens(Happening::OwnerAnswers);
        assert!(world.has(&PhoneEvent::Held { call, held: true }));
        // It comes back sooner than that may be told.
        world.happens(Happening::Over);
        world.happens(Happening::Resumes);
        if breaks {
            world.sim().near = false;
            world.breaks(A);
        } else {
            world.sim().deaf_to = vec!["AT+CHUP"];
            world.command(PhoneCommand::Hangup { call });
        }
        // It fails when it runs without end.
        world.wait(4000);
        assert!(!world.has(&PhoneEvent::Held { call, held: false }));
    }
}

#[test]
fn a_stop_asks_for_no_profile_and_leaves_no_deadline_in_the_past() {
    let mut world = World::with_phone(Options::default());
    world.talks();
    world.report(Event::ProfileRefused { by: None, sentence: String::new() });
    world.wait(59_500);
    let before = registrations(&world);
    world.sim().deaf_to = vec!["AT+CHUP"];
    world.command(PhoneCommand::Close);
    // It fails when it runs without end.
    world.wait(2000);
    assert_eq!(world.events.last(), Some(&PhoneEvent::Closed));
    assert_eq!(registrations(&world), before);
}

#[test]
fn a_voice_link_of_a_phone_that_nobody_knows_any_more_is_closed() {
    let mut world = World::with_phone(Options::default());
    world.link_voice(A, crate::hfp::Codec::Cvsd);
    world.report(Event::DeviceGone(A));
    world.sim().linked = false;
    world.input(Input::RfcommLost { phone: A, sentence: "connection reset".into() });
    world.wait(1100);
    assert_eq!((world.sims[&A].voice, world.sims[&A].closes), (None, 1));
    world.wait(300);
    assert_eq!(world.shown.phones, []);
}
