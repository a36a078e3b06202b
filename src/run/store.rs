//! The store thread: what the switch wants kept is committed in groups, written to files, published, answered.
//!
//! ```text
//!  switch ──batches──▶ [1024] ──▶ one transaction ──▶ session files ──▶ bus ──▶ answer to the switch
//!                                   └─ failed, nobody waits for the answer: kept, and tried again every second
//! ```
//!
//! The thread ends when its handle is dropped: what waits is stored, the log is emptied, the bus is closed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded};

use super::bus::Bus;
use crate::base::Metrics;
use crate::call::journal::{Batch, CommitError, CommitId, EventKind, Record};
use crate::call::phone_line::Memory;
use crate::port::config_file::{ConfigFile, ConfigFileError, Seen};
use crate::port::session_files::SessionFiles;
use crate::port::store::{BatchError, Reader, Writer};
use crate::port::whole_file;
use crate::sys::clock;
use crate::sys::thread::{Role, Spawner};

/// Batches that wait for the thread at most: minutes of many calls. Beyond that the sender waits.
pub const WAITING_BATCHES_MAX: usize = 1024;
/// How long the sender waits for room at most. Then it is told `StoreFault::Stuck`, and the process must end in
/// order: a disk that answers nothing for so long loses call records otherwise.
pub const SEND_WAIT_MAX: Duration = Duration::from_secs(1);
/// Batches in one transaction at most, so that an answer never waits for a whole queue.
const GROUP_BATCHES_MAX: usize = 256;
/// Batches kept while the storage fails, when nobody waits for their answer: an hour of a busy line. Beyond that the
/// oldest of what belongs to no call are lost, then the newest of all, loudly: calls go on.
const KEPT_BATCHES_MAX: usize = 8192;
/// How often what is kept is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the thread works with. Recovery is done: `Writer::open` gave it.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub writer: Writer,
    /// The folders of the sessions.
    pub files: SessionFiles,
    /// `config.json`.
    pub config: ConfigFile,
    /// Where is kept what was learnt about phones.
    pub phone_memory: PathBuf,
    /// Where committed agent events are published.
    pub bus: Bus,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// The switch's end. Dropping it ends the thread.
#[derive(Debug)]
pub struct StoreHandle {
    messages: Sender<Message>,
    works: Arc<AtomicBool>,
}

/// The store takes nothing more. Call records would be lost, so the process must end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// No room within [`SEND_WAIT_MAX`].
    #[error("the store has not taken a change for {} s", SEND_WAIT_MAX.as_secs())]
    Stuck,
    /// The thread has ended.
    #[error("the store has ended")]
    Gone,
}

#[derive(Debug)]
enum Message {
    /// Boxed: the queue's places are all there from the start, and a Pi's memory is small.
    Batch(Box<Batch>),
    ConfigRead(Seen),
    Remember(String),
}

impl StoreHandle {
    /// Whether the last commit found a storage that works.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Hands a batch over. It is stored in the order of sending; with `acknowledge` its outcome is told, without
    /// it is stored as soon as the storage can. Waits only when thousands of batches wait already.
    pub fn send(&self, batch: Batch) -> Result<(), StoreFault> {
        self.hand_over(Message::Batch(Box::new(batch)))
    }

    /// The configuration was read again: batches sent from now on are built on what was `seen`. A write sent
    /// before is still checked against what was seen before.
    pub fn config_was_read(&self, seen: Seen) -> Result<(), StoreFault> {
        self.hand_over(Message::ConfigRead(seen))
    }

    /// Keeps what was learnt about phones, in place of what was kept before. Of several that wait only the last is
    /// written; one that cannot be written is tried once more at the end.
    pub fn remember(&self, memory: &Memory) -> Result<(), StoreFault> {
        self.hand_over(Message::Remember(memory.write()))
    }

    fn hand_over(&self, message: Message) -> Result<(), StoreFault> {
        let message = match self.messages.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(StoreFault::Gone),
            Err(TrySendError::Full(message)) => message,
        };
        log::warn!("{WAITING_BATCHES_MAX} changes wait to be stored; calls wait with them");
        self.messages.send_timeout(message, SEND_WAIT_MAX).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => StoreFault::Stuck,
            SendTimeoutError::Disconnected(_) => StoreFault::Gone,
        })
    }
}

