//! An open WebSocket, either side of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::stream::Stream;
use crate::sys::wait::Interest;

/// Bytes of a message that is accepted at most; a larger one loses the connection.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Bytes that wait for a full socket at most; more loses the connection. A client sends little besides audio,
/// which it holds back itself; a service sends whole replies.
pub(super) const CLIENT_BUFFER_BYTES_MAX: usize = 8 << 20;
const SERVER_BUFFER_BYTES_MAX: usize = 64 << 20;
/// One read of the socket: a second of agent audio fits into a few.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// What came.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The socket is open (a client, once).
    Opened,
    /// A text message.
    Text(String),
    /// A binary message of so many bytes.
    Binary(usize),
    /// Nothing more now: wait.
    Nothing,
    /// The server refused the upgrade with an HTTP status.
    Refused { status: u16 },
    /// The socket is gone. `code` is the close frame's; `reason` the peer's words, or what broke.
    Closed { code: Option<u16>, reason: String },
}

/// An open WebSocket.
pub struct Socket {
    websocket: WebSocket<Stream>,
    is_closed: bool,
}

pub(super) fn config(write_buffer_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(write_buffer_bytes_max)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

impl Socket {
    pub(super) fn new(websocket: WebSocket<Stream>) -> Self {
        Self { websocket, is_closed: false }
    }

    pub(super) fn server(stream: Stream, read_already: Vec<u8>) -> Self {
        Self::new(WebSocket::from_partially_read(
            stream,
            read_already,
            Role::Server,
            Some(config(SERVER_BUFFER_BYTES_MAX)),
        ))
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        if self.is_stalled() { Interest::BOTH } else { Interest::READ }
    }

    /// Whether the peer does not take what was sent: audio should rather wait, and age, outside.
    pub fn is_stalled(&self) -> bool {
        self.websocket.get_ref().wants_write()
    }

    /// The next message; to be called until it answers `Nothing`. WebSocket pings are answered on the way.
    pub fn receive(&mut self) -> Received {
        if self.is_closed {
            return Received::Closed { code: None, reason: "the socket is closed".into() };
        }
        if self.is_stalled()
            && let Err(error) = self.flush()
        {
            return self.lost(error);
        }
        loop {
            match self.websocket.read() {
                Ok(Message::Text(text)) => return Received::Text(text.as_str().to_owned()),
                Ok(Message::Binary(bytes)) => return Received::Binary(bytes.len()),
                Ok(Message::Close(frame)) => {
                    self.is_closed = true;
                    // Sends the answering close frame.
                    let _ = self.websocket.flush();
                    let code = frame.as_ref().map(|frame| u16::from(frame.code));
                    let reason = frame.map(|frame| frame.reason.as_str().to_owned()).unwrap_or_default();
                    return Received::Closed { code, reason };
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Received::Nothing;
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.lost(error),
            }
        }
    }

    /// Queues a text message and sends as much as the socket takes. `Err` means that the connection is lost.
    pub fn send(&mut self, text: String) -> io::Result<()> {
        if self.is_closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        not_blocked(self.websocket.write(Message::text(text)))?;
        not_blocked(self.websocket.flush())
    }

    /// Begins the closing handshake; `receive` answers `Closed` when the peer has closed too.
    pub fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        // A socket that cannot take it is dropped by its owner soon.
        let _ = self.websocket.close(Some(frame));
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self.websocket.flush() {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }

    fn lost(&mut self, error: Error) -> Received {
        self.is_closed = true;
        Received::Closed { code: None, reason: error.to_string() }
    }
}

fn not_blocked(result: Result<(), Error>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(Error::Io(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.websocket.get_ref().tcp().as_fd()
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("is_closed", &self.is_closed).finish_non_exhaustive()
    }
}
