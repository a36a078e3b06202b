//! Phones that are reached over the Android Debug Bridge as well.

use super::world::{A, B, World, number, settings};
use crate::adb::{self, CallState as Seen, DeviceState, Failure, Serial, Task};
use crate::base::{CallId, Pii};
use crate::call::leg::{LegEnd, RemoteParty};
use crate::call::phone_line::Input;
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, PhoneSettings};
use crate::hfp::CallState;
use crate::hfp::ag::{Happening, Options};

pub(super) fn serial() -> Serial {
    Serial::parse("R5CT").unwrap()
}

/// A phone that tells of its calls over Bluetooth, and does nothing that it is told there.
pub(super) fn deaf() -> Options {
    Options { obeys: false, ..Options::default() }
}

pub(super) fn by_adb() -> PhoneSettings {
    PhoneSettings { by_adb: true, ..settings() }
}

impl World {
    /// The phone A is connected, and has told over adb who it is.
    pub(super) fn with_android(options: Options) -> Self {
        let mut world = World::with_phone(options);
        world.command(PhoneCommand::Configure(by_adb()));
        world.plug(serial(), Seen::Idle);
        world.adb_says(adb::Event::Address {
            serial: serial(),
            address: adb::BluetoothAddress::parse(&A.to_string()).unwrap(),
        });
        world.wait(1000);
        assert_eq!(world.shown.phones[0].adb_serial.as_deref(), Some("R5CT"));
        world.adb.clear();
        world
    }

    pub(super) fn plug(&mut self, serial: Serial, call: Seen) {
        self.adb_says(adb::Event::Phone { serial: serial.clone(), state: Some(DeviceState::Online) });
        self.adb_says(adb::Event::Call { serial, state: call });
    }

    pub(super) fn adb_says(&mut self, event: adb::Event) {
        self.input(Input::Adb(event));
    }

    pub(super) fn adb_sees(&mut self, state: Seen) {
        self.adb_says(adb::Event::Call { serial: serial(), state });
    }

    pub(super) fn adb_did(&mut self, task: Task, result: Result<(), Failure>) {
        self.adb_did_for(self.asked[&task], task, result);
    }

    pub(super) fn adb_did_for(&mut self, call: CallId, task: Task, result: Result<(), Failure>) {
        self.adb_says(adb::Event::Done { serial: serial(), call, task, result });
    }

    /// What the bridge was told since the last time, but to look.
    pub(super) fn told_adb(&mut self) -> Vec<adb::Command> {
        let told = std::mem::take(&mut self.adb);
        told.into_iter().filter(|command| !matches!(command, adb::Command::Watch { .. })).collect()
    }

    pub(super) fn end_of(&self, call: CallId) -> Option<PhoneEnd> {
        self.ended(call).map(|(end, _)| end)
    }
}

pub(super) fn dial(call: CallId) -> adb::Command {
    adb::Command::Dial { serial: serial(), call, number: number("+15550199") }
}

pub(super) fn answer(call: CallId) -> adb::Command {
    adb::Command::Answer { serial: serial(), call }
}

pub(super) fn end(call: CallId) -> adb::Command {
    adb::Command::End { serial: serial(), call, rings: false }
}

/// To end a call that comes in.
pub(super) fn refuse(call: CallId) -> adb::Command {
    adb::Command::End { serial: serial(), call, rings: true }
}

pub(super) fn give_up(call: CallId) -> adb::Command {
    adb::Command::GiveUp { serial: serial(), call }
}

pub(super) fn leg(end: LegEnd) -> PhoneEnd {
    PhoneEnd::Leg(end)
}

