//! What the line holds, what goes in and what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::android::Androids;
use super::memory::Memory;
use super::pairing::Window;
use super::phone::{Link, Phone};
use super::radio::Radio;
use crate::adb;
use crate::base::time::earlier;
use crate::base::{CallId, CallIds, Rng};
use crate::call::phones::{PhoneCommand, PhoneEvent, PhoneSettings, Phones};
use crate::hfp::host::{self, Address, Task};
use crate::hfp::{Codec, slc};

/// Phones and other devices that are kept; of further ones nothing is known.
pub(super) const PHONES_MAX: usize = 64;
/// Closing takes no longer, whatever the phones do: less than the switch waits for what is told of their calls.
const CLOSE_MAX: Duration = Duration::from_millis(1100);

/// What goes in.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// What the switch wants.
    Command(PhoneCommand),
    /// What the Bluetooth host reports.
    Host(host::Event),
    /// An RFCOMM link to this phone is open; one that was there before is void.
    Linked { phone: Address },
    /// Bytes from it, cut anyhow.
    Rfcomm { phone: Address, bytes: &'a [u8] },
    /// It is gone, in a sentence. Not told after `Output::CloseRfcomm`.
    RfcommLost { phone: Address, sentence: String },
    /// What became of this phone's voice link.
    Voice { phone: Address, event: VoiceEvent },
    /// What the Android Debug Bridge reports.
    Adb(adb::Event),
}

/// What became of a voice link. After `VoiceCommand::Close` nothing more is told of the link that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceEvent {
    /// It is open: by `VoiceCommand::Open`, or opened by the phone with the codec of `VoiceCommand::Expect`.
    Up,
    /// Its first packet came.
    Heard,
    /// It is open for two seconds, and no packet came.
    Mute,
    /// The phone closed it.
    Lost,
    /// `VoiceCommand::Open` was not possible, in a sentence.
    Failed(String),
    /// What comes over it is no mSBC.
    Unusable,
}

/// What is to be done about a phone's voice link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceCommand {
    /// The next link that the phone opens uses this codec. Comes before the phone is told.
    Expect(Codec),
    /// Open one with this codec.
    Open(Codec),
    /// Close the one that is open or being opened.
    Close,
}

/// What comes out.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Output {
    /// Something the switch must know.
    Event(PhoneEvent),
    /// Something the Bluetooth host must do.
    Host(host::Command),
    /// Bytes for this phone's RFCOMM link.
    Transmit { phone: Address, bytes: Vec<u8> },
    /// Shut this phone's RFCOMM link down.
    CloseRfcomm { phone: Address },
    /// Something to be done about its voice link.
    Voice { phone: Address, command: VoiceCommand },
    /// The audio of this call, or of none, goes over its voice link, now and whenever one is open.
    Route { phone: Address, call: Option<CallId> },
    /// Something the Android Debug Bridge must do.
    Adb(adb::Command),
    /// Keep this for the next start.
    Remember(Memory),
    /// Nothing more until this time (and why), or until an input.
    Timeout(Option<(Instant, Why)>),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A timer of a service level connection.
    Slc(slc::Why),
    /// A phone is connected to, or was not reached.
    Connect,
    /// An adapter or the profile is asked for again.
    Radio,
    /// The pairing window closes.
    Pairing,
    /// A step of a call.
    Call,
    /// A step of a voice link.
    Voice,
    /// What is shown of phones is told.
    Show,
    /// Closing has lasted long enough.
    Close,
}

/// What was counted instead of being told, over all phones and all their connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// What the phones said.
    pub said: slc::Counters,
    /// Voice links that were closed because they were the owner's, by phone calls or by calls of apps.
    pub given_back: u64,
}

/// What every part of the line may use.
pub(super) struct Shared {
    /// Without what the connections that are open have counted.
    pub(super) counted: Counters,
    pub(super) ids: CallIds,
    pub(super) rng: Rng,
    pub(super) settings: PhoneSettings,
    pub(super) memory: Memory,
    /// The address of the adapter in use.
    pub(super) adapter: Option<Address>,
    /// Phones may be connected to.
    pub(super) usable: bool,
    pub(super) closing: bool,
    outputs: VecDeque<Output>,
}

impl Shared {
    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn tell(&mut self, event: PhoneEvent) {
        self.push(Output::Event(event));
    }

    pub(super) fn host(&mut self, command: host::Command) {
        self.push(Output::Host(command));
    }

    pub(super) fn adb(&mut self, command: adb::Command) {
        self.push(Output::Adb(command));
    }

    pub(super) fn remember(&mut self) {
        self.push(Output::Remember(self.memory.clone()));
    }

    /// The user does not want this phone connected, or nothing is known any more to say so.
    pub(super) fn dismiss(&mut self, phone: Address, dismissed: bool) {
        if self.memory.note_dismissed(phone, dismissed) {
            self.remember();
        }
    }
}

