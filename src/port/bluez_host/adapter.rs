//! The host's one radio, `org.bluez.Adapter1`.

use std::time::{Duration, Instant};

use super::refusal::Refusal;
use super::value::{Properties, Value};
use crate::base::time::earlier;
use crate::hfp::host::Address;

/// Its path; there is one adapter.
pub(super) const PATH: &str = "/org/bluez/hci0";
pub(super) const INTERFACE: &str = "org.bluez.Adapter1";

/// How long others find it when nothing else is set, as bluetoothd's own configuration has it.
const DISCOVERABLE_SECONDS: u32 = 180;

#[derive(Debug)]
pub(super) struct Adapter {
    address: Address,
    alias: String,
    pub(super) powered: bool,
    /// By rfkill: it cannot be switched on.
    pub(super) blocked: bool,
    discoverable: bool,
    discoverable_seconds: u32,
    hides_at: Option<Instant>,
    pub(super) pairable: bool,
    pairable_seconds: u32,
    unpairable_at: Option<Instant>,
}

impl Adapter {
    pub(super) fn new(address: Address, alias: String) -> Self {
        Self {
            address,
            alias,
            powered: true,
            blocked: false,
            discoverable: false,
            discoverable_seconds: DISCOVERABLE_SECONDS,
            hides_at: None,
            pairable: false,
            pairable_seconds: 0,
            unpairable_at: None,
        }
    }

    pub(super) fn properties(&self, uuids: Vec<String>) -> Properties {
        let state = match (self.powered, self.blocked) {
            (true, _) => "on",
            (false, false) => "off",
            (false, true) => "off-blocked",
        };
        Properties::from([
            ("Address", Value::text(self.address.to_string())),
            ("AddressType", Value::text("public")),
            ("Name", Value::text("simulated")),
            ("Alias", Value::text(self.alias.clone())),
            ("Class", Value::Number(0)),
            ("Connectable", Value::Flag(self.powered)),
            ("Powered", Value::Flag(self.powered)),
            ("PowerState", Value::text(state)),
            ("Discoverable", Value::Flag(self.discoverable)),
            ("DiscoverableTimeout", Value::Number(self.discoverable_seconds)),
            ("Pairable", Value::Flag(self.pairable)),
            ("PairableTimeout", Value::Number(self.pairable_seconds)),
            ("Discovering", Value::Flag(false)),
            ("UUIDs", Value::Texts(uuids)),
            ("Modalias", Value::text("usb:v1D6Bp0246d0557")),
            ("Roles", Value::Texts(vec!["central".into(), "peripheral".into()])),
            ("Manufacturer", Value::Short(1521)),
            ("Version", Value::Byte(14)),
        ])
    }

    /// Sets a property of the right type. `None`: it is not writable.
    pub(super) fn set(&mut self, now: Instant, name: &str, value: Value) -> Option<Result<(), Refusal>> {
        match (name, value) {
            ("Alias", Value::Text(alias)) => self.alias = alias,
            ("Powered", Value::Flag(true)) if self.blocked => {
                return Some(Err(Refusal::failed("Blocked through rfkill")));
            }
            ("Powered", Value::Flag(powered)) => self.power(powered),
            ("Discoverable", Value::Flag(true)) if !self.powered => {
                return Some(Err(Refusal::failed("Not Powered")));
            }
            ("Discoverable", Value::Flag(discoverable)) => {
                self.discoverable = discoverable;
                self.hides_at = until(now, discoverable, self.discoverable_seconds);
            }
            ("DiscoverableTimeout", Value::Number(seconds)) => {
                self.discoverable_seconds = seconds;
                self.hides_at = until(now, self.discoverable, seconds);
            }
            ("Pairable", Value::Flag(pairable)) => {
                self.pairable = pairable;
                self.unpairable_at = until(now, pairable, self.pairable_seconds);
            }
            ("PairableTimeout", Value::Number(seconds)) => {
                self.pairable_seconds = seconds;
                self.unpairable_at = until(now, self.pairable, seconds);
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    /// Switches it on or off.
    pub(super) fn power(&mut self, powered: bool) {
        self.powered = powered;
        if !powered {
            self.discoverable = false;
            self.hides_at = None;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.hides_at.take_if(|at| *at <= now).is_some() {
            self.discoverable = false;
        }
        if self.unpairable_at.take_if(|at| *at <= now).is_some() {
            self.pairable = false;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        earlier(self.hides_at, self.unpairable_at)
    }
}

/// No seconds are no end.
fn until(now: Instant, on: bool, seconds: u32) -> Option<Instant> {
    (on && seconds > 0).then(|| now + Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    fn adapter() -> Adapter {
        Adapter::new(Address::new([0, 0xAA, 1, 0, 0, 0]), "bench".into())
    }

    #[test]
    fn it_is_found_for_as_long_as_it_was_told() {
        let (mut adapter, now) = (adapter(), any_instant());
        assert_eq!(adapter.set(now, "DiscoverableTimeout", Value::Number(60)), Some(Ok(())));
        assert_eq!(adapter.set(now, "Discoverable", Value::Flag(true)), Some(Ok(())));
        assert_eq!(adapter.set(now, "PairableTimeout", Value::Number(30)), Some(Ok(())));
        assert_eq!(adapter.set(now, "Pairable", Value::Flag(true)), Some(Ok(())));
        assert_eq!(adapter.deadline(), Some(now + Duration::from_secs(30)));
        adapter.handle_timeout(now + Duration::from_secs(30));
        assert!(adapter.discoverable && !adapter.pairable);
        adapter.handle_timeout(now + Duration::from_secs(60));
        assert!(!adapter.discoverable && adapter.deadline().is_none());
        adapter.set(now, "DiscoverableTimeout", Value::Number(0));
        adapter.set(now, "Discoverable", Value::Flag(true));
        assert_eq!(adapter.deadline(), None, "0 is for ever");
    }

    #[test]
    fn a_blocked_radio_stays_off_and_a_dark_one_is_not_found() {
        let (mut adapter, now) = (adapter(), any_instant());
        adapter.power(false);
        adapter.blocked = true;
        assert!(matches!(adapter.set(now, "Powered", Value::Flag(true)), Some(Err(_))));
        assert!(matches!(adapter.set(now, "Discoverable", Value::Flag(true)), Some(Err(_))));
        assert_eq!(adapter.properties(Vec::new()).get("PowerState"), Some(&Value::text("off-blocked")));
        assert_eq!(adapter.set(now, "Address", Value::text("x")), None);
    }
}