#[test]
fn the_bridge_is_used_with_its_backend_alone_and_a_serial_that_is_none_names_no_phone() {
    let mut world = World::with_phone(Options::default());
    assert_eq!((world.adb.len(), world.shown.adb.as_ref()), (0, None));
    let settings = PhoneSettings { adb_serial: Some("R5CT".into()), ..by_adb() };
    world.command(PhoneCommand::Configure(settings.clone()));
    let told = |world: &World| {
        let Some(adb::Command::Configure(told)) = world.adb.last() else { panic!("{:?}", world.adb) };
        told.clone()
    };
    assert_eq!((told(&world).enabled, told(&world).serial), (true, Some(serial())));
    world.command(PhoneCommand::Configure(settings.clone()));
    assert_eq!(world.adb.len(), 1, "nothing is new");
    world
        .command(PhoneCommand::Configure(PhoneSettings { adb_serial: Some("no serial".into()), ..settings }));
    world.wait(1000);
    assert!(!told(&world).enabled);
    assert!(world.shown.adb.as_ref().unwrap().fault.as_ref().unwrap().contains("adb_serial"));
}

#[test]
fn a_phone_that_says_who_it_is_is_learnt_and_one_that_hides_it_is_the_one_that_was_configured() {
    let world = World::with_android(Options::default());
    assert_eq!(world.count(&PhoneEvent::Bound { serial: "R5CT".into(), phone: A }), 1);
    let shown = &world.shown.adb.as_ref().unwrap().phones;
    assert_eq!(
        (shown[0].serial.as_str(), shown[0].state, shown[0].phone),
        ("R5CT", DeviceState::Online, Some(A))
    );

    let with = |settings: PhoneSettings| {
        let mut world = World::with_phone(Options::default());
        world.command(PhoneCommand::Configure(PhoneSettings { by_adb: true, ..settings }));
        world.plug(serial(), Seen::Idle);
        world.wait(1000);
        world.shown.phones[0].adb_serial.clone()
    };
    let named = PhoneSettings { adb_serial: Some("R5CT".into()), target: Some(A), ..settings() };
    assert_eq!(with(named), Some("R5CT".into()));
    let bound = PhoneSettings { bindings: [("R5CT".into(), A)].into(), ..settings() };
    assert_eq!(with(bound), Some("R5CT".into()));
    let other = PhoneSettings { bindings: [("R5CT".into(), B)].into(), ..settings() };
    assert_eq!(with(other), None, "it is another one");
    assert_eq!(with(settings()), None, "it could be any");
}

#[test]
fn one_phone_on_a_cable_and_over_the_network_is_one_and_goes_on_when_either_is_lost() {
    let mut world = World::with_android(Options::default());
    let second = Serial::parse("192.168.1.9:5555").unwrap();
    world.plug(second.clone(), Seen::Idle);
    let address = adb::BluetoothAddress::parse(&A.to_string()).unwrap();
    world.adb_says(adb::Event::Address { serial: second.clone(), address });
    world.wait(1000);
    assert_eq!(world.shown.phones[0].adb_serial.as_deref(), Some("R5CT"), "the one that it had");
    world.adb_says(adb::Event::Phone { serial: serial(), state: None });
    world.wait(1000);
    assert_eq!(world.shown.phones[0].adb_serial.as_deref(), Some(second.as_str()));
}

#[test]
fn a_phone_that_does_nothing_over_bluetooth_is_dialled_answered_and_ended_over_adb() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    assert_eq!(world.told_adb(), [dial(call)]);
    world.happens(Happening::OwnerDials(Pii("+15550199".into())));
    world.adb_sees(Seen::Dialing);
    world.adb_did(Task::Dial, Ok(()));
    world.happens(Happening::OtherAnswers);
    world.wait(5000);
    assert!(world.has(&PhoneEvent::Active { call }));
    assert_eq!(world.sims[&A].routed, Some(call), "its audio comes over Bluetooth");
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [end(call)]);
    world.happens(Happening::Over);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::LocalHangup)));

    world.wait(5000);
    let call = world.rings("+15550100");
    world.command(PhoneCommand::Answer { call });
    assert_eq!(world.told_adb(), [answer(call)]);
    world.happens(Happening::OwnerAnswers);
    world.wait(5000);
    assert_eq!(world.end_of(call), None, "the key may be ours");
    assert!(!world.has(&PhoneEvent::Active { call }));
    world.adb_did(Task::Answer, Ok(()));
    world.wait(5000);
    assert!(world.has(&PhoneEvent::Active { call }));
    let forbidden = ["ATD", "ATA", "AT+CHUP"];
    let got = &world.sims[&A].got;
    assert!(got.iter().all(|line| !forbidden.iter().any(|word| line.starts_with(word))), "{got:?}");
}

