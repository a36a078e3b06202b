//! The server's side of the host protocol (`SERVICES.TXT` of adb): enough for the bridge, and for Debian's own client.

use std::collections::{BTreeMap, VecDeque};

use super::phone::Phone;
use crate::adb::device::{DeviceState, Serial};
use crate::adb::wire::{REQUEST_BYTES_MAX, counted, length};

/// What Debian's client insists on: another version, and it ends the server.
const VERSION: u32 = 41;

/// One connection of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sends this.
    Send(ConnectionId, Vec<u8>),
    /// Ends the connection, after what was sent.
    Close(ConnectionId),
}

#[derive(Default)]
struct Connection {
    bytes: Vec<u8>,
    phone: Option<Serial>,
    tracks: bool,
}

/// An adb server and the phones at it.
#[derive(Default)]
pub struct Server {
    phones: BTreeMap<Serial, (DeviceState, Phone)>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Services that begin so are refused, with these words.
    refused: Vec<(String, String)>,
    outputs: VecDeque<Output>,
    requests: Vec<String>,
}

impl Server {
    /// A phone is plugged in, or stands otherwise.
    pub fn plug(&mut self, serial: &str, state: DeviceState, phone: Phone) {
        if let Some(serial) = Serial::parse(serial) {
            self.phones.insert(serial, (state, phone));
        }
        self.tell_list();
    }

    /// A phone is unplugged: what it was saying ends.
    pub fn unplug(&mut self, serial: &str) -> Option<Phone> {
        let serial = Serial::parse(serial)?;
        let (_, phone) = self.phones.remove(&serial)?;
        self.tell_list();
        Some(phone)
    }

    /// The phone, to let something happen to it.
    pub fn phone(&mut self, serial: &str) -> Option<&mut Phone> {
        self.phones.get_mut(&Serial::parse(serial)?).map(|(_, phone)| phone)
    }

    /// Services that begin with `start` are refused from now on.
    pub fn refuse(&mut self, start: &str, words: &str) {
        self.refused.push((start.to_owned(), words.to_owned()));
    }

    /// Every request, in order.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// A client connects.
    pub fn connected(&mut self, id: ConnectionId) {
        self.connections.insert(id, Connection::default());
    }

    /// A client is gone.
    pub fn closed(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Bytes of a client.
    pub fn handle_input(&mut self, id: ConnectionId, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.bytes.extend_from_slice(bytes);
        }
        while let Some(request) = self.next_request(id) {
            self.serve(id, &request);
        }
    }

    fn next_request(&mut self, id: ConnectionId) -> Option<String> {
        let bytes = &mut self.connections.get_mut(&id)?.bytes;
        let Some(length) = length(bytes.get(..4)?).filter(|length| *length <= REQUEST_BYTES_MAX) else {
            self.fail(id, "bad request");
            return None;
        };
        let request = String::from_utf8_lossy(bytes.get(4..4 + length)?).into_owned();
        bytes.drain(..4 + length);
        Some(request)
    }

    fn serve(&mut self, id: ConnectionId, request: &str) {
        self.requests.push(request.to_owned());
        let refused = self.refused.iter().find(|(start, _)| request.starts_with(start.as_str()));
        if let Some((_, words)) = refused.cloned() {
            return self.fail(id, &words);
        }
        if let Some(command) = request.strip_prefix("shell:").or_else(|| request.strip_prefix("exec:")) {
            return self.shell(id, command);
        }
        // `host-serial:SERIAL:features`, `host:features` and their like: a plain shell is all there is.
        if request.starts_with("host") && request.ends_with(":features") {
            return self.answer(id, "cmd");
        }
        match request.strip_prefix("host:") {
            Some("version") => self.answer(id, &format!("{VERSION:04x}")),
            Some("devices" | "devices-l") => {
                let list = self.list();
                self.answer(id, &list);
            }
            Some("track-devices") => {
                let first = [b"OKAY".to_vec(), counted(self.list().as_bytes())].concat();
                self.send(id, first);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.tracks = true;
                }
            }
            Some(other) => self.transport(id, other),
            None => self.fail(id, "unknown host service"),
        }
    }

    fn transport(&mut self, id: ConnectionId, service: &str) {
        let chosen = service.strip_prefix("tport:serial:").or_else(|| service.strip_prefix("transport:"));
        let serial = match (chosen, service) {
            (Some(serial), _) => Serial::parse(serial),
            (None, "tport:any" | "transport-any") => self.phones.keys().next().cloned(),
            (None, _) => return self.fail(id, "unknown host service"),
        };
        match serial.and_then(|serial| Some((self.phones.get(&serial)?.0, serial))) {
            Some((DeviceState::Online, serial)) => {
                let mut okay = b"OKAY".to_vec();
                if service.starts_with("tport:") {
                    okay.extend_from_slice(&1_u64.to_le_bytes());
                }
                self.send(id, okay);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.phone = Some(serial);
                }
            }
            Some((state, _)) => self.fail(id, &format!("device {}", word(state))),
            None if chosen.is_some() => {
                self.fail(id, &format!("device '{}' not found", chosen.unwrap_or_default()));
            }
            None => self.fail(id, "no devices/emulators found"),
        }
    }

    fn shell(&mut self, id: ConnectionId, command: &str) {
        let chosen = self.connections.get(&id).and_then(|connection| connection.phone.clone());
        match chosen.and_then(|serial| self.phones.get_mut(&serial)) {
            Some((_, phone)) => {
                let said = phone.shell(command.trim());
                self.send(id, [b"OKAY", said.as_bytes()].concat());
                self.close(id);
            }
            None => self.fail(id, "closed"),
        }
    }

    fn list(&self) -> String {
        let line =
            |(serial, (state, _)): (&Serial, &(DeviceState, Phone))| format!("{serial}\t{}\n", word(*state));
        self.phones.iter().map(line).collect::<Vec<_>>().concat()
    }

    fn tell_list(&mut self) {
        let list = counted(self.list().as_bytes());
        let tracking = self.connections.iter().filter(|(_, connection)| connection.tracks);
        let told: Vec<Output> = tracking.map(|(id, _)| Output::Send(*id, list.clone())).collect();
        self.outputs.extend(told);
    }

    fn answer(&mut self, id: ConnectionId, text: &str) {
        self.send(id, [b"OKAY".to_vec(), counted(text.as_bytes())].concat());
        self.close(id);
    }

    fn fail(&mut self, id: ConnectionId, words: &str) {
        self.send(id, [b"FAIL".to_vec(), counted(words.as_bytes())].concat());
        self.close(id);
    }

    fn send(&mut self, id: ConnectionId, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(id, bytes));
    }

    fn close(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.outputs.push_back(Output::Close(id));
    }
}

fn word(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Online => "device",
        DeviceState::Unauthorized => "unauthorized",
        DeviceState::Offline => "offline",
        DeviceState::NoPermissions => "no permissions",
        DeviceState::Other => "recovery",
    }
}
