//! The adapters and devices of the host, as its object manager tells them. No D-Bus here: paths, names and values.

use std::collections::BTreeMap;

use super::value::{Properties, Value};
use crate::hfp::host::{Adapter, Address, Device, Event};

/// Adapters that are known; further ones are not.
const ADAPTERS_MAX: usize = 16;
/// Devices that are known. A paired one takes the place of one that is not; others are not known.
const DEVICES_MAX: usize = 256;

pub(super) const ADAPTER: &str = "org.bluez.Adapter1";
pub(super) const DEVICE: &str = "org.bluez.Device1";

/// The hands-free unit's UUID: what is registered here.
pub(super) const HANDS_FREE: &str = "0000111e-0000-1000-8000-00805f9b34fb";
/// The audio gateway's: what phones are.
pub(super) const AUDIO_GATEWAY: &str = "0000111f-0000-1000-8000-00805f9b34fb";

/// What is known.
#[derive(Default)]
pub(super) struct Objects {
    adapters: BTreeMap<String, Adapter>,
    devices: BTreeMap<String, Device>,
    /// Properties of a wrong type, objects without an address.
    pub(super) garbage: u64,
    /// Objects beyond the limit.
    pub(super) too_many: u64,
}

impl Objects {
    /// The host is gone, and with it all but what was counted.
    pub(super) fn clear(&mut self) {
        self.adapters.clear();
        self.devices.clear();
    }

    /// An object has this interface, with all its properties.
    pub(super) fn added(&mut self, path: &str, interface: &str, properties: &Properties) -> Option<Event> {
        match interface {
            ADAPTER => {
                let mut adapter = Adapter {
                    name: last(path).to_owned(),
                    address: Address::new([0; 6]),
                    alias: String::new(),
                    powered: false,
                    blocked: false,
                    discoverable: false,
                    pairable: false,
                    hands_free: false,
                };
                self.garbage += set_adapter(&mut adapter, properties);
                if !self.adapters.contains_key(path) && self.adapters.len() >= ADAPTERS_MAX {
                    self.too_many += 1;
                    return None;
                }
                let before = self.adapters.insert(path.to_owned(), adapter.clone());
                (before.as_ref() != Some(&adapter)).then_some(Event::Adapter(adapter))
            }
            DEVICE => {
                let Some(address) = address_in(path) else {
                    self.garbage += 1;
                    return None;
                };
                let mut device = Device {
                    adapter: last(parent(path)).to_owned(),
                    address,
                    alias: String::new(),
                    paired: false,
                    trusted: false,
                    connected: false,
                    audio_gateway: false,
                };
                self.garbage += set_device(&mut device, properties);
                if !self.devices.contains_key(path) && !self.make_room(&device) {
                    return None;
                }
                let before = self.devices.insert(path.to_owned(), device.clone());
                (before.as_ref() != Some(&device)).then(|| self.shown(device))
            }
            _ => None,
        }
    }

    /// Some properties have changed. `Err`: the object is not known, though it could be.
    pub(super) fn changed(
        &mut self,
        path: &str,
        interface: &str,
        properties: &Properties,
    ) -> Result<Option<Event>, ()> {
        match interface {
            ADAPTER => {
                let adapter = self.adapters.get_mut(path).ok_or(())?;
                let before = adapter.clone();
                self.garbage += set_adapter(adapter, properties);
                Ok((before != *adapter).then(|| Event::Adapter(adapter.clone())))
            }
            DEVICE => {
                let device = self.devices.get_mut(path).ok_or(())?;
                let before = device.clone();
                self.garbage += set_device(device, properties);
                let device = device.clone();
                Ok((before != device).then(|| self.shown(device)))
            }
            _ => Ok(None),
        }
    }