/// All phones of this machine.
pub struct PhoneLine {
    pub(super) shared: Shared,
    pub(super) radio: Radio,
    pub(super) window: Window,
    pub(super) androids: Androids,
    pub(super) phones: BTreeMap<Address, Phone>,
    pub(super) shown: Phones,
    pub(super) show_at: Option<Instant>,
    pub(super) not_shown_before: Instant,
    close_by: Option<Instant>,
    closed: bool,
}

impl PhoneLine {
    /// Nothing is done before the host reports itself and `PhoneCommand::Configure` came.
    pub fn new(now: Instant, ids: CallIds, rng: Rng, memory: Memory) -> Self {
        let shared = Shared {
            counted: Counters::default(),
            ids,
            rng,
            settings: PhoneSettings::default(),
            memory,
            adapter: None,
            usable: false,
            closing: false,
            outputs: VecDeque::new(),
        };
        Self {
            shared,
            radio: Radio::default(),
            window: Window::default(),
            androids: Androids::default(),
            phones: BTreeMap::new(),
            shown: Phones::default(),
            show_at: None,
            not_shown_before: now,
            close_by: None,
            closed: false,
        }
    }

    /// Takes one input; then `poll_output` until it answers with a time-out.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if self.closed {
            return;
        }
        match input {
            Input::Command(command) => self.on_command(now, command),
            Input::Host(event) => self.on_host(now, event),
            Input::Linked { phone } => self.on_linked(now, phone),
            Input::Rfcomm { phone, bytes } => {
                if let Some(slc) = self.phones.get_mut(&phone).and_then(Phone::slc) {
                    slc.handle_input(now, bytes);
                }
            }
            Input::RfcommLost { phone, sentence } => {
                if let Some(phone) = self.phones.get_mut(&phone) {
                    phone.lose(now, &mut self.shared, &sentence);
                }
            }
            Input::Voice { phone, event } => {
                if let Some(phone) = self.phones.get_mut(&phone) {
                    phone.on_voice(now, &mut self.shared, event);
                }
            }
            Input::Adb(event) => self.on_adb(now, event),
        }
        self.settle(now);
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        for phone in self.phones.values_mut() {
            if let Some(slc) = phone.slc() {
                slc.handle_timeout(now);
            }
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.shared.outputs.pop_front() {
            return output;
        }
        Output::Timeout(if self.closed { None } else { self.deadline() })
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let mut counted = self.shared.counted;
        for slc in self.phones.values().filter_map(Phone::linked_slc) {
            counted.said += slc.counters();
        }
        counted
    }

    fn on_command(&mut self, now: Instant, command: PhoneCommand) {
        match command {
            PhoneCommand::Configure(settings) => {
                self.shared.settings = settings;
                self.androids.configure(&mut self.shared);
            }
            PhoneCommand::Dial { call, number } => self.dial(now, call, number),
            PhoneCommand::Answer { call } => {
                self.with_call(call, |phone, shared| phone.answer(now, shared));
            }
            PhoneCommand::Reject { call, why } => {
                self.with_call(call, |phone, shared| phone.reject(now, shared, why));
            }
            PhoneCommand::Hangup { call } => {
                self.with_call(call, |phone, shared| phone.hang_up(now, shared));
            }
            PhoneCommand::HandOver { call, to } => {
                self.with_call(call, |phone, shared| phone.hand_over(now, shared, to));
            }
            PhoneCommand::OpenPairingWindow { seconds } => self.open_window(now, seconds),
            PhoneCommand::ClosePairingWindow => self.window.close(&mut self.shared, None),
            PhoneCommand::AnswerPairing { phone, ask, accept } => {
                self.window.answer(&mut self.shared, phone, &ask, accept);
            }
            PhoneCommand::Connect { phone } => {
                if let Some(phone) = self.phones.get_mut(&phone) {
                    phone.connect(now, &mut self.shared);
                }
            }
            PhoneCommand::Disconnect { phone } => {
                if let Some(phone) = self.phones.get_mut(&phone) {
                    phone.disconnect(now, &mut self.shared);
                }
            }
            PhoneCommand::Trust { phone, trusted } => {
                self.shared.host(host::Command::Trust(phone, trusted));
            }
            PhoneCommand::Remove { phone: address } => {
                if let Some(phone) = self.phones.get_mut(&address) {
                    phone.disconnect(now, &mut self.shared);
                }
                self.shared.host(host::Command::Remove(address));
            }
            PhoneCommand::Close => self.close(now),
        }
    }

    /// The phone that has this call, if any has it still.
    fn with_call(&mut self, call: CallId, act: impl FnOnce(&mut Phone, &mut Shared)) {
        let owns = |phone: &&mut Phone| phone.call.as_ref().is_some_and(|own| own.id == call && own.told);
        if let Some(phone) = self.phones.values_mut().find(owns) {
            act(phone, &mut self.shared);
        }
    }

    fn on_host(&mut self, now: Instant, event: host::Event) {
        match event {
            host::Event::Up | host::Event::Down(_) => {
                // What a host that is away knew of phones is shown until it comes again and says what it knows now.
                let comes = matches!(event, host::Event::Up);
                for phone in self.phones.values_mut() {
                    phone.device = phone.device.take().filter(|_| !comes);
                    phone.give_up_connecting();
                }
                self.window.void();
                self.radio.on_event(now, event);
            }
            host::Event::Adapter(_)
            | host::Event::AdapterGone(_)
            | host::Event::AdapterRefused { .. }
            | host::Event::ProfileRegistered
            | host::Event::ProfileRefused { .. } => self.radio.on_event(now, event),
            host::Event::Device(device) => self.on_device(now, device),
            host::Event::DeviceGone(address) => {
                if let Some(phone) = self.phones.get_mut(&address) {
                    phone.device = None;
                }
            }
            host::Event::PairingPin(pin) => self.window.takes(&pin),
            host::Event::Pairing { device, ask } => self.on_pairing(now, device, ask),
            host::Event::PairingOver => self.window.over(),
            host::Event::Done { task: Task::Connect, device, result } => {
                if let Some(phone) = self.phones.get_mut(&device) {
                    phone.on_connect_done(now, &mut self.shared, result);
                }
            }
            host::Event::Done { task: Task::Remove, device, result: Ok(()) } => {
                if let Some(phone) = self.phones.get_mut(&device) {
                    phone.device = None;
                }
                if self.shared.memory.forget(device) {
                    self.shared.remember();
                }
            }
            host::Event::Done { task: Task::Disconnect | Task::Trust | Task::Remove, device, result } => {
                if let (Some(phone), Err(sentence)) = (self.phones.get_mut(&device), result) {
                    phone.fault(&sentence);
                }
            }
        }
    }

    fn on_linked(&mut self, now: Instant, address: Address) {
        let full = self.phones.len() >= PHONES_MAX;
        if self.shared.closing || (full && !self.phones.contains_key(&address)) {
            return self.shared.push(Output::CloseRfcomm { phone: address });
        }
        let phone = self.phones.entry(address).or_insert_with(|| Phone::new(address));
        phone.linked(now, &mut self.shared);
    }

    fn close(&mut self, now: Instant) {
        if self.shared.closing {
            return;
        }
        self.shared.closing = true;
        self.close_by = Some(now + CLOSE_MAX);
        self.window.close(&mut self.shared, None);
        for phone in self.phones.values_mut() {
            if phone.call_is_the_owners() {
                phone.abandon_call(&mut self.shared);
            } else {
                phone.end_to_close(now, &mut self.shared);
            }
        }
    }

    /// Nothing of ours is left, or it has lasted too long.
    fn finish_closing(&mut self, now: Instant) {
        let Some(by) = self.close_by else { return };
        if now < by && self.phones.values().any(|phone| phone.call.is_some() || phone.may_go_on_at_adb()) {
            return;
        }
        for phone in self.phones.values_mut() {
            phone.leave(&mut self.shared);
        }
        self.shared.host(host::Command::UnregisterProfile);
        self.shared.tell(PhoneEvent::Closed);
        self.close_by = None;
        self.closed = true;
    }

    /// Everything that follows from what is known now.
    fn settle(&mut self, now: Instant) {
        self.radio.settle(now, &mut self.shared, &self.phones);
        self.window.settle(now, &mut self.shared);
        self.bind_androids(now);
        for phone in self.phones.values_mut() {
            phone.settle(now, &mut self.shared);
        }
        let mut pages = self.may_page();
        for phone in self.phones.values_mut() {
            phone.maintain(now, &mut self.shared, &mut pages);
        }
        self.phones.retain(|_, phone| !phone.is_forgotten());
        self.finish_closing(now);
        if !self.closed {
            self.show(now);
        }
    }

    fn deadline(&self) -> Option<(Instant, Why)> {
        let pages = self.may_page();
        let phones = self.phones.values().filter_map(|phone| phone.deadline(&self.shared, pages)).min();
        let rest = [
            self.radio.deadline().filter(|_| !self.shared.closing).map(|at| (at, Why::Radio)),
            self.window.deadline().map(|at| (at, Why::Pairing)),
            self.show_at.map(|at| (at, Why::Show)),
            self.close_by.map(|at| (at, Why::Close)),
        ];
        rest.into_iter().fold(phones, earlier)
    }

    /// Whether a phone may be called for: one at a time, and none while another one's audio is on the air.
    fn may_page(&self) -> Pages {
        let connecting = self.phones.values().any(|phone| matches!(phone.link, Link::Connecting { .. }));
        let voice = self.phones.values().any(|phone| phone.voice.codec().is_some());
        Pages { connecting, voice }
    }
}

/// What keeps phones from being called for.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// One is, just now.
    pub(super) connecting: bool,
    /// A voice link is open: it would be disturbed.
    pub(super) voice: bool,
}
