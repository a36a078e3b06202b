//! A paired phone that floods its connection with everything but AT, while another one calls: over a message bus, real
//! RFCOMM sockets, and the whole service.

#![cfg(feature = "bluez")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "the phones have a pace of their own")]
#![allow(clippy::print_stdout, reason = "the figures are for whoever asks for them with --nocapture")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use callscoot::base::{Pii, Rng};
use callscoot::hfp::Codec;
use callscoot::hfp::ag::{Ag, Event, Happening, Options, Output};
use callscoot::hfp::host::Address;
use callscoot::port::bluez_host::{self, Host};
use callscoot::port::sco::Sco;
use rustix::net::{RecvFlags, recv};
use serde_json::{Value, json};
use support::agent::Agent;
use support::bus::bus;
use support::metrics::Scrape;
use support::service::Service;
use support::sound::Sound;
use support::wait::{PATIENCE, until, until_is};
use tempfile::TempDir;

const HERE: Address = Address::new([2, 0, 0, 0, 0, 1]);
const BAD: Address = Address::new([0xa, 0, 0, 0, 0, 0xbd]);
const GOOD: Address = Address::new([0xa, 0, 0, 0, 0, 0xad]);
const STRANGER: Address = Address::new([0xa, 0, 0, 0, 0, 0xff]);
const CALLER_HERTZ: f64 = 700.0;
const AGENT_HERTZ: f64 = 440.0;
const FLOOD_BYTES: u64 = 64 << 20;
/// How much the service may grow by it: buffers find their size, threads take their stack.
const GROWTH_KB_MAX: u64 = 3 << 10;
/// RINGs in each round of the flood.
const RINGS: usize = 10_000;

/// Phones, and bluetoothd, as this process plays them.
struct Radio {
    host: Host,
    phones: BTreeMap<Address, Handset>,
    sco: Sco,
}

struct Handset {
    ag: Ag,
    stream: Option<UnixStream>,
    up: bool,
    voice: Option<Voice>,
}

impl Radio {
    fn open(bus: &str, sco: Sco, phones: [Address; 2]) -> Self {
        let known = phones.map(|address| bluez_host::Phone { address, name: "A phone".into(), known: true });
        let host = Host::open(Instant::now(), bus, HERE, "host".into(), known, Rng::from_u64(1)).unwrap();
        let handset = || Handset {
            ag: Ag::new(Options { codec: Codec::Cvsd, ..Options::default() }),
            stream: None,
            up: false,
            voice: None,
        };
        Self { host, phones: phones.into_iter().map(|phone| (phone, handset())).collect(), sco }
    }

