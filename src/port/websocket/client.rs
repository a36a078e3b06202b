//! The client: from an address to an open socket without ever blocking.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tungstenite::Error;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, HandshakeRole, MidHandshake};

use super::socket::{CLIENT_BUFFER_BYTES_MAX, Received, Socket, config};
use super::stream::Stream;
use crate::agent::endpoint::Endpoint;
use crate::sys::wait::Interest;

/// What the peer does not acknowledge for so long is lost, and the path with it.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// Bytes that the kernel may hold unsent: about 300 ms of mu-law audio. What is older waits, and ages, with us.
const UNSENT_BYTES_MAX: u32 = 4 << 10;

type HandshakeStep =
    Result<<ClientHandshake<Stream> as HandshakeRole>::FinalResult, HandshakeError<ClientHandshake<Stream>>>;

/// A connection in whatever state.
pub struct Client {
    endpoint: Endpoint,
    /// Other roots than Mozilla's: a test's own.
    tls: Option<Arc<ClientConfig>>,
    state: State,
}

enum State {
    Connecting(TcpStream),
    Upgrading(Box<MidHandshake<ClientHandshake<Stream>>>),
    Open(Box<Socket>),
    /// Failed before it was open, or between two states.
    Gone,
}

impl Client {
    /// Begins to connect to one address of the endpoint.
    pub fn connect(endpoint: &Endpoint, address: SocketAddr) -> io::Result<Self> {
        Self::connect_with(endpoint, address, None)
    }

    pub(super) fn connect_with(
        endpoint: &Endpoint,
        address: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        if !endpoint.secure && !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "without TLS only loopback is allowed",
            ));
        }
        let socket = RawSocket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { endpoint: endpoint.clone(), tls, state: State::Connecting(socket.into()) })
    }

    /// The descriptor to wait on; `None` once the connection has failed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Connecting(tcp) => Some(tcp.as_fd()),
            State::Upgrading(handshake) => Some(handshake.get_ref().get_ref().tcp().as_fd()),
            State::Open(socket) => Some(socket.as_fd()),
            State::Gone => None,
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        match &self.state {
            State::Connecting(_) => Interest { read: false, write: true },
            State::Upgrading(handshake) => {
                if handshake.get_ref().get_ref().wants_write() {
                    Interest::BOTH
                } else {
                    Interest::READ
                }
            }
            State::Open(socket) => socket.interest(),
            State::Gone => Interest::NONE,
        }
    }

    /// The next step or message; to be called after each wake until it answers `Nothing`.
    pub fn receive(&mut self) -> Received {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Connecting(tcp) => self.connecting(tcp),
            State::Upgrading(handshake) => self.upgrade_step(handshake.handshake()),
            State::Open(mut socket) => {
                let received = socket.receive();
                self.state = State::Open(socket);
                received
            }
            State::Gone => closed("the connection failed"),
        }
    }

    /// Sends a text message once the socket is open. `Err` means that the connection is lost.
    pub fn send(&mut self, text: String) -> io::Result<()> {
        match &mut self.state {
            State::Open(socket) => socket.send(text),
            State::Connecting(_) | State::Upgrading(_) | State::Gone => {
                Err(io::ErrorKind::NotConnected.into())
            }
        }
    }

    /// Whether the service does not take what was sent.
    pub fn is_stalled(&self) -> bool {
        match &self.state {
            State::Open(socket) => socket.is_stalled(),
            State::Connecting(_) | State::Upgrading(_) | State::Gone => false,
        }
    }

    /// Begins the closing handshake of an open socket with 1000. False where there is nothing to close.
    pub fn close(&mut self) -> bool {
        match &mut self.state {
            State::Open(socket) => {
                socket.close(1000, "");
                true
            }
            State::Connecting(_) | State::Upgrading(_) | State::Gone => false,
        }
    }

    fn connecting(&mut self, tcp: TcpStream) -> Received {
        if let Some(error) = tcp.take_error().unwrap_or_else(Some) {
            return closed(&error.to_string());
        }
        if tcp.peer_addr().is_err() {
            self.state = State::Connecting(tcp);
            return Received::Nothing;
        }
        let started = self.start_upgrade(tcp);
        match started {
            Ok(handshake) => self.upgrade_step(handshake.handshake()),
            Err(error) => closed(&error),
        }
    }

    fn start_upgrade(&self, tcp: TcpStream) -> Result<MidHandshake<ClientHandshake<Stream>>, String> {
        let stream = if self.endpoint.secure {
            Stream::tls(tcp, &self.endpoint.host, self.tls.clone()).map_err(|error| error.to_string())?
        } else {
            Stream::plain(tcp)
        };
        // Built by tungstenite from the URL alone: no Origin, no subprotocol.
        let request = tungstenite::client::IntoClientRequest::into_client_request(self.endpoint.socket_url())
            .map_err(|_| "the address of the agent service cannot be asked for")?;
        ClientHandshake::start(stream, request, Some(config(CLIENT_BUFFER_BYTES_MAX)))
            .map_err(|error| error.to_string())
    }

    fn upgrade_step(&mut self, step: HandshakeStep) -> Received {
        match step {
            Ok((websocket, _)) => {
                self.state = State::Open(Box::new(Socket::new(websocket)));
                Received::Opened
            }
            Err(HandshakeError::Interrupted(handshake)) => {
                self.state = State::Upgrading(Box::new(handshake));
                Received::Nothing
            }
            Err(HandshakeError::Failure(Error::Http(response))) => {
                Received::Refused { status: response.status().as_u16() }
            }
            Err(HandshakeError::Failure(error)) => closed(&error.to_string()),
        }
    }
}

fn closed(reason: &str) -> Received {
    Received::Closed { code: None, reason: reason.to_owned() }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
