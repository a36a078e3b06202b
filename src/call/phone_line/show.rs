//! What is shown of phones: told when it changed, and not more often than people can read.

use std::time::{Duration, Instant};

use super::core::PhoneLine;
use super::phone::{Link, Phone};
use crate::call::phones::{self, PhoneEvent, PhoneLink, Phones};

/// Five times a second.
const DISTANCE: Duration = Duration::from_millis(200);

impl PhoneLine {
    /// Tells it now, or as soon as it may be told again.
    pub(super) fn show(&mut self, now: Instant) {
        if now < self.not_shown_before {
            self.show_at = Some(self.not_shown_before);
            return;
        }
        self.show_at = None;
        let shown = self.snapshot();
        if shown != self.shown {
            self.shown = shown.clone();
            self.not_shown_before = now + DISTANCE;
            self.shared.tell(PhoneEvent::Phones(Box::new(shown)));
        }
    }

    fn snapshot(&self) -> Phones {
        let selection = self.select();
        let may_pair = self.window.deadline().is_some();
        let shown = self.phones.values().filter(|phone| phone.is_shown(may_pair));
        Phones {
            fault: self.radio.fault(),
            adapter: self.radio.adapter().map(|adapter| (adapter.name.clone(), adapter.address)),
            pairing: self.window.shown(),
            phones: shown.map(|phone| self.shown_of(phone)).collect(),
            selected: selection.as_ref().ok().copied(),
            no_selection: selection.err().map(|(_, sentence)| sentence),
            adb: self.androids.shown(&self.shared.settings),
        }
    }

    fn shown_of(&self, phone: &Phone) -> phones::Phone {
        let adapter = self.shared.adapter;
        let cvsd_only = phone.cvsd_for_now || self.shared.memory.is_cvsd_only(phone.address, adapter);
        phones::Phone {
            name: phone.name(),
            paired: phone.device.as_ref().is_some_and(|device| device.paired),
            trusted: phone.device.as_ref().is_some_and(|device| device.trusted),
            link: match phone.link {
                Link::Away => PhoneLink::Away,
                Link::Waiting(at) => PhoneLink::Waiting(at),
                Link::Connecting { .. } | Link::Setup(_) => PhoneLink::Connecting,
                Link::Ready { .. } => PhoneLink::Ready,
            },
            said: phone.ready().map(|slc| slc.phone().clone()),
            voice: phone.voice.codec(),
            cvsd_only,
            calls: phone.calls().len().try_into().unwrap_or(u8::MAX),
            adb_serial: phone.android.as_ref().map(|android| android.serial.to_string()),
            last_error: phone.last_error.clone(),
        }
    }
}
