//! Phones that are reached over the Android Debug Bridge as well: which one is which phone over Bluetooth, how calls of
//! ours are commanded there, and what is seen there of them.
//!
//! Bluetooth tells of every call sooner than a look over the bridge does, so its list counts. What is seen over the
//! bridge counts for two things that a phone may keep back: who calls, and a call that was dialled over the bridge and
//! that its list lacks. What was not done over the bridge is asked of the phone over Bluetooth.

use std::collections::BTreeMap;
use std::time::Instant;

use super::call::Call as OwnCall;
use super::core::{PhoneLine, Shared};
use super::ending::hangs_up_unlisted;
use super::phone::Phone;
use super::words::bounded;
use crate::adb::{self, DeviceState, Failure, Serial, Task};
use crate::base::{CallId, Number, Pii};
use crate::call::leg::LegEnd;
use crate::call::phones::{self, PhoneEnd, PhoneEvent, PhoneSettings};
use crate::hfp::host::Address;
use crate::hfp::slc::{Command, Refusal};
use crate::hfp::{Call, CallState};

/// Of a call that only the bridge shows; those of `+CLCC` begin with 1.
pub(super) const ANDROID_INDEX: u8 = 0;

/// A phone, as it is reached over the bridge.
#[derive(Debug)]
pub(super) struct Android {
    pub(super) serial: Serial,
    /// The bridge looks at it, because there is a call of ours.
    watched: bool,
    /// What the bridge was asked last, of each kind, for which call; it has not said what came of it.
    asked: BTreeMap<Task, CallId>,
}

/// What the bridge tells of one phone.
#[derive(Debug)]
struct Seen {
    state: DeviceState,
    address: Option<Address>,
    call: Option<adb::CallState>,
    fault: Option<String>,
}

/// The bridge, and everything at it.
#[derive(Debug, Default)]
pub(super) struct Androids {
    told: adb::Settings,
    version: Option<u32>,
    fault: Option<String>,
    seen: BTreeMap<Serial, Seen>,
}

impl Androids {
    /// Tells the bridge what is used.
    pub(super) fn configure(&mut self, shared: &mut Shared) {
        let settings = &shared.settings;
        let serial = settings.adb_serial.as_deref().map(Serial::parse);
        // A serial number that is none must not mean every phone.
        let enabled = settings.in_use && settings.by_adb && serial != Some(None);
        let bound = |(serial, phone): (&String, &Address)| {
            Some((Serial::parse(serial)?, adb::BluetoothAddress::parse(&phone.to_string())?))
        };
        let bindings = settings.bindings.iter().filter_map(bound).collect();
        let new = adb::Settings { enabled, serial: serial.flatten(), bindings };
        if new != self.told {
            self.told = new.clone();
            shared.adb(adb::Command::Configure(new));
        }
    }

    /// Which phone it is over Bluetooth: as configured, as it said, or the only one it can be.
    fn address_of(&self, serial: &Serial, settings: &PhoneSettings) -> Option<Address> {
        let learnt = || self.seen.get(serial).and_then(|seen| seen.address);
        let only = || settings.target.filter(|_| self.told.serial.as_ref() == Some(serial));
        settings.bindings.get(serial.as_str()).copied().or_else(learnt).or_else(only)
    }

    fn uses(&self, serial: &Serial) -> bool {
        self.told.serial.as_ref().is_none_or(|used| used == serial)
    }

    /// The serial number at which this phone takes commands. One phone may have two: on a cable and over the network.
    fn serial_of(&self, phone: Address, settings: &PhoneSettings, now: Option<&Serial>) -> Option<Serial> {
        let is_it = |(serial, seen): &(&Serial, &Seen)| {
            seen.state == DeviceState::Online
                && self.uses(serial)
                && self.address_of(serial, settings) == Some(phone)
        };
        let mut all = self.seen.iter().filter(is_it).map(|(serial, _)| serial);
        let first = all.clone().next();
        all.find(|serial| Some(*serial) == now).or(first).cloned()
    }

