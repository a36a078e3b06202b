//! Voice links on their way: the listener of each adapter, and what is accepted or connected and not yet up.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::hfp::Codec;
use crate::hfp::host::{Address, Event};
use crate::port::sco::{Link, Listener, Sco};
use crate::sys::wait::Interest;

/// A phone that refuses a link may just not answer.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// Links on their way at most; a phone that opens one has at most one before it.
const LINKS_MAX: usize = 16;
/// After a failure nothing is accepted for so long: what waits would fail again, at once.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Links that are accepted before everybody else has a turn.
const ACCEPTS_MAX: usize = 4;

/// The listeners and links.
pub(super) struct Opening {
    sco: Sco,
    adapters: BTreeMap<String, Adapter>,
    /// The adapter that knows a phone.
    homes: BTreeMap<Address, String>,
    /// The codec of the next link that a phone opens.
    expected: BTreeMap<Address, Codec>,
    links: Vec<OnItsWay>,
    next: LinkNumber,
    /// Accepting failed for want of something, descriptors say: not tried again before.
    not_before: Option<Instant>,
}

struct Adapter {
    address: Address,
    listener: Option<Listener>,
}

struct OnItsWay {
    number: LinkNumber,
    phone: Address,
    codec: Codec,
    by_us: bool,
    link: Link,
    give_up_at: Instant,
}

/// A link on its way, for as long as the process lives.
pub(super) type LinkNumber = u64;

/// What became of a link.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) phone: Address,
    pub(super) codec: Codec,
    /// It was opened from here.
    pub(super) by_us: bool,
    /// The descriptor, or why there is none, in a sentence.
    pub(super) result: Result<OwnedFd, String>,
}

impl Opening {
    pub(super) fn new(sco: Sco) -> Self {
        Self {
            sco,
            adapters: BTreeMap::new(),
            homes: BTreeMap::new(),
            expected: BTreeMap::new(),
            links: Vec::new(),
            next: 0,
            not_before: None,
        }
    }

    /// What the host reports: every adapter that is on takes links.
    pub(super) fn on_host(&mut self, event: &Event) {
        match event {
            Event::Up | Event::Down(_) => {
                self.adapters.clear();
                self.homes.clear();
            }
            Event::Adapter(adapter) if adapter.powered => {
                let known = self.adapters.get(&adapter.name);
                if known.is_some_and(|known| known.address == adapter.address && known.listener.is_some()) {
                    return;
                }
                let listener = self.sco.listen(adapter.address);
                if let Err(error) = &listener {
                    log::warn!("{}: no voice links can be taken: {error}", adapter.name);
                }
                let entry = Adapter { address: adapter.address, listener: listener.ok() };
                self.adapters.insert(adapter.name.clone(), entry);
            }
            Event::Adapter(adapter) => drop(self.adapters.remove(&adapter.name)),
            Event::AdapterGone(name) => drop(self.adapters.remove(name)),
            Event::Device(device) => drop(self.homes.insert(device.address, device.adapter.clone())),
            Event::DeviceGone(address) => {
                self.homes.remove(address);
                self.expected.remove(address);
            }
            Event::AdapterRefused { .. }
            | Event::ProfileRegistered
            | Event::ProfileRefused { .. }
            | Event::PairingPin(_)
            | Event::Pairing { .. }
            | Event::PairingOver
            | Event::Done { .. } => {}
        }
    }

    pub(super) fn expect(&mut self, phone: Address, codec: Codec) {
        self.expected.insert(phone, codec);
    }

    /// Opens a link from here.
    pub(super) fn open(&mut self, now: Instant, phone: Address, codec: Codec) -> Result<(), String> {
        self.close(phone);
        let adapter = self.homes.get(&phone).and_then(|name| self.adapters.get(name));
        let adapter = adapter.ok_or("its adapter is gone")?.address;
        let link = self.sco.connect(adapter, phone, codec).map_err(|error| error.to_string())?;
        self.push(now, phone, codec, true, link);
        Ok(())
    }

    /// Gives up what is on its way.
    pub(super) fn close(&mut self, phone: Address) {
        self.links.retain(|link| link.phone != phone);
    }

    /// What to wait for: the listeners, then the links.
    pub(super) fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        let interest = if self.not_before.is_none() { Interest::READ } else { Interest::NONE };
        let listeners = self.adapters.values().filter_map(|adapter| adapter.listener.as_ref());
        let listeners = listeners.map(move |listener| (listener.as_fd(), interest));
        listeners.chain(self.links.iter().map(|link| (link.link.as_fd(), WRITE)))
    }

    /// The links of `fds`, in its order.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkNumber> {
        self.links.iter().map(|link| link.number)
    }

    /// When the next link has taken too long, or links are taken again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.links.iter().map(|link| link.give_up_at).chain(self.not_before).min()
    }

    /// Takes the links that phones open. A link takes no pairing: those of strangers are refused.
    pub(super) fn accept(&mut self, now: Instant, is_phone: impl Fn(Address) -> bool) {
        let mut accepted = Vec::new();
        for listener in self.adapters.values().filter_map(|adapter| adapter.listener.as_ref()) {
            for _ in 0..ACCEPTS_MAX {
                match listener.accept() {
                    Ok(Some(incoming)) => accepted.push(incoming),
                    Ok(None) => break,
                    Err(error) => {
                        log::warn!("a voice link was not accepted: {error}");
                        self.not_before = Some(now + ACCEPT_AGAIN_AFTER);
                        break;
                    }
                }
            }
        }
        for incoming in accepted.into_iter().filter(|incoming| is_phone(incoming.phone())) {
            let phone = incoming.phone();
            let codec = self.expected.get(&phone).copied().unwrap_or(Codec::Cvsd);
            match incoming.admit(codec) {
                Ok(link) => self.push(now, phone, codec, false, link),
                Err(error) => log::debug!("a voice link was not taken: {error}"),
            }
        }
    }

    fn push(&mut self, now: Instant, phone: Address, codec: Codec, by_us: bool, link: Link) {
        if self.links.len() < LINKS_MAX {
            self.next += 1;
            let (number, give_up_at) = (self.next, now + OPEN_MAX);
            self.links.push(OnItsWay { number, phone, codec, by_us, link, give_up_at });
        }
    }

    /// The links that are up or have failed: those in `ready`, and those that took too long.
    pub(super) fn finished(&mut self, now: Instant, ready: &[LinkNumber]) -> Vec<Opened> {
        self.not_before = self.not_before.filter(|at| now < *at);
        let mut finished = Vec::new();
        let mut waiting = Vec::new();
        for link in std::mem::take(&mut self.links) {
            let OnItsWay { phone, codec, by_us, .. } = link;
            if ready.contains(&link.number) {
                let result = link.link.finish().map_err(|error: io::Error| error.to_string());
                finished.push(Opened { phone, codec, by_us, result });
            } else if now >= link.give_up_at {
                let sentence = format!("no voice link within {} s", OPEN_MAX.as_secs());
                finished.push(Opened { phone, codec, by_us, result: Err(sentence) });
            } else {
                waiting.push(link);
            }
        }
        self.links = waiting;
        finished
    }

    /// How many descriptors of `fds` are listeners.
    pub(super) fn listeners(&self) -> usize {
        self.adapters.values().filter(|adapter| adapter.listener.is_some()).count()
    }
}

const WRITE: Interest = Interest { read: false, write: true };

#[cfg(test)]
mod tests;