/// Starts the thread. `tell` gets the outcome of every batch with `acknowledge`, after its events were
/// published. The join handle returns when everything is stored.
pub fn spawn(
    spawner: &Spawner,
    parts: Parts,
    tell: impl FnMut(CommitId, Result<(), CommitError>) + Send + 'static,
) -> io::Result<(StoreHandle, JoinHandle<Option<()>>)> {
    let (messages, waiting) = bounded(WAITING_BATCHES_MAX);
    let reader = parts.writer.reader().map_err(io::Error::other)?;
    let Parts { writer, files, config, phone_memory, bus, metrics } = parts;
    let works = Arc::new(AtomicBool::new(true));
    let desk = Desk { writer, reader, files, bus, works: works.clone(), metrics };
    let store = Store { desk, config, phone_memory, unwritten: None, kept: Vec::new(), outage: None, tell };
    let thread = spawner.spawn(Role::Store, move || store.run(&waiting))?;
    Ok((StoreHandle { messages, works }, thread))
}

/// Where a committed group goes.
struct Desk {
    writer: Writer,
    reader: Reader,
    files: SessionFiles,
    bus: Bus,
    works: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

struct Store<T> {
    desk: Desk,
    config: ConfigFile,
    phone_memory: PathBuf,
    /// What was learnt about phones and is not in its file.
    unwritten: Option<String>,
    /// Batches that the storage could not take and nobody waits for, oldest first.
    kept: Vec<Batch>,
    /// Set while there are some.
    outage: Option<Outage>,
    tell: T,
}

/// The storage fails.
struct Outage {
    retry_at: Instant,
    error: BatchError,
    /// Batches for which there was no room among the kept ones.
    lost: u64,
}

impl Desk {
    /// Commits a group; what was stored goes to files and listeners.
    fn commit(&mut self, group: &[Batch]) -> Vec<Result<(), BatchError>> {
        let begun = clock::mono();
        let results = self.writer.commit(group);
        self.metrics.store_commit.observe(clock::mono().saturating_duration_since(begun));
        let works = !results.iter().any(|result| matches!(result, Err(BatchError::Storage(_))));
        self.works.store(works, Ordering::Relaxed);
        self.metrics.store_commits.inc([if works { "stored" } else { "failed" }]);
        let stored = || group.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let records = || stored().flat_map(|(batch, _)| &batch.records);
        // Files first, so that who hears of an event finds it there.
        self.files.update(records(), &self.reader);
        for record in records() {
            match record {
                Record::Event(event) if event.kind == EventKind::Agent => {
                    self.metrics.bus_events.inc();
                    self.bus.publish(event);
                }
                Record::Event(_)
                | Record::SeqReserved(_)
                | Record::SessionOpened(_)
                | Record::SessionChanged(_)
                | Record::Transcript { .. }
                | Record::Pending(_)
                | Record::PendingGone { .. }
                | Record::Answered { .. }
                | Record::KeyGone(_) => {}
            }
        }
        results
    }
}

impl<T: FnMut(CommitId, Result<(), CommitError>)> Store<T> {
    fn run(mut self, waiting: &Receiver<Message>) {
        self.desk.files.catch_up(&self.desk.reader);
        loop {
            match next(waiting, self.outage.as_ref().map(|outage| outage.retry_at)) {
                Ok(message) => self.handle(message, waiting),
                Err(RecvTimeoutError::Timeout) => self.store(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end();
    }

    /// Takes one message and what waits behind it, as far as it fits into one transaction.
    fn handle(&mut self, first: Message, waiting: &Receiver<Message>) {
        let mut group = Vec::new();
        let (mut next, mut remembered) = (Some(first), None);
        while let Some(message) = next.take() {
            match message {
                Message::Batch(batch) if batch.config.is_none() => group.push(*batch),
                Message::Batch(batch) => {
                    self.store(std::mem::take(&mut group));
                    self.store_with_config(*batch);
                }
                Message::ConfigRead(seen) => self.config.was_read(seen),
                Message::Remember(memory) => remembered = Some(memory),
            }
            if group.len() < GROUP_BATCHES_MAX {
                next = waiting.try_recv().ok();
            }
        }
        self.store(group);
        // Somebody waits for what is committed, and nobody for this.
        if remembered.is_some() {
            self.unwritten = remembered;
            self.write_memory();
        }
    }

    fn write_memory(&mut self) {
        let Some(memory) = &self.unwritten else { return };
        match whole_file::replace(&self.phone_memory, memory) {
            Ok(()) => self.unwritten = None,
            Err(error) => log::warn!("{}: {error}", self.phone_memory.display()),
        }
    }

    /// Commits what was kept before, then the group; while the storage fails, only as often as it is worth trying.
    fn store(&mut self, group: Vec<Batch>) {
        if let Err(error) = self.store_kept(group.iter().any(|batch| batch.acknowledge.is_some())) {
            for batch in group {
                self.tell_or_keep(batch, Err(error.clone()));
            }
            return;
        }
        if group.is_empty() {
            return;
        }
        let results = self.desk.commit(&group);
        for (batch, result) in group.into_iter().zip(results) {
            self.tell_or_keep(batch, result);
        }
    }

    /// Tries what is kept, oldest first, when it is time or somebody waits for what comes after it.
    fn store_kept(&mut self, somebody_waits: bool) -> Result<(), BatchError> {
        if let Some(outage) = &self.outage
            && !somebody_waits
            && clock::mono() < outage.retry_at
        {
            return Err(outage.error.clone());
        }
        while !self.kept.is_empty() {
            let rest = self.kept.split_off(self.kept.len().min(GROUP_BATCHES_MAX));
            let tried = std::mem::replace(&mut self.kept, rest);
            let results = self.desk.commit(&tried);
            let errors: Vec<BatchError> = results.into_iter().filter_map(Result::err).collect();
            match errors.first() {
                None => {}
                Some(error @ BatchError::Refused(_)) => {
                    log::error!("{} changes are lost, the first: {error}", errors.len());
                    self.desk.metrics.store_lost.add(errors.len() as u64);
                }
                // It failed for the group as a whole.
                Some(error @ BatchError::Storage(_)) => {
                    self.kept.splice(..0, tried);
                    if let Some(outage) = &mut self.outage {
                        outage.retry_at = clock::mono() + RETRY_AFTER;
                    }
                    return Err(error.clone());
                }
            }
        }
        self.desk.metrics.store_kept.set(0);
        if let Some(outage) = self.outage.take() {
            log::warn!("the storage works again; {} changes were lost meanwhile", outage.lost);
        }
        Ok(())
    }

    fn tell_or_keep(&mut self, batch: Batch, result: Result<(), BatchError>) {
        match (batch.acknowledge, result) {
            (Some(id), result) => (self.tell)(id, result.map_err(commit_error)),
            (None, Ok(())) => {}
            (None, Err(error @ BatchError::Refused(_))) => {
                log::error!("a change is lost: {error}");
                self.desk.metrics.store_lost.inc();
            }
            (None, Err(error @ BatchError::Storage(_))) => self.keep(batch, error),
        }
    }

    fn keep(&mut self, batch: Batch, error: BatchError) {
        let outage = self.outage.get_or_insert_with(|| {
            log::error!("changes cannot be stored and are kept in memory: {error}");
            Outage { retry_at: clock::mono() + RETRY_AFTER, error, lost: 0 }
        });
        if self.kept.len() >= KEPT_BATCHES_MAX {
            if outage.lost == 0 {
                log::error!("{KEPT_BATCHES_MAX} changes wait for the storage; more are lost");
            }
            outage.lost += 1;
            self.desk.metrics.store_lost.inc();
            let Some(least) = self.kept.iter().position(is_of_no_call) else { return };
            self.kept.remove(least);
        }
        self.kept.push(batch);
        self.desk.metrics.store_kept.set(self.kept.len() as u64);
    }

    /// The new file is complete on disk before the records are committed, and takes its place after. Only the
    /// renaming can fail then, which leaves the records stored and the configuration as it was.
    fn store_with_config(&mut self, mut batch: Batch) {
        let Some(write) = batch.config.take() else { return };
        let result = match self.config.prepare(&write.text) {
            Err(error) => Err(config_error(&error)),
            Ok(prepared) => match self.desk.commit(std::slice::from_ref(&batch)).pop() {
                Some(Err(error)) => Err(commit_error(error)),
                Some(Ok(())) | None => prepared.put_in_place().map_err(|error| config_error(&error)),
            },
        };
        match (batch.acknowledge, result) {
            (Some(id), result) => (self.tell)(id, result),
            (None, Ok(())) => {}
            (None, Err(error)) => log::error!("the configuration was not saved: {error}"),
        }
    }

    fn end(mut self) {
        if let (Err(error), Some(outage)) = (self.store_kept(true), &self.outage) {
            log::error!("{} changes are lost: {error}", self.kept.len() as u64 + outage.lost);
        }
        self.write_memory();
        let Desk { writer, reader, bus, .. } = self.desk;
        drop(reader);
        if let Err(error) = writer.close() {
            log::error!("the database was not closed in order: {error}");
        }
        bus.close();
    }
}

fn next(waiting: &Receiver<Message>, retry_at: Option<Instant>) -> Result<Message, RecvTimeoutError> {
    match retry_at {
        Some(deadline) => waiting.recv_deadline(deadline),
        None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

/// Whether no call's records would be lost with it.
fn is_of_no_call(batch: &Batch) -> bool {
    batch.records.iter().all(|record| matches!(record, Record::Event(event) if event.session.is_none()))
}

fn commit_error(error: BatchError) -> CommitError {
    CommitError::Storage(error.to_string())
}

fn config_error(error: &ConfigFileError) -> CommitError {
    match error {
        ConfigFileError::Changed(_) => CommitError::ConfigChanged,
        ConfigFileError::Syntax { .. } | ConfigFileError::TooLarge(_) | ConfigFileError::File { .. } => {
            CommitError::Storage(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
