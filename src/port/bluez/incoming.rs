//! What comes unasked: signals of the bus and the host, and the host's calls of the profile and the agent.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Instant;

use dbus::Message;
use dbus::strings::ErrorName;

use super::client::{AGENT_PATH, Bluez, Event, PROFILE_PATH};
use super::objects::{AUDIO_GATEWAY, HANDS_FREE, address_in, last, parent};
use super::pairing::{ANSWER_MAX, Open};
use super::value::text;
use crate::hfp::host::{self, Address, PairingAsk};
use crate::port::bluez_bus::{BUS, PROPERTIES};

const REJECTED: &str = "org.bluez.Error.Rejected";
/// What people compare and type has six digits.
const NUMBER_MAX: u32 = 999_999;

impl Bluez {
    pub(super) fn on_message(&mut self, now: Instant, message: Message) {
        if let Some(serial) = message.get_reply_serial() {
            if let Some(asked) = self.answered(serial) {
                self.on_reply(now, asked, message);
            }
            return;
        }
        let (Some(interface), Some(member)) = (message.interface(), message.member()) else { return };
        let (interface, member) = (interface.to_string(), member.to_string());
        let sender = message.sender().map(|sender| sender.to_string());
        if interface == BUS {
            if sender.as_deref() == Some(BUS) && member == "NameOwnerChanged" {
                self.on_name_owner(now, &message);
            }
            return;
        }
        if interface == "org.freedesktop.DBus.Local" {
            return;
        }
        if self.host.is_none() || sender != self.host {
            self.counters.strangers += 1;
            if !interface.starts_with("org.freedesktop.DBus") {
                self.answer_error(
                    &message,
                    "org.freedesktop.DBus.Error.AccessDenied",
                    "not the Bluetooth host",
                );
            }
            return;
        }
        match (interface.as_str(), message.path().as_deref()) {
            ("org.freedesktop.DBus.ObjectManager" | PROPERTIES, _) if self.up => {
                self.on_signal(now, &interface, &member, &message);
            }
            ("org.bluez.Profile1", Some(PROFILE_PATH)) => self.on_profile(&member, &message),
            ("org.bluez.Agent1", Some(AGENT_PATH)) => self.on_agent(now, &member, message),
            ("org.freedesktop.DBus.Peer", _) if member == "Ping" => self.answer(message.method_return()),
            ("org.freedesktop.DBus.ObjectManager" | PROPERTIES, _) => {}
            _ => self.unknown(&message),
        }
    }

    fn on_name_owner(&mut self, now: Instant, message: &Message) {
        let (name, _, new) = message.get3::<&str, &str, &str>();
        if let (Some(super::client::BLUEZ), Some(new)) = (name, new) {
            let owner = (!new.is_empty()).then(|| new.to_owned());
            self.host_is(now, owner);
        }
    }

    fn on_profile(&mut self, member: &str, message: &Message) {
        let mut at = message.iter_init();
        match member {
            "NewConnection" => {
                let device = text(&mut at).and_then(|path| self.device_at(&path));
                at.next();
                let stream = at.get::<OwnedFd>();
                let (Some(device), Some(stream)) = (device, stream) else { return self.garbage(message) };
                if rustix::io::ioctl_fionbio(&stream, true).is_err() {
                    return self.garbage(message);
                }
                self.answer(message.method_return());
                self.events.push_back(Event::NewConnection { device, stream });
            }
            "RequestDisconnection" => {
                let Some(device) = text(&mut at).and_then(|path| self.device_at(&path)) else {
                    return self.garbage(message);
                };
                self.answer(message.method_return());
                self.events.push_back(Event::DisconnectionRequested { device });
            }
            "Release" => {
                self.answer(message.method_return());
                let sentence = "bluetoothd has given the profile back".to_owned();
                self.tell(host::Event::ProfileRefused { by: None, sentence });
            }
            _ => self.unknown(message),
        }
    }

    fn on_agent(&mut self, now: Instant, member: &str, message: Message) {
        let mut at = message.iter_init();
        match member {
            "Cancel" => {
                self.answer(message.method_return());
                return self.pairing_over();
            }
            "Release" => return self.answer(message.method_return()),
            _ => {}
        }
        let Some(path) = text(&mut at) else { return self.garbage(&message) };
        let Some(device) = self.device_at(&path) else { return self.garbage(&message) };
        at.next();
        let number = at.get::<u32>().filter(|number| *number <= NUMBER_MAX);
        let ask = match (member, number) {
            ("AuthorizeService", _) => return self.on_service(&path, text(&mut at), &message),
            ("RequestConfirmation", Some(number)) => PairingAsk::Compare(number),
            ("DisplayPasskey", Some(number)) => PairingAsk::TypeThere(number),
            ("RequestAuthorization", _) => PairingAsk::Allow,
            ("RequestPinCode", _) => PairingAsk::Pin(self.pairing.pin.clone()),
            ("RequestConfirmation" | "DisplayPasskey", None) => return self.garbage(&message),
            // Whatever else would have to be typed here.
            ("RequestPasskey" | "DisplayPinCode", _) => {
                return self.answer_error(&message, REJECTED, "nothing can be typed here");
            }
            _ => return self.unknown(&message),
        };
        self.on_ask(now, &path, device, ask, message);
    }

