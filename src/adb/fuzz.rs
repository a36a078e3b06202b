//! What a fuzzer runs, and what the corpora are replayed with.

use std::time::Duration;

use super::device::Serial;
use super::sim::{ConnectionId, Server};
use super::{Bridge, Command, Input, LinkId, Output, Settings};
use crate::base::time::any_instant;
use crate::base::{CallId, Number, Rng};

/// Connections that one input may open: a question to each phone of a list, and to the server.
const OPENED_PER_INPUT_MAX: usize = 64;

/// A hostile server with hostile phones: the first byte of each piece says how long it is and to which connection it
/// belongs; between pieces time passes and the user wants things. And a hostile client against the simulated server.
pub fn server_says(data: &[u8]) {
    let mut now = any_instant();
    let mut bridge = Bridge::new(Rng::from_u64(1));
    let mut server = Server::default();
    server.connected(ConnectionId(0));
    let settings = Settings { enabled: true, ..Settings::default() };
    bridge.handle_input(now, Input::Command(Command::Configure(settings)));
    let mut open = drain(&mut bridge);
    let Some(serial) = Serial::parse("A") else { return };
    let mut rest = data;
    while let Some((&first, after)) = rest.split_first() {
        let (piece, later) = after.split_at(usize::from(first).min(after.len()));
        rest = later;
        server.handle_input(ConnectionId(0), piece);
        while server.poll_output().is_some() {}
        let link = open.get(usize::from(first) % open.len().max(1)).copied().unwrap_or(LinkId(1));
        bridge.handle_input(now, Input::Connected(link));
        bridge.handle_input(now, Input::Bytes(link, piece));
        let serial = || serial.clone();
        let call = CallId(u64::from(first >> 6));
        match first % 8 {
            0 => bridge.handle_input(now, Input::Closed(link, Ok(()))),
            1 => bridge.handle_input(now, Input::Command(Command::Answer { serial: serial(), call })),
            2 => {
                let end = Command::End { serial: serial(), call, rings: first > 99 };
                bridge.handle_input(now, Input::Command(end));
            }
            3 => {
                bridge.handle_input(now, Input::Command(Command::Watch { serial: serial(), on: first > 99 }));
            }
            4 => {
                if let Ok(number) = Number::parse("0301") {
                    let dial = Command::Dial { serial: serial(), call, number };
                    bridge.handle_input(now, Input::Command(dial));
                }
            }
            5 => {
                now += Duration::from_millis(600);
                bridge.handle_timeout(now);
            }
            6 => {
                now += Duration::from_secs(11);
                bridge.handle_timeout(now);
            }
            _ => bridge.handle_input(now, Input::Command(Command::GiveUp { serial: serial(), call })),
        }
        open.extend(drain(&mut bridge));
        let cut = open.len().saturating_sub(8);
        open.drain(..cut);
    }
}

fn drain(bridge: &mut Bridge) -> Vec<LinkId> {
    let mut opened = Vec::new();
    loop {
        match bridge.poll_output() {
            Output::Connect(link) => opened.push(link),
            Output::Transmit(_, bytes) => assert!(bytes.len() <= 300, "a request is short"),
            Output::Close(_) | Output::Event(_) => {}
            Output::Timeout(_) => break,
        }
    }
    assert!(opened.len() <= OPENED_PER_INPUT_MAX, "one input opens {} connections", opened.len());
    assert!(bridge.status().phones.len() <= 16, "phones without end");
    opened
}
