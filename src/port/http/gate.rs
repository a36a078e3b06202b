//! The gate: the TCP listener, every client's connection, and the one wait for all of them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::exchange::{Exchange, Input, Output, Wants};
use super::server::Server;
use crate::base::time::earlier;
use crate::base::{Metrics, Now};
use crate::call::api::Response;
use crate::sys::clock;
use crate::sys::mailbox::Wake;
use crate::sys::wait::{Interest, on, readable, wait, writable};

/// Connections at once. A stream takes four descriptors and 128 may live; so all of them fit in the usual limit of
/// 1024 with room for calls. More get 503.
pub const CONNECTIONS_MAX: usize = 256;
/// Connections that are being told 503 at once; more wait in the kernel's queue.
const REFUSALS_MAX: usize = 32;
/// Requests that the server has and has not begun to answer; more wait here, whole.
const ASKED_MAX: usize = 16;
/// Bytes of all connections together; a request that would add to more gets 503.
const BUFFERED_BYTES_MAX: usize = 16 << 20;
/// Bytes taken from one socket before the next one's turn.
const READ_BYTES_MAX: usize = 16 << 10;
/// Accepts before the connections' turn.
const ACCEPTS_MAX: usize = 64;
/// So long no connection is taken when descriptors have run out, unless one is closed before.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// So long the gate stays for what is being answered when it is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_millis(500);

/// Tells a gate to stop. Clones mean the same gate.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    wake: Wake,
}

impl Stop {
    /// Takes no more connections, finishes what is being answered within half a second, and ends.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake.raise();
    }
}

/// The listener and its connections; one thread calls `turn` until it is over.
#[derive(Debug)]
pub struct Gate {
    listener: Option<TcpListener>,
    address: SocketAddr,
    server: Arc<Server>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    paused_until: Option<Instant>,
    /// The last `accept` found no descriptor; said in the log once.
    starved: bool,
    stop: Stop,
    stop_at: Option<Instant>,
    buffer: Vec<u8>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: Option<UnixStream>,
    exchange: Exchange,
    wants: Wants,
    /// Whether a write is worth a try: not after one would have blocked, until the socket can be written again.
    client_writable: bool,
    server_writable: bool,
}

/// What a connection was found ready for.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    client_read: bool,
    client_write: bool,
    server_read: bool,
    server_write: bool,
}