    /// A device that was let in may use the hands-free profile, and nothing else. To be paired is not enough: another
    /// program may have agreed to that, or the kernel by itself where no number is to be compared.
    fn on_service(&mut self, path: &str, uuid: Option<String>, message: &Message) {
        let may = self.objects.device(path).is_some_and(|device| {
            device.paired && (device.trusted || self.pairing.is_let_in(device.address))
        });
        let ours = uuid.is_some_and(|uuid| {
            uuid.eq_ignore_ascii_case(HANDS_FREE) || uuid.eq_ignore_ascii_case(AUDIO_GATEWAY)
        });
        if may && ours {
            self.answer(message.method_return());
        } else {
            self.answer_error(message, REJECTED, "not for this service");
        }
    }

    fn on_ask(&mut self, now: Instant, path: &str, device: Address, ask: PairingAsk, message: Message) {
        let open = self.pairing.open.as_ref();
        // The host tells the number again for each digit that is typed.
        if open.is_some_and(|open| open.call.is_none() && open.device == device && open.ask == ask) {
            return self.answer(message.method_return());
        }
        if !self.pairing.may_begin(now, last(parent(path))) || open.is_some_and(|open| open.call.is_some()) {
            return self.answer_error(&message, REJECTED, "pairing is closed");
        }
        let call = if matches!(ask, PairingAsk::TypeThere(_)) {
            self.answer(message.method_return());
            None
        } else {
            Some(message)
        };
        self.pairing.open = Some(Open { device, ask: ask.clone(), call, until: now + ANSWER_MAX });
        self.tell(host::Event::Pairing { device, ask });
    }

    pub(super) fn answer_pairing(&mut self, device: Address, ask: &PairingAsk, accept: bool) {
        let asked = |open: &mut Open| open.device == device && open.ask == *ask;
        let Some(open) = self.pairing.open.take_if(asked) else { return };
        if !accept {
            return self.refuse(open);
        }
        self.pairing.let_in(open.device, true);
        if let Some(call) = open.call {
            let answer = call.method_return();
            match open.ask {
                PairingAsk::Pin(pin) => {
                    self.answer(answer.append1(pin));
                    self.next_pin();
                }
                PairingAsk::Compare(_) | PairingAsk::Allow | PairingAsk::TypeThere(_) => self.answer(answer),
            }
        }
        self.tell(host::Event::PairingOver);
    }

    pub(super) fn next_pin(&mut self) {
        let pin = format!("{:06}", self.rng_pin.below(NUMBER_MAX + 1));
        self.pairing.pin.clone_from(&pin);
        self.tell(host::Event::PairingPin(pin));
    }

    /// The ask is answered with no.
    pub(super) fn refuse(&mut self, open: Open) {
        if let Some(call) = open.call {
            self.answer_error(&call, REJECTED, "refused");
        }
        self.tell(host::Event::PairingOver);
    }

    /// A device that is paired, or gone, asks nothing any more.
    pub(super) fn closes_pairing(&mut self, event: &host::Event) -> bool {
        let asks = |device: Address| self.pairing.open.as_ref().filter(|open| open.device == device);
        if let host::Event::Device(device) = event {
            let asks = asks(device.address).filter(|_| device.paired);
            // Its number was typed there, which is as good as a yes here.
            let (closes, typed) = (asks.is_some(), asks.is_some_and(|open| open.call.is_none()));
            if device.trusted || typed {
                self.pairing.let_in(device.address, !device.trusted);
            }
            return closes;
        }
        let host::Event::DeviceGone(device) = event else { return false };
        let closes = asks(*device).is_some();
        self.pairing.let_in(*device, false);
        closes
    }

    pub(super) fn pairing_over(&mut self) {
        if self.pairing.open.take().is_some() {
            self.tell(host::Event::PairingOver);
        }
    }

    fn device_at(&self, path: &str) -> Option<Address> {
        self.objects.device(path).map(|device| device.address).or_else(|| address_in(path))
    }

    fn garbage(&mut self, message: &Message) {
        self.counters.garbage += 1;
        self.answer_error(message, "org.bluez.Error.InvalidArguments", "these arguments make no sense");
    }

    fn unknown(&mut self, message: &Message) {
        self.answer_error(
            message,
            "org.freedesktop.DBus.Error.UnknownMethod",
            "there is no such method here",
        );
    }

    fn answer_error(&mut self, message: &Message, name: &str, words: &str) {
        if let (Ok(name), Ok(words)) = (ErrorName::new(name), CString::new(words)) {
            self.answer(message.error(&name, &words));
        }
    }

    /// Sends an answer. One that cannot be sent is lost with the connection, which is noticed when reading.
    fn answer(&mut self, message: Message) {
        if let Some(bus) = &self.bus {
            bus.send(message);
        }
    }
}
