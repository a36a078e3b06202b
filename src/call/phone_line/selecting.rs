//! Which phone dials.

use std::time::Instant;

use super::core::PhoneLine;
use super::phone::{Link, Phone};
use crate::base::{CallId, Number};
use crate::call::leg::LegEnd;
use crate::call::phones::{PhoneEnd, PhoneEvent};
use crate::hfp::host::Address;

impl PhoneLine {
    pub(super) fn dial(&mut self, now: Instant, call: CallId, number: Number) {
        match self.select() {
            Ok(address) => {
                if let Some(phone) = self.phones.get_mut(&address) {
                    phone.dial(now, &mut self.shared, call, number);
                }
            }
            Err((end, detail)) => {
                self.shared.tell(PhoneEvent::Ended { call, end: PhoneEnd::Leg(end), detail });
            }
        }
    }

    /// The phone that would dial now, or why none would, with what to do about it.
    pub(super) fn select(&self) -> Result<Address, (LegEnd, String)> {
        if self.shared.closing {
            return Err((LegEnd::Failed, "the service is stopping".into()));
        }
        let used = |phone: &&Phone| phone.is_used(&self.shared.settings);
        let mut ready: Vec<&Phone> =
            self.phones.values().filter(used).filter(|phone| phone.ready().is_some()).collect();
        let by_adb = self.shared.settings.by_adb;
        let out_of_reach = |phone: &Phone| by_adb && phone.android.is_none();
        ready.sort_by_key(|phone| (out_of_reach(phone), self.shared.memory.rank(phone.address)));
        let free = |phone: &&&Phone| phone.call.is_none() && !phone.has_calls() && !phone.may_yet_dial();
        match ready.iter().find(free) {
            Some(phone) => Ok(phone.address),
            None if ready.is_empty() => Err((LegEnd::NetworkError, self.no_phone())),
            None => Err((LegEnd::Failed, "the phone is in a call; nothing is dialled beside it".into())),
        }
    }

    fn no_phone(&self) -> String {
        if let Some(fault) = self.radio.fault() {
            return fault;
        }
        let paired =
            |phone: &&Phone| phone.device.as_ref().is_some_and(|device| device.paired) || phone.is_linked();
        let settings = &self.shared.settings;
        if let Some(target) = settings.target {
            let known = self.phones.get(&target).filter(|phone| paired(phone));
            return match known.map(|phone| &phone.link) {
                None => {
                    let key = settings.target_key();
                    format!("the phone {target} ({key}) is not paired; `callscoot pair` pairs it")
                }
                Some(Link::Setup(_) | Link::Connecting { .. }) => {
                    format!("the phone {target} is being connected")
                }
                Some(Link::Away | Link::Waiting(_) | Link::Ready { .. }) => {
                    format!("the phone {target} is not there; switch its Bluetooth on and bring it near")
                }
            };
        }
        if !self.phones.values().any(|phone| paired(&phone)) {
            return "no phone is paired; `callscoot pair` pairs one".into();
        }
        if !settings.auto_select {
            return "no phone is chosen: set target_device, or auto_select_device to true".into();
        }
        "no paired phone is there; switch its Bluetooth on and bring it near".into()
    }
}
