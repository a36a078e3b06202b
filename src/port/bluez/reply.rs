//! The answers to what was asked, and what follows when there is none.

use std::time::Instant;

use dbus::Message;
use dbus::arg::ArgType;

use super::client::{Asked, BLUEZ, Bluez};
use super::objects::{DEVICE, last};
use super::owner::Search;
use super::value::{entries, properties, text, texts};
use crate::hfp::host;
use crate::port::bluez_bus::{BUS, BUS_PATH, PROPERTIES, call, words};

impl Bluez {
    pub(super) fn on_reply(&mut self, now: Instant, asked: Asked, mut message: Message) {
        match message.as_result() {
            Ok(message) => self.on_done(now, asked, message),
            Err(error) => self.on_error(now, asked, &error),
        }
    }

    fn on_done(&mut self, now: Instant, asked: Asked, message: &Message) {
        match asked {
            Asked::Hello => self.greeted(now),
            Asked::Plain(_) | Asked::Adapter(_) => {}
            Asked::Owner => self.host_is(now, text(&mut message.iter_init())),
            Asked::Objects => {
                self.came_up();
                entries(&mut message.iter_init(), |path, mut interfaces| {
                    entries(&mut interfaces, |interface, mut all| {
                        let event = self.objects.added(&path, &interface, &properties(&mut all));
                        self.tell_all(event);
                    });
                });
            }
            Asked::Device(path) => {
                let event = self.objects.added(&path, DEVICE, &properties(&mut message.iter_init()));
                self.tell_all(event);
            }
            Asked::Register => self.tell(host::Event::ProfileRegistered),
            Asked::Names => self.on_names(now, texts(&mut message.iter_init()).unwrap_or_default()),
            Asked::Process => {
                let id = message.get1::<u32>();
                self.on_process(id);
            }
            Asked::Task(task, device) => self.tell(host::Event::Done { task, device, result: Ok(()) }),
        }
    }

    fn on_error(&mut self, now: Instant, asked: Asked, error: &dbus::Error) {
        let name = last_name(error.name().unwrap_or(""));
        match asked {
            // We have it already: the command came twice.
            Asked::Register if name == "AlreadyExists" => self.tell(host::Event::ProfileRegistered),
            Asked::Register if name == "NotPermitted" => self.look_for_the_owner(now, words(error)),
            Asked::Register => {
                self.tell(host::Event::ProfileRefused { by: None, sentence: words(error) });
            }
            // Already on, already off: what was wanted holds.
            Asked::Adapter(_) if name == "AlreadyExists" => {}
            Asked::Adapter(adapter) => {
                self.tell(host::Event::AdapterRefused { adapter, sentence: words(error) });
            }
            Asked::Task(task, device) => {
                self.tell(host::Event::Done { task, device, result: Err(words(error)) });
            }
            Asked::Hello => self.lost(now, format!("the message bus refuses us: {}", words(error))),
            Asked::Owner => self.host_is(now, None),
            Asked::Objects => {
                self.lost(now, format!("bluetoothd does not tell its devices: {}", words(error)));
            }
            Asked::Names => self.on_names(now, Vec::new()),
            Asked::Process => self.on_process(None),
            Asked::Device(_) => {}
            Asked::Plain(what) => log::warn!("bluetooth: {what}: {}", words(error)),
        }
    }

