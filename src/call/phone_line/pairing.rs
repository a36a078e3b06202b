//! The pairing window: open by command only, for a time, and for one phone.

use std::time::{Duration, Instant};

use super::core::{PHONES_MAX, PhoneLine, Shared};
use super::phone::Phone;
use super::words::{bounded, name_of};
use crate::call::phones::{PAIRING_WINDOW_SEC_MAX, Pairing, PhoneName};
use crate::hfp::host::{Address, Command, Device, PairingAsk};

/// The window.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// On which adapter, until when.
    open: Option<(String, Instant)>,
    pin: Option<String>,
    asks: Option<(PhoneName, PairingAsk)>,
    /// The device that a person here wants: who said yes to what it asked, or was shown a number to type there. Another
    /// one may be paired meanwhile by another program, or by the host itself.
    agreed: Option<Address>,
    last: Option<String>,
}

impl Window {
    pub(super) fn shown(&self) -> Pairing {
        let open_until = self.open.as_ref().map(|(_, until)| *until);
        Pairing { open_until, pin: self.pin.clone(), asks: self.asks.clone(), last: self.last.clone() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|(_, until)| *until)
    }

    /// The host is not what it was.
    pub(super) fn void(&mut self) {
        self.open = None;
        self.pin = None;
        self.asks = None;
        self.agreed = None;
    }

    pub(super) fn settle(&mut self, now: Instant, shared: &mut Shared) {
        if self.deadline().is_some_and(|until| now >= until) {
            self.close(shared, Some("nobody paired while the window was open"));
        }
    }

    /// Closes it, and refuses who asks.
    pub(super) fn close(&mut self, shared: &mut Shared, last: Option<&str>) {
        if let Some((name, ask)) = self.asks.clone() {
            self.answer(shared, name.address, &ask, false);
        }
        self.pin = None;
        self.agreed = None;
        if let Some((adapter, _)) = self.open.take() {
            shared.host(Command::PairingWindow { adapter, seconds: 0 });
            self.last = last.map(bounded).or(self.last.take());
        }
    }

    /// The PIN code for a phone that has nothing better.
    pub(super) fn takes(&mut self, pin: &str) {
        self.pin = self.open.is_some().then(|| bounded(pin));
    }

    /// The person's answer to this question, if it is still asked. What only shows a number to type takes no yes.
    pub(super) fn answer(&mut self, shared: &mut Shared, phone: Address, ask: &PairingAsk, accept: bool) {
        if matches!(ask, PairingAsk::TypeThere(_)) && accept {
            return;
        }
        let asked = |(name, asked): &mut (PhoneName, PairingAsk)| name.address == phone && asked == ask;
        let Some((_, ask)) = self.asks.take_if(asked) else { return };
        shared.host(Command::AnswerPairing { device: phone, ask, accept });
        self.agreed = accept.then_some(phone);
        if !accept {
            self.last = Some("refused here".into());
        }
    }

    /// What was asked is void.
    pub(super) fn over(&mut self) {
        if self.asks.take().is_some() {
            self.last = Some("the phone gave up, or the numbers were not the same".into());
        }
    }
}

impl PhoneLine {
    pub(super) fn open_window(&mut self, now: Instant, seconds: u32) {
        if self.shared.closing {
            return;
        }
        let seconds = seconds.clamp(1, PAIRING_WINDOW_SEC_MAX);
        let adapter = self.radio.adapter().filter(|adapter| adapter.powered);
        let Some(adapter) = adapter.map(|adapter| adapter.name.clone()) else {
            let fault = self.radio.fault().unwrap_or_default();
            self.window.last = Some(format!("the window was not opened: {fault}"));
            return;
        };
        self.window.last = None;
        self.window.open = Some((adapter.clone(), now + Duration::from_secs(seconds.into())));
        self.shared.host(Command::PairingWindow { adapter, seconds });
    }

    /// A device pairs. Outside the window it is refused, without being shown.
    pub(super) fn on_pairing(&mut self, now: Instant, address: Address, ask: PairingAsk) {
        if self.window.deadline().is_none_or(|until| now >= until) {
            if !matches!(ask, PairingAsk::TypeThere(_)) {
                self.shared.host(Command::AnswerPairing { device: address, ask, accept: false });
            }
            return;
        }
        let device = self.phones.get(&address).and_then(|phone| phone.device.as_ref());
        let name = name_of(address, device);
        let ask = match ask {
            PairingAsk::Pin(pin) => PairingAsk::Pin(bounded(&pin)),
            PairingAsk::Compare(_) | PairingAsk::Allow | PairingAsk::TypeThere(_) => ask,
        };
        self.window.agreed = matches!(ask, PairingAsk::TypeThere(_)).then_some(address);
        self.window.asks = Some((PhoneName { address, name }, ask));
    }

    /// A device is new, or changed. One that was paired in the window because a person here wanted it is trusted and
    /// connected to.
    pub(super) fn on_device(&mut self, now: Instant, device: Device) {
        let address = device.address;
        let known = self.phones.contains_key(&address);
        if !known && (!(device.paired || device.connected) || self.phones.len() >= PHONES_MAX) {
            return;
        }
        let phone = self.phones.entry(address).or_insert_with(|| Phone::new(address));
        let first = !known && device.paired;
        let paired = phone.on_device(now, &mut self.shared, device) || first;
        if paired && self.window.agreed == Some(address) {
            phone.welcome(now, &mut self.shared);
            self.window.asks = None;
            self.window.close(&mut self.shared, Some(&format!("{address} is paired")));
        }
    }
}