    /// Does everything that can be done now.
    fn turn(&mut self) {
        let now = Instant::now();
        if self.host.deadline(now).is_some_and(|at| at <= now) {
            self.host.handle_timeout(now).unwrap();
        }
        self.host.ready(now).unwrap();
        while let Some(event) = self.host.poll_event() {
            if let bluez_host::Event::Connected { device, stream } = event {
                let phone = self.phones.get_mut(&device).unwrap();
                phone.ag.connected();
                phone.stream = Some(stream.into());
            }
        }
        for (address, phone) in &mut self.phones {
            phone.turn(*address, &self.sco);
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        until(what, || {
            self.turn();
            done(self).then_some(())
        });
    }

    fn phone(&mut self, address: Address) -> &mut Handset {
        self.phones.get_mut(&address).unwrap()
    }
}

impl Handset {
    fn turn(&mut self, own: Address, sco: &Sco) {
        let Some(mut stream) = self.stream.as_ref() else { return };
        let mut bytes = [0; 1024];
        while let Ok((read @ 1.., _)) = recv(stream, &mut bytes, RecvFlags::DONTWAIT) {
            self.ag.handle_input(&bytes[..read]);
        }
        loop {
            match self.ag.poll_output() {
                Output::Transmit(bytes) => stream.write_all(&bytes).unwrap(),
                Output::Event(Event::Up) => self.up = true,
                Output::Event(Event::OpenAudio(codec)) if self.voice.is_none() => {
                    assert_eq!(codec, Codec::Cvsd);
                    let link = sco.connect(own, HERE, codec).unwrap().finish().unwrap();
                    self.ag.audio_linked(true);
                    self.voice = Some(Voice::start(link));
                }
                Output::Event(Event::CloseAudio) => {
                    self.ag.audio_linked(false);
                    self.voice = None;
                }
                Output::Event(_) => {}
                Output::Idle => return,
            }
        }
    }
}

/// A voice link with a caller's tone, in packets of 3 ms.
struct Voice {
    stop: Arc<AtomicBool>,
    /// Samples that came and are not silent.
    heard: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Voice {
    fn start(link: OwnedFd) -> Self {
        let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, loud) = (stop.clone(), heard.clone());
        let thread = thread::spawn(move || {
            let tone = Sound::tone(8000, CALLER_HERTZ, 60_000).samples;
            let mut next = Instant::now();
            for samples in tone.chunks_exact(24) {
                let packet: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                if stopped.load(Ordering::Relaxed) || rustix::io::write(&link, &packet).is_err() {
                    return;
                }
                next += Duration::from_millis(3);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                let mut answer = [0; 48];
                while let Ok((read @ 1.., _)) = recv(&link, &mut answer, RecvFlags::DONTWAIT) {
                    let samples =
                        answer[..read].chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
                    let count = samples.filter(|sample| sample.unsigned_abs() > 1000).count();
                    loud.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
        });
        Self { stop, heard, thread: Some(thread) }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Takes a phone's connection: writes as fast as it is read, and reads what comes without a look at it.
struct Flood {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    threads: [JoinHandle<()>; 2],
    stream: UnixStream,
}

impl Flood {
    fn start(stream: UnixStream) -> Self {
        let (stop, bytes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, written) = (stop.clone(), bytes.clone());
        let mut out = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            for round in rounds().iter().cycle() {
                out.write_all(round).unwrap();
                written.fetch_add(round.len() as u64, Ordering::Relaxed);
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            // The last line may be the endless one.
            out.write_all(b"\r\n").unwrap();
        });
        let (stopped, from) = (stop.clone(), stream.try_clone().unwrap());
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while !stopped.load(Ordering::Relaxed) {
                if recv(&from, &mut bytes, RecvFlags::DONTWAIT).is_err() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Self { stop, bytes, threads: [writer, reader], stream }
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The connection, whole.
    fn stop(self) -> UnixStream {
        assert!(self.threads.iter().all(|thread| !thread.is_finished()), "it went on all the time");
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.stream
    }
}

/// RINGs, who is said to call, noise, answers to nothing, a line without end.
fn rounds() -> [Vec<u8>; 5] {
    let mut rng = Rng::from_u64(7);
    [
        "\r\nRING\r\n".repeat(RINGS).into_bytes(),
        "\r\n+CLIP: \"+15550111\",145\r\n".repeat(2000).into_bytes(),
        (0..256 << 10).map(|_| rng.u32() as u8).collect(),
        "\r\nERROR\r\n+NOSUCH: 1\r\nOK\r\n".repeat(2000).into_bytes(),
        vec![b'A'; 8 << 20],
    ]
}

fn sum(service: &Service, name: &str, labels: &[(&str, &str)]) -> u64 {
    Scrape::parse(&service.api.metrics()).sum(name, labels) as u64
}

/// Somebody calls this phone; both ends of the call hear each other, and he hangs up.
fn a_call_works(radio: &mut Radio, address: Address, service: &Service, agent: &Agent) {
    let number = Pii("+15550100".to_owned());
    radio.phone(address).ag.happens(Happening::Called(Some(number)));
    radio.until("the voice link", |radio| radio.phone(address).voice.is_some());
    let mut conversation = None;
    radio.until("a conversation", |_| {
        conversation = agent.begun();
        conversation.is_some()
    });
    let mut conversation = conversation.unwrap();
    conversation.say(1, "A tone.", &Sound::tone(16_000, AGENT_HERTZ, 2000));
    let heard =
        |radio: &mut Radio| radio.phone(address).voice.as_ref().unwrap().heard.load(Ordering::Relaxed);
    radio.until("a second of the agent", |radio| heard(radio) > 6000);
    radio.until("the caller at the agent", |_| conversation.heard().tone_ms(CALLER_HERTZ) >= 1000);
    radio.phone(address).ag.happens(Happening::Over);
    let last = |service: &Service| service.api.get("/v1/calls").1["calls"][0]["end_reason"].clone();
    radio.until("the end of the call", |_| last(service) == "remote_hangup");
    radio.phone(address).voice = None;
    radio.phone(address).ag.audio_linked(false);
}

#[test]
fn a_phone_that_floods_its_connection_costs_counters_and_other_calls_go_on() {
    let folder = TempDir::new().unwrap();
    let (_bus, address) = bus(folder.path());
    let sco_dir = folder.path().join("sco");
    std::fs::create_dir(&sco_dir).unwrap();
    let sco = Sco::Folder(sco_dir.clone());
    let mut radio = Radio::open(&address, sco.clone(), [BAD, GOOD]);
    let agent = Agent::public("pcm_16000");
    let config = json!({"telephony_backend": "hfp", "auto_answer": true, "auto_answer_delay_sec": 0});
    let environment =
        [("DBUS_SYSTEM_BUS_ADDRESS", address.as_str()), ("CALLSCOOT_SCO_DIR", sco_dir.to_str().unwrap())];
    // Its start asks no phone; what it waits for of the host, the host's first turns bring.
    let mut service = Service::start_with(&config, Some(&agent), &environment);
    radio.until("both connections", |radio| radio.phones.values().all(|phone| phone.up));
    let ready = |phones: &Value| {
        let phones = phones["phones"].as_array().unwrap().iter();
        phones.filter(|phone| phone["link"] == "connected").count() == 2
    };
    radio.until("both phones at the service", |_| ready(&service.api.get("/v1/phones").1));

    let (before, events) = (service.process().rss_kb(), sum(&service, "bus_events_total", &[]));
    let flood = Flood::start(radio.phone(BAD).stream.take().unwrap());
    let mut answers = 0;
    radio.until("the flood", |_| {
        assert_eq!(service.api.get("/v1/status").0, 200);
        answers += 1;
        flood.bytes() > FLOOD_BYTES
    });
    let after = service.process().rss_kb();
    assert!(after < before + GROWTH_KB_MAX, "{before} kB, then {after} kB");
    println!("{before} kB, then {after} kB; {answers} answers meanwhile");
    assert!(answers > 10, "{answers} answers meanwhile");
    assert_eq!(sum(&service, "bus_events_total", &[]), events, "nobody is told of it");
    assert!(service.api.get("/v1/calls").1["calls"].as_array().unwrap().is_empty());

    a_call_works(&mut radio, GOOD, &service, &agent);
    radio.phone(BAD).stream = Some(flood.stop());
    let rings = sum(&service, "phone_rings_total", &[]);
    assert!(rings > 5 * RINGS as u64, "{rings} RINGs");
    for reason in ["too_long", "unknown", "unasked"] {
        let ignored = sum(&service, "phone_ignored_lines_total", &[("reason", reason)]);
        assert!(ignored > 5, "{ignored} {reason}");
    }
    a_call_works(&mut radio, BAD, &service, &agent);

    // A voice link of somebody who is no phone of ours is closed at once.
    let link = UnixStream::from(sco.connect(STRANGER, HERE, Codec::Cvsd).unwrap().finish().unwrap());
    link.set_nonblocking(false).unwrap();
    link.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!((&link).read(&mut [0; 48]).unwrap(), 0);
    until_is(
        "the calls",
        || service.api.get("/v1/calls").1["calls"].as_array().unwrap().len(),
        |calls| *calls == 2,
    );
}
