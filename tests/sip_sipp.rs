//! The sip thread against SIPp, a stranger's stack: as caller.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use callscoot::base::{CallIds, Metrics, Rng};
use callscoot::call::leg::{LegCommand, LegEnd, LegEvent};
use callscoot::call::sip_line::OpenLine;
use callscoot::run::resolver::Resolver;
use callscoot::run::sip::{SipOptions, spawn};
use callscoot::sys::mailbox::MailSender;
use callscoot::sys::thread::Spawner;
use crossbeam_channel::{Receiver, unbounded};

const LOOPBACK: &str = "127.0.0.1";
/// Longer than any call of the test.
const PATIENCE: Duration = Duration::from_secs(40);

struct Phone {
    commands: MailSender<LegCommand>,
    events: Receiver<LegEvent>,
}

impl Phone {
    fn start() -> Self {
        let spawner = Spawner::new(unbounded().0);
        let open = Some(OpenLine::default());
        let metrics = Metrics::new().unwrap();
        let options = SipOptions { bind: IpAddr::from([127, 0, 0, 1]), open, metrics };
        let resolver = Resolver::start(&spawner).unwrap();
        let (tell, events) = unbounded();
        let tell = move |event| tell.send(event).unwrap_or_default();
        let commands =
            spawn(&spawner, options, resolver, CallIds::default(), Rng::from_u64(1), tell).unwrap();
        Self { commands, events }
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
}

fn sipp(arguments: &[&str]) -> Child {
    let mut command = Command::new("sipp");
    command.args(["-i", LOOPBACK, "-nostdin", "-timeout", "40", "-timeout_error"]).args(arguments);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("sipp (Debian package sip-tester) is needed: {error}"))
}

/// Takes every call until SIPp is content.
fn take_calls(arguments: &[&str], calls: usize) {
    let phone = Phone::start();
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