#[test]
fn a_phone_is_looked_at_while_there_is_a_call_of_ours_and_again_when_it_is_plugged_in_again() {
    let mut world = World::with_android(Options::default());
    let looks = |world: &mut World| {
        let looked = std::mem::take(&mut world.adb)
            .into_iter()
            .filter_map(|command| if let adb::Command::Watch { on, .. } = command { Some(on) } else { None });
        looked.collect::<Vec<_>>()
    };
    let call = world.rings("+15550100");
    assert_eq!(looks(&mut world), [true]);
    world.adb_says(adb::Event::Phone { serial: serial(), state: None });
    world.plug(serial(), Seen::Incoming);
    world.adb_says(adb::Event::Address {
        serial: serial(),
        address: adb::BluetoothAddress::parse(&A.to_string()).unwrap(),
    });
    assert_eq!(looks(&mut world), [false, true], "another one may have its serial number");
    world.happens(Happening::Over);
    assert_eq!((looks(&mut world), world.end_of(call)), (vec![false], Some(leg(LegEnd::Cancelled))));
}

#[test]
fn who_calls_is_learnt_over_adb_where_bluetooth_does_not_say_h17() {
    let mut world = World::with_android(Options::default());
    world.happens(Happening::Called(None));
    world.wait(300);
    assert_eq!(world.told_incoming(), None, "the number may come");
    let caller = |text: &str| adb::Event::Number { serial: serial(), number: Pii(number(text)) };
    world.adb_says(caller("+15550100"));
    world.told_incoming().expect("it is told at once");
    let Some(PhoneEvent::Incoming { remote, .. }) = world.events.last() else { panic!() };
    assert_eq!(remote.number.as_ref().unwrap().as_str(), "+15550100");
    world.happens(Happening::Over);
    world.wait(5000);

    world.happens(Happening::Called(None));
    world.wait(3000);
    let call = world.told_incoming().unwrap();
    world.adb_says(caller("+15550111"));
    world.adb_says(caller("+15550122"));
    let remote = RemoteParty { number: Some(number("+15550111")), ..RemoteParty::default() };
    assert_eq!(world.events.last(), Some(&PhoneEvent::Caller { call, remote }), "the first one counts");
}

#[test]
fn a_call_that_only_adb_shows_is_followed_from_the_first_tone_to_its_end() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.adb_sees(Seen::Dialing);
    assert!(
        world.events.iter().all(|event| !matches!(event, PhoneEvent::Progress { .. })),
        "whose it is is not known"
    );
    world.adb_did(Task::Dial, Ok(()));
    let phone = world.shown.phones[0].name.clone();
    assert!(world.has(&PhoneEvent::Progress { call, phone: phone.clone(), alerting: false }));
    world.adb_sees(Seen::Alerting);
    assert!(world.has(&PhoneEvent::Progress { call, phone, alerting: true }));
    world.adb_sees(Seen::Active);
    world.wait(5000);
    assert!(world.has(&PhoneEvent::Active { call }));
    world.wait(60_000);
    assert_eq!(world.end_of(call), None);
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::RemoteHangup)));
}

#[test]
fn a_call_that_bluetooth_shows_late_is_the_same_one() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.adb_sees(Seen::Dialing);
    world.adb_did(Task::Dial, Ok(()));
    world.happens(Happening::OwnerDials(Pii("+15550199".into())));
    world.adb_sees(Seen::Idle);
    assert_eq!(world.end_of(call), None, "what Bluetooth tells counts");
    world.happens(Happening::OtherAnswers);
    world.wait(5000);
    assert!(world.has(&PhoneEvent::Active { call }));
    world.happens(Happening::Over);
    assert_eq!(world.end_of(call), Some(leg(LegEnd::RemoteHangup)));
}

