//! The one privileged helper: makes the Bluetooth chip of a Raspberry Pi send the audio of voice links to this machine
//! instead of to its PCM pins. Started for each adapter, and when a phone connects, by udev; needs CAP_NET_RAW and
//! nothing else.
//!
//! `callscoot-sco-routing hci0`: waits until the adapter is up (30 s at most), says in a line what it found, and ends
//! with 0 when voice comes here.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use callscoot::port::hci::{self, Fault, Routing};
use callscoot::sys::clock;

/// An adapter that has just appeared loads its firmware first.
const UP_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let adapter = std::env::args().nth(1).unwrap_or_default();
    let Some(number) = adapter.strip_prefix("hci").and_then(|number| number.parse().ok()) else {
        say("usage: callscoot-sco-routing hci0");
        return ExitCode::from(2);
    };
    let (sentence, code) = match route(number) {
        Ok(Routing::MovedHere) => ("voice links come to this machine now".into(), ExitCode::SUCCESS),
        Ok(Routing::WasHere) => ("voice links come to this machine".into(), ExitCode::SUCCESS),
        Ok(Routing::OtherMaker(maker)) => {
            (format!("nothing to do for a chip of maker {maker:#06x}"), ExitCode::SUCCESS)
        }
        Err(fault) => (fault.to_string(), ExitCode::FAILURE),
    };
    say(&format!("{adapter}: {sentence}"));
    code
}

fn route(number: u16) -> Result<Routing, Fault> {
    let deadline = clock::mono() + UP_MAX;
    loop {
        match hci::open(number).map_err(Fault::Socket).and_then(hci::route_here) {
            Err(Fault::Socket(error)) if is_not_up(&error) && clock::mono() < deadline => {
                clock::pause(LOOK_EVERY);
            }
            done => return done,
        }
    }
}

/// The adapter is there and has not come up, or is just appearing.
fn is_not_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkDown) || error.raw_os_error() == Some(libc::ENODEV)
}

fn say(sentence: &str) {
    // Whoever started it may have closed its end.
    let _ = writeln!(io::stderr(), "callscoot-sco-routing: {sentence}");
}