    /// An object has lost this interface.
    pub(super) fn removed(&mut self, path: &str, interface: &str) -> Vec<Event> {
        match interface {
            ADAPTER => {
                let Some(adapter) = self.adapters.remove(path) else { return Vec::new() };
                let below: Vec<String> =
                    self.devices.keys().filter(|device| parent(device) == path).cloned().collect();
                let mut events: Vec<Event> =
                    below.iter().filter_map(|device| self.device_removed(device)).collect();
                events.push(Event::AdapterGone(adapter.name));
                events
            }
            DEVICE => self.device_removed(path).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Two adapters may know one device: the one that has it is told, whichever record has changed.
    fn shown(&self, changed: Device) -> Event {
        let best = self.path_of(changed.address).and_then(|path| self.devices.get(path));
        Event::Device(best.cloned().unwrap_or(changed))
    }

    /// Two adapters may know one device: it is gone when neither does.
    fn device_removed(&mut self, path: &str) -> Option<Event> {
        let device = self.devices.remove(path)?;
        Some(match self.path_of(device.address).and_then(|other| self.devices.get(other)) {
            Some(other) => Event::Device(other.clone()),
            None => Event::DeviceGone(device.address),
        })
    }

    /// What is known at this path.
    pub(super) fn device(&self, path: &str) -> Option<&Device> {
        self.devices.get(path)
    }

    /// Where this device is to be spoken to: through the adapter that is connected with it, or paired.
    pub(super) fn path_of(&self, address: Address) -> Option<&str> {
        let with = self.devices.iter().filter(|(_, device)| device.address == address);
        with.max_by_key(|(_, device)| (device.connected, device.paired)).map(|(path, _)| path.as_str())
    }

    /// Where this adapter is.
    pub(super) fn adapter_path(&self, name: &str) -> Option<&str> {
        self.adapters.iter().find(|(_, adapter)| adapter.name == name).map(|(path, _)| path.as_str())
    }

    fn make_room(&mut self, newcomer: &Device) -> bool {
        if self.devices.len() < DEVICES_MAX {
            return true;
        }
        self.too_many += 1;
        let stranger = self.devices.iter().find(|(_, device)| !device.paired && !device.connected);
        let stranger = stranger.map(|(path, _)| path.clone());
        newcomer.paired && stranger.is_some_and(|path| self.devices.remove(&path).is_some())
    }
}

/// The last name of a path.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

/// The path above.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

/// The address in `…/dev_AA_BB_CC_DD_EE_FF`.
pub(super) fn address_in(path: &str) -> Option<Address> {
    last(path).strip_prefix("dev_")?.parse().ok()
}

fn has(uuids: &[String], uuid: &str) -> bool {
    uuids.iter().any(|other| other.eq_ignore_ascii_case(uuid))
}

fn set_adapter(adapter: &mut Adapter, properties: &Properties) -> u64 {
    let mut garbage = 0;
    for (name, value) in properties {
        match (name.as_str(), value) {
            ("Address", Value::Text(text)) => match text.parse() {
                Ok(address) => adapter.address = address,
                Err(_) => garbage += 1,
            },
            ("Alias", Value::Text(text)) => adapter.alias.clone_from(text),
            ("Powered", Value::Flag(flag)) => adapter.powered = *flag,
            ("PowerState", Value::Text(text)) => adapter.blocked = text == "off-blocked",
            ("Discoverable", Value::Flag(flag)) => adapter.discoverable = *flag,
            ("Pairable", Value::Flag(flag)) => adapter.pairable = *flag,
            ("UUIDs", Value::Texts(uuids)) => adapter.hands_free = has(uuids, HANDS_FREE),
            ("Address" | "Alias" | "Powered" | "PowerState" | "Discoverable" | "Pairable" | "UUIDs", _) => {
                garbage += 1;
            }
            _ => {}
        }
    }
    garbage
}

fn set_device(device: &mut Device, properties: &Properties) -> u64 {
    let mut garbage = 0;
    for (name, value) in properties {
        match (name.as_str(), value) {
            ("Address", Value::Text(text)) => match text.parse() {
                Ok(address) => device.address = address,
                Err(_) => garbage += 1,
            },
            ("Alias", Value::Text(text)) => device.alias.clone_from(text),
            ("Paired", Value::Flag(flag)) => device.paired = *flag,
            ("Trusted", Value::Flag(flag)) => device.trusted = *flag,
            ("Connected", Value::Flag(flag)) => device.connected = *flag,
            ("UUIDs", Value::Texts(uuids)) => device.audio_gateway = has(uuids, AUDIO_GATEWAY),
            ("Address" | "Alias" | "Paired" | "Trusted" | "Connected" | "UUIDs", _) => garbage += 1,
            _ => {}
        }
    }
    garbage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> (String, Value) {
        (name.into(), Value::Text(value.into()))
    }

    fn flag(name: &str, value: bool) -> (String, Value) {
        (name.into(), Value::Flag(value))
    }

    fn device_path(adapter: u8, number: usize) -> String {
        format!("/org/bluez/hci{adapter}/dev_00_00_00_00_{:02X}_{:02X}", number / 256, number % 256)
    }

    #[test]
    fn what_changes_is_told_once_and_what_does_not_matter_is_not() {
        let mut objects = Objects::default();
        let path = "/org/bluez/hci0";
        let all = vec![
            text("Address", "00:AA:01:00:00:00"),
            flag("Powered", false),
            text("PowerState", "off-blocked"),
        ];
        let Some(Event::Adapter(adapter)) = objects.added(path, ADAPTER, &all) else { panic!("no adapter") };
        assert_eq!((adapter.name.as_str(), adapter.blocked, adapter.powered), ("hci0", true, false));
        assert_eq!(objects.added(path, ADAPTER, &all), None);
        assert_eq!(objects.changed(path, ADAPTER, &vec![flag("Discovering", true)]), Ok(None));
        for (uuid, has) in [("0000111E-0000-1000-8000-00805F9B34FB", true), (AUDIO_GATEWAY, false)] {
            let uuids = vec![("UUIDs".into(), Value::Texts(vec![uuid.into()]))];
            let changed = objects.changed(path, ADAPTER, &uuids);
            assert!(
                matches!(changed, Ok(Some(Event::Adapter(Adapter { hands_free, .. }))) if hands_free == has)
            );
        }
        let changed = objects.changed(path, ADAPTER, &vec![flag("Powered", true), text("PowerState", "on")]);
        assert!(matches!(changed, Ok(Some(Event::Adapter(Adapter { powered: true, blocked: false, .. })))));
        assert_eq!(objects.changed("/org/bluez/hci7", ADAPTER, &vec![]), Err(()));
    }

    #[test]
    fn wrong_types_are_counted_and_change_nothing() {
        let mut objects = Objects::default();
        let path = device_path(0, 1);
        objects.added(&path, DEVICE, &vec![text("Alias", "Phone"), flag("Paired", true)]);
        let odd = vec![
            ("Alias".into(), Value::Other),
            text("Paired", "no"),
            flag("UUIDs", true),
            text("Address", "nonsense"),
            ("RSSI".into(), Value::Other),
        ];
        assert_eq!(objects.changed(&path, DEVICE, &odd), Ok(None));
        assert_eq!(objects.garbage, 4);
        assert_eq!(objects.added("/org/bluez/hci0/nonsense", DEVICE, &vec![]), None);
        assert_eq!(objects.garbage, 5);
    }

    #[test]
    fn an_adapter_takes_its_devices_along_but_not_those_that_another_knows() {
        let mut objects = Objects::default();
        for adapter in ["/org/bluez/hci0", "/org/bluez/hci1"] {
            objects.added(adapter, ADAPTER, &vec![]);
        }
        objects.added(&device_path(0, 1), DEVICE, &vec![]);
        objects.added(&device_path(0, 2), DEVICE, &vec![]);
        objects.added(&device_path(1, 2), DEVICE, &vec![]);
        let events = objects.removed("/org/bluez/hci0", ADAPTER);
        let [Event::DeviceGone(gone), Event::Device(stays), Event::AdapterGone(name)] = events.as_slice()
        else {
            panic!("{events:?}");
        };
        assert_eq!((gone.to_string().as_str(), name.as_str()), ("00:00:00:00:00:01", "hci0"));
        assert_eq!(
            (stays.adapter.as_str(), stays.address.to_string().as_str()),
            ("hci1", "00:00:00:00:00:02")
        );
    }

    #[test]
    fn of_two_adapters_that_know_a_device_the_one_that_has_it_is_told_whichever_changes() {
        let mut objects = Objects::default();
        let (with, without) = (device_path(1, 2), device_path(0, 2));
        let told = |event: Option<Event>| match event {
            Some(Event::Device(device)) => (device.adapter, device.paired, device.connected),
            other => panic!("{other:?}"),
        };
        let here = ("hci1".to_owned(), true, true);
        let has = vec![flag("Paired", true), flag("Connected", true)];
        assert_eq!(told(objects.added(&with, DEVICE, &has)), here);
        assert_eq!(told(objects.added(&without, DEVICE, &vec![])), here);
        let changed = objects.changed(&without, DEVICE, &vec![text("Alias", "Phone")]);
        assert_eq!(told(changed.unwrap()), here);
        let gone = objects.changed(&with, DEVICE, &vec![flag("Connected", false), flag("Paired", false)]);
        assert!(!told(gone.unwrap()).2);
        let comes = objects.changed(&without, DEVICE, &vec![flag("Paired", true)]);
        assert_eq!(told(comes.unwrap()), ("hci0".to_owned(), true, false), "now the other one has it");
    }

    #[test]
    fn beyond_the_limit_only_a_paired_device_is_taken_in() {
        let mut objects = Objects::default();
        for number in 0..1000 {
            objects.added(&device_path(0, number), DEVICE, &vec![]);
        }
        assert_eq!((objects.devices.len(), objects.too_many), (DEVICES_MAX, 744));
        let path = device_path(0, 2000);
        assert!(objects.added(&path, DEVICE, &vec![flag("Paired", true)]).is_some());
        assert_eq!(objects.devices.len(), DEVICES_MAX);
        assert!(objects.device(&path).is_some());
    }
}