#[test]
fn a_call_that_the_owner_takes_while_it_is_dialled_is_not_taken_for_ours() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.happens(super::world::called("+15550111"));
    world.happens(Happening::OwnerAnswers);
    world.adb_sees(Seen::Active);
    world.adb_did(Task::Dial, Ok(()));
    world.wait(60_000);
    assert!(!world.has(&PhoneEvent::Active { call }));
    assert_eq!((world.end_of(call), world.sims[&A].routed), (Some(leg(LegEnd::Failed)), None));
    assert_eq!((world.told_adb(), world.on_handset()), (vec![dial(call)], vec![CallState::Active]));
}

#[test]
fn a_key_that_would_end_another_call_is_not_pressed() {
    let mut world = World::with_android(Options::default());
    let call = world.talks_by_key();
    world.happens(super::world::called("+15550111"));
    world.told_adb();
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(
        (world.told_adb(), world.got("AT+CHUP")),
        (vec![], 1),
        "the key would refuse the waiting call"
    );
    assert_eq!(world.on_handset(), [CallState::Incoming]);
}

impl World {
    pub(super) fn talks_by_key(&mut self) -> CallId {
        let call = self.rings("+15550100");
        self.command(PhoneCommand::Answer { call });
        self.happens(Happening::OwnerAnswers);
        self.adb_did(Task::Answer, Ok(()));
        self.wait(5000);
        assert!(self.has(&PhoneEvent::Active { call }));
        call
    }
}

#[test]
fn a_phone_that_is_unplugged_goes_on_over_bluetooth() {
    let mut world = World::with_android(Options::default());
    let call = world.talks_by_key();
    world.adb_says(adb::Event::Phone { serial: serial(), state: None });
    world.wait(5000);
    assert_eq!((world.end_of(call), world.shown.phones[0].adb_serial.as_deref()), (None, None));
    world.command(PhoneCommand::Hangup { call });
    assert_eq!((world.got("AT+CHUP"), world.end_of(call)), (1, Some(leg(LegEnd::LocalHangup))));

    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.adb_sees(Seen::Active);
    world.adb_did(Task::Dial, Ok(()));
    world.wait(5000);
    world.adb_says(adb::Event::Blind { serial: serial(), failure: Failure::Unreadable });
    assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost), "nobody tells of it any more");
    world.wait(1000);
    assert!(world.shown.adb.as_ref().unwrap().phones[0].fault.is_some());
}

#[test]
fn the_phone_that_adb_reaches_dials_before_one_that_it_does_not() {
    let mut world = World::with_android(Options::default());
    world.bring(B, Options::default());
    let call = world.dial_on(B);
    assert_eq!(world.told_adb(), [dial(call)], "{call}: B carried the last call, and A is at adb");
    world.adb_says(adb::Event::Down("connection refused".into()));
    world.wait(1000);
    assert!(world.shown.adb.as_ref().unwrap().fault.is_some());
}

impl World {
    /// Dials when the phone is the one that was used last.
    fn dial_on(&mut self, phone: crate::hfp::host::Address) -> CallId {
        self.command(PhoneCommand::Configure(PhoneSettings { target: Some(phone), ..by_adb() }));
        let call = self.dial("+15550199");
        self.wait(60_000);
        self.sims.get_mut(&phone).unwrap().ag.happens(Happening::Over);
        self.drain();
        self.wait(60_000);
        assert!(self.end_of(call).is_some());
        self.told_adb();
        self.command(PhoneCommand::Configure(by_adb()));
        self.dial("+15550199")
    }

    /// A call that is dialled over the bridge, and active there; the phone does not list it.
    pub(super) fn dials_unlisted(&mut self) -> CallId {
        let call = self.dial("+15550199");
        self.adb_sees(Seen::Dialing);
        self.adb_did(Task::Dial, Ok(()));
        self.adb_sees(Seen::Active);
        self.wait(5000);
        assert!(self.has(&PhoneEvent::Active { call }));
        call
    }
}

