//! One event stream, one thread: what is stored first, then what is committed, without a gap between or a repeat.
//!
//! ```text
//!  subscribe ─▶ read the database page by page ─▶ listen ──lagged──▶ read again from the last number on
//!                                                   └── 5 s of nothing ─▶ comment
//! ```
//!
//! Events of no call are not kept for ever. Whoever comes too late for one of them in a stream of all is told so.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bus::{Bus, Heard};
use crate::base::Metrics;
use crate::call::api::{ALIVE, Gap, LIVE, comment, event, gap};
use crate::call::journal::{Event, EventKind};
use crate::call::session::SessionId;
use crate::port::http::EventWriter;
use crate::port::store::{Reader, StoreError};
use crate::sys::clock::mono;

/// A comment goes out whenever so long nothing else did.
const QUIET_TIME_MAX: Duration = Duration::from_secs(5);
/// Events read from the database at once; the lock on it is not held while they are sent. Few, because a hundred
/// clients that do not read may hold a page each, and an event may be long.
const PAGE_EVENTS: usize = 16;

/// Which events one client wants.
#[derive(Debug)]
pub(super) struct Stream {
    /// One session's, until its `call_ended`; or all, without end.
    pub(super) session: Option<SessionId>,
    /// Where the client stopped before, as it says.
    pub(super) after: Option<String>,
    /// The database, shared by all streams: each would need descriptors of its own otherwise.
    pub(super) reader: Arc<Mutex<Reader>>,
    pub(super) bus: Bus,
    pub(super) metrics: Arc<Metrics>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("the client has left: {0}")]
    Client(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Stream {
    /// Streams until the session has ended, the bus is closed, or the client has left.
    pub(super) fn run(&self, writer: &mut EventWriter) -> Result<(), StreamError> {
        let subscription = self.bus.subscribe(self.session.clone());
        writer.send(&comment("callscoot"))?;
        let mut sender = self.sender(writer)?;
        let mut is_first = true;
        while !self.catch_up(&mut sender)? {
            if std::mem::take(&mut is_first) {
                sender.write(&comment(LIVE))?;
            }
            loop {
                match subscription.recv_deadline(sender.quiet_since + QUIET_TIME_MAX) {
                    Heard::Event(event) => {
                        if sender.pass(&event)? {
                            return Ok(());
                        }
                    }
                    Heard::Timeout => sender.write(&comment(ALIVE))?,
                    Heard::Lagged => {
                        self.metrics.sse_lagged.inc();
                        break;
                    }
                    Heard::Closed => return Ok(()),
                }
            }
        }
        Ok(())
    }

    fn sender<'w>(&self, writer: &'w mut EventWriter) -> Result<Sender<'w>, StreamError> {
        let mut sender = Sender {
            writer,
            metrics: self.metrics.clone(),
            ends: self.session.is_some(),
            last: 0,
            known_to_client: 0,
            // Whoever begins has missed nothing.
            not_missed: self.read(Reader::pruned_seq)?,
            quiet_since: mono(),
        };
        if let Some(after) = &self.after {
            match after.parse::<u64>() {
                Ok(seq) if seq <= self.read(Reader::latest_seq)? => {
                    sender.known_to_client = seq;
                    // 0 is the place before the first.
                    if seq > 0 {
                        sender.not_missed = seq;
                    }
                }
                _ => sender.gap(Gap::Unknown, after)?,
            }
        }
        // A session is looked through from its start, so that its end is seen even if the client knows it already.
        sender.last = if sender.ends { 0 } else { sender.known_to_client };
        Ok(sender)
    }

    /// Sends what is stored; true when that held the stream's end.
    fn catch_up(&self, sender: &mut Sender<'_>) -> Result<bool, StreamError> {
        loop {
            let page =
                self.read(|reader| reader.events_after(self.session.as_ref(), sender.last, PAGE_EVENTS))?;
            if page.pruned_seq > sender.last.max(sender.not_missed) {
                sender.not_missed = page.pruned_seq;
                sender.gap(Gap::Pruned, &sender.last.to_string())?;
            }
            for event in &page.events {
                if sender.pass(event)? {
                    return Ok(true);
                }
            }
            if page.events.len() < PAGE_EVENTS {
                return Ok(false);
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was sent, and to whom.
struct Sender<'w> {
    writer: &'w mut EventWriter,
    metrics: Arc<Metrics>,
    ends: bool,
    /// Number of the last event that was sent or passed over.
    last: u64,
    /// Events up to this number the client has already.
    known_to_client: u64,
    /// What is not kept any more up to this number, it has not missed, or was told of.
    not_missed: u64,
    quiet_since: std::time::Instant,
}

impl Sender<'_> {
    /// Sends an event, unless it was sent before or does not belong here; true when the stream ends with it.
    fn pass(&mut self, told: &Event) -> io::Result<bool> {
        if told.kind != EventKind::Agent || told.seq <= self.last {
            return Ok(false);
        }
        self.last = told.seq;
        if told.seq > self.known_to_client {
            self.write(&event(told))?;
            self.metrics.sse_events.inc();
        }
        Ok(self.ends && told.ends_stream())
    }

    fn gap(&mut self, why: Gap, after: &str) -> io::Result<()> {
        self.metrics.sse_gaps.inc();
        self.write(&gap(why, after))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.writer.send(text)?;
        self.quiet_since = mono();
        Ok(())
    }
}
