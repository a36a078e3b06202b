//! The host: its objects, who waits for what, and the bus.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use dbus::message::MessageType;
use dbus::{Message, Path};

use super::adapter::{self, Adapter};
use super::device::{self, Device, Phone};
use super::registry::{HANDS_FREE, Registry};
use super::value::{Change, Interfaces, Objects, Properties, changes, dict, dicts};
use crate::base::Rng;
use crate::base::time::earlier;
use crate::hfp::host::Address;
use crate::port::bluez_bus::{BUS, BUS_PATH, Bus, call};
use crate::sys::wait::Interest;

/// A client that is asked has this long: a person answers.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Messages for one wake.
const MESSAGES_MAX: usize = 256;
/// Phones at once.
const PHONES_MAX: usize = 16;
/// `RequestName`: only if nobody has it.
const DO_NOT_QUEUE: u32 = 4;
const PRIMARY_OWNER: u32 = 1;

/// What the phones' side learns.
#[derive(Debug)]
pub enum Event {
    /// The name on the bus is ours: clients may come.
    Ready,
    /// A client registered the hands-free profile.
    ProfileRegistered,
    /// Nobody has it any more.
    ProfileFree,
    /// The phone's end of its hands-free connection.
    Connected {
        /// Which phone.
        device: Address,
        /// The stream; shut down or closed by either side it is over.
        stream: OwnedFd,
    },
    /// The phone wanted to connect and may not.
    ConnectRefused {
        /// Which phone.
        device: Address,
        /// Why.
        why: String,
    },
    /// There is no link to the phone any more.
    Disconnected(Address),
    /// Keys were exchanged.
    Paired(Address),
    /// They were not.
    PairingFailed {
        /// Which phone.
        device: Address,
        /// Why.
        why: String,
    },
    /// The host has forgotten the phone and its keys.
    Removed(Address),
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The bus is not there, or does not take us in.
    #[error("the message bus: {0}")]
    Bus(String),
    /// Somebody plays this part already: another simulated phone, or bluetoothd itself.
    #[error("org.bluez is taken on this bus")]
    Taken,
    /// The connection ended.
    #[error("the connection with the message bus is lost")]
    Lost,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Hello,
    Name,
    /// Nothing follows.
    Plain,
    /// The agent: may it pair?
    Pairing(Address),
    /// The agent: may it connect?
    Service(Address),
    /// The profile's client: here is a connection.
    Connection(Address),
    /// The profile's client: close it.
    Disconnection(Address),
}

/// bluetoothd, played. See the module's page.
pub struct Host {
    bus: Bus,
    /// Between them nothing may be lost: messages that one wake did not take.
    again: bool,
    pub(super) adapter: Adapter,
    plugged: bool,
    pub(super) devices: BTreeMap<Address, Device>,
    pub(super) registry: Registry,
    pub(super) rng: Rng,
    asked: BTreeMap<u32, (Asked, Instant)>,
    /// What the bus knows; nothing before the name is ours.
    told: Option<Objects>,
    pub(super) events: VecDeque<Event>,
    fault: Option<HostError>,
}

impl Host {
    /// Connects with the bus at this address and asks for BlueZ's name there.
    pub fn open(
        now: Instant,
        bus: &str,
        address: Address,
        alias: String,
        phones: impl IntoIterator<Item = Phone>,
        rng: Rng,
    ) -> Result<Self, HostError> {
        let devices = phones.into_iter().take(PHONES_MAX).map(|phone| (phone.address, Device::new(phone)));
        let mut host = Self {
            bus: Bus::open(bus).map_err(HostError::Bus)?,
            again: true,
            adapter: Adapter::new(address, alias),
            plugged: true,
            devices: devices.collect(),
            registry: Registry::default(),
            rng,
            asked: BTreeMap::new(),
            told: None,
            events: VecDeque::new(),
            fault: None,
        };
        host.ask(now, call(BUS, BUS_PATH, BUS, "Hello"), Asked::Hello);
        let rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
        host.ask(now, call(BUS, BUS_PATH, BUS, "AddMatch").map(|it| it.append1(rule)), Asked::Plain);
        let name = call(BUS, BUS_PATH, BUS, "RequestName");
        host.ask(now, name.map(|it| it.append2("org.bluez", DO_NOT_QUEUE)), Asked::Name);
        Ok(host)
    }