    /// No answer came in time, or the call could not be sent.
    pub(super) fn on_no_answer(&mut self, now: Instant, asked: Asked) {
        const SILENT: &str = "org.freedesktop.DBus.Error.NoReply: no answer";
        match asked {
            Asked::Hello | Asked::Owner => self.lost(now, "the message bus does not answer".into()),
            // Another connection begins anew with everything.
            Asked::Objects => self.lost(now, "bluetoothd does not answer".into()),
            Asked::Register => {
                self.tell(host::Event::ProfileRefused { by: None, sentence: SILENT.into() });
            }
            Asked::Adapter(adapter) => {
                let known = self.objects.adapter_path(&adapter).is_some();
                let sentence = if known { SILENT } else { "there is no such adapter" };
                self.tell(host::Event::AdapterRefused { adapter, sentence: sentence.into() });
            }
            Asked::Task(task, device) => {
                let known = self.objects.path_of(device).is_some();
                let sentence =
                    if known { SILENT } else { "org.bluez.Error.DoesNotExist: there is no such device" };
                self.tell(host::Event::Done { task, device, result: Err(sentence.into()) });
            }
            Asked::Names => self.on_names(now, Vec::new()),
            Asked::Process => self.on_process(None),
            Asked::Device(_) => {}
            Asked::Plain(what) => log::warn!("bluetooth: {what}: no answer"),
        }
    }

    /// A device or adapter that is not known yet has changed: all of it is asked for.
    pub(super) fn meet(&mut self, now: Instant, path: String) {
        let message = call(BLUEZ, &path, PROPERTIES, "GetAll").map(|message| message.append1(DEVICE));
        self.ask(now, message, Asked::Device(path));
    }

    fn look_for_the_owner(&mut self, now: Instant, sentence: String) {
        self.search = Some(Search::new(sentence));
        self.ask(now, call(BUS, BUS_PATH, BUS, "ListNames"), Asked::Names);
    }

    fn on_names(&mut self, now: Instant, names: Vec<String>) {
        let Some(search) = self.search.as_mut() else { return };
        let clients = search.names(names);
        search.open = clients.len();
        if clients.is_empty() {
            return self.tell_owner();
        }
        for client in clients {
            let message = call(BUS, BUS_PATH, BUS, "GetConnectionUnixProcessID");
            self.ask(now, message.map(|message| message.append1(client)), Asked::Process);
        }
    }

    fn on_process(&mut self, id: Option<u32>) {
        let Some(search) = self.search.as_mut() else { return };
        if let Some(id) = id {
            search.process(id);
        }
        search.open = search.open.saturating_sub(1);
        if search.open == 0 {
            self.tell_owner();
        }
    }

    fn tell_owner(&mut self) {
        if let Some(search) = self.search.take() {
            self.tell(host::Event::ProfileRefused { by: search.by(), sentence: search.sentence });
        }
    }

    fn tell_all(&mut self, events: impl IntoIterator<Item = host::Event>) {
        for event in events {
            let closes = self.closes_pairing(&event);
            self.tell(event);
            if closes {
                self.pairing_over();
            }
        }
    }

    pub(super) fn on_signal(&mut self, now: Instant, interface: &str, member: &str, message: &Message) {
        let mut at = message.iter_init();
        match (interface, member) {
            ("org.freedesktop.DBus.ObjectManager", "InterfacesAdded") => {
                let Some(path) = text(&mut at) else { return };
                at.next();
                entries(&mut at, |interface, mut all| {
                    let event = self.objects.added(&path, &interface, &properties(&mut all));
                    self.tell_all(event);
                });
            }
            ("org.freedesktop.DBus.ObjectManager", "InterfacesRemoved") => {
                let Some(path) = text(&mut at) else { return };
                at.next();
                for interface in texts(&mut at).unwrap_or_default() {
                    let events = self.objects.removed(&path, &interface);
                    self.tell_all(events);
                }
            }
            (PROPERTIES, "PropertiesChanged") => {
                let (Some(path), Some(interface)) = (message.path(), text(&mut at)) else { return };
                if !at.next() || at.arg_type() != ArgType::Array {
                    self.counters.garbage += 1;
                    return;
                }
                match self.objects.changed(&path, &interface, &properties(&mut at)) {
                    Ok(event) => self.tell_all(event),
                    Err(()) if interface == DEVICE && last(&path).starts_with("dev_") => {
                        self.meet(now, path.to_string());
                    }
                    Err(()) => {}
                }
            }
            _ => {}
        }
    }
}

/// `NotPermitted` of `org.bluez.Error.NotPermitted`.
fn last_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or("")
}
