//! The pairing agent's memory: when pairing is let happen, and the one ask that waits for its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dbus::Message;

use crate::hfp::host::{Address, PairingAsk};

/// The person has so long to compare two numbers; the link's own limit is 30 s (LMP response time-out).
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// An ask without an answer.
pub(super) struct Open {
    pub(super) device: Address,
    pub(super) ask: PairingAsk,
    /// The agent's call that is answered later; none for what needs no answer.
    pub(super) call: Option<Message>,
    pub(super) until: Instant,
}

/// Windows and asks, and who was let in.
#[derive(Default)]
pub(super) struct Pairing {
    /// By adapter.
    windows: BTreeMap<String, Instant>,
    pub(super) open: Option<Open>,
    /// What the next device that has a PIN code must have been given. Each is good for one try: from one that failed it
    /// can be computed, and a quick device computes it within the try. What keeps a stranger out is the person's yes.
    pub(super) pin: String,
    /// Devices that were let in, until the host knows them as trusted: many use a service before.
    let_in: BTreeSet<Address>,
}

impl Pairing {
    /// Pairing may begin for so long, or not any more.
    pub(super) fn window(&mut self, now: Instant, adapter: &str, seconds: u32) {
        if seconds == 0 {
            self.windows.remove(adapter);
        } else {
            self.windows.insert(adapter.to_owned(), now + Duration::from_secs(seconds.into()));
        }
    }

    /// It may begin with this adapter now.
    pub(super) fn may_begin(&self, now: Instant, adapter: &str) -> bool {
        self.windows.get(adapter).is_some_and(|until| now < *until)
    }

    /// Somebody here wants this device, or does not.
    pub(super) fn let_in(&mut self, device: Address, yes: bool) {
        if yes {
            self.let_in.insert(device);
        } else {
            self.let_in.remove(&device);
        }
    }

    /// It was let in, and is not trusted yet.
    pub(super) fn is_let_in(&self, device: Address) -> bool {
        self.let_in.contains(&device)
    }

    /// When the ask is void.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.until)
    }

    /// The ask, when nobody has answered it in time.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Open> {
        self.open.take_if(|open| now >= open.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    #[test]
    fn a_window_ends_by_itself_and_belongs_to_one_adapter() {
        let now = any_instant();
        let mut pairing = Pairing::default();
        assert!(!pairing.may_begin(now, "hci0"));
        pairing.window(now, "hci0", 60);
        assert!(pairing.may_begin(now, "hci0"));
        assert!(!pairing.may_begin(now, "hci1"));
        assert!(!pairing.may_begin(now + Duration::from_secs(60), "hci0"));
        pairing.window(now, "hci0", 0);
        assert!(!pairing.may_begin(now, "hci0"));
    }
}