    pub(super) fn shown(&self, settings: &PhoneSettings) -> Option<phones::Adb> {
        let used = settings.in_use && settings.by_adb;
        let no_serial =
            || (!self.told.enabled).then(|| "adb_serial is not a serial number of adb's".to_owned());
        let phone = |(serial, seen): (&Serial, &Seen)| phones::AdbPhone {
            serial: serial.to_string(),
            state: seen.state,
            phone: self.address_of(serial, settings),
            fault: seen.fault.clone(),
        };
        used.then(|| phones::Adb {
            version: self.version,
            fault: self.fault.clone().or_else(no_serial),
            phones: self.seen.iter().filter(|(serial, _)| self.uses(serial)).map(phone).collect(),
        })
    }
}

impl PhoneLine {
    pub(super) fn on_adb(&mut self, now: Instant, event: adb::Event) {
        match event {
            adb::Event::Up { version } => {
                self.androids.version = Some(version);
                self.androids.fault = None;
            }
            adb::Event::Down(why) => {
                self.androids.version = None;
                self.androids.fault = Some(bounded(&why));
            }
            adb::Event::Phone { serial, state } => {
                // Whatever was known of it, it may be told anew.
                self.unbind(now, &serial);
                let before = self.androids.seen.remove(&serial);
                if let Some(state) = state {
                    let address = before.and_then(|before| before.address);
                    self.androids.seen.insert(serial, Seen { state, address, call: None, fault: None });
                }
            }
            adb::Event::Address { serial, address } => self.learn(serial, &address),
            adb::Event::Call { serial, state } => {
                if let Some(seen) = self.androids.seen.get_mut(&serial) {
                    seen.call = Some(state);
                    seen.fault = None;
                }
                self.with_android(&serial, |phone, shared| phone.on_android_call(now, shared, state));
            }
            adb::Event::Number { serial, number } => {
                self.with_android(&serial, |phone, shared| phone.on_android_number(shared, &number));
            }
            adb::Event::Blind { serial, failure } => {
                if let Some(seen) = self.androids.seen.get_mut(&serial) {
                    seen.call = None;
                    seen.fault = Some(bounded(&failure.to_string()));
                }
                self.with_android(&serial, |phone, shared| phone.android_lost(now, shared));
            }
            adb::Event::Done { serial, call, task, result } => {
                let seen = self.androids.seen.get(&serial).and_then(|seen| seen.call);
                self.with_android(&serial, |phone, shared| {
                    if phone.is_answered(call, task) {
                        phone.on_adb_done(now, shared, (call, task, result), seen);
                    }
                });
            }
        }
    }

    fn with_android(&mut self, serial: &Serial, act: impl FnOnce(&mut Phone, &mut Shared)) {
        let is_it = |phone: &&mut Phone| phone.android.as_ref().is_some_and(|own| own.serial == *serial);
        if let Some(phone) = self.phones.values_mut().find(is_it) {
            act(phone, &mut self.shared);
        }
    }

    fn learn(&mut self, serial: Serial, address: &adb::BluetoothAddress) {
        let (Some(seen), Ok(phone)) = (self.androids.seen.get_mut(&serial), address.as_str().parse()) else {
            return;
        };
        seen.address = Some(phone);
        // An address of the network may be another phone's tomorrow.
        let of_the_phone = !serial.as_str().contains(':') && !serial.as_str().starts_with("emulator-");
        if of_the_phone && !self.shared.settings.bindings.contains_key(serial.as_str()) {
            self.shared.tell(PhoneEvent::Bound { serial: serial.to_string(), phone });
        }
    }

    fn unbind(&mut self, now: Instant, serial: &Serial) {
        self.with_android(serial, |phone, shared| phone.free_android(now, shared));
    }

