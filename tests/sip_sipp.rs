//! The sip thread against SIPp, a stranger's stack: as caller and callee, with a challenge, with losses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::net::{IpAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use callscoot::base::{CallIds, Number, Rng, Secret};
use callscoot::call::leg::{DialTarget, LegCommand, LegEnd, LegEvent, SipAccount};
use callscoot::run::resolver::Resolver;
use callscoot::run::sip::{SipOptions, spawn};
use callscoot::sys::mailbox::MailSender;
use callscoot::sys::thread::Spawner;
use crossbeam_channel::{Receiver, unbounded};

const LOOPBACK: &str = "127.0.0.1";
/// Losses make SIP wait for its timers; nothing here takes longer than a few retransmissions.
const PATIENCE: Duration = Duration::from_secs(40);

struct Phone {
    commands: MailSender<LegCommand>,
    events: Receiver<LegEvent>,
    ids: CallIds,
}

impl Phone {
    fn start(accept_strangers: bool) -> Self {
        let spawner = Spawner::new(unbounded().0);
        let options = SipOptions { bind: IpAddr::from([127, 0, 0, 1]), accept_strangers, port: 0 };
        let resolver = Resolver::start(&spawner).unwrap();
        let (tell, events) = unbounded();
        let ids = CallIds::default();
        let tell = move |event| tell.send(event).unwrap_or_default();
        let commands = spawn(&spawner, options, resolver, ids.clone(), Rng::from_u64(1), tell).unwrap();
        Self { commands, events, ids }
    }

    fn next(&self) -> LegEvent {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// The port of the socket, from the first status that names it.
    fn port(&self) -> u16 {
        loop {
            if let LegEvent::Status(status) = self.next()
                && let Some(local) = status.local
            {
                return local.port();
            }
        }
    }

    /// Calls `number` at a server on this port, hangs up once there is audio; returns how it ended.
    fn call(&self) -> (LegEnd, bool) {
        let call = self.ids.mint();
        let target = DialTarget::Number(Number::parse("100").unwrap());
        self.commands.send(LegCommand::Dial { call, target, rtp_port: 4000 }).unwrap();
        let mut heard = false;
        loop {
            match self.next() {
                LegEvent::Audio { .. } => {
                    heard = true;
                    self.commands.send(LegCommand::Hangup { call }).unwrap();
                }
                LegEvent::Ended { end, .. } => return (end, heard),
                LegEvent::Incoming { .. }
                | LegEvent::Progress { .. }
                | LegEvent::Status(_)
                | LegEvent::Closed => {}
            }
        }
    }

    fn use_server(&self, port: u16, local_port: u16) {
        let account = SipAccount {
            server: LOOPBACK.into(),
            port,
            username: Some("alice".into()),
            password: Some(Secret::new("secret")),
            local_port,
        };
        self.commands.send(LegCommand::Configure(Some(account))).unwrap();
        while !matches!(self.next(), LegEvent::Status(status) if status.started) {}
    }
}

fn free_port() -> u16 {
    UdpSocket::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port()
}

fn sipp(arguments: &[&str]) -> Child {
    let mut command = Command::new("sipp");
    command.args(["-i", LOOPBACK, "-nostdin", "-timeout", "40", "-timeout_error"]).args(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("sipp (Debian package sip-tester) is needed: {error}"))
}

/// Takes every call until SIPp is content.
fn take_calls(arguments: &[&str], calls: usize) {
    let phone = Phone::start(true);
    let target = format!("{LOOPBACK}:{}", phone.port());
    let count = calls.to_string();
    let mut caller = sipp(&[&[target.as_str(), "-sn", "uac", "-m", &count, "-d", "200"], arguments].concat());
    let (mut taken, mut ends) = (0, Vec::new());
    while ends.len() < calls {
        match phone.next() {
            LegEvent::Incoming { call, .. } => {
                phone.commands.send(LegCommand::Ring { call }).unwrap();
                phone.commands.send(LegCommand::Answer { call, rtp_port: 4000 }).unwrap();
                taken += 1;
            }
            LegEvent::Ended { end, .. } => ends.push(end),
            LegEvent::Progress { .. } | LegEvent::Audio { .. } | LegEvent::Status(_) | LegEvent::Closed => {}
        }
    }
    assert!(caller.wait().unwrap().success(), "SIPp saw a call fail");
    assert_eq!((taken, ends), (calls, vec![LegEnd::RemoteHangup; calls]));
}

#[test]
fn sipp_calls_and_hangs_up() {
    take_calls(&["-r", "20"], 50);
}

#[test]
fn sipp_calls_through_losses() {
    take_calls(&["-r", "10", "-lost", "10"], 20);
}

#[test]
fn sipp_is_called_through_losses() {
    let port = free_port();
    let mut callee = sipp(&["-sn", "uas", "-p", &port.to_string(), "-m", "10", "-lost", "10"]);
    let phone = Phone::start(false);
    phone.use_server(port, free_port());
    for _ in 0..10 {
        assert_eq!(phone.call(), (LegEnd::LocalHangup, true));
    }
    assert!(callee.wait().unwrap().success(), "SIPp saw a call fail");
}

#[test]
fn sipp_challenges_and_verifies_the_answer_rfc3261_22() {
    let port = free_port();
    let scenario = "tests/sipp/callee_challenge.xml";
    let mut callee = sipp(&["-sf", scenario, "-p", &port.to_string(), "-m", "3"]);
    let phone = Phone::start(false);
    phone.use_server(port, free_port());
    for _ in 0..3 {
        assert_eq!(phone.call(), (LegEnd::LocalHangup, true));
    }
    assert!(callee.wait().unwrap().success(), "SIPp saw a call fail");
}
