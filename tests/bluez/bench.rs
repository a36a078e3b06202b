//! A private bus, a fake host on it, and the client run as its thread would.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use callscoot::base::Rng;
use callscoot::hfp::host::{Address, Command, Event as Host, PairingAsk};
use callscoot::port::bluez::{Bluez, Event};
use callscoot::sys::wait::{on, wait};
use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PHONE: &str = "00:1A:7D:DA:71:13";

/// A program that ends with the test, and its lines.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(program: &mut Program) -> Self {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("no line came")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn bus() -> (Running, String) {
    let running =
        Running::start(Program::new("dbus-daemon").args(["--session", "--nofork", "--print-address"]));
    let address = running.line();
    (running, address)
}

/// The bluetoothd of the test, and its lines that nobody has asked for yet.
pub(crate) struct Fake(Running, RefCell<VecDeque<String>>);

impl Fake {
    pub(crate) fn start(bus: &str, name: Option<&str>) -> Self {
        let mut program = Program::new("/usr/bin/python3");
        program.arg("tests/bluez/fake_bluez.py").args(name).env("DBUS_SYSTEM_BUS_ADDRESS", bus);
        let fake = Self(Running::start(&mut program), RefCell::default());
        fake.says("ready", || ());
        fake
    }

    pub(crate) fn does(&mut self, what: &Value) {
        let input = self.0.child.stdin.as_mut().unwrap();
        writeln!(input, "{what}").unwrap();
        loop {
            let line = self.0.line();
            if line == "[\"did\"]" {
                return;
            }
            self.1.borrow_mut().push_back(line);
        }
    }

    /// The next line of this kind, without its kind, while `meanwhile` runs.
    pub(crate) fn says(&self, kind: &str, mut meanwhile: impl FnMut()) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            meanwhile();
            let kept = self.1.borrow_mut().pop_front();
            let Some(line) = kept.or_else(|| self.0.lines.recv_timeout(Duration::from_millis(5)).ok()) else {
                assert!(Instant::now() < end, "the host does not say {kind}");
                continue;
            };
            let Value::Array(mut line) = serde_json::from_str(&line).unwrap() else { panic!("no list") };
            if line.remove(0) == kind {
                return line;
            }
        }
    }
}

/// The client, its bus and its host.
pub(crate) struct Bench {
    pub(crate) client: Bluez,
    /// Added to the clock.
    pub(crate) later: Duration,
    pub(crate) fake: Option<Fake>,
    pub(crate) address: String,
    pub(crate) bus: Option<Running>,
    /// Events that came while something else was waited for.
    kept: VecDeque<Event>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (running, address) = bus();
        let client = Bluez::new(Some(address.clone()), Rng::from_u64(1));
        Self { client, later: Duration::ZERO, fake: None, address, bus: Some(running), kept: VecDeque::new() }
    }

    /// With a host whose adapter and phone are known, and the profile registered.
    pub(crate) fn registered() -> Self {
        let mut bench = Self::new();
        bench.fake = Some(Fake::start(&bench.address, None));
        bench.until("the phone", |event| matches!(event, Event::Host(Host::Device(_))));
        bench.command(Command::RegisterProfile);
        bench.until_host(&Host::ProfileRegistered);
        bench.says("default agent");
        bench
    }

    pub(crate) fn fake(&mut self) -> &mut Fake {
        self.fake.as_mut().unwrap()
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::now() + self.later
    }

    pub(crate) fn command(&mut self, command: Command) {
        let now = self.now();
        self.client.command(now, command);
    }

    /// The phone's question is answered.
    pub(crate) fn answers(&mut self, ask: PairingAsk, accept: bool) {
        self.command(Command::AnswerPairing { device: phone(), ask, accept });
    }

    /// What the host says next of this kind; the client runs meanwhile.
    pub(crate) fn says(&mut self, kind: &str) -> Vec<Value> {
        let fake = self.fake.take().unwrap();
        let line = self.heard_from(&fake, kind);
        self.fake = Some(fake);
        line
    }

    pub(crate) fn heard_from(&mut self, fake: &Fake, kind: &str) -> Vec<Value> {
        let mut kept = std::mem::take(&mut self.kept);
        let line = fake.says(kind, || kept.extend(self.event(Duration::from_millis(5))));
        self.kept = kept;
        line
    }

    /// Runs the client, as its thread would, until an event; `None` when nothing came for so long.
    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        let end = Instant::now() + patience;
        loop {
            let now = self.now();
            if self.client.deadline(now).is_none_or(|at| now >= at) {
                self.client.handle_timeout(now);
            }
            if let Some(event) = self.client.poll_event() {
                return Some(event);
            }
            if Instant::now() >= end {
                return None;
            }
            let due =
                self.client.deadline(now).map_or(end, |at| end.min(at.checked_sub(self.later).unwrap()));
            let mut fds: Vec<_> =
                self.client.waiting().map(|(fd, interest)| on(fd, interest)).into_iter().collect();
            wait(&mut fds, Some(due)).unwrap();
            let now = self.now();
            self.client.ready(now);
        }
    }

    pub(crate) fn until(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let mut others = Vec::new();
        loop {
            let Some(event) = self.event(PATIENCE) else { panic!("no {what}, but {others:?}") };
            if is_it(&event) {
                return event;
            }
            others.push(event);
        }
    }

    pub(crate) fn until_host(&mut self, wanted: &Host) {
        self.until(&format!("{wanted:?}"), |event| matches!(event, Event::Host(event) if event == wanted));
    }

    /// Nothing is told but what adapters and devices are.
    pub(crate) fn nothing(&mut self) {
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            let event = self.event(Duration::from_millis(50));
            let quiet = matches!(event, None | Some(Event::Host(Host::Adapter(_) | Host::Device(_))));
            assert!(quiet, "{event:?}");
        }
    }

    pub(crate) fn window(&mut self, seconds: u32) {
        self.command(Command::PairingWindow { adapter: "hci0".into(), seconds });
    }

    /// The PIN that is told next.
    pub(crate) fn pin(&mut self) -> String {
        let told = self.until("PIN", |event| matches!(event, Event::Host(Host::PairingPin(_))));
        let Event::Host(Host::PairingPin(pin)) = told else { panic!("{told:?}") };
        pin
    }

    /// The phone asks, and it is told here.
    pub(crate) fn asks(&mut self, ask: &Value, told: PairingAsk) {
        self.fake().does(ask);
        self.until_host(&Host::Pairing { device: phone(), ask: told });
    }
}

pub(crate) fn phone() -> Address {
    PHONE.parse().unwrap()
}

pub(crate) fn stream(fd: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream
}
