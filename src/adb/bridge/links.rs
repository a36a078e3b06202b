//! The bridge itself: its connections to the server, and what each of them is for.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::listen::{End, Listen};
use super::phone::{Ask, Deed, Phone, Wish};
use super::words::{Command, Counters, Event, Failure, Input, LinkId, Output, Settings, Status, Why};
use crate::adb::device::{DEVICES_MAX, DeviceState, Serial, devices};
use crate::adb::query::{Query, Step};
use crate::adb::wire::length;
use crate::base::time::earlier;
use crate::base::{Backoff, CallId, Rng};

/// A question without an end of its answer for this long has none.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The same for a command: `am` starts a program on the phone.
const ACT_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; what was read until then counts. Dumps have some 200 kB at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The first wait before a lost server is looked for again, and the longest.
const RECONNECT_FIRST: Duration = Duration::from_millis(500);
const RECONNECT_CAP: Duration = Duration::from_secs(30);
/// A server that stayed this long was there: when it is lost, the waits begin anew.
const STEADY: Duration = Duration::from_secs(10);

enum Purpose {
    Version,
    Track,
    Phone(Serial, Listen),
}

struct Link {
    query: Query,
    purpose: Purpose,
    answering: bool,
    bytes: usize,
    since: Instant,
    by: Option<Instant>,
}

enum Server {
    Off,
    Asking { version: u32 },
    Up { version: u32 },
    Down { again: Instant, why: String },
}

/// The bridge to every phone at one adb server.
pub struct Bridge {
    settings: Settings,
    rng: Rng,
    backoff: Backoff,
    server: Server,
    phones: BTreeMap<Serial, Phone>,
    links: BTreeMap<LinkId, Link>,
    last_link: u64,
    /// Told to be down, and not been up since.
    told_down: bool,
    outputs: VecDeque<Output>,
    counters: Counters,
}

impl Bridge {
    /// Switched off until it is configured.
    pub fn new(rng: Rng) -> Self {
        Self {
            settings: Settings::default(),
            rng,
            backoff: Backoff::new(RECONNECT_FIRST, RECONNECT_CAP),
            server: Server::Off,
            phones: BTreeMap::new(),
            links: BTreeMap::new(),
            last_link: 0,
            told_down: false,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Something came.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(command) => self.command(now, command),
            Input::Connected(id) => {
                if let Some(request) = self.links.get_mut(&id).and_then(|link| link.query.begin()) {
                    self.outputs.push_back(Output::Transmit(id, request));
                }
            }
            Input::Bytes(id, bytes) => self.bytes(now, id, bytes),
            Input::Closed(id, how) => self.closed(now, id, how),
        }
        self.pump(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_late = |link: &Link| link.by.is_some_and(|by| now >= by);
        let late: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| is_late(link)).map(|(id, _)| *id).collect();
        for id in late {
            self.outputs.push_back(Output::Close(id));
            self.over(now, id, End::Cut, "the adb server does not answer");
        }
        if let Server::Down { again, .. } = self.server
            && now >= again
        {
            self.look_for_server(now);
        }
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let answer = self.links.values().filter_map(|link| link.by).min().map(|by| (by, Why::Answer));
        let again = match self.server {
            Server::Down { again, .. } => Some((again, Why::Reconnect)),
            Server::Off | Server::Asking { .. } | Server::Up { .. } => None,
        };
        let used = self.phones.iter().filter(|(serial, _)| self.uses(serial));
        let look = used.filter_map(|(_, phone)| phone.deadline()).min().map(|at| (at, Why::Look));
        Output::Timeout(earlier(earlier(answer, again), look))
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let (version, fault) = match &self.server {
            Server::Up { version } => (Some(*version), None),
            Server::Down { why, .. } => (None, Some(why.clone())),
            Server::Off | Server::Asking { .. } => (None, None),
        };
        Status {
            enabled: self.settings.enabled,
            version,
            fault,
            phones: self.phones.iter().map(|(serial, phone)| phone.status(self.uses(serial))).collect(),
            counters: self.counters,
        }
    }