    /// Finds for every phone whether it is reached over the bridge, now.
    pub(super) fn bind_androids(&mut self, now: Instant) {
        let settings = &self.shared.settings;
        let mut freed = Vec::new();
        for phone in self.phones.values_mut() {
            let bound = phone.android.as_ref().map(|android| &android.serial);
            let serial = self.androids.serial_of(phone.address, settings, bound);
            if serial.as_ref() == bound {
                continue;
            }
            if bound.is_some() {
                freed.push(phone.address);
            } else {
                phone.android = serial.map(Android::new);
            }
        }
        for phone in freed {
            if let Some(phone) = self.phones.get_mut(&phone) {
                phone.free_android(now, &mut self.shared);
                let serial = self.androids.serial_of(phone.address, &self.shared.settings, None);
                phone.android = serial.map(Android::new);
            }
        }
    }
}

impl Android {
    fn new(serial: Serial) -> Self {
        Self { serial, watched: false, asked: BTreeMap::new() }
    }
}

impl Phone {
    /// A call may yet be dialled over the bridge, one that was given up as well.
    pub(super) fn may_yet_dial(&self) -> bool {
        self.android.as_ref().is_some_and(|android| android.asked.contains_key(&Task::Dial))
    }

    /// The bridge has not said yet whether it dialled a call that was given up, or ended one.
    pub(super) fn may_go_on_at_adb(&self) -> bool {
        self.may_yet_dial()
            || self.android.as_ref().is_some_and(|android| android.asked.contains_key(&Task::End))
    }

    /// The bridge was asked to end this call, and has not said what came of it.
    pub(super) fn is_asked_to_end(&self, call: CallId) -> bool {
        self.android.as_ref().is_some_and(|android| android.asked.get(&Task::End) == Some(&call))
    }

    /// Whether this is the answer to what the bridge was asked last: one that comes late is nobody's.
    fn is_answered(&mut self, call: CallId, task: Task) -> bool {
        let Some(android) = &mut self.android else { return false };
        let is_it = android.asked.get(&task) == Some(&call);
        if is_it {
            android.asked.remove(&task);
        }
        is_it
    }

    /// Whether the call of ours is dialled over the bridge.
    pub(super) fn dial_by_adb(&mut self, shared: &mut Shared, number: &Number) -> bool {
        let (Some(android), Some(call)) = (&mut self.android, &mut self.call) else { return false };
        android.asked.insert(Task::Dial, call.id);
        call.by_adb = true;
        let (serial, number) = (android.serial.clone(), number.clone());
        shared.adb(adb::Command::Dial { serial, call: call.id, number });
        true
    }

    /// Whether it is taken over the bridge.
    pub(super) fn answer_by_adb(&mut self, shared: &mut Shared) -> bool {
        let (Some(android), Some(call)) = (&mut self.android, &self.call) else { return false };
        android.asked.insert(Task::Answer, call.id);
        shared.adb(adb::Command::Answer { serial: android.serial.clone(), call: call.id });
        true
    }

    /// Whether it is ended over the bridge: the key ends a call that rings or waits before the one that is active, and
    /// leaves the one on hold.
    pub(super) fn end_by_adb(&mut self, shared: &mut Shared, call: CallId, others: &[CallState]) -> bool {
        let rings = self.call.as_ref().is_some_and(|own| own.id == call && own.is_untaken());
        let Some(android) = &mut self.android else { return false };
        let ends_ours = others.iter().all(|other| *other == CallState::Held);
        if ends_ours {
            android.asked.insert(Task::End, call);
            shared.adb(adb::Command::End { serial: android.serial.clone(), call, rings });
        }
        ends_ours
    }

    /// The bridge looks at the phone while there is a call of ours.
    pub(super) fn watch(&mut self, shared: &mut Shared) {
        let on = self.call.is_some();
        if let Some(android) = self.android.as_mut().filter(|android| android.watched != on) {
            android.watched = on;
            shared.adb(adb::Command::Watch { serial: android.serial.clone(), on });
        }
    }

    fn on_android_number(&mut self, shared: &mut Shared, number: &Pii<Number>) {
        let rings_alone = self.owners_calls().next().is_none();
        if rings_alone && self.call.as_ref().is_some_and(|call| call.state == CallState::Incoming) {
            self.learn_number(shared, &Pii(number.0.as_str().to_owned()));
        }
    }

