//! The loop of the voice thread: links, orders and deadlines in one wait.

use std::os::fd::AsFd as _;
use std::time::Instant;

use ringbuf::traits::{Consumer as _, Producer as _};
use ringbuf::{HeapCons, HeapProd};

use super::call::Call;
use super::event::{Events, LinkNumber, VoiceEvent};
use super::pool::{CALLS_MAX, LINKS_MAX};
use super::wire::Wire;
use crate::base::CallId;
use crate::base::time::earlier;
use crate::hfp::host::Address;
use crate::sys::clock;
use crate::sys::mailbox::Wake;
use crate::sys::wait::{Interest, Waiting, hung_up, on, readable, wait};

/// What the pool asks of the thread.
pub(super) enum Order {
    /// Take this call.
    Enter(Box<Call>),
    /// It is over: give it back.
    Leave(CallId),
    /// Take this link, instead of the one that the device may have.
    Link(Box<Wire>),
    /// Give the device's link back.
    Unlink(Address),
    /// From now on the device's link carries this call, or none.
    Route(Address, Option<CallId>),
    /// Nothing more will come.
    End,
}

/// What the thread gives back, to be closed and freed elsewhere.
#[expect(dead_code, reason = "they are only dropped")]
pub(super) enum Retired {
    Call(Box<Call>),
    Wire(Box<Wire>),
}

/// The voice thread's whole state.
#[expect(clippy::vec_box, reason = "a box goes back as it came: nothing is freed here")]
pub(super) struct VoiceThread {
    orders: HeapCons<Order>,
    retired: HeapProd<Retired>,
    events: Events,
    wake: Wake,
    calls: Vec<Box<Call>>,
    wires: Vec<Box<Wire>>,
    /// Devices that were lost and whose event found no room.
    untold: [Option<(LinkNumber, Address)>; LINKS_MAX],
}

impl VoiceThread {
    pub(super) fn new(
        orders: HeapCons<Order>,
        retired: HeapProd<Retired>,
        events: Events,
        wake: Wake,
    ) -> Self {
        Self {
            orders,
            retired,
            events,
            wake,
            calls: Vec::with_capacity(CALLS_MAX),
            wires: Vec::with_capacity(LINKS_MAX),
            untold: [None; LINKS_MAX],
        }
    }

    /// Runs until the pool ends. Errors of the wait itself cannot happen with open descriptors; they end the
    /// thread, which takes the process down in order.
    pub(super) fn run(mut self) {
        while let Ok(ready) = self.wait() {
            if !self.turn(clock::mono(), ready) {
                break;
            }
        }
    }

    fn wait(&self) -> std::io::Result<Ready> {
        let mut fds: [Waiting<'_>; 1 + LINKS_MAX] =
            std::array::from_fn(|_| on(self.wake.as_fd(), Interest::READ));
        for (slot, wire) in fds.iter_mut().skip(1).zip(&self.wires) {
            if let Some(socket) = wire.poll() {
                *slot = on(socket, Interest::READ);
            }
        }
        let count = 1 + self.wires.len();
        wait(&mut fds[..count], self.deadline())?;
        let mut ready = Ready { wake: readable(&fds[0]), wires: [None; LINKS_MAX] };
        for ((slot, fd), wire) in ready.wires.iter_mut().zip(&fds[1..count]).zip(&self.wires) {
            *slot = (wire.poll().is_some() && readable(fd)).then(|| hung_up(fd));
        }
        Ok(ready)
    }

    /// When something is due although nothing comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let calls = self.calls.iter().map(|call| call.deadline()).min();
        let wires = self.wires.iter().filter_map(|wire| wire.deadline()).min();
        earlier(calls, wires)
    }

    /// All that a wait brought; false at the end.
    pub(super) fn turn(&mut self, now: Instant, ready: Ready) -> bool {
        // Links before orders: these may change which link is which.
        for index in (0..self.wires.len()).rev() {
            if let Some(hung_up) = ready.wires[index] {
                self.read(now, index, hung_up);
            }
        }
        for wire in &mut self.wires {
            wire.beat(now, &mut self.events);
        }
        for call in &mut self.calls {
            call.beat(now);
        }
        self.tell_untold();
        if ready.wake {
            self.wake.lower();
            return self.take_orders();
        }
        true
    }

    fn read(&mut self, now: Instant, index: usize, hung_up: bool) {
        let wire = &mut self.wires[index];
        let call = self.calls.iter_mut().find(|call| call.device == Some(wire.device));
        if !wire.read(now, hung_up, call.map(|call| &mut **call), &mut self.events) {
            let wire = self.wires.swap_remove(index);
            self.lost(wire.number, wire.device);
            self.retire(Retired::Wire(wire));
        }
    }

    fn lost(&mut self, number: LinkNumber, device: Address) {
        if !self.events.tell(number, VoiceEvent::Lost(device))
            && let Some(slot) = self.untold.iter_mut().find(|slot| slot.is_none())
        {
            *slot = Some((number, device));
        }
    }

    fn tell_untold(&mut self) {
        for slot in &mut self.untold {
            if slot.is_some_and(|(number, device)| self.events.tell(number, VoiceEvent::Lost(device))) {
                *slot = None;
            }
        }
    }

    fn take_orders(&mut self) -> bool {
        while let Some(order) = self.orders.try_pop() {
            match order {
                Order::Enter(call) => self.calls.push(call),
                Order::Leave(call) => {
                    if let Some(index) = self.calls.iter().position(|other| other.id == call) {
                        let call = self.calls.swap_remove(index);
                        self.rerouted(call.device);
                        self.retire(Retired::Call(call));
                    }
                }
                Order::Link(wire) => {
                    self.unlink(wire.device);
                    if let Some(call) = self.calls.iter().find(|call| call.device == Some(wire.device)) {
                        call.linked();
                    }
                    self.wires.push(wire);
                }
                Order::Unlink(device) => self.unlink(device),
                Order::Route(device, call) => self.route(device, call),
                Order::End => return false,
            }
        }
        true
    }

    fn unlink(&mut self, device: Address) {
        if let Some(index) = self.wires.iter().position(|wire| wire.device == device) {
            let wire = self.wires.swap_remove(index);
            self.retire(Retired::Wire(wire));
        }
    }

    fn route(&mut self, device: Address, call: Option<CallId>) {
        let is_there = |other: &Call| other.device == Some(device) && Some(other.id) == call;
        if self.calls.iter().any(|call| is_there(call)) {
            return;
        }
        let is_linked = self.wires.iter().any(|wire| wire.device == device);
        for other in &mut self.calls {
            if Some(other.id) == call {
                other.device = Some(device);
                if is_linked {
                    other.linked();
                }
            } else if other.device == Some(device) {
                other.device = None;
            }
        }
        self.rerouted(Some(device));
    }

    fn rerouted(&mut self, device: Option<Address>) {
        for wire in self.wires.iter_mut().filter(|wire| Some(wire.device) == device) {
            wire.rerouted();
        }
    }

    fn retire(&mut self, retired: Retired) {
        // The ring holds more than there can be; what it could not take would be freed here.
        let _ = self.retired.try_push(retired);
    }
}

/// Which descriptors have something.
pub(super) struct Ready {
    pub(super) wake: bool,
    /// What of each link can be read, and whether its end has come.
    pub(super) wires: [Option<bool>; LINKS_MAX],
}
