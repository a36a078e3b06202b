//! The same phone at an adb server: what is done there is done to its calls, and it tells of all of them.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};

use super::phone::Handset;
use crate::adb::sim::{ConnectionId, Model, Output, Phone, Server};
use crate::adb::{CallState as Seen, DeviceState};
use crate::base::Pii;
use crate::hfp::ag::Happening;
use crate::hfp::{Call, CallState};

/// What the server calls the phone.
pub(super) const SERIAL: &str = "SIMULATED";
/// Connections at once; further ones are closed.
const CONNECTIONS_MAX: usize = 32;
const BUFFER_BYTES: usize = 4096;

/// An adb server on loopback, with one phone.
pub(super) struct AdbServer {
    listener: TcpListener,
    server: Server,
    streams: BTreeMap<ConnectionId, TcpStream>,
    last: u64,
}

impl AdbServer {
    /// Listens on this port, on any for 0. The phone tells its Bluetooth address to whoever asks.
    pub(super) fn listen(port: u16, bluetooth_address: String) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let mut server = Server::default();
        let model = Model { bluetooth_address: Some(bluetooth_address), ..Model::default() };
        server.plug(SERIAL, DeviceState::Online, model.into());
        Ok(Self { listener, server, streams: BTreeMap::new(), last: 0 })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it waits for: to be read.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.listener.as_fd()].into_iter().chain(self.streams.values().map(|stream| stream.as_fd()))
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.streams.len() < CONNECTIONS_MAX && stream.set_nonblocking(true).is_ok() {
                self.last += 1;
                let id = ConnectionId(self.last);
                self.streams.insert(id, stream);
                self.server.connected(id);
            }
        }
    }

    /// The bytes that have come on one connection; `None` when there are none.
    fn read(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        let mut buffer = vec![0; BUFFER_BYTES];
        match self.streams.get_mut(&id)?.read(&mut buffer) {
            Ok(read @ 1..) => {
                buffer.truncate(read);
                Some(buffer)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(_) | Err(_) => {
                self.streams.remove(&id);
                self.server.closed(id);
                None
            }
        }
    }

    fn send(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                // Answers are short; a client that does not take one gets no other.
                Output::Send(id, bytes) => {
                    let stream = self.streams.get_mut(&id);
                    if stream.is_some_and(|stream| stream.write_all(&bytes).is_err()) {
                        self.streams.remove(&id);
                        self.server.closed(id);
                    }
                }
                Output::Close(id) => drop(self.streams.remove(&id)),
            }
        }
    }

    fn phone(&mut self) -> Option<&mut Phone> {
        self.server.phone(SERIAL)
    }
}

impl Handset {
    /// Whatever clients of the adb server want.
    pub(super) fn serve_adb(&mut self) {
        let Some(mut adb) = self.adb.take() else { return };
        adb.accept();
        for id in adb.streams.keys().copied().collect::<Vec<_>>() {
            while let Some(bytes) = adb.read(id) {
                let before = self.ag.calls().to_vec();
                if let Some(phone) = adb.phone() {
                    phone.has_calls(before.iter().map(|call| (seen(call.state), number(call))));
                }
                adb.server.handle_input(id, &bytes);
                if let Some(phone) = adb.phone() {
                    for happening in done(&before, &phone.calls().collect::<Vec<_>>()) {
                        self.hung_up_there |= happening == Happening::Over;
                        self.ag.happens(happening);
                    }
                }
                adb.send();
            }
        }
        self.adb = Some(adb);
    }
}

fn number(call: &Call) -> &str {
    call.number.as_ref().map_or("", |number| &number.0)
}

fn seen(state: CallState) -> Seen {
    match state {
        CallState::Active => Seen::Active,
        CallState::Held => Seen::Held,
        CallState::Dialing => Seen::Dialing,
        CallState::Alerting => Seen::Alerting,
        CallState::Incoming => Seen::Incoming,
        CallState::Waiting => Seen::Waiting,
    }
}

/// What a command of the shell's did to the calls. A call that is taken or made goes to the hands-free unit, as with
/// real phones.
fn done(before: &[Call], after: &[(Seen, &str)]) -> Vec<Happening> {
    let rang = before.iter().any(|call| call.state == CallState::Incoming);
    let rings = after.iter().any(|(state, _)| *state == Seen::Incoming);
    match after.last() {
        Some((Seen::Dialing, number)) if after.len() > before.len() => {
            vec![Happening::OwnerDials(Pii((*number).to_owned())), Happening::WantsAudio]
        }
        _ if after.len() < before.len() => vec![Happening::Over],
        Some(_) if rang && !rings => vec![Happening::OwnerAnswers, Happening::WantsAudio],
        Some(_) | None => vec![],
    }
}
