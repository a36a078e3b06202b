//! The switch's side of the media threads.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use super::report::{Counters, MediaReport};
use super::session::Session;
use super::thread::{CALLS_MAX, MediaThread, Order};
use super::totals::Totals;
use crate::base::{CallId, Rng};
use crate::call::leg::LineAudio;
use crate::port::rtp_socket::RtpSockets;
use crate::run::link::{self, TalkerEnd};
use crate::sys::mailbox::Wake;
use crate::sys::thread::{Role, Spawner};
use crate::sys::{clock, realtime};

/// More threads would only wait for each other's cores.
const THREADS_MAX: usize = 4;
/// Orders that wait for a thread at most. One that stands still for so many is broken: the order is dropped,
/// loudly.
const ORDERS_MAX: usize = 1024;

/// All media threads and the calls on them.
pub struct MediaPool {
    spawner: Spawner,
    rng: Rng,
    threads: Vec<ThreadEnd>,
    threads_max: usize,
    calls: BTreeMap<CallId, OpenCall>,
    /// Cleared by the first thread that is refused.
    realtime: Arc<AtomicBool>,
    totals: Totals,
}

struct ThreadEnd {
    orders: HeapProd<Order>,
    retired: HeapCons<Box<Session>>,
    wake: Wake,
    calls: usize,
}

struct OpenCall {
    thread: usize,
    counters: Arc<Counters>,
}

impl MediaPool {
    /// No thread runs before the first call.
    pub fn new(spawner: Spawner, rng: Rng) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            spawner,
            rng,
            threads: Vec::new(),
            threads_max: cores.min(THREADS_MAX),
            calls: BTreeMap::new(),
            realtime: Arc::new(AtomicBool::new(true)),
            totals: Totals::default(),
        }
    }

    /// Opens the sockets of a call on the address that faces its peer, and gives it to a thread. Returns the RTP
    /// port for our SDP, and the end for whoever talks. Nothing is sent or received before `start`.
    pub fn open(&mut self, call: CallId, bind: IpAddr) -> io::Result<(u16, TalkerEnd)> {
        self.free_retired();
        if self.calls.contains_key(&call) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let sockets = RtpSockets::bind(bind, &mut self.rng)?;
        let port = sockets.port();
        let (media_end, talker_end) = link::link()?;
        let now = clock::mono();
        let counters = Arc::new(Counters::new(now));
        self.totals.add(counters.clone());
        let session = Session::new(now, call, sockets, media_end, counters.clone(), self.rng.fork());
        let thread = self.thread_with_room()?;
        self.threads[thread].calls += 1;
        self.calls.insert(call, OpenCall { thread, counters });
        self.order(thread, Order::Enter(Box::new(session)));
        Ok((port, talker_end))
    }

    /// The audio that the two ends agreed on: media flows from now on. Again when it changes.
    pub fn start(&mut self, call: CallId, line: LineAudio) {
        if let Some(open) = self.calls.get(&call) {
            self.order(open.thread, Order::Line(call, line));
        }
    }

    /// Ends a call's media and closes its sockets; what was counted.
    pub fn close(&mut self, call: CallId) -> Option<MediaReport> {
        let report = self.report(call);
        if let Some(open) = self.calls.remove(&call) {
            self.threads[open.thread].calls -= 1;
            self.order(open.thread, Order::Leave(call));
        }
        self.free_retired();
        report
    }

    /// What was counted so far; at most one beat old.
    pub fn report(&self, call: CallId) -> Option<MediaReport> {
        Some(self.calls.get(&call)?.counters.report(clock::mono()))
    }

    /// What all calls counted, now and before.
    pub fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// Whether every media thread that was started has real-time priority.
    pub fn realtime(&self) -> bool {
        self.realtime.load(Ordering::Relaxed)
    }

    /// Threads are started one by one, then the one with the fewest calls takes the next.
    fn thread_with_room(&mut self) -> io::Result<usize> {
        let idlest = self.threads.iter().enumerate().min_by_key(|(_, thread)| thread.calls);
        match idlest.map(|(index, thread)| (index, thread.calls)) {
            Some((index, 0)) => Ok(index),
            _ if self.threads.len() < self.threads_max => self.start_thread(),
            Some((index, calls)) if calls < CALLS_MAX => Ok(index),
            _ => Err(io::Error::other("every media thread carries as many calls as it may")),
        }
    }

    fn start_thread(&mut self) -> io::Result<usize> {
        let (orders_tx, orders_rx) = HeapRb::new(ORDERS_MAX).split();
        let (retired_tx, retired_rx) = HeapRb::new(ORDERS_MAX).split();
        let wake = Wake::new()?;
        let thread = MediaThread::new(orders_rx, retired_tx, wake.clone());
        let granted = self.realtime.clone();
        self.spawner.spawn(Role::Media, move || {
            if let Err(error) = realtime::request()
                && granted.swap(false, Ordering::Relaxed)
            {
                log::warn!("no real-time priority for audio ({error}): calls may stutter under load");
            }
            thread.run();
        })?;
        self.threads.push(ThreadEnd { orders: orders_tx, retired: retired_rx, wake, calls: 0 });
        Ok(self.threads.len() - 1)
    }

    fn order(&mut self, thread: usize, order: Order) {
        let end = &mut self.threads[thread];
        if end.orders.try_push(order).is_err() {
            log::error!("a media thread takes no orders: one was dropped");
        }
        end.wake.raise();
    }

    /// What calls leave behind is freed here, on the switch's thread.
    fn free_retired(&mut self) {
        for thread in &mut self.threads {
            while thread.retired.try_pop().is_some() {}
        }
    }
}

impl Drop for MediaPool {
    fn drop(&mut self) {
        for thread in 0..self.threads.len() {
            self.order(thread, Order::End);
        }
    }
}

impl std::fmt::Debug for MediaPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MediaPool({} calls on {} threads)", self.calls.len(), self.threads.len())
    }
}
