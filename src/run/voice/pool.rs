//! The hands-free thread's side of the voice thread.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use super::call::Call;
use super::event::{Events, LinkNumber, VoiceEvent};
use super::report::{Counters, VoiceReport};
use super::thread::{Order, Retired, VoiceThread};
use super::totals::Totals;
use super::wire::Wire;
use crate::base::CallId;
use crate::call::leg_audio::VoiceLink;
use crate::hfp::Codec;
use crate::hfp::host::Address;
use crate::port::sco;
use crate::run::link::MediaEnd;
use crate::sys::mailbox::Wake;
use crate::sys::thread::{Role, Spawner};
use crate::sys::{clock, realtime};

/// Links that are open at the same time, at most; one more is refused.
pub const LINKS_MAX: usize = 8;
/// Calls at the same time, at most: on the links, held, waiting. One more is refused.
pub const CALLS_MAX: usize = 32;
/// Orders that wait for the thread at most. If it stands still for so many it is broken: the order is dropped, loudly.
const ORDERS_MAX: usize = 256;
/// Events that wait for the hands-free thread at most; a further one is told later.
const EVENTS_MAX: usize = 64;

/// The voice thread, the links and the calls on it.
pub struct VoicePool {
    spawner: Spawner,
    /// `None` before the first use.
    thread: Option<ThreadEnd>,
    /// Raised when there are events.
    wake: Wake,
    calls: BTreeMap<CallId, Arc<Counters>>,
    /// Devices with a link, as far as is known here, and which one it is.
    links: BTreeMap<Address, LinkNumber>,
    next_link: LinkNumber,
    /// Cleared when it is refused.
    realtime: Arc<AtomicBool>,
    totals: Totals,
}

struct ThreadEnd {
    orders: HeapProd<Order>,
    retired: HeapCons<Retired>,
    events: HeapCons<(LinkNumber, VoiceEvent)>,
    wake: Wake,
}

impl VoicePool {
    /// No thread runs before the first link or call.
    pub fn new(spawner: Spawner) -> io::Result<Self> {
        Ok(Self {
            spawner,
            thread: None,
            wake: Wake::new()?,
            calls: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            realtime: Arc::new(AtomicBool::new(true)),
            totals: Totals::default(),
        })
    }

    /// Takes a call with its end of the audio. It gets silence until it is routed and its device has a link.
    pub fn enter(&mut self, call: CallId, media: MediaEnd) -> io::Result<()> {
        self.free_retired();
        if self.calls.contains_key(&call) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(io::Error::other("as many calls over Bluetooth as there may be"));
        }
        let now = clock::mono();
        let counters = Arc::new(Counters::new(now));
        self.totals.add(counters.clone());
        self.order(Order::Enter(Box::new(Call::new(now, call, media, counters.clone()))))?;
        self.calls.insert(call, counters);
        Ok(())
    }

    /// Ends a call's audio; what was counted.
    pub fn leave(&mut self, call: CallId) -> Option<VoiceReport> {
        let report = self.report(call)?;
        self.calls.remove(&call);
        let _ = self.order(Order::Leave(call));
        self.free_retired();
        Some(report)
    }

    /// What was counted so far.
    pub fn report(&self, call: CallId) -> Option<VoiceReport> {
        Some(self.calls.get(&call)?.report(clock::mono()))
    }

    /// Takes a device's open link, instead of the one that it may have. Packets are answered from now on.
    pub fn link(&mut self, device: Address, socket: OwnedFd, codec: Codec) -> io::Result<()> {
        self.free_retired();
        if !self.links.contains_key(&device) && self.links.len() >= LINKS_MAX {
            return Err(io::Error::other("as many Bluetooth voice links as there may be"));
        }
        sco::ask_for_states(socket.as_fd());
        let audio = VoiceLink::new(codec).map_err(io::Error::other)?;
        self.next_link += 1;
        self.links.insert(device, self.next_link);
        self.order(Order::Link(Box::new(Wire::new(clock::mono(), device, self.next_link, socket, audio))))
    }

    /// Closes a device's link, soon. It is not told as lost.
    pub fn unlink(&mut self, device: Address) {
        self.free_retired();
        if self.links.remove(&device).is_some() {
            let _ = self.order(Order::Unlink(device));
        }
    }

    /// Whose audio goes over the device's link, now and over later ones. Without a call silence is sent, and what comes
    /// is thrown away. The call has entered before.
    pub fn route(&mut self, device: Address, call: Option<CallId>) {
        self.free_retired();
        let _ = self.order(Order::Route(device, call));
    }

    /// Whether a device has a link, as far as its events were taken.
    pub fn is_linked(&self, device: Address) -> bool {
        self.links.contains_key(&device)
    }

    /// Lowers the flag that events raise: once after each wake, then `next_event` until `None`.
    pub fn lower(&self) {
        self.wake.lower();
    }

    /// The oldest event.
    pub fn next_event(&mut self) -> Option<VoiceEvent> {
        self.free_retired();
        loop {
            let (number, event) = self.thread.as_mut()?.events.try_pop()?;
            // What happened to a link that was given back, or replaced, is no news any more.
            if self.links.get(&event.device()) != Some(&number) {
                continue;
            }
            if let VoiceEvent::Lost(device) = event {
                self.links.remove(&device);
            }
            return Some(event);
        }
    }

    /// What all calls counted, now and before.
    pub fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// Whether the voice thread has real-time priority, if it was started.
    pub fn realtime(&self) -> bool {
        self.realtime.load(Ordering::Relaxed)
    }

    fn order(&mut self, order: Order) -> io::Result<()> {
        let thread = match &mut self.thread {
            Some(thread) => thread,
            None => self.thread.insert(start(&self.spawner, &self.wake, &self.realtime)?),
        };
        if thread.orders.try_push(order).is_err() {
            log::error!("the voice thread takes no orders: one was dropped");
        }
        thread.wake.raise();
        Ok(())
    }

    /// What calls and links leave behind is closed and freed here.
    fn free_retired(&mut self) {
        if let Some(thread) = &mut self.thread {
            while thread.retired.try_pop().is_some() {}
        }
    }
}

fn start(spawner: &Spawner, events_wake: &Wake, granted: &Arc<AtomicBool>) -> io::Result<ThreadEnd> {
    let (orders_tx, orders_rx) = HeapRb::new(ORDERS_MAX).split();
    let (retired_tx, retired_rx) = HeapRb::new(ORDERS_MAX).split();
    let (events_tx, events_rx) = HeapRb::new(EVENTS_MAX).split();
    let (wake, granted) = (Wake::new()?, granted.clone());
    let events = Events::new(events_tx, events_wake.clone());
    let thread = VoiceThread::new(orders_rx, retired_tx, events, wake.clone());
    spawner.spawn(Role::Voice, move || {
        if let Err(error) = realtime::request() {
            granted.store(false, Ordering::Relaxed);
            log::warn!(
                "no real-time priority for audio over Bluetooth ({error}): calls may stutter under load"
            );
        }
        thread.run();
    })?;
    Ok(ThreadEnd { orders: orders_tx, retired: retired_rx, events: events_rx, wake })
}

impl AsFd for VoicePool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for VoicePool {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.order(Order::End);
        }
    }
}

impl std::fmt::Debug for VoicePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VoicePool({} calls, {} links)", self.calls.len(), self.links.len())
    }
}
