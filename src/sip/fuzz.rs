//! What a fuzzer runs, and what the corpora are replayed with.

use crate::base::time::any_instant;
use std::net::SocketAddr;
use std::time::Duration;

use super::msg::{MESSAGE_BYTES_MAX, Unreadable, read};
use super::{Command, Event, Input, Options, Output, Ua};
use crate::base::{CallId, CallIds, Rng};

/// Timers that are run after each datagram at most.
const STEPS_MAX: usize = 200;

/// Reads a datagram; what was read must print to the same message again; and a user agent with a call under way
/// must survive it, twice, and every timer after it.
pub fn message(data: &[u8]) {
    if let Ok(received) = read(data)
        && received.fault.is_none()
    {
        let printed = received.message.print();
        match read(&printed) {
            Ok(again) => {
                assert_eq!(again.fault, None, "a printed message has a fault");
                assert_eq!(again.message, received.message, "a printed message reads differently");
            }
            // Compact names were written out, Content-Length was added.
            Err(unreadable) => assert!(
                unreadable == Unreadable::TooLong && (printed.len() > MESSAGE_BYTES_MAX || data.len() > 256),
                "a printed message cannot be read"
            ),
        }
    }
    feed(data);
}

fn feed(data: &[u8]) {
    let peer = SocketAddr::from(([192, 0, 2, 1], 5060));
    let local = SocketAddr::from(([198, 51, 100, 1], 5060));
    let mut now = any_instant();
    let mut ua =
        Ua::new(Options { accept_strangers: true, user: None }, CallIds::default(), Rng::from_u64(1));
    let call = Command::Call {
        call: CallId(9),
        target: "sip:b@192.0.2.1".into(),
        to: peer,
        local,
        body: Vec::new(),
    };
    ua.handle_input(now, Input::Command(call));
    for _ in 0..2 {
        ua.handle_input(now, Input::Datagram { from: peer, local, bytes: data });
    }
    for _ in 0..STEPS_MAX {
        let deadline = loop {
            match ua.poll_output() {
                Output::Transmit(transmit) => assert!(read(&transmit.bytes).is_ok(), "what we send is SIP"),
                Output::Event(Event::Incoming { call, .. }) => {
                    ua.handle_input(now, Input::Command(Command::Accept { call, body: b"v=0".into() }));
                }
                Output::Event(Event::Offered { call, .. }) => {
                    ua.handle_input(now, Input::Command(Command::Answer { call, body: None }));
                }
                Output::Event(_) => {}
                Output::Timeout(next) => break next,
            }
        };
        let Some((at, _)) = deadline else { return };
        now = at.max(now + Duration::from_millis(1));
        ua.handle_timeout(now);
    }
}
