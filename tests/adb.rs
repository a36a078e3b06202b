//! The adb thread against a server on loopback, and Debian's own `adb` against that server: what the thread talks to
//! is what adb talks to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "real programs, on the real clock")]
#![allow(clippy::print_stderr, reason = "figures are shown")]

mod support;

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::process::Command as Program;
use std::time::{Duration, Instant};

use callscoot::adb::query::{Query, Step};
use callscoot::adb::registry::Registry;
use callscoot::adb::sim::{Model, Phone};
use callscoot::adb::{CallState, Command, DeviceState, Event, Serial, Settings, Task, shell};
use callscoot::base::{CallId, Number, Rng};
use callscoot::port::adb::{AdbAddress, AdbConnection, Received};
use callscoot::run::adb::{AdbTotals, spawn};
use callscoot::sys::mailbox::MailSender;
use callscoot::sys::thread::Spawner;
use callscoot::sys::wait::{on, wait};
use crossbeam_channel::{Receiver, unbounded};
use support::adb::AdbServer;
use support::wait::{PATIENCE, until};

const CALL: CallId = CallId(1);

struct Bridge {
    commands: MailSender<Command>,
    events: Receiver<Event>,
}

fn serial() -> Serial {
    Serial::parse("R5CT10ABCDE").unwrap()
}

impl Bridge {
    fn start(server: &AdbServer) -> Self {
        let (tell, events) = unbounded();
        let commands = spawn(
            &Spawner::new(unbounded().0),
            AdbAddress::Tcp(server.address()),
            (Rng::from_u64(1), AdbTotals::default()),
            move |event| {
                let _ = tell.send(event);
            },
        );
        let bridge = Self { commands: commands.unwrap(), events };
        bridge.tell(Command::Configure(Settings { enabled: true, serial: None, bindings: BTreeMap::new() }));
        bridge
    }

