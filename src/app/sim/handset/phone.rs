//! The phone: what it holds, and what its owner and the world do with it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::adb::AdbServer;
use super::order::Order;
use super::run::Mail;
use super::voice::{Talk, Voice};
use crate::base::Pii;
use crate::hfp::ag::{self, Ag, Happening};
use crate::hfp::host::Address;
use crate::hfp::{Call, Codec};
use crate::port::bluez_host::{Event as HostEvent, Host};
use crate::port::rfcomm::Rfcomm;
use crate::port::sco::{Link, Listener, Sco};
use crate::sys::mailbox::MailSender;
use crate::sys::thread::Spawner;

/// The host's radio.
pub(super) const ADAPTER: Address = Address::new([0x02, 0xCA, 0x11, 0x5C, 0x00, 0x01]);

/// How the phone behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The message bus; `None` starts one.
    pub bus: Option<String>,
    /// The folder of voice links; `None` makes one.
    pub sco_dir: Option<PathBuf>,
    /// Its address.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// The host has paired with it and trusts it already.
    pub known: bool,
    /// The codec that it chooses where the other side has it.
    pub codec: Codec,
    /// It is at an adb server too, on this port; 0 for any.
    pub adb_port: Option<u16>,
    /// It dials, answers and hangs up when it is told to over Bluetooth.
    pub obeys: bool,
    /// Size of its packets on a voice link.
    pub packet_bytes: usize,
    /// Somebody with this number calls once it is connected for the first time.
    pub call: Option<String>,
    /// A caller gives up after so long; `None` never.
    pub give_up_after: Option<Duration>,
    /// Somebody who is called lets it ring for so long.
    pub ring_for: Duration,
    /// The other end hangs up so long after the answer.
    pub hang_up_after: Option<Duration>,
    /// What the other end says, 16 kHz mono.
    pub say: Arc<[i16]>,
    /// Where what it hears is recorded; overwritten by each call.
    pub record: Option<PathBuf>,
    /// Ends after the first call.
    pub once: bool,
}

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pub(super) ring: Option<Instant>,
    pub(super) give_up: Option<Instant>,
    pub(super) other_rings: Option<Instant>,
    pub(super) other_answers: Option<Instant>,
    pub(super) hang_up: Option<Instant>,
}

/// One simulated phone, with the host that it is paired with.
pub(super) struct Handset {
    pub(super) options: Options,
    pub(super) started: Instant,
    pub(super) spawner: Spawner,
    pub(super) mail: MailSender<Mail>,
    pub(super) host: Host,
    pub(super) ag: Ag,
    pub(super) adb: Option<AdbServer>,
    pub(super) rfcomm: Option<Rfcomm>,
    pub(super) sco: Sco,
    pub(super) listener: Listener,
    /// A voice link on its way.
    pub(super) link: Option<(Link, Codec)>,
    pub(super) voice: Option<Voice>,
    /// Counts links, so that a word of an old one is known as such.
    pub(super) links: u64,
    pub(super) talk: Talk,
    /// The calls that were told last.
    pub(super) calls: Vec<Call>,
    /// The hands-free unit ended the call, not the other end.
    pub(super) hung_up_there: bool,
    pub(super) timers: Timers,
    pub(super) told: VecDeque<Value>,
    pub(super) closing: bool,
}

impl Handset {
    pub(super) fn tell(&mut self, now: Instant, event: &str, about: Value) {
        let at_ms = now.saturating_duration_since(self.started).as_millis() as u64;
        let mut line = json!({ "event": event, "at_ms": at_ms });
        if let (Some(line), Value::Object(about)) = (line.as_object_mut(), about) {
            line.extend(about);
        }
        self.told.push_back(line);
    }

    /// A line of standard input.
    pub(super) fn on_line(&mut self, now: Instant, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        match Order::read(line) {
            Ok(order) => self.on_order(now, order),
            Err(error) => self.tell(now, "not_understood", json!({ "error": error })),
        }
    }

