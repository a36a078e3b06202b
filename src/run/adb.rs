//! The adb thread: the bridge to Android phones and its connections to the adb server. It waits for commands, for the
//! server and for its deadline, all at once; while no call is expected it has one connection and no deadline.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::adb::{Bridge, Counters, Event, Input, LinkId, Output};
use crate::base::{Metrics, Rng};
use crate::port::adb::{AdbAddress, AdbConnection, Received};
use crate::sys::clock;
use crate::sys::mailbox::{MailSender, Mailbox, mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{on, readable, wait, writable};

/// What the thread is told.
pub use crate::adb::Command as AdbCommand;
/// What it tells.
pub use crate::adb::Event as AdbEvent;

/// Commands that wait at most; whoever is further ahead has a fault.
const COMMANDS_MAX: usize = 64;
/// Bytes that are read at once: a dump has some hundred kilobytes.
const BUFFER_BYTES: usize = 32 << 10;
/// Pieces of one connection that are read before the others, commands and timers have their turn.
const PIECES_IN_A_ROW: usize = 16;

/// What the bridge counted, for whoever asks. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct AdbTotals(Arc<[AtomicU64; 4]>);

impl AdbTotals {
    fn keep(&self, counters: Counters) {
        let Counters { queries, failed, looks, lost } = counters;
        for (kept, counted) in self.0.iter().zip([queries, failed, looks, lost]) {
            kept.store(counted, Ordering::Relaxed);
        }
    }

    /// Brings the counters of `metrics` up to now.
    pub fn report(&self, metrics: &Metrics) {
        let [queries, failed, looks, lost] = self.0.each_ref().map(|kept| kept.load(Ordering::Relaxed));
        metrics.adb_queries.advance_to(queries);
        metrics.adb_failed_queries.advance_to(failed);
        metrics.adb_looks.advance_to(looks);
        metrics.adb_server_losses.advance_to(lost);
    }
}

/// Starts the thread, which is idle until it is configured. It ends when every sender is dropped.
pub fn spawn(
    spawner: &Spawner,
    server: AdbAddress,
    (rng, totals): (Rng, AdbTotals),
    tell: impl FnMut(Event) + Send + 'static,
) -> io::Result<MailSender<AdbCommand>> {
    let (commands, commands_box) = mailbox(COMMANDS_MAX)?;
    spawner.spawn(Role::Adb, move || {
        let bridge = Bridge::new(rng);
        let mut thread =
            Thread { bridge, server, links: BTreeMap::new(), totals, tell, buffer: vec![0; BUFFER_BYTES] };
        thread.run(&commands_box)
    })?;
    Ok(commands)
}

struct Thread<F> {
    bridge: Bridge,
    server: AdbAddress,
    links: BTreeMap<LinkId, AdbConnection>,
    totals: AdbTotals,
    tell: F,
    buffer: Vec<u8>,
}

impl<F: FnMut(Event)> Thread<F> {
    fn run(&mut self, commands: &Mailbox<AdbCommand>) -> io::Result<()> {
        loop {
            let deadline = self.drain();
            self.totals.keep(self.bridge.counters());
            for link in self.wait(commands, deadline)? {
                self.receive(link);
            }
            if commands.drain(|command| self.input(Input::Command(command))).is_err() {
                return Ok(());
            }
            let now = clock::mono();
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.bridge.handle_timeout(now);
            }
        }
    }

    /// The connections on which something happened.
    fn wait(&self, commands: &Mailbox<AdbCommand>, deadline: Option<Instant>) -> io::Result<Vec<LinkId>> {
        let mut fds: Vec<_> = self.links.values().map(|link| on(link.as_fd(), link.interest())).collect();
        fds.push(on(commands.as_fd(), crate::sys::wait::Interest::READ));
        wait(&mut fds, deadline)?;
        let ready = self.links.keys().zip(&fds).filter(|(_, fd)| readable(fd) || writable(fd));
        Ok(ready.map(|(id, _)| *id).collect())
    }

    fn receive(&mut self, id: LinkId) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..PIECES_IN_A_ROW {
            // It may have been closed by what came before.
            let Some(link) = self.links.get_mut(&id) else { break };
            match link.receive(&mut buffer) {
                Received::Nothing => break,
                Received::Connected => self.input(Input::Connected(id)),
                Received::Bytes(read) => {
                    if let Some(bytes) = buffer.get(..read) {
                        self.input(Input::Bytes(id, bytes));
                    }
                }
                Received::Closed(how) => {
                    self.links.remove(&id);
                    self.input(Input::Closed(id, how));
                }
            }
        }
        self.buffer = buffer;
    }

    fn input(&mut self, input: Input<'_>) {
        self.bridge.handle_input(clock::mono(), input);
        self.drain();
    }

    /// Does everything that the bridge wants done; returns its deadline.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.bridge.poll_output() {
                Output::Connect(id) => match AdbConnection::connect(&self.server) {
                    Ok(link) => {
                        self.links.insert(id, link);
                    }
                    Err(error) => {
                        let closed = Input::Closed(id, Err(error.to_string()));
                        self.bridge.handle_input(clock::mono(), closed);
                    }
                },
                Output::Transmit(id, bytes) => {
                    if let Some(link) = self.links.get_mut(&id) {
                        link.send(&bytes);
                    }
                }
                Output::Close(id) => drop(self.links.remove(&id)),
                Output::Event(event) => {
                    log_event(&event);
                    (self.tell)(event);
                }
                Output::Timeout(deadline) => return deadline.map(|(at, _)| at),
            }
        }
    }
}

/// What an administrator wants to see; numbers and a phone's words are in none of it.
fn log_event(event: &Event) {
    match event {
        Event::Up { version } => log::info!("the adb server is there (version {version})"),
        Event::Down(why) => log::warn!("no adb server: {why}"),
        Event::Phone { state: Some(state), .. } => log::info!("a phone at adb is {}", state.as_str()),
        Event::Phone { state: None, .. } => log::info!("a phone at adb is unplugged"),
        Event::Blind { failure, .. } => log::warn!("a phone at adb: {failure}"),
        Event::Done { task, result: Err(failure), .. } => {
            log::warn!("a phone at adb did not do it ({task:?}): {failure}");
        }
        Event::Address { .. }
        | Event::Call { .. }
        | Event::Number { .. }
        | Event::Done { result: Ok(()), .. } => {}
    }
}
