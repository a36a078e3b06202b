//! The adapter and the hands-free profile: what must be there before any phone can be used.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::core::Shared;
use super::phone::Phone;
use super::words::{bounded, profile_fault};
use crate::call::phones::NO_ANSWER_YET;
use crate::hfp::host::{Adapter, Address, Command, Event};

/// Adapters that are kept.
const ADAPTERS_MAX: usize = 8;
/// An adapter that does not switch on is asked again after this.
const POWER_AGAIN: Duration = Duration::from_secs(10);
/// A profile that belongs to somebody else is asked for again after this, or once nobody has it; nobody is fought.
const PROFILE_AGAIN: Duration = Duration::from_secs(60);
/// The host has answered by then.
const PROFILE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Profile {
    #[default]
    None,
    Asked(Instant),
    Ours,
    Refused(Instant),
}

/// The Bluetooth of this machine.
#[derive(Debug, Default)]
pub(super) struct Radio {
    up: bool,
    /// Why it is not.
    down: Option<String>,
    adapters: BTreeMap<String, Adapter>,
    /// The adapter in use.
    used: Option<String>,
    profile: Profile,
    /// Why the profile is not ours, until it is.
    profile_fault: Option<String>,
    power_again: Option<Instant>,
    power_fault: Option<String>,
}

impl Radio {
    pub(super) fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up => *self = Self { up: true, ..Self::default() },
            Event::Down(sentence) => *self = Self { down: Some(bounded(&sentence)), ..Self::default() },
            Event::Adapter(adapter) => {
                let had = self.adapters.get(&adapter.name).is_some_and(|known| known.hands_free);
                if had && !adapter.hands_free && matches!(self.profile, Profile::Refused(_)) {
                    // Who had the profile has given it back.
                    self.profile = Profile::None;
                }
                if self.adapters.len() < ADAPTERS_MAX || self.adapters.contains_key(&adapter.name) {
                    self.adapters.insert(adapter.name.clone(), adapter);
                }
            }
            Event::AdapterGone(name) => {
                self.adapters.remove(&name);
            }
            Event::AdapterRefused { adapter, sentence } => {
                if self.used.as_ref() == Some(&adapter) {
                    self.power_fault = Some(bounded(&sentence));
                }
            }
            Event::ProfileRegistered => {
                self.profile = Profile::Ours;
                self.profile_fault = None;
            }
            Event::ProfileRefused { by, sentence } => {
                self.profile = Profile::Refused(now + PROFILE_AGAIN);
                self.profile_fault = Some(profile_fault(by.as_deref(), &sentence));
            }
            Event::Device(_)
            | Event::DeviceGone(_)
            | Event::PairingPin(_)
            | Event::Pairing { .. }
            | Event::PairingOver
            | Event::Done { .. } => {}
        }
    }

    /// The adapter in use.
    pub(super) fn adapter(&self) -> Option<&Adapter> {
        self.adapters.get(self.used.as_ref()?)
    }

    /// Asks for what is missing.
    pub(super) fn settle(&mut self, now: Instant, shared: &mut Shared, phones: &BTreeMap<Address, Phone>) {
        self.choose(phones);
        if let Some(adapter) = self.adapter() {
            if adapter.powered {
                self.power_again = None;
                self.power_fault = None;
            } else if adapter.blocked {
                // Unblocked, it is switched on at once.
                self.power_again = None;
            } else if !shared.closing && self.power_again.is_none_or(|at| now >= at) {
                let adapter = adapter.name.clone();
                self.power_again = Some(now + POWER_AGAIN);
                shared.host(Command::PowerOn { adapter });
            }
        }
        let asks = match self.profile {
            Profile::None => self.up,
            Profile::Asked(by) | Profile::Refused(by) => now >= by,
            Profile::Ours => false,
        };
        if asks && !shared.closing {
            self.profile = Profile::Asked(now + PROFILE_MAX);
            shared.host(Command::RegisterProfile);
        }
        shared.adapter = self.adapter().map(|adapter| adapter.address);
        let powered = self.adapter().is_some_and(|adapter| adapter.powered);
        shared.usable = self.up && powered && self.profile == Profile::Ours;
    }

    /// One that is not blocked, that knows a phone, that is on; the first of those by name.
    fn choose(&mut self, phones: &BTreeMap<Address, Phone>) {
        let knows = |adapter: &Adapter| {
            let mut devices = phones.values().filter_map(|phone| phone.device.as_ref());
            devices.any(|device| device.paired && device.adapter == adapter.name)
        };
        let worth = |adapter: &Adapter| (!adapter.blocked, knows(adapter), adapter.powered);
        let best = self.adapters.values().rev().max_by_key(|adapter| worth(adapter));
        let best = best.map(|adapter| adapter.name.clone());
        if best != self.used {
            self.used = best;
            self.power_again = None;
            self.power_fault = None;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let power = self.power_again.filter(|_| self.adapter().is_some_and(|adapter| !adapter.powered));
        let profile = match self.profile {
            Profile::Asked(by) | Profile::Refused(by) => Some(by),
            Profile::None | Profile::Ours => None,
        };
        power.into_iter().chain(profile).min()
    }

    /// What keeps every phone from being used.
    pub(super) fn fault(&self) -> Option<String> {
        if !self.up {
            return Some(match &self.down {
                Some(sentence) => format!("bluetoothd is not there: {sentence}"),
                None => NO_ANSWER_YET.into(),
            });
        }
        let Some(adapter) = self.adapter() else {
            return Some("this machine has no Bluetooth adapter".into());
        };
        let name = &adapter.name;
        if adapter.blocked {
            return Some(format!(
                "the Bluetooth adapter {name} is blocked; `rfkill unblock bluetooth` frees it"
            ));
        }
        if !adapter.powered {
            return Some(match &self.power_fault {
                Some(sentence) => format!("the Bluetooth adapter {name} does not switch on: {sentence}"),
                None => format!("the Bluetooth adapter {name} is being switched on"),
            });
        }
        match self.profile {
            Profile::Ours => None,
            Profile::None | Profile::Asked(_) | Profile::Refused(_) => Some(
                self.profile_fault
                    .clone()
                    .unwrap_or_else(|| "the hands-free profile is being registered".into()),
            ),
        }
    }
}