    fn uses(&self, serial: &Serial) -> bool {
        self.settings.serial.as_ref().is_none_or(|chosen| chosen == serial)
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Configure(settings) => self.configure(now, settings),
            Command::Dial { serial, call, number } => self.wish(now, serial, call, Deed::Dial(number)),
            Command::Answer { serial, call } => self.wish(now, serial, call, Deed::Answer),
            Command::End { serial, call, rings } => self.wish(now, serial, call, Deed::End { rings }),
            Command::GiveUp { serial, call } => {
                if let Some(phone) = self.phones.get_mut(&serial) {
                    phone.give_up_dialling(call);
                }
            }
            Command::Watch { serial, on } => {
                if let Some(phone) = self.phones.get_mut(&serial) {
                    phone.watch(now, on);
                }
            }
        }
    }

    fn wish(&mut self, now: Instant, serial: Serial, call: CallId, deed: Deed) {
        let used = self.uses(&serial);
        let wish = Wish { call, deed };
        if let Some(phone) = self.phones.get_mut(&serial).filter(|_| used) {
            phone.wish(now, wish);
        } else {
            self.tell(wish.done(serial, Err(Failure::NoPhone)));
        }
    }

    fn configure(&mut self, now: Instant, settings: Settings) {
        let was_enabled = std::mem::replace(&mut self.settings, settings).enabled;
        if !self.settings.enabled {
            self.server = Server::Off;
            self.told_down = false;
            self.drop_everything();
        } else if !was_enabled {
            self.backoff.reset();
            self.look_for_server(now);
        }
        let chosen = self.settings.serial.clone();
        for (serial, phone) in &mut self.phones {
            if chosen.as_ref().is_some_and(|chosen| chosen != serial) {
                phone.drop_wishes();
            }
            if let Some(address) = self.settings.bindings.get(serial) {
                phone.bound(address.clone());
            }
        }
    }

    fn drop_everything(&mut self) {
        for id in std::mem::take(&mut self.links).into_keys() {
            self.outputs.push_back(Output::Close(id));
        }
        for phone in std::mem::take(&mut self.phones).into_values() {
            self.unplugged(phone);
        }
    }

    fn unplugged(&mut self, mut phone: Phone) {
        phone.gone();
        self.outputs.extend(phone.events.drain(..).map(Output::Event));
    }

    fn look_for_server(&mut self, now: Instant) {
        self.server = Server::Asking { version: 0 };
        self.open(now, Query::version(), Purpose::Version, ANSWER_MAX);
    }

    fn open(&mut self, now: Instant, query: Query, purpose: Purpose, time: Duration) {
        self.last_link += 1;
        let id = LinkId(self.last_link);
        self.counters.queries += 1;
        let link = Link { query, purpose, answering: false, bytes: 0, since: now, by: Some(now + time) };
        self.links.insert(id, link);
        self.outputs.push_back(Output::Connect(id));
    }

    /// Asks what there is to ask, and tells what phones have told.
    fn pump(&mut self, now: Instant) {
        let chosen = self.settings.serial.clone();
        let mut asks = Vec::new();
        for (serial, phone) in &mut self.phones {
            let used = chosen.as_ref().is_none_or(|chosen| chosen == serial);
            let ask = if used { phone.ask(now) } else { None };
            asks.extend(ask.map(|ask| (serial.clone(), ask)));
            self.outputs.extend(phone.events.drain(..).map(Output::Event));
        }
        for (serial, ask) in asks {
            self.counters.looks += u64::from(ask == Ask::Look);
            let time = if matches!(ask, Ask::Act(_)) { ACT_MAX } else { ANSWER_MAX };
            let query = Query::shell(&serial, ask.command());
            self.open(now, query, Purpose::Phone(serial, Listen::of(&ask)), time);
        }
    }

    fn bytes(&mut self, now: Instant, id: LinkId, mut bytes: &[u8]) {
        while let Some(link) = self.links.get_mut(&id) {
            let Some(step) = link.query.next(&mut bytes) else { return };
            match step {
                Step::Send(request) => self.outputs.push_back(Output::Transmit(id, request)),
                Step::Answering => link.answering = true,
                Step::Block(block) => self.block(now, id, &block),
                Step::Raw(raw) => {
                    link.bytes += raw.len();
                    let Purpose::Phone(_, listen) = &mut link.purpose else { return };
                    listen.push(raw);
                    if listen.is_over() || link.bytes >= ANSWER_BYTES_MAX {
                        self.outputs.push_back(Output::Close(id));
                        self.over(now, id, End::Whole, "");
                    }
                }
                Step::Refused(words) => {
                    self.outputs.push_back(Output::Close(id));
                    let why = words.as_ref().map_or_else(
                        || "what answers there is no adb server".to_owned(),
                        |words| format!("the adb server refuses: {words}"),
                    );
                    self.over(now, id, End::Refused(words), &why);
                }
            }
        }
    }

    fn block(&mut self, now: Instant, id: LinkId, block: &[u8]) {
        match self.links.get_mut(&id).map(|link| (&link.purpose, &mut link.by)) {
            Some((Purpose::Version, _)) => {
                self.outputs.push_back(Output::Close(id));
                let Some(version) = length(block) else {
                    return self.over(now, id, End::Cut, "what answers there is no adb server");
                };
                self.links.remove(&id);
                self.server = Server::Asking { version: version as u32 };
                self.open(now, Query::track(), Purpose::Track, ANSWER_MAX);
            }
            Some((Purpose::Track, by)) => {
                // From now on it speaks when it has something to say.
                *by = None;
                if let Server::Asking { version } = self.server {
                    self.server = Server::Up { version };
                    self.told_down = false;
                    self.tell(Event::Up { version });
                }
                self.listed(now, &devices(&String::from_utf8_lossy(block)));
            }
            Some((Purpose::Phone(..), _)) | None => {}
        }
    }

    fn listed(&mut self, now: Instant, list: &[(Serial, DeviceState)]) {
        let is_listed = |serial: &Serial| list.iter().any(|(listed, _)| listed == serial);
        let gone: Vec<Serial> = self.phones.keys().filter(|serial| !is_listed(serial)).cloned().collect();
        for serial in gone {
            self.hang_up(&serial);
            if let Some(phone) = self.phones.remove(&serial) {
                self.unplugged(phone);
            }
        }
        for (serial, state) in list.iter().take(DEVICES_MAX) {
            if self.phones.get(serial).is_some_and(|phone| phone.is(*state)) {
                continue;
            }
            self.hang_up(serial);
            if let Some(phone) = self.phones.get_mut(serial) {
                phone.stands(now, *state);
                continue;
            }
            let mut phone = Phone::new(now, serial.clone(), *state);
            if let Some(address) = self.settings.bindings.get(serial) {
                phone.bound(address.clone());
            }
            self.phones.insert(serial.clone(), phone);
        }
    }

    /// Nothing of what was asked of the phone is wanted any more.
    fn hang_up(&mut self, phone: &Serial) {
        let is_its = |link: &Link| matches!(&link.purpose, Purpose::Phone(serial, _) if serial == phone);
        let its: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| is_its(link)).map(|(id, _)| *id).collect();
        for id in its {
            self.links.remove(&id);
            self.outputs.push_back(Output::Close(id));
        }
    }

    fn closed(&mut self, now: Instant, id: LinkId, how: Result<(), String>) {
        let Some(link) = self.links.get(&id) else { return };
        let whole = how.is_ok() && link.answering;
        let why = how.err().unwrap_or_else(|| "the adb server closed the connection".to_owned());
        self.over(now, id, if whole { End::Whole } else { End::Cut }, &why);
    }

    /// A connection is over; `why` is for people, where it was one to the server itself.
    fn over(&mut self, now: Instant, id: LinkId, end: End, why: &str) {
        let Some(link) = self.links.remove(&id) else { return };
        match link.purpose {
            Purpose::Phone(serial, mut listen) => {
                self.counters.failed += u64::from(!matches!(end, End::Whole));
                listen.end();
                if let Some(phone) = self.phones.get_mut(&serial) {
                    phone.answered(now, listen, end);
                }
            }
            Purpose::Version | Purpose::Track => {
                self.counters.failed += 1;
                self.counters.lost += 1;
                if now.saturating_duration_since(link.since) >= STEADY {
                    self.backoff.reset();
                }
                self.drop_everything();
                let again = now + self.backoff.next_delay(&mut self.rng);
                self.server = Server::Down { again, why: why.to_owned() };
                if !std::mem::replace(&mut self.told_down, true) {
                    self.tell(Event::Down(why.to_owned()));
                }
            }
        }
    }
}
