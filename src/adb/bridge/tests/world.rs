//! A bridge and a simulated server. Time passes only when it is told to; every answer may be late or broken.

use std::time::{Duration, Instant};

use crate::adb::sim::{self, ConnectionId, Phone, Server};
use crate::adb::{
    Bridge, CallState, Command, DeviceState, Event, Failure, Input, LinkId, Output, Serial, Settings, Task,
    Why,
};
use crate::base::time::any_instant;
use crate::base::{CallId, Number, Rng};

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) bridge: Bridge,
    pub(super) server: Server,
    /// The server takes connections.
    pub(super) listens: bool,
    /// It never answers.
    pub(super) silent: bool,
    /// Bytes of one piece.
    pub(super) piece: usize,
    pub(super) events: Vec<Event>,
    pub(super) connects: usize,
    pub(super) open: Vec<LinkId>,
    heard: usize,
}

/// The call that commands are for, where it is not told otherwise.
pub(super) const CALL: CallId = CallId(1);

pub(super) fn serial(text: &str) -> Serial {
    Serial::parse(text).unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: any_instant(),
            bridge: Bridge::new(Rng::from_u64(7)),
            server: Server::default(),
            listens: true,
            silent: false,
            piece: 1000,
            events: Vec::new(),
            connects: 0,
            open: Vec::new(),
            heard: 0,
        }
    }

    /// One phone, `A`, at a server, and the bridge has had its first look.
    pub(super) fn with(phone: impl Into<Phone>) -> Self {
        let mut world = Self::new();
        world.server.plug("A", DeviceState::Online, phone.into());
        world.enable();
        world
    }

    pub(super) fn enable(&mut self) {
        self.command(Command::Configure(Settings { enabled: true, ..Settings::default() }));
    }

    pub(super) fn command(&mut self, command: Command) {
        self.bridge.handle_input(self.now, Input::Command(command));
        self.settle();
    }

    pub(super) fn dial(&mut self) {
        self.dial_for(CALL);
    }

    pub(super) fn dial_for(&mut self, call: CallId) {
        let number = Number::parse("+49 30 1").unwrap();
        self.command(Command::Dial { serial: serial("A"), call, number });
    }

    pub(super) fn answer(&mut self) {
        self.command(Command::Answer { serial: serial("A"), call: CALL });
    }

    pub(super) fn end(&mut self) {
        self.command(Command::End { serial: serial("A"), call: CALL, rings: false });
    }

    /// Ends a call that comes in.
    pub(super) fn refuse(&mut self) {
        self.command(Command::End { serial: serial("A"), call: CALL, rings: true });
    }

    pub(super) fn watch(&mut self, on: bool) {
        self.command(Command::Watch { serial: serial("A"), on });
    }

    pub(super) fn phone(&mut self) -> &mut Phone {
        self.server.phone("A").unwrap()
    }

    /// What the phone's shell was told since the last time.
    pub(super) fn said(&mut self) -> Vec<String> {
        let all = self.phone().said().to_vec();
        all.get(std::mem::replace(&mut self.heard, all.len())..).unwrap_or_default().to_vec()
    }

    pub(super) fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// How phones came and went, the events kept.
    pub(super) fn phone_events(&self) -> Vec<Option<DeviceState>> {
        let state = |event: &Event| if let Event::Phone { state, .. } = event { Some(*state) } else { None };
        self.events.iter().filter_map(state).collect()
    }

    pub(super) fn calls(&mut self) -> Vec<CallState> {
        let state = |event| if let Event::Call { state, .. } = event { Some(state) } else { None };
        self.told().into_iter().filter_map(state).collect()
    }

    pub(super) fn done(&mut self) -> Vec<(Task, Result<(), Failure>)> {
        let done =
            |event| if let Event::Done { task, result, .. } = event { Some((task, result)) } else { None };
        self.told().into_iter().filter_map(done).collect()
    }

    /// The calls for which dialling came to an end, and how.
    pub(super) fn dialled(&mut self) -> Vec<(CallId, Result<(), Failure>)> {
        let dialled = |event| {
            let Event::Done { call, task: Task::Dial, result, .. } = event else { return None };
            Some((call, result))
        };
        self.told().into_iter().filter_map(dialled).collect()
    }

    /// Time passes, and every timer with it.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.settle().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.bridge.handle_timeout(self.now);
        }
        self.now = end;
        self.settle();
    }

    /// The server drops every connection.
    pub(super) fn server_ends(&mut self) {
        self.listens = false;
        for link in std::mem::take(&mut self.open) {
            self.server.closed(ConnectionId(link.0));
            self.bridge.handle_input(self.now, Input::Closed(link, Ok(())));
        }
        self.settle();
    }

    /// Lets both talk until neither has anything to say; the bridge's next deadline.
    pub(super) fn settle(&mut self) -> Option<(Instant, Why)> {
        loop {
            let deadline = self.drain();
            let Some(output) = self.server.poll_output() else { return deadline };
            if self.silent {
                continue;
            }
            match output {
                sim::Output::Send(id, bytes) => {
                    for piece in bytes.chunks(self.piece) {
                        self.bridge.handle_input(self.now, Input::Bytes(LinkId(id.0), piece));
                    }
                }
                sim::Output::Close(id) => {
                    self.open.retain(|open| open.0 != id.0);
                    self.bridge.handle_input(self.now, Input::Closed(LinkId(id.0), Ok(())));
                }
            }
        }
    }

    fn drain(&mut self) -> Option<(Instant, Why)> {
        loop {
            match self.bridge.poll_output() {
                Output::Connect(link) => {
                    self.connects += 1;
                    if self.listens {
                        self.open.push(link);
                        self.server.connected(ConnectionId(link.0));
                        self.bridge.handle_input(self.now, Input::Connected(link));
                    } else {
                        let refused = Err("Connection refused".to_owned());
                        self.bridge.handle_input(self.now, Input::Closed(link, refused));
                    }
                }
                Output::Transmit(link, bytes) => self.server.handle_input(ConnectionId(link.0), &bytes),
                Output::Close(link) => {
                    self.open.retain(|open| *open != link);
                    self.server.closed(ConnectionId(link.0));
                }
                Output::Event(event) => self.events.push(event),
                Output::Timeout(next) => return next,
            }
        }
    }
}