    /// What to wait on.
    pub fn waiting(&self) -> (BorrowedFd<'_>, Interest) {
        self.bus.waiting()
    }

    /// When `handle_timeout` is due. A time in the past: now.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.again {
            return Some(now);
        }
        let asked = self.asked.values().map(|(_, by)| *by).min();
        let devices = self.devices.values().filter_map(Device::deadline).min();
        earlier(asked, earlier(devices, self.adapter.deadline()))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Reads and writes what is possible now. An error is the end.
    pub fn ready(&mut self, now: Instant) -> Result<(), HostError> {
        self.again = false;
        let alive = self.bus.exchange();
        for taken in 0..=MESSAGES_MAX {
            let Some(message) = self.bus.next() else { break };
            self.on_message(now, &message);
            self.again = taken == MESSAGES_MAX;
        }
        self.show();
        match self.fault.take() {
            Some(fault) => Err(fault),
            None if alive => Ok(()),
            None => Err(HostError::Lost),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HostError> {
        let late: Vec<u32> =
            self.asked.iter().filter(|(_, (_, by))| now >= *by).map(|(serial, _)| *serial).collect();
        for serial in late {
            if let Some((asked, _)) = self.asked.remove(&serial) {
                self.on_answer(now, asked, Err("no answer"));
            }
        }
        self.adapter.handle_timeout(now);
        self.devices_timeout(now);
        self.ready(now)
    }

    /// The radio is pulled out, or put in.
    pub fn plug(&mut self, now: Instant, plugged: bool) {
        if !plugged {
            self.links_down(now);
        }
        self.plugged = plugged;
        self.show();
    }

    /// rfkill blocks the radio, or lets it be switched on again.
    pub fn block_radio(&mut self, now: Instant, blocked: bool) {
        self.adapter.blocked = blocked;
        if blocked {
            self.adapter.power(false);
            self.links_down(now);
        }
        self.show();
    }

    pub(super) fn radio_is_on(&self) -> bool {
        self.plugged && self.adapter.powered
    }

    pub(super) fn send(&self, message: Message) {
        // What does not go out shows as a lost connection at the next exchange.
        let _ = self.bus.send(message);
    }

    pub(super) fn send_if(&self, message: Option<Message>) {
        if let Some(message) = message {
            self.send(message);
        }
    }

    pub(super) fn ask(&mut self, now: Instant, message: Option<Message>, asked: Asked) {
        match message.and_then(|message| self.bus.send(message)) {
            Some(serial) => drop(self.asked.insert(serial, (asked, now + ANSWER_MAX))),
            None => self.on_answer(now, asked, Err("it could not be asked")),
        }
    }

    /// An answer to this is not waited for any more.
    pub(super) fn ask_no_more(&mut self, what: Asked) {
        self.asked.retain(|_, (asked, _)| *asked != what);
    }

    fn on_message(&mut self, now: Instant, message: &Message) {
        match message.msg_type() {
            MessageType::MethodCall => {
                if let Some(reply) = self.on_call(now, message)
                    && !message.get_no_reply()
                {
                    self.show();
                    self.send(reply);
                }
            }
            MessageType::MethodReturn | MessageType::Error => {
                let asked = message.get_reply_serial().and_then(|serial| self.asked.remove(&serial));
                let Some((asked, _)) = asked else { return };
                match (asked, message.msg_type() == MessageType::Error) {
                    (Asked::Name, false) if message.get1::<u32>() != Some(PRIMARY_OWNER) => {
                        self.fault = Some(HostError::Taken);
                    }
                    (_, true) => self.on_answer(now, asked, Err("refused")),
                    (_, false) => self.on_answer(now, asked, Ok(())),
                }
            }
            MessageType::Signal => {
                let from_bus = message.sender().is_some_and(|sender| &*sender == BUS);
                let change = message.member().is_some_and(|member| &*member == "NameOwnerChanged");
                if let (true, true, (Some(name), Some(_), Some(""))) =
                    (from_bus, change, message.get3::<&str, &str, &str>())
                {
                    self.left(now, name);
                }
            }
        }
    }

    fn on_answer(&mut self, now: Instant, asked: Asked, answer: Result<(), &'static str>) {
        match (asked, answer) {
            (Asked::Hello | Asked::Name, Err(why)) => {
                self.fault = Some(HostError::Bus(format!("it does not take us in: {why}")));
            }
            (Asked::Name, Ok(())) => {
                self.told = Some(self.objects());
                self.events.push_back(Event::Ready);
            }
            (Asked::Hello | Asked::Plain, _) => {}
            (Asked::Pairing(device), answer) => self.pairing_answered(now, device, answer),
            (Asked::Service(device), answer) => self.service_answered(now, device, answer),
            (Asked::Connection(device), answer) => self.connection_answered(now, device, answer),
            (Asked::Disconnection(device), _) => self.stream_down(now, device),
        }
    }

    /// A client has left the bus.
    fn left(&mut self, now: Instant, client: &str) {
        for profile in self.registry.left(client) {
            self.profile_gone(now, &profile.uuid);
        }
    }

    pub(super) fn profile_gone(&mut self, now: Instant, uuid: &str) {
        if uuid == HANDS_FREE {
            for device in self.addresses() {
                self.stream_down(now, device);
            }
            self.events.push_back(Event::ProfileFree);
        }
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.devices.keys().copied().collect()
    }

    /// Everything that there is to show.
    pub(super) fn objects(&self) -> Objects {
        let empty = Properties::new;
        let managers = ["org.bluez.AgentManager1", "org.bluez.ProfileManager1"];
        let managers: Interfaces = managers.into_iter().map(|name| (name, empty())).collect();
        let mut objects = Objects::from([("/org/bluez".to_owned(), managers)]);
        if !self.plugged {
            return objects;
        }
        let radio = self.adapter.properties(self.registry.uuids());
        objects.insert(adapter::PATH.into(), Interfaces::from([(adapter::INTERFACE, radio)]));
        for device in self.devices.values().filter(|device| device.shown) {
            objects.insert(device.path(), Interfaces::from([(device::INTERFACE, device.properties())]));
        }
        objects
    }

    /// Tells the bus what has changed since it was told last.
    pub(super) fn show(&mut self) {
        let Some(told) = &self.told else { return };
        let now = self.objects();
        let manager = "org.freedesktop.DBus.ObjectManager";
        for change in changes(told, &now) {
            let signal = match change {
                Change::Added { path, interfaces } => Message::new_signal("/", manager, "InterfacesAdded")
                    .ok()
                    .zip(Path::new(path).ok())
                    .map(|(signal, path)| signal.append2(path, dicts(&interfaces))),
                Change::Removed { path, interfaces } => {
                    let interfaces: Vec<String> = interfaces.into_iter().map(str::to_owned).collect();
                    Message::new_signal("/", manager, "InterfacesRemoved")
                        .ok()
                        .zip(Path::new(path).ok())
                        .map(|(signal, path)| signal.append2(path, interfaces))
                }
                Change::Properties { path, interface, changed } => {
                    let name = "org.freedesktop.DBus.Properties";
                    let signal = Message::new_signal(path, name, "PropertiesChanged").ok();
                    signal.map(|signal| signal.append3(interface, dict(&changed), Vec::<String>::new()))
                }
            };
            self.send_if(signal);
        }
        self.told = Some(now);
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({:?}, {:?})", self.adapter, self.devices)
    }
}