    fn tell(&self, command: Command) {
        self.commands.send(command).unwrap();
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// The next event for which `wanted` answers.
    fn until<T>(&self, what: &str, wanted: impl Fn(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("in vain for {what}"));
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    fn call(&self, wanted: CallState) {
        self.until(wanted.as_str(), |event| {
            matches!(event, Event::Call { state, .. } if state == wanted).then_some(())
        });
    }

    fn done(&self, wanted: Task) {
        self.until("the end of a command", |event| {
            let Event::Done { task, result, .. } = event else { return None };
            (task == wanted).then(|| result.unwrap())
        });
    }
}

fn with_a_phone() -> AdbServer {
    let server = AdbServer::start();
    server.with(|server| server.plug("R5CT10ABCDE", DeviceState::Online, Phone::default()));
    server
}

fn phone<T>(server: &AdbServer, happen: impl FnOnce(&mut Phone) -> T) -> T {
    server.with(|server| happen(server.phone("R5CT10ABCDE").unwrap()))
}

#[test]
fn a_call_is_seen_answered_and_ended_and_a_number_dialled() {
    let server = AdbServer::start();
    let model = Model { bluetooth_address: Some("a0:b1:c2:d3:e4:f5".into()), ..Model::default() };
    server.with(|server| server.plug("R5CT10ABCDE", DeviceState::Online, model.into()));
    let bridge = Bridge::start(&server);
    assert_eq!(bridge.next(), Event::Up { version: 41 });
    assert_eq!(bridge.next(), Event::Phone { serial: serial(), state: Some(DeviceState::Online) });
    bridge.call(CallState::Idle);
    let address = bridge.until("the address", |event| {
        if let Event::Address { address, .. } = event { Some(address) } else { None }
    });
    assert_eq!(address.as_str(), "A0:B1:C2:D3:E4:F5");

    phone(&server, |phone| phone.called_by("+15550100"));
    bridge.tell(Command::Watch { serial: serial(), on: true });
    let number = bridge.until("the caller", |event| {
        if let Event::Number { number, .. } = event { Some(number) } else { None }
    });
    assert_eq!(number.0.as_str(), "+15550100");
    bridge.tell(Command::Answer { serial: serial(), call: CALL });
    bridge.done(Task::Answer);
    assert_eq!(phone(&server, |phone| phone.call().unwrap().0), CallState::Active);
    bridge.tell(Command::End { serial: serial(), call: CALL, rings: false });
    bridge.done(Task::End);
    assert!(phone(&server, |phone| phone.call().is_none()));

    let number = Number::parse("+49 30 123").unwrap();
    bridge.tell(Command::Dial { serial: serial(), call: CALL, number });
    bridge.done(Task::Dial);
    let call = phone(&server, |phone| phone.call().map(|(state, number)| (state, number.to_owned())));
    assert_eq!(call, Some((CallState::Dialing, "+4930123".into())));
}

#[test]
fn a_phone_that_is_unplugged_in_its_call_is_found_in_it_again() {
    let server = with_a_phone();
    phone(&server, |phone| phone.turns(CallState::Active));
    let bridge = Bridge::start(&server);
    bridge.call(CallState::Active);
    let out = server.with(|server| server.unplug("R5CT10ABCDE")).unwrap();
    let gone = Event::Phone { serial: serial(), state: None };
    bridge.until("unplugged", |event| (event == gone).then_some(()));
    server.with(|server| server.plug("R5CT10ABCDE", DeviceState::Online, out));
    bridge.call(CallState::Active);
}

#[test]
fn a_server_that_starts_later_ends_and_starts_again_is_found_each_time() {
    let server = with_a_phone();
    server.stop();
    let bridge = Bridge::start(&server);
    assert!(matches!(bridge.next(), Event::Down(_)));
    server.start_again();
    assert_eq!(bridge.next(), Event::Up { version: 41 });
    bridge.call(CallState::Idle);
    server.stop();
    bridge.until("the end", |event| matches!(event, Event::Down(_)).then_some(()));
    server.start_again();
    bridge.call(CallState::Idle);
}

#[test]
fn a_slow_server_is_asked_one_question_at_a_time() {
    let server = with_a_phone();
    phone(&server, |phone| phone.called_by("0301"));
    server.delay(Duration::from_millis(400));
    let bridge = Bridge::start(&server);
    bridge.call(CallState::Incoming);
    let asked = server.with(|server| server.requests().len());
    bridge.tell(Command::Answer { serial: serial(), call: CALL });
    bridge.done(Task::Answer);
    // Two requests a question, 0.4 s each: a look, the key, a look, and perhaps what was under way.
    let more = server.with(|server| server.requests().len()) - asked;
    assert!((6..=12).contains(&more), "{more} requests");
}

#[test]
fn garbage_is_told_and_survived() {
    let server = with_a_phone();
    server.garbage(Some(vec![0xff; 5000]));
    let bridge = Bridge::start(&server);
    let why = bridge.until("garbage", |event| if let Event::Down(why) = event { Some(why) } else { None });
    assert_eq!(why, "what answers there is no adb server");
    server.garbage(None);
    bridge.call(CallState::Idle);
    // And in the middle of a call.
    phone(&server, |phone| phone.called_by("0301"));
    server.garbage(Some(b"OKAYOKAYlast known state:\n\xff\xfe\0\n".to_vec()));
    bridge.tell(Command::Watch { serial: serial(), on: true });
    std::thread::sleep(Duration::from_millis(700));
    server.garbage(None);
    bridge.call(CallState::Incoming);
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let server = with_a_phone();
    let bridge = Bridge::start(&server);
    bridge.call(CallState::Idle);
    server.with(|server| server.refuse("shell:", "closed"));
    let number = Number::parse("0301").unwrap();
    bridge.tell(Command::Dial { serial: serial(), call: CALL, number });
    let failure = bridge
        .until("the end", |event| if let Event::Done { result, .. } = event { result.err() } else { None });
    assert_eq!(failure.to_string(), "the phone does not tell about its calls");
}

fn adb(server: &AdbServer, arguments: &[&str]) -> String {
    let port = server.address().port().to_string();
    let mut program = Program::new("adb");
    program.args(["-P", &port]).args(arguments).env_remove("ADB_SERVER_SOCKET").env_remove("ANDROID_SERIAL");
    let output = program.output().expect("Debian's package adb");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "adb {arguments:?}: {words}");
    assert!(!words.contains("daemon"), "adb started a server of its own: {words}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn debians_own_client_takes_the_server_for_one() {
    let server = with_a_phone();
    phone(&server, |phone| phone.called_by("+15550100"));
    assert_eq!(adb(&server, &["devices"]), "List of devices attached\nR5CT10ABCDE\tdevice\n\n");
    for arguments in [&["shell", shell::REGISTRY][..], &["-s", "R5CT10ABCDE", "shell", shell::REGISTRY]] {
        let mut dump = Registry::default();
        dump.push(adb(&server, arguments).as_bytes());
        dump.end();
        assert_eq!(dump.state(), Some(CallState::Incoming));
        assert_eq!(dump.number().unwrap().0.as_str(), "+15550100");
    }
    adb(&server, &["shell", shell::ANSWER]);
    assert_eq!(phone(&server, |phone| phone.call().unwrap().0), CallState::Active);
}

/// One look over a connection of its own, as the thread does it.
fn look(server: &AdbAddress) -> Registry {
    let mut link = AdbConnection::connect(server).unwrap();
    let mut query = Query::shell(&serial(), shell::REGISTRY);
    let mut dump = Registry::default();
    let mut buffer = vec![0; 32 << 10];
    loop {
        wait(&mut [on(link.as_fd(), link.interest())], Some(Instant::now() + PATIENCE)).unwrap();
        match link.receive(&mut buffer) {
            Received::Nothing => {}
            Received::Connected => link.send(&query.begin().unwrap()),
            Received::Bytes(read) => {
                let mut bytes = &buffer[..read];
                while let Some(step) = query.next(&mut bytes) {
                    match step {
                        Step::Send(request) => link.send(&request),
                        Step::Raw(raw) => dump.push(raw),
                        Step::Answering => {}
                        Step::Block(_) | Step::Refused(_) => panic!("{step:?}"),
                    }
                }
            }
            Received::Closed(how) => {
                how.unwrap();
                dump.end();
                return dump;
            }
        }
    }
}

/// Median and longest of so many times, in milliseconds.
fn times(count: usize, mut each: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            each();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[count / 2], times[count - 1])
}

#[test]
fn a_look_over_the_protocol_costs_a_fraction_of_a_process() {
    let server = with_a_phone();
    phone(&server, |phone| phone.called_by("+15550100"));
    let address = AdbAddress::Tcp(server.address());
    assert_eq!(look(&address).state(), Some(CallState::Incoming));
    adb(&server, &["shell", shell::REGISTRY]);
    let (direct, direct_max) = times(300, || drop(look(&address)));
    let (process, process_max) = times(40, || drop(adb(&server, &["shell", shell::REGISTRY])));
    let control = times(40, || drop(Program::new("true").output().unwrap()));
    let figures = format!(
        "one look at the calls (dumpsys telephony.registry) against the simulated server, in ms: median, longest\n\n\
         over the protocol, a connection of its own   {direct:8.2} {direct_max:8.2}\n\
         adb, a process                               {process:8.2} {process_max:8.2}\n\
         true, a process (control)                    {:8.2} {:8.2}",
        control.0, control.1
    );
    eprintln!("{figures}");
    if std::env::var_os("CALLSCOOT_RECORD").is_some() {
        support::measurements::record("adb", &figures);
    }
    assert!(direct * 3.0 < process, "{figures}");
}

#[test]
fn an_idle_phone_leaves_the_server_alone() {
    let server = with_a_phone();
    let bridge = Bridge::start(&server);
    bridge.call(CallState::Idle);
    // A look and four places where the address could be, two requests each, after version and list.
    let asked = until("the questions of the beginning", || {
        let asked = server.with(|server| server.requests().len());
        (asked == 12).then_some(asked)
    });
    support::wait::stays_away("a request", Duration::from_secs(2), || {
        let now = server.with(|server| server.requests().to_vec());
        (now.len() != asked).then_some(now)
    });
}