    fn on_order(&mut self, now: Instant, order: Order) {
        let device = self.options.address;
        match order {
            Order::Call(number) => self.ag.happens(Happening::Called(number.map(Pii))),
            Order::OwnerDials(number) => self.ag.happens(Happening::OwnerDials(Pii(number))),
            Order::OwnerAnswers => self.ag.happens(Happening::OwnerAnswers),
            Order::OtherRings => self.ag.happens(Happening::OtherRings),
            Order::OtherAnswers => self.ag.happens(Happening::OtherAnswers),
            Order::HangUp => self.ag.happens(Happening::Over),
            Order::OpenAudio => {
                self.ag.happens(Happening::KeepsAudio(false));
                self.ag.happens(Happening::WantsAudio);
            }
            Order::DropAudio => self.close_audio(now, "phone"),
            Order::KeepAudio => {
                self.ag.happens(Happening::KeepsAudio(true));
                self.close_audio(now, "phone");
            }
            Order::Indicator(name, value) => self.ag.happens(Happening::Indicator(name, value)),
            Order::Raw(line) => self.ag.unasked(&line),
            Order::Connect => self.host.connect(now, device),
            Order::DropRfcomm => self.lose_rfcomm(now, "phone"),
            Order::Vanish => self.host.reach(now, device, false),
            Order::Return => self.host.reach(now, device, true),
            Order::Pair => self.host.pair(now, device),
            Order::Plug(plugged) => self.host.plug(now, plugged),
            Order::Block(blocked) => self.host.block_radio(now, blocked),
            Order::Quit => self.close(now),
        }
    }

    /// Hangs up and ends.
    pub(super) fn close(&mut self, now: Instant) {
        while !self.ag.calls().is_empty() {
            self.ag.happens(Happening::Over);
        }
        self.closing = true;
        self.settle(now);
        self.close_audio(now, "phone");
    }

    pub(super) fn on_host(&mut self, now: Instant, event: HostEvent) {
        match event {
            HostEvent::Ready => {}
            HostEvent::ProfileRegistered => self.tell(now, "profile_registered", json!({})),
            HostEvent::ProfileFree => self.tell(now, "profile_free", json!({})),
            HostEvent::Connected { stream, .. } => self.connected(now, stream),
            HostEvent::ConnectRefused { why, .. } => {
                self.tell(now, "connect_refused", json!({ "why": why }));
            }
            HostEvent::Disconnected(_) => self.lose_rfcomm(now, "host"),
            HostEvent::Paired(_) => self.tell(now, "paired", json!({})),
            HostEvent::PairingFailed { why, .. } => self.tell(now, "pairing_failed", json!({ "why": why })),
            HostEvent::Removed(_) => self.tell(now, "removed", json!({})),
        }
    }

    fn connected(&mut self, now: Instant, stream: OwnedFd) {
        self.lose_rfcomm(now, "phone");
        self.ag.connected();
        match Rfcomm::new(stream) {
            Ok(rfcomm) => self.rfcomm = Some(rfcomm),
            Err(error) => self.tell(now, "error", json!({ "error": error.to_string() })),
        }
    }

    /// The hands-free connection is over.
    pub(super) fn lose_rfcomm(&mut self, now: Instant, by: &str) {
        if self.rfcomm.take().is_some() {
            self.close_audio(now, by);
            self.host.closed(now, self.options.address);
            self.tell(now, "disconnected", json!({ "by": by }));
        }
    }

    /// Bytes that came over RFCOMM.
    pub(super) fn read_rfcomm(&mut self, now: Instant) {
        let mut bytes = [0; 1024];
        loop {
            let Some(rfcomm) = &mut self.rfcomm else { return };
            match rfcomm.read(&mut bytes) {
                Ok(Some(len)) => self.ag.handle_input(bytes.get(..len).unwrap_or_default()),
                Ok(None) => return,
                Err(_) => return self.lose_rfcomm(now, "hands_free"),
            }
        }
    }

    /// Does what the core wants, and tells what has changed; until nothing is left.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.host.poll_event() {
                self.on_host(now, event);
            }
            match self.ag.poll_output() {
                ag::Output::Transmit(bytes) => {
                    let lost = self.rfcomm.as_mut().is_some_and(|rfcomm| rfcomm.write(&bytes).is_err());
                    if lost {
                        self.lose_rfcomm(now, "hands_free");
                    }
                }
                ag::Output::Event(event) => self.on_ag(now, event),
                ag::Output::Idle => break,
            }
        }
        self.tell_calls(now);
    }

    fn on_ag(&mut self, now: Instant, event: ag::Event) {
        match event {
            ag::Event::Up => {
                self.tell(now, "connected", json!({}));
                if let Some(number) = self.options.call.take() {
                    self.ag.happens(Happening::Called(Some(Pii(number))));
                }
            }
            ag::Event::OpenAudio(codec) => self.open_audio(now, codec),
            ag::Event::CloseAudio => self.close_audio(now, "phone"),
            ag::Event::Dialled(number) => self.tell(now, "dialled", json!({ "number": number.0 })),
            ag::Event::Answered => self.tell(now, "taken", json!({})),
            ag::Event::HungUp => self.hung_up_there = true,
            ag::Event::Key(key) => self.tell(now, "key", json!({ "key": key.to_string() })),
            ag::Event::Unknown(line) => self.tell(now, "unknown_command", json!({ "line": line })),
        }
    }
}