    /// How a call that was dialled over the bridge stands, where the phone's list lacks it.
    fn on_android_call(&mut self, now: Instant, shared: &mut Shared, state: adb::CallState) {
        let may_yet_dial = self.may_yet_dial();
        let lists_calls = !self.calls().is_empty();
        let dialled = |call: &&OwnCall| call.by_adb && call.index.is_none_or(|index| index == ANDROID_INDEX);
        let Some(call) = self.call.as_ref().filter(dialled) else { return };
        if may_yet_dial || lists_calls {
            return;
        }
        let was_active = call.active_since.is_some();
        let state = match state {
            adb::CallState::Idle if call.index.is_some() => {
                return self.on_call_over(now, shared, ANDROID_INDEX);
            }
            adb::CallState::Idle | adb::CallState::Incoming | adb::CallState::Waiting => return,
            // A look that saw less than the one before.
            adb::CallState::Dialing | adb::CallState::Alerting if was_active => return,
            adb::CallState::Dialing => CallState::Dialing,
            adb::CallState::Alerting => CallState::Alerting,
            adb::CallState::Active | adb::CallState::OffHook => CallState::Active,
            adb::CallState::Held => CallState::Held,
        };
        let seen = Call { index: ANDROID_INDEX, incoming: false, state, number: None };
        self.on_call(now, shared, &seen);
        if state == CallState::Active && !was_active {
            self.fetch_unlisted(now);
        }
    }

    /// A phone that does not list the call does not bring its audio by itself.
    pub(super) fn fetch_unlisted(&mut self, now: Instant) {
        let is_here = self.call.as_ref().is_some_and(OwnCall::is_here);
        if is_here && !self.voice.is_open() {
            self.fetch(now);
        }
    }

    fn on_adb_done(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        (call, task, result): (CallId, Task, Result<(), Failure>),
        seen: Option<adb::CallState>,
    ) {
        let is_ours = self.call.as_ref().is_some_and(|own| own.id == call);
        let in_hand = self.has_in_hand(call);
        match (task, result) {
            (Task::Dial, Ok(())) => {
                if let Some(state) = seen.filter(|_| is_ours) {
                    self.on_android_call(now, shared, state);
                }
                if !self.has_in_hand(call) {
                    self.end_what_began_in_vain(shared, call);
                }
            }
            (Task::Dial, Err(Failure::NoAnswer | Failure::NoEffect)) if !in_hand => {
                self.end_what_may_begin(shared, call);
            }
            (Task::Dial, Err(failure)) if is_ours => self.not_dialled(now, shared, &failure),
            (Task::Answer, Ok(())) if is_ours => self.on_answered(),
            (Task::Answer, Err(failure)) if is_ours => self.not_answered(now, shared, &failure),
            (Task::End, Err(failure)) if is_ours => self.not_ended(now, shared, &failure),
            (Task::Dial, Err(_)) | (Task::Answer | Task::End, _) => {}
        }
    }

    fn not_dialled(&mut self, now: Instant, shared: &mut Shared, failure: &Failure) {
        let surely_not = match failure {
            // The phone had no chance to begin.
            Failure::NoPhone
            | Failure::NotPassedOn
            | Failure::Unreadable
            | Failure::ByServer(_)
            | Failure::ByPhone(_) => true,
            Failure::Busy | Failure::NoCall | Failure::Overtaken => false,
            // It shows itself over Bluetooth, or has had its time.
            Failure::NoAnswer | Failure::NoEffect => return,
        };
        let has_calls = self.has_calls();
        let unseen = |call: &&mut OwnCall| call.by_adb && call.index.is_none();
        let Some(call) = self.call.as_mut().filter(unseen) else { return };
        let number = call.number.as_ref().and_then(|number| Number::parse(&number.0).ok());
        let may_ask = call.ending.is_none() && call.lost.is_none() && !has_calls;
        if let Some(number) = number.filter(|_| surely_not && may_ask) {
            call.dialled_again(now);
            self.fault_of_adb("dial", failure);
            return self.ask(now, Command::Dial(number));
        }
        let detail = format!("ADB: {failure}");
        let ending = call.ending.as_ref().map(|ending| (ending.end, ending.detail));
        let (end, detail) = ending.unwrap_or((LegEnd::Failed, &detail));
        self.finish(shared, PhoneEnd::Leg(end), detail);
    }