#[test]
fn a_second_call_that_only_adb_shows_is_followed_as_the_first_was() {
    let mut world = World::with_android(deaf());
    for _ in 0..2 {
        let call = world.dials_unlisted();
        world.adb_sees(Seen::Dialing);
        assert_eq!(world.end_of(call), None, "a look that saw less");
        world.adb_says(adb::Event::Blind { serial: serial(), failure: Failure::Unreadable });
        assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost));
        world.adb_sees(Seen::Idle);
        world.wait(60_000);
    }
    assert_eq!(world.got("AT+CHUP"), 2);
}

#[test]
fn a_call_whose_phone_is_away_is_ended_over_adb() {
    let mut world = World::with_android(Options::default());
    let call = world.talks_by_key();
    world.told_adb();
    world.sim().near = false;
    world.breaks(A);
    world.command(PhoneCommand::Hangup { call });
    assert_eq!(world.told_adb(), [end(call)]);
}

#[test]
fn a_stop_ends_the_call_in_both_ways() {
    let mut world = World::with_android(Options::default());
    let call = world.talks_by_key();
    world.told_adb();
    // The switch hangs up before it closes.
    world.command(PhoneCommand::Hangup { call });
    assert_eq!((world.told_adb(), world.got("AT+CHUP")), (vec![end(call)], 0));
    world.command(PhoneCommand::Close);
    assert_eq!((world.told_adb(), world.got("AT+CHUP")), (vec![], 1));
    assert_eq!(world.end_of(call), Some(leg(LegEnd::LocalHangup)));

    let mut world = World::with_android(Options::default());
    let call = world.talks_by_key();
    world.told_adb();
    world.command(PhoneCommand::Close);
    assert_eq!((world.told_adb(), world.got("AT+CHUP")), (vec![end(call)], 1));
}

#[test]
fn a_stop_asks_nothing_twice_that_was_asked_over_bluetooth_alone() {
    let mut world = World::with_android(deaf());
    let call = world.talks_by_key();
    world.command(PhoneCommand::Hangup { call });
    world.adb_did(Task::End, Err(Failure::NoEffect));
    assert_eq!(world.got("AT+CHUP"), 1);
    world.command(PhoneCommand::Close);
    assert_eq!(world.got("AT+CHUP"), 1);
}

#[test]
fn a_stop_waits_for_a_call_that_may_yet_begin_and_ends_it() {
    for given_up_before in [true, false] {
        let mut world = World::with_android(deaf());
        let call = world.dial("+15550199");
        if given_up_before {
            world.command(PhoneCommand::Hangup { call });
            world.wait(6000);
            assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
        }
        world.command(PhoneCommand::Close);
        assert_eq!(world.told_adb(), [dial(call), give_up(call)]);
        world.wait(1000);
        world.adb_sees(Seen::Dialing);
        world.adb_did(Task::Dial, Ok(()));
        assert_eq!(world.told_adb(), [end(call)]);
        assert!(!world.has(&PhoneEvent::Closed), "the key has not been pressed");
        world.adb_sees(Seen::Idle);
        world.adb_did(Task::End, Ok(()));
        assert_eq!(world.end_of(call), Some(leg(LegEnd::Cancelled)));
        assert!(world.has(&PhoneEvent::Closed));
    }
}

#[test]
fn a_stop_that_is_over_before_the_phone_has_dialled_says_so() {
    let mut world = World::with_android(deaf());
    let call = world.dial("+15550199");
    world.command(PhoneCommand::Close);
    world.wait(1099);
    assert!(!world.has(&PhoneEvent::Closed));
    world.wait(1);
    assert_eq!(world.end_of(call), Some(PhoneEnd::PhoneLost));
    assert!(world.has(&PhoneEvent::Closed));
}