impl Gate {
    /// Listens.
    pub fn open(listen: SocketAddr, server: Arc<Server>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Stop { asked: Arc::new(AtomicBool::new(false)), wake: Wake::new()? };
        Ok(Self {
            listener: Some(listener),
            address,
            server,
            connections: BTreeMap::new(),
            next: 0,
            paused_until: None,
            starved: false,
            stop,
            stop_at: None,
            buffer: vec![0; READ_BYTES_MAX],
            metrics,
        })
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to end it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits once and does what there was to do; false when the gate was told to stop and has.
    pub fn turn(&mut self) -> io::Result<bool> {
        self.settle(clock::now());
        if self.stop_at.is_some_and(|at| self.connections.is_empty() || clock::mono() >= at) {
            self.connections.clear();
            return Ok(false);
        }
        let (accept, ready) = self.wait()?;
        let now = clock::now();
        if self.stop_at.is_none() && self.stop.asked.load(Ordering::Acquire) {
            self.listener = None;
            self.stop_at = Some(now.mono + STOP_TIME_MAX);
            self.connections.retain(|_, connection| !connection.exchange.is_collecting());
        }
        for (id, ready) in ready {
            self.transfer(now, id, ready);
        }
        for connection in self.connections.values_mut() {
            connection.exchange.handle_timeout(now);
        }
        if accept {
            self.accept(now);
        }
        Ok(true)
    }

    /// Writes what can be written, passes on what is whole, and learns what each connection waits for.
    fn settle(&mut self, now: Now) {
        let mut asked = self.connections.values().filter(|c| c.exchange.is_asked()).count();
        let before = self.connections.len();
        self.connections.retain(|_, connection| {
            let lives = connection.settle(now, |exchange| {
                if asked >= ASKED_MAX {
                    return None;
                }
                match self.server.connect() {
                    Ok(stream) => {
                        asked += 1;
                        exchange.handle_input(now, Input::Connected);
                        Some(stream)
                    }
                    Err(error) => {
                        log::debug!("the HTTP server cannot be reached: {error}");
                        exchange.handle_input(now, Input::Refused(busy()));
                        None
                    }
                }
            });
            if let (false, Some(reason)) = (lives, connection.exchange.cut()) {
                self.metrics.http_refused.inc([reason]);
            }
            lives
        });
        self.metrics.http_connections_open.set(self.connections.len() as u64);
        if self.connections.len() < before {
            self.paused_until = None;
        }
    }

    fn accepts(&self) -> bool {
        self.paused_until.is_none() && self.connections.len() < CONNECTIONS_MAX + REFUSALS_MAX
    }

    fn wait(&mut self) -> io::Result<(bool, Vec<(u64, Ready)>)> {
        if self.paused_until.is_some_and(|until| clock::mono() >= until) {
            self.paused_until = None;
        }
        let mut deadline = earlier(self.paused_until, self.stop_at);
        let mut fds = vec![on(self.stop.wake.as_fd(), Interest::READ)];
        let listener = self.listener.as_ref().filter(|_| self.accepts());
        fds.extend(listener.map(|listener| on(listener.as_fd(), Interest::READ)));
        let first = fds.len();
        for connection in self.connections.values() {
            deadline = earlier(deadline, connection.wants.until);
            fds.push(on(connection.client.as_fd(), connection.client_interest()));
            fds.extend(
                connection.polled_server().map(|server| on(server.as_fd(), connection.server_interest())),
            );
        }
        wait(&mut fds, deadline)?;
        let accept = first > 1 && readable(&fds[1]);
        let mut found = Vec::new();
        let mut rest = fds[first..].iter();
        for (id, connection) in &self.connections {
            let client = rest.next().map(|fd| (readable(fd), writable(fd))).unwrap_or_default();
            let server = connection.polled_server().and_then(|_| rest.next());
            let server = server.map(|fd| (readable(fd), writable(fd))).unwrap_or_default();
            if client.0 || client.1 || server.0 || server.1 {
                let ready = Ready {
                    client_read: client.0,
                    client_write: client.1,
                    server_read: server.0,
                    server_write: server.1,
                };
                found.push((*id, ready));
            }
        }
        if readable(&fds[0]) {
            self.stop.wake.lower();
        }
        Ok((accept, found))
    }

    fn transfer(&mut self, now: Now, id: u64, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.client_writable |= ready.client_write;
        connection.server_writable |= ready.server_write;
        if ready.client_read {
            connection.read_client(now, &mut self.buffer);
        }
        if ready.server_read && connection.wants.server {
            connection.read_server(now, &mut self.buffer);
        }
        if connection.exchange.buffered() > READ_BYTES_MAX * 2
            && self.connections.values().map(|c| c.exchange.buffered()).sum::<usize>() > BUFFERED_BYTES_MAX
            && let Some(connection) = self.connections.get_mut(&id)
            && connection.exchange.is_collecting()
        {
            connection.exchange.handle_input(now, Input::Refused(busy()));
        }
    }

    fn accept(&mut self, now: Now) {
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listener.as_ref().filter(|_| self.accepts()) else { return };
            match listener.accept() {
                Ok((client, _)) => {
                    self.starved = false;
                    self.metrics.http_connections.inc();
                    if client.set_nonblocking(true).is_err() {
                        continue;
                    }
                    // Events are small and each matters at once; the kernel need not wait for more.
                    let _ = client.set_nodelay(true);
                    let exchange = if self.connections.len() < CONNECTIONS_MAX {
                        Exchange::new(now)
                    } else {
                        Exchange::refused(now, &busy())
                    };
                    self.connections.insert(self.next, Connection::new(client, exchange));
                    self.next += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client has left already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.starved, true) {
                        log::warn!("no connection can be taken for now: {error}");
                    }
                    self.paused_until = Some(now.mono + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }
}

fn busy() -> Response {
    Response::busy("too many connections")
}

impl Connection {
    fn new(client: TcpStream, exchange: Exchange) -> Self {
        let wants = Wants { until: None, client: false, server: false, connection: false };
        Self { client, server: None, exchange, wants, client_writable: true, server_writable: true }
    }

    fn client_interest(&self) -> Interest {
        Interest { read: self.wants.client, write: !self.exchange.to_client().is_empty() }
    }

    fn server_interest(&self) -> Interest {
        Interest { read: self.wants.server, write: !self.exchange.to_server().is_empty() }
    }

    /// A socket of which nothing is wanted is not polled: its hang-up would wake the gate again and again.
    fn polled_server(&self) -> Option<&UnixStream> {
        let interest = self.server_interest();
        self.server.as_ref().filter(|_| interest.read || interest.write)
    }

    /// False when the connection is over.
    fn settle(&mut self, now: Now, mut connect: impl FnMut(&mut Exchange) -> Option<UnixStream>) -> bool {
        loop {
            self.write(now);
            match self.exchange.poll_output() {
                Output::Close => return false,
                Output::ShutClient => {
                    let _ = self.client.shutdown(Shutdown::Write);
                }
                Output::Wait(wants) => {
                    self.wants = wants;
                    if !self.exchange.is_served() {
                        self.server = None;
                    }
                    if !wants.connection {
                        return true;
                    }
                    self.server = connect(&mut self.exchange);
                    if self.server.is_none()
                        && matches!(self.exchange.poll_output(), Output::Wait(w) if w.connection)
                    {
                        return true;
                    }
                }
            }
        }
    }

    fn write(&mut self, now: Now) {
        while self.client_writable && !self.exchange.to_client().is_empty() {
            match self.client.write(self.exchange.to_client()) {
                Ok(count) => self.exchange.handle_input(now, Input::ClientTook(count)),
                Err(error) if would_block(&error) => self.client_writable = false,
                Err(_) => self.exchange.handle_input(now, Input::ClientGone),
            }
        }
        while let Some(server) = self.server.as_mut().filter(|_| self.server_writable)
            && !self.exchange.to_server().is_empty()
        {
            match server.write(self.exchange.to_server()) {
                Ok(count) => self.exchange.handle_input(now, Input::ServerTook(count)),
                Err(error) if would_block(&error) => self.server_writable = false,
                // It does not want the rest; the response says why.
                Err(_) => {
                    let rest = self.exchange.to_server().len();
                    self.exchange.handle_input(now, Input::ServerTook(rest));
                }
            }
        }
    }

    fn read_client(&mut self, now: Now, buffer: &mut [u8]) {
        // Not wanted, and yet ready: it was reset, or both sides are shut.
        let input = if self.wants.client { read(&mut self.client, buffer) } else { Some(Err(())) };
        self.exchange.handle_input(
            now,
            match input {
                None => return,
                Some(Ok(0)) => Input::ClientEnd,
                Some(Ok(count)) => Input::Client(&buffer[..count]),
                Some(Err(())) => Input::ClientGone,
            },
        );
    }

    fn read_server(&mut self, now: Now, buffer: &mut [u8]) {
        let Some(server) = &mut self.server else { return };
        match read(server, buffer) {
            None => {}
            Some(Ok(0) | Err(())) => {
                self.server = None;
                self.exchange.handle_input(now, Input::ServerEnd);
            }
            Some(Ok(count)) => self.exchange.handle_input(now, Input::Server(&buffer[..count])),
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// `None` when there is nothing yet.
fn read(stream: &mut impl Read, buffer: &mut [u8]) -> Option<Result<usize, ()>> {
    match stream.read(buffer) {
        Ok(count) => Some(Ok(count)),
        Err(error) if would_block(&error) => None,
        Err(_) => Some(Err(())),
    }
}