    /// Of a call that was given up nothing may begin: nobody would speak. Not where the owner has one.
    pub(super) fn end_what_may_begin(&mut self, shared: &mut Shared, call: CallId) {
        let asked = |android: &&Android| android.asked.get(&Task::Dial) == Some(&call);
        if let Some(android) = self.android.as_ref().filter(asked) {
            return shared.adb(adb::Command::GiveUp { serial: android.serial.clone(), call });
        }
        let others = self.others();
        self.end_by_adb(shared, call, &others);
    }

    /// The call is wanted, or is being ended already.
    fn has_in_hand(&self, call: CallId) -> bool {
        let in_hand = |own: &OwnCall| own.id == call && (own.ending.is_none() || own.index.is_some());
        self.call.as_ref().is_some_and(in_hand)
    }

    /// The bridge saw a call begin that is no longer wanted. If the phone lists one alone, it is that one.
    fn end_what_began_in_vain(&mut self, shared: &mut Shared, call: CallId) {
        let others: Vec<CallState> = match self.calls() {
            [only] if !only.incoming => vec![],
            calls => calls.iter().map(|call| call.state).collect(),
        };
        self.end_by_adb(shared, call, &others);
    }

    fn not_answered(&mut self, now: Instant, shared: &mut Shared, failure: &Failure) {
        let Some(call) = self.call.as_ref().filter(|call| call.is_being_answered() && call.ending.is_none())
        else {
            return;
        };
        if call.state != CallState::Incoming {
            // Somebody has taken it: the key, unless it was surely not pressed.
            return match failure {
                Failure::NoAnswer | Failure::NoEffect => self.on_answered(),
                Failure::NoPhone
                | Failure::NotPassedOn
                | Failure::Busy
                | Failure::NoCall
                | Failure::Unreadable
                | Failure::ByServer(_)
                | Failure::ByPhone(_)
                | Failure::Overtaken => {
                    self.leave_call(shared, PhoneEnd::OwnerAnswered, "taken on the handset");
                }
            };
        }
        let other_calls = self.owners_calls().next().is_some() || *failure == Failure::Busy;
        if other_calls {
            self.on_refused(now, shared, &Command::Answer, Refusal::Here);
        } else {
            self.fault_of_adb("answer", failure);
            self.ask(now, Command::Answer);
        }
    }

    /// The second try goes over Bluetooth, now.
    fn not_ended(&mut self, now: Instant, shared: &mut Shared, failure: &Failure) {
        let ending = self.call.as_ref().and_then(|call| call.ending.as_ref());
        if ending.is_some_and(|ending| ending.tries == 1) {
            self.fault_of_adb("end the call", failure);
            self.end_again(now, shared);
        }
    }

    /// It is not reached over the bridge any more, or says nothing there.
    fn android_lost(&mut self, now: Instant, shared: &mut Shared) {
        if self.call.as_ref().is_some_and(|call| call.index == Some(ANDROID_INDEX)) {
            // Nobody here would see its end.
            if hangs_up_unlisted(&self.others()) {
                self.ask(now, Command::Hangup);
            }
            let detail =
                "the phone is no longer reached over ADB, and tells nothing of the call over Bluetooth";
            self.leave_call(shared, PhoneEnd::PhoneLost, detail);
        }
    }

    /// It is commanded over Bluetooth from now on.
    fn free_android(&mut self, now: Instant, shared: &mut Shared) {
        self.android_lost(now, shared);
        let Some(android) = self.android.take() else { return };
        if android.watched {
            shared.adb(adb::Command::Watch { serial: android.serial, on: false });
        }
        for (task, call) in android.asked {
            self.on_adb_done(now, shared, (call, task, Err(Failure::NoAnswer)), None);
        }
    }

    fn fault_of_adb(&mut self, what: &str, failure: &Failure) {
        self.fault(&format!("ADB could not {what} ({failure}); it was asked over Bluetooth"));
    }
}
