//! The client: its connection, what it has asked, what it tells.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use dbus::Message;
use dbus::arg::{Append, Arg, Variant};

use super::objects::{ADAPTER, AUDIO_GATEWAY, DEVICE, HANDS_FREE, Objects, parent};
use super::owner::Search;
use super::pairing::Pairing;
use crate::base::time::earlier;
use crate::base::{Backoff, Rng};
use crate::hfp::host::{self, Address, Command, Task};
use crate::port::bluez_bus::{BUS, BUS_PATH, Bus, PROPERTIES, SYSTEM_BUS, call};
use crate::sys::wait::Interest;

/// A call to the host or the bus has no answer after this.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// Paging a phone that is away, then finding its channel, takes this long at most.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// The bus is tried again after this, then ever later, up to the second.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(30);
/// Calls without an answer at once; one more is refused.
const PENDING_MAX: usize = 512;
/// Events that nobody has taken; with so many nothing more is read.
const EVENTS_MAX: usize = 1024;
/// Messages for one wake, so that other inputs of the thread have their turn.
const MESSAGES_MAX: usize = 256;

pub(super) const BLUEZ: &str = "org.bluez";
pub(super) const PROFILE_PATH: &str = "/org/callscoot/handsfree";
pub(super) const AGENT_PATH: &str = "/org/callscoot/agent";
/// HFP 1.8.
const VERSION: u16 = 0x0108;
/// The bits of the service record (HFP 6.3, not those of `AT+BRSF`): three-way, caller's number, volume, wide band.
const SERVICE_FEATURES: u16 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5;

/// What comes out.
#[derive(Debug)]
pub enum Event {
    /// What the host reports.
    Host(host::Event),
    /// A phone's hands-free connection is there: speak over this stream.
    NewConnection {
        /// Which phone.
        device: Address,
        /// RFCOMM, non-blocking.
        stream: OwnedFd,
    },
    /// The host wants the phone's stream closed.
    DisconnectionRequested {
        /// Which phone.
        device: Address,
    },
}

/// What was counted instead of being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Properties of a wrong type, calls with wrong arguments.
    pub garbage: u64,
    /// Objects beyond the limit.
    pub too_many: u64,
    /// Messages from others than the host.
    pub strangers: u64,
    /// Calls without an answer in time.
    pub unanswered: u64,
}

/// What an answer is for.
pub(super) enum Asked {
    Hello,
    /// Nothing follows from success; a failure is logged under this name.
    Plain(&'static str),
    Owner,
    Objects,
    /// A device that was met late.
    Device(String),
    Adapter(String),
    Register,
    Names,
    Process,
    Task(Task, Address),
}

/// A client of bluetoothd. See the module's page.
pub struct Bluez {
    address: String,
    rng: Rng,
    backoff: Backoff,
    pub(super) bus: Option<Bus>,
    retry: Option<Instant>,
    /// More messages may wait than one wake takes.
    again: bool,
    /// The host's own name on the bus, once it has one.
    pub(super) host: Option<String>,
    /// Its objects were read.
    pub(super) up: bool,
    told_down: Option<String>,
    pending: BTreeMap<u32, (Asked, Instant)>,
    pub(super) objects: Objects,
    pub(super) pairing: Pairing,
    pub(super) search: Option<Search>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    pub(super) rng_pin: Rng,
}

impl Bluez {
    /// With the bus at this address, or the system bus. Nothing happens before the first `handle_timeout`.
    pub fn new(address: Option<String>, mut rng: Rng) -> Self {
        Self {
            address: address.unwrap_or_else(|| SYSTEM_BUS.to_owned()),
            backoff: Backoff::new(RETRY_FIRST, RETRY_CAP),
            bus: None,
            retry: None,
            again: true,
            host: None,
            up: false,
            told_down: None,
            pending: BTreeMap::new(),
            objects: Objects::default(),
            pairing: Pairing::default(),
            search: None,
            events: VecDeque::new(),
            counters: Counters::default(),
            rng_pin: rng.fork(),
            rng,
        }
    }

    /// What to wait on, while there is a connection with the bus.
    pub fn waiting(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        self.bus.as_ref().map(Bus::waiting)
    }

