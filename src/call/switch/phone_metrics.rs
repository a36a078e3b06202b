//! What is measured of phones. A phone is told by its place, never by name, number or address.

use super::core::Switch;
use super::phone_list;
use crate::call::phones::{PhoneLink, PhoneName};
use crate::hfp::Codec;
use crate::hfp::host::Address;

/// Places by name. Phones that come later are counted, but have no figures of their own.
const PLACES: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// The phones in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct PhonePlaces {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    phone: Address,
    was_connected: bool,
}

impl PhonePlaces {
    /// The phone's own place, if there is one left for it.
    fn of(&mut self, phone: Address) -> Option<(&'static str, &mut Seen)> {
        let known = self.seen.iter().position(|seen| seen.phone == phone);
        let place = known.unwrap_or_else(|| {
            if self.seen.len() < PLACES.len() {
                self.seen.push(Seen { phone, was_connected: false });
                self.seen.len() - 1
            } else {
                PLACES.len()
            }
        });
        PLACES.get(place).copied().zip(self.seen.get_mut(place))
    }
}

impl Switch {
    /// A phone came: the first time, or again.
    pub(super) fn phone_came(&mut self, phone: &PhoneName) {
        let Some((place, seen)) = self.phone_places.of(phone.address) else { return };
        log::info!("phone {place} is connected");
        if std::mem::replace(&mut seen.was_connected, true) {
            self.metrics.phone_reconnects.inc();
        }
    }

    /// A phone went.
    pub(super) fn phone_went(&mut self, phone: &PhoneName) {
        if let Some((place, _)) = self.phone_places.of(phone.address) {
            log::info!("phone {place} is gone");
        }
    }

    /// The figures of all phones, as they are now.
    pub(super) fn measure_phones(&mut self) {
        let metrics = &self.metrics;
        let ready = |phone: &&crate::call::phones::Phone| phone.link == PhoneLink::Ready;
        metrics.phones_connected.set(self.phones.phones.iter().filter(ready).count() as u64);
        for codec in [Codec::Cvsd, Codec::Msbc] {
            let open = self.phones.phones.iter().filter(|phone| phone.voice == Some(codec)).count();
            metrics.phone_voice_links.set([phone_list::codec(codec)], open as u64);
        }
        // A phone that is gone has no battery, not an empty one.
        metrics.phone_battery.clear();
        metrics.phone_signal.clear();
        for phone in self.phones.phones.iter().filter(ready) {
            if let Some((place, _)) = self.phone_places.of(phone.name.address)
                && let Some(said) = &phone.said
            {
                metrics.phone_battery.set([place], said.battery.into());
                metrics.phone_signal.set([place], said.signal.into());
            }
        }
    }
}
