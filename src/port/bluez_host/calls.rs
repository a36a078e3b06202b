//! What clients call, and what they are answered.

use std::collections::BTreeMap;
use std::time::Instant;

use dbus::{Message, Path};

use super::adapter;
use super::device;
use super::host::{Event, Host};
use super::introspect;
use super::refusal::Refusal;
use super::value::{Interfaces, Properties, Value, dict, dicts};

/// An answer, or none yet.
type Answer = Option<Result<Message, Refusal>>;

impl Host {
    /// The answer to a call, unless it comes later.
    pub(super) fn on_call(&mut self, now: Instant, call: &Message) -> Option<Message> {
        match self.answer(now, call)? {
            Ok(reply) => Some(reply),
            Err(refusal) => refusal.answer(call),
        }
    }

    fn answer(&mut self, now: Instant, call: &Message) -> Answer {
        let path = call.path()?.to_string();
        let interface = call.interface().map(|name| name.to_string()).unwrap_or_default();
        let method = call.member()?.to_string();
        let types = introspect::signature(call);
        let objects = self.objects();
        if method == "Introspect" && types.is_empty() {
            return Some(Ok(call.return_with_args((introspect::xml(&objects, &path),))));
        }
        if !introspect::takes(&objects, &path, &interface, &method, &types) {
            let known = objects.contains_key(&path) || path == "/";
            let name = if known {
                "org.freedesktop.DBus.Error.UnknownMethod"
            } else {
                "org.freedesktop.DBus.Error.UnknownObject"
            };
            let words = format!(
                "Method \"{method}\" with signature \"{types}\" on interface \"{interface}\" doesn't exist\n"
            );
            return Some(Err(Refusal::new(name, words)));
        }
        let sender = call.sender().map(|name| name.to_string()).unwrap_or_default();
        let done = |result: Result<(), Refusal>| Some(result.map(|()| call.method_return()));
        match method.as_str() {
            "GetManagedObjects" => {
                let all: BTreeMap<Path<'static>, _> = objects
                    .iter()
                    .filter_map(|(path, interfaces)| Some((Path::new(path.clone()).ok()?, dicts(interfaces))))
                    .collect();
                Some(Ok(call.return_with_args((all,))))
            }
            "Get" | "GetAll" => {
                let (interface, name) = call.get2::<&str, &str>();
                let interface = interface.unwrap_or_default();
                let own = objects.get(&path).and_then(|own| own.get(interface));
                Some(read(call, own, interface, name))
            }
            "Set" => self.on_set(now, &path, call, &objects.get(&path)?.clone()),
            "RegisterAgent" => {
                let (path, words) = call.get2::<Path<'_>, &str>();
                done(self.registry.register_agent(&sender, &path?, words?))
            }
            "RequestDefaultAgent" => {
                done(self.registry.request_default_agent(&sender, &call.get1::<Path<'_>>()?))
            }
            "UnregisterAgent" => done(self.registry.unregister_agent(&sender, &call.get1::<Path<'_>>()?)),
            "RegisterProfile" => {
                let (path, uuid) = call.get2::<Path<'_>, &str>();
                let before = self.registry.hands_free().is_some();
                let result = self.registry.register_profile(&sender, &path?, uuid?);
                if !before && self.registry.hands_free().is_some() {
                    self.events.push_back(Event::ProfileRegistered);
                }
                done(result)
            }
            "UnregisterProfile" => {
                match self.registry.unregister_profile(&sender, &call.get1::<Path<'_>>()?) {
                    Ok(profile) => {
                        self.profile_gone(now, &profile.uuid);
                        Some(Ok(call.method_return()))
                    }
                    Err(refusal) => Some(Err(refusal)),
                }
            }
            "StartDiscovery" if !self.radio_is_on() => {
                Some(Err(Refusal::new("org.bluez.Error.NotReady", "Resource Not Ready")))
            }
            // Nothing is found that way: these phones come by themselves.
            "Ping" | "StartDiscovery" => Some(Ok(call.method_return())),
            "StopDiscovery" => Some(Err(Refusal::failed("No discovery started"))),
            "RemoveDevice" => {
                let path = call.get1::<Path<'_>>()?;
                let device = device::address(&path);
                let device = device
                    .filter(|device| self.devices.get(device).is_some_and(|known| known.shown))
                    .ok_or_else(Refusal::does_not_exist);
                Some(device.map(|device| {
                    self.pairing_given_up(now, device);
                    self.link_down(now, device);
                    if let Some(known) = self.devices.get_mut(&device) {
                        known.forget();
                    }
                    self.events.push_back(Event::Removed(device));
                    call.method_return()
                }))
            }
            _ => self.on_device(now, &path, &method, call),
        }
    }

    fn on_device(&mut self, now: Instant, path: &str, method: &str, call: &Message) -> Answer {
        let device = device::address(path)?;
        match method {
            "Connect" => self.on_connect(now, device, None, call),
            "ConnectProfile" => self.on_connect(now, device, Some(call.get1()?), call),
            "Disconnect" => self.on_disconnect(now, device, call),
            "DisconnectProfile" => Some(self.on_disconnect_profile(now, device, call.get1()?, call)),
            "Pair" => self.on_pair(now, device, call),
            "CancelPairing" => {
                let pairing = self.devices.get(&device).is_some_and(|known| known.pairing);
                if pairing {
                    self.pairing_given_up(now, device);
                    Some(Ok(call.method_return()))
                } else {
                    Some(Err(Refusal::does_not_exist()))
                }
            }
            _ => Some(Err(Refusal::new("org.freedesktop.DBus.Error.UnknownMethod", "No such method"))),
        }
    }

    fn on_set(&mut self, now: Instant, path: &str, call: &Message, own: &Interfaces) -> Answer {
        let mut at = call.iter_init();
        let interface = at.get::<&str>()?;
        at.next();
        let name = at.get::<&str>()?;
        at.next();
        let value = Value::read(&mut at);
        let old = match find(own.get(interface), interface, name) {
            Ok(old) => old,
            Err(refusal) => return Some(Err(refusal)),
        };
        let read_only = Refusal::new(
            "org.freedesktop.DBus.Error.PropertyReadOnly",
            format!("Property '{name}' is not writable"),
        );
        if !introspect::is_writable(name) {
            return Some(Err(read_only));
        }
        let Some(value) = value.filter(|value| value.signature() == old.signature()) else {
            let words = format!("Invalid signature for '{name}'");
            return Some(Err(Refusal::new("org.freedesktop.DBus.Error.InvalidSignature", words)));
        };
        let result = match device::address(path) {
            Some(device) => self.devices.get_mut(&device).and_then(|known| known.set(name, value)).map(Ok),
            None if path == adapter::PATH => {
                let was_on = self.radio_is_on();
                let result = self.adapter.set(now, name, value);
                if was_on && !self.radio_is_on() {
                    self.links_down(now);
                }
                result
            }
            None => None,
        };
        Some(result.unwrap_or(Err(read_only)).map(|()| call.method_return()))
    }
}

/// The property's value.
fn find<'a>(own: Option<&'a Properties>, interface: &str, name: &str) -> Result<&'a Value, Refusal> {
    let invalid = |words| Refusal::new("org.freedesktop.DBus.Error.InvalidArgs", words);
    let own = own.ok_or_else(|| invalid(format!("No such interface '{interface}'")))?;
    own.get(name).ok_or_else(|| invalid(format!("No such property '{name}'")))
}

/// One property, or all of them without a name.
fn read(
    call: &Message,
    own: Option<&Properties>,
    interface: &str,
    name: Option<&str>,
) -> Result<Message, Refusal> {
    if let Some(name) = name {
        return Ok(call.return_with_args((find(own, interface, name)?.wire(),)));
    }
    // An interface that is not there is refused as for one property.
    let all = own.ok_or_else(|| {
        let words = format!("No such interface '{interface}'");
        Refusal::new("org.freedesktop.DBus.Error.InvalidArgs", words)
    })?;
    Ok(call.return_with_args((dict(all),)))
}
