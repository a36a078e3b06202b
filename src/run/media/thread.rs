//! The loop of a media thread: sockets, orders and the beat in one wait.

use std::os::fd::AsFd as _;
use std::time::Instant;

use ringbuf::traits::{Consumer as _, Producer as _};
use ringbuf::{HeapCons, HeapProd};

use super::beat::Beat;
use super::session::Session;
use crate::base::CallId;
use crate::call::leg::LineAudio;
use crate::sys::clock;
use crate::sys::mailbox::Wake;
use crate::sys::wait::{Interest, Waiting, on, readable, wait};

/// Calls that one thread carries at most; the pool gives it no more.
pub(super) const CALLS_MAX: usize = 64;
/// The wake, and two sockets of each call.
const FDS_MAX: usize = 1 + 2 * CALLS_MAX;

/// What the pool asks of a thread.
pub(super) enum Order {
    /// Take this call.
    Enter(Box<Session>),
    /// Its audio is agreed, or has changed.
    Line(CallId, LineAudio),
    /// It is over: say goodbye and give it back.
    Leave(CallId),
    /// No more calls will come.
    End,
}

/// One media thread's whole state.
pub(super) struct MediaThread {
    orders: HeapCons<Order>,
    retired: HeapProd<Box<Session>>,
    wake: Wake,
    sessions: Vec<Box<Session>>,
    beat: Beat,
}

impl MediaThread {
    pub(super) fn new(orders: HeapCons<Order>, retired: HeapProd<Box<Session>>, wake: Wake) -> Self {
        Self { orders, retired, wake, sessions: Vec::with_capacity(CALLS_MAX), beat: Beat::default() }
    }

    /// Runs until the pool ends. Errors of the wait itself cannot happen with open descriptors; they end the
    /// thread, which takes the process down in order.
    pub(super) fn run(mut self) {
        while self.turn() {}
    }

    /// One wait, and all that it brought; false at the end.
    fn turn(&mut self) -> bool {
        let Ok(ready) = self.wait() else { return false };
        let now = clock::mono();
        if ready.wake {
            self.wake.lower();
            if !self.take_orders(now) {
                return false;
            }
        }
        for (index, session) in self.sessions.iter_mut().enumerate() {
            if ready.rtp & (1 << index) != 0 {
                session.read_rtp(now);
            }
            if ready.rtcp & (1 << index) != 0 {
                session.read_rtcp(now);
            }
        }
        if let Some(due) = self.beat.due(now) {
            for session in &mut self.sessions {
                session.late(due.play - 1);
                for beat in 0..due.play {
                    session.beat(now, if beat == 0 { due.skipped } else { 0 });
                }
            }
        }
        true
    }

    fn wait(&self) -> std::io::Result<Ready> {
        let mut fds: [Waiting<'_>; FDS_MAX] = std::array::from_fn(|_| on(self.wake.as_fd(), Interest::READ));
        let mut count = 1;
        for session in &self.sessions {
            let interest = |read| if read { Interest::READ } else { Interest::NONE };
            let (rtp, rtcp) = session.wants_to_read();
            fds[count] = on(session.sockets.rtp.as_fd(), interest(rtp));
            fds[count + 1] = on(session.sockets.rtcp.as_fd(), interest(rtcp));
            count += 2;
        }
        wait(&mut fds[..count], self.beat.deadline())?;
        let mut ready = Ready { wake: readable(&fds[0]), rtp: 0, rtcp: 0 };
        for (index, pair) in fds[1..count].chunks_exact(2).enumerate() {
            ready.rtp |= u64::from(readable(&pair[0])) << index;
            ready.rtcp |= u64::from(readable(&pair[1])) << index;
        }
        Ok(ready)
    }

    fn take_orders(&mut self, now: Instant) -> bool {
        while let Some(order) = self.orders.try_pop() {
            match order {
                Order::Enter(session) => self.sessions.push(session),
                Order::Line(call, line) => {
                    if let Some(session) = self.sessions.iter_mut().find(|session| session.call == call) {
                        session.start(now, line);
                        self.beat.start(now);
                    }
                }
                Order::Leave(call) => self.retire(now, call),
                Order::End => return false,
            }
        }
        true
    }

    fn retire(&mut self, now: Instant, call: CallId) {
        if let Some(index) = self.sessions.iter().position(|session| session.call == call) {
            let mut session = self.sessions.swap_remove(index);
            session.send_report(now, true);
            // The ring holds as many as this thread may carry; what it could not take would be freed here.
            let _ = self.retired.try_push(session);
        }
        if !self.sessions.iter().any(|session| session.is_started()) {
            self.beat.stop();
        }
    }
}

/// Which descriptors have something; bit by session.
struct Ready {
    wake: bool,
    rtp: u64,
    rtcp: u64,
}
