//! The bus: events that are committed, handed to whoever streams them. It never waits for a listener.
//!
//! ```text
//!  store ──publish──▶ [256 events] ──▶ subscription ──▶ event stream
//!                     full: marked as lagged ──▶ told once, then it reads the database from its last number on
//! ```
//!
//! A stream subscribes first, reads the database, and then passes over what it has already sent: events reach
//! the bus in the order of their numbers, and only after they can be read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::call::journal::Event;
use crate::call::session::SessionId;

/// Events that wait for one subscriber at most; one more and it has lagged, and reads the database instead.
pub const SUBSCRIBER_EVENTS_MAX: usize = 256;

/// Hands committed events to subscribers. Clones are the same bus.
#[derive(Clone, Debug, Default)]
pub struct Bus(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
    /// How many there are, so that publishing to nobody costs one load.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Subscribers {
    by_number: BTreeMap<u64, Subscriber>,
    next_number: u64,
    closed: bool,
}

#[derive(Debug)]
struct Subscriber {
    session: Option<SessionId>,
    events: Sender<Arc<Event>>,
    lagged: Arc<AtomicBool>,
}

/// One listener. It is forgotten when dropped.
#[derive(Debug)]
pub struct Subscription {
    number: u64,
    events: Receiver<Arc<Event>>,
    lagged: Arc<AtomicBool>,
    bus: Bus,
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The next event.
    Event(Arc<Event>),
    /// Events were left out: read the database from the last number on, then listen again.
    Lagged,
    /// The deadline came first.
    Timeout,
    /// The bus was closed, and everything before that has been heard.
    Closed,
}

impl Bus {
    /// Listens to the events of one session, or of all.
    pub fn subscribe(&self, session: Option<SessionId>) -> Subscription {
        let (sender, events) = bounded(SUBSCRIBER_EVENTS_MAX);
        let lagged = Arc::new(AtomicBool::new(false));
        let mut subscribers = self.lock();
        let number = subscribers.next_number;
        subscribers.next_number += 1;
        if !subscribers.closed {
            let subscriber = Subscriber { session, events: sender, lagged: lagged.clone() };
            subscribers.by_number.insert(number, subscriber);
            self.0.count.store(subscribers.by_number.len(), Ordering::SeqCst);
        }
        drop(subscribers);
        Subscription { number, events, lagged, bus: self.clone() }
    }

    /// Hands an event to all who listen to its session.
    pub fn publish(&self, event: &Arc<Event>) {
        // A subscriber that is not yet counted reads the database after it subscribed, and finds the event there.
        if self.0.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        for subscriber in self.lock().by_number.values() {
            let meant = subscriber.session.is_none() || subscriber.session == event.session;
            if meant && subscriber.events.try_send(event.clone()).is_err() {
                subscriber.lagged.store(true, Ordering::Release);
            }
        }
    }

    /// Ends every subscription, now and later: each hears what it was sent, then `Closed`.
    pub fn close(&self) {
        let mut subscribers = self.lock();
        subscribers.closed = true;
        subscribers.by_number.clear();
        self.0.count.store(0, Ordering::SeqCst);
    }

    /// How many listen.
    pub fn subscribers(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        // Nothing here leaves the map half changed, so a panic elsewhere does not spoil it.
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for the next event until `deadline`.
    pub fn recv_deadline(&self, deadline: Instant) -> Heard {
        if self.lagged.swap(false, Ordering::AcqRel) {
            // All of these are in the database, which is read next; so is what comes meanwhile.
            while self.events.try_recv().is_ok() {}
            return Heard::Lagged;
        }
        match self.events.recv_deadline(deadline) {
            Ok(event) => Heard::Event(event),
            Err(RecvTimeoutError::Timeout) => Heard::Timeout,
            Err(RecvTimeoutError::Disconnected) => Heard::Closed,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.bus.lock();
        subscribers.by_number.remove(&self.number);
        self.bus.0.count.store(subscribers.by_number.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::journal::EventKind;
    use crate::sys::clock::mono;

    fn event(seq: u64, session: &str) -> Arc<Event> {
        Arc::new(Event {
            seq,
            session: Some(session).filter(|session| !session.is_empty()).map(SessionId::new),
            kind: EventKind::Agent,
            name: "x".into(),
            json: "{}".into(),
        })
    }

    fn next(subscription: &Subscription) -> Heard {
        subscription.recv_deadline(mono())
    }

    #[test]
    fn each_listener_hears_its_session_or_all_in_order() {
        let bus = Bus::default();
        bus.publish(&event(1, "a"));
        let (all, only_b) = (bus.subscribe(None), bus.subscribe(Some(SessionId::new("b"))));
        // The fourth belongs to no call.
        let told = [(2, "a"), (3, "b"), (4, "a"), (5, ""), (6, "b")];
        for (seq, session) in told {
            bus.publish(&event(seq, session));
        }
        for (seq, session) in told {
            assert_eq!(next(&all), Heard::Event(event(seq, session)));
        }
        assert_eq!(next(&only_b), Heard::Event(event(3, "b")));
        assert_eq!(next(&only_b), Heard::Event(event(6, "b")));
        assert_eq!((next(&all), next(&only_b)), (Heard::Timeout, Heard::Timeout));
        drop((all, only_b));
        assert_eq!(bus.subscribers(), 0);
    }

    #[test]
    fn a_listener_that_sleeps_is_told_once_and_holds_up_nobody() {
        let bus = Bus::default();
        let (slow, quick) = (bus.subscribe(None), bus.subscribe(None));
        for seq in 0..=SUBSCRIBER_EVENTS_MAX as u64 {
            bus.publish(&event(seq, "a"));
            assert_eq!(next(&quick), Heard::Event(event(seq, "a")));
        }
        assert_eq!((next(&slow), next(&slow)), (Heard::Lagged, Heard::Timeout));
        bus.publish(&event(999, "a"));
        assert_eq!(next(&slow), Heard::Event(event(999, "a")));
    }

    #[test]
    fn a_listener_that_lags_and_reads_what_was_stored_misses_nothing() {
        const EVENTS: u64 = 20_000;
        let bus = Bus::default();
        let stored = std::sync::atomic::AtomicU64::new(0);
        let subscription = bus.subscribe(None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for seq in 1..=EVENTS {
                    stored.store(seq, Ordering::SeqCst);
                    bus.publish(&event(seq, "a"));
                }
            });
            let mut heard = 0;
            while heard < EVENTS {
                match subscription.recv_deadline(mono() + Duration::from_secs(10)) {
                    Heard::Event(event) if event.seq <= heard => {}
                    Heard::Event(event) => {
                        assert_eq!(event.seq, heard + 1);
                        heard = event.seq;
                    }
                    Heard::Lagged => heard = heard.max(stored.load(Ordering::SeqCst)),
                    other @ (Heard::Timeout | Heard::Closed) => panic!("{other:?} after {heard}"),
                }
            }
        });
    }

    #[test]
    fn a_closed_bus_lets_everyone_hear_the_end() {
        let bus = Bus::default();
        let before = bus.subscribe(None);
        bus.publish(&event(1, "a"));
        bus.close();
        bus.publish(&event(2, "a"));
        assert_eq!((next(&before), next(&before)), (Heard::Event(event(1, "a")), Heard::Closed));
        assert_eq!(next(&bus.subscribe(None)), Heard::Closed);
    }
}