    /// When `handle_timeout` is due; `None` only with nothing to wait for but the descriptor. A time in the past: now.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.again {
            return Some(now);
        }
        let answer = self.pending.values().map(|(_, by)| *by).min();
        earlier(self.retry, earlier(answer, self.pairing.deadline()))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        Counters {
            garbage: self.counters.garbage + self.objects.garbage,
            too_many: self.objects.too_many,
            ..self.counters
        }
    }

    /// Reads and writes what is possible now.
    pub fn ready(&mut self, now: Instant) {
        self.again = false;
        let Some(bus) = self.bus.as_ref() else { return };
        let alive = bus.exchange();
        for _ in 0..MESSAGES_MAX {
            if self.events.len() >= EVENTS_MAX {
                self.again = true;
                return;
            }
            // Handling one may have ended the connection.
            let Some(message) = self.bus.as_ref().and_then(Bus::next) else {
                if !alive && self.bus.is_some() {
                    self.lost(now, "the connection with the message bus is lost".into());
                }
                return;
            };
            self.on_message(now, message);
        }
        self.again = true;
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.bus.is_none() && self.retry.is_none_or(|at| now >= at) {
            self.retry = None;
            self.connect(now);
        }
        let late: Vec<u32> =
            self.pending.iter().filter(|(_, (_, by))| now >= *by).map(|(serial, _)| *serial).collect();
        for serial in late {
            if let Some((asked, _)) = self.pending.remove(&serial) {
                self.counters.unanswered += 1;
                self.on_no_answer(now, asked);
            }
        }
        if let Some(overdue) = self.pairing.overdue(now) {
            self.refuse(overdue);
        }
        self.ready(now);
    }

    fn connect(&mut self, now: Instant) {
        match Bus::open(&self.address) {
            Ok(bus) => {
                self.bus = Some(bus);
                self.ask(now, call(BUS, BUS_PATH, BUS, "Hello"), Asked::Hello);
            }
            Err(why) => self.lost(now, format!("no message bus: {why}")),
        }
    }

    /// The bus is gone, or was never there.
    pub(super) fn lost(&mut self, now: Instant, why: String) {
        self.bus = None;
        self.retry = Some(now + self.backoff.next_delay(&mut self.rng));
        self.down(why);
    }

    /// The bus has taken us in: names and signals are watched, and whether there is a host is asked.
    pub(super) fn greeted(&mut self, now: Instant) {
        let rules = [
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
            "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager'",
            "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties'",
        ];
        for rule in rules {
            let message = call(BUS, BUS_PATH, BUS, "AddMatch").map(|message| message.append1(rule));
            self.ask(now, message, Asked::Plain("AddMatch"));
        }
        let message = call(BUS, BUS_PATH, BUS, "GetNameOwner").map(|message| message.append1(BLUEZ));
        self.ask(now, message, Asked::Owner);
    }

    /// The host has this name now, or none. A new name is a new host.
    pub(super) fn host_is(&mut self, now: Instant, owner: Option<String>) {
        if self.host.is_some() && self.host == owner {
            return;
        }
        // The first host that is found takes nobody's place.
        if self.host.is_some() || owner.is_none() {
            self.down("bluetoothd is not running".into());
        }
        self.host = owner;
        if self.host.is_some() {
            let message = call(BLUEZ, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
            self.ask(now, message, Asked::Objects);
        }
    }

    /// Everything that was known of the host is void.
    pub(super) fn down(&mut self, why: String) {
        self.host = None;
        self.up = false;
        let hello = |asked: &Asked| matches!(asked, Asked::Hello | Asked::Plain("AddMatch") | Asked::Owner);
        let bus = self.bus.is_some();
        self.pending.retain(|_, (asked, _)| bus && hello(asked));
        self.objects.clear();
        self.pairing = Pairing::default();
        self.search = None;
        if self.told_down.as_ref() != Some(&why) {
            self.told_down = Some(why.clone());
            self.tell(host::Event::Down(why));
        }
    }

    pub(super) fn came_up(&mut self) {
        self.up = true;
        self.backoff.reset();
        self.told_down = None;
        self.tell(host::Event::Up);
    }

    pub(super) fn tell(&mut self, event: host::Event) {
        self.events.push_back(Event::Host(event));
    }

    /// Sends a call. What cannot be sent is as good as without an answer.
    pub(super) fn ask(&mut self, now: Instant, message: Option<Message>, asked: Asked) {
        let by = now + if matches!(asked, Asked::Task(Task::Connect, _)) { CONNECT_MAX } else { ANSWER_MAX };
        let full = self.pending.len() >= PENDING_MAX;
        let serial = message.filter(|_| !full).and_then(|message| self.bus.as_ref()?.send(message));
        match serial {
            Some(serial) => drop(self.pending.insert(serial, (asked, by))),
            None => self.on_no_answer(now, asked),
        }
    }

    /// The answer to the call of this number is for that.
    pub(super) fn answered(&mut self, serial: u32) -> Option<Asked> {
        self.pending.remove(&serial).map(|(asked, _)| asked)
    }

    /// What is wanted of the host.
    pub fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::PowerOn { adapter } => {
                self.set_adapter(now, &adapter, "Powered", true);
            }
            Command::PairingWindow { adapter, seconds } => self.pairing_window(now, &adapter, seconds),
            Command::RegisterProfile => self.register(now),
            Command::UnregisterProfile => {
                let profile = call(BLUEZ, "/org/bluez", "org.bluez.ProfileManager1", "UnregisterProfile")
                    .and_then(path(PROFILE_PATH));
                self.ask(now, profile, Asked::Plain("UnregisterProfile"));
                let agent = call(BLUEZ, "/org/bluez", "org.bluez.AgentManager1", "UnregisterAgent")
                    .and_then(path(AGENT_PATH));
                self.ask(now, agent, Asked::Plain("UnregisterAgent"));
            }
            Command::AnswerPairing { device, ask, accept } => self.answer_pairing(device, &ask, accept),
            Command::Connect(address) => {
                let asked = Asked::Task(Task::Connect, address);
                let message = self.device_call(address, "ConnectProfile");
                self.ask(now, message.map(|message| message.append1(AUDIO_GATEWAY)), asked);
            }
            Command::Disconnect(address) => {
                let message = self.device_call(address, "Disconnect");
                self.ask(now, message, Asked::Task(Task::Disconnect, address));
            }
            Command::Trust(address, trusted) => {
                self.pairing.let_in(address, trusted);
                let message =
                    self.objects.path_of(address).and_then(|at| set(at, DEVICE, "Trusted", trusted));
                self.ask(now, message, Asked::Task(Task::Trust, address));
            }
            Command::Remove(address) => {
                let message = self
                    .objects
                    .path_of(address)
                    .and_then(|at| call(BLUEZ, parent(at), ADAPTER, "RemoveDevice").and_then(path(at)));
                self.ask(now, message, Asked::Task(Task::Remove, address));
            }
        }
    }

    fn register(&mut self, now: Instant) {
        // No role: the phone connects to us as we to it. No AutoConnect: when to connect is decided elsewhere.
        let yes = Variant(Box::new(true) as Box<dyn dbus::arg::RefArg>);
        let no = Variant(Box::new(false) as Box<dyn dbus::arg::RefArg>);
        let number = |value: u16| Variant(Box::new(value) as Box<dyn dbus::arg::RefArg>);
        let name = Variant(Box::new("callscoot".to_owned()) as Box<dyn dbus::arg::RefArg>);
        let options: dbus::arg::PropMap = [
            ("Name".to_owned(), name),
            ("Version".to_owned(), number(VERSION)),
            ("Features".to_owned(), number(SERVICE_FEATURES)),
            ("AutoConnect".to_owned(), no),
            ("RequireAuthentication".to_owned(), yes),
        ]
        .into_iter()
        .collect();
        let profile = call(BLUEZ, "/org/bluez", "org.bluez.ProfileManager1", "RegisterProfile")
            .and_then(path(PROFILE_PATH))
            .map(|message| message.append2(HANDS_FREE, options));
        self.ask(now, profile, Asked::Register);
        // It can show a number and ask yes or no: numeric comparison, passkeys to be typed there, and no number at all
        // come here; what would have to be typed here does not.
        let agent = call(BLUEZ, "/org/bluez", "org.bluez.AgentManager1", "RegisterAgent")
            .and_then(path(AGENT_PATH))
            .map(|message| message.append1("DisplayYesNo"));
        self.ask(now, agent, Asked::Plain("RegisterAgent"));
        let default = call(BLUEZ, "/org/bluez", "org.bluez.AgentManager1", "RequestDefaultAgent");
        self.ask(now, default.and_then(path(AGENT_PATH)), Asked::Plain("RequestDefaultAgent"));
    }

    fn pairing_window(&mut self, now: Instant, adapter: &str, seconds: u32) {
        self.pairing.window(now, adapter, seconds);
        if seconds == 0 {
            self.set_adapter(now, adapter, "Discoverable", false);
            self.set_adapter(now, adapter, "Pairable", false);
            if let Some(open) = self.pairing.open.take() {
                self.refuse(open);
            }
        } else if self.set_adapter(now, adapter, "PairableTimeout", seconds) {
            // The host's own time-outs close it, should this process not live to see the end.
            self.set_adapter(now, adapter, "DiscoverableTimeout", seconds);
            self.set_adapter(now, adapter, "Pairable", true);
            self.set_adapter(now, adapter, "Discoverable", true);
            self.next_pin();
        }
    }

    fn set_adapter<T: Arg + Append>(&mut self, now: Instant, adapter: &str, name: &str, value: T) -> bool {
        let message = self.objects.adapter_path(adapter).and_then(|at| set(at, ADAPTER, name, value));
        let known = message.is_some();
        self.ask(now, message, Asked::Adapter(adapter.to_owned()));
        known
    }

    fn device_call(&self, address: Address, method: &str) -> Option<Message> {
        self.objects.path_of(address).and_then(|at| call(BLUEZ, at, DEVICE, method))
    }
}

fn set<T: Arg + Append>(at: &str, interface: &str, name: &str, value: T) -> Option<Message> {
    call(BLUEZ, at, PROPERTIES, "Set").map(|message| message.append3(interface, name, Variant(value)))
}

/// Appends an object path.
fn path(at: &str) -> impl FnOnce(Message) -> Option<Message> {
    let at = dbus::Path::new(at).ok();
    move |message| at.map(|at| message.append1(at))
}
