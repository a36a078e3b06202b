//! Bodies of the fuzz targets: compiled and reviewed with the crate, replayed over the kept corpus by the tests.

use crate::base::time::any_instant;

use super::message::{ClientMessage, ServerMessage};
use super::session::{Initiation, Input, Output, Session};

/// Bytes that a service sent: read as messages (one a line), into a conversation that has begun. What is read is
/// written and read again to the same; the conversation stays within its bounds and ends when it is closed.
pub fn server_message(data: &[u8]) {
    let now = any_instant();
    let text = String::from_utf8_lossy(data);
    let mut session = Session::new(Initiation::default());
    session.handle_input(now, Input::Opened);
    session.handle_input(now, Input::Begin);
    for line in text.lines() {
        if let Ok(message) = ServerMessage::parse(line) {
            let again = ServerMessage::parse(&message.to_json());
            assert!(again.is_ok(), "{message:?} cannot be read back: {again:?}");
        }
        let _ = ClientMessage::parse(line);
        session.handle_input(now, Input::Text(line));
        while session.take_block(false).is_some() {}
        while !matches!(session.poll_output(), Output::Timeout(_)) {}
    }
    session.handle_input(now, Input::Close);
    while !matches!(session.poll_output(), Output::Timeout(_)) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One message of each kind, as the reference shows them.
    const SEEDS: &str = include_str!("fuzz_seeds.jsonl");

    #[test]
    fn the_seeds_pass() {
        server_message(SEEDS.as_bytes());
    }

    proptest! {
        #[test]
        fn broken_seeds_neither_panic_nor_pass_a_bound(
            picks in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index, u8)>(), 1..12),
        ) {
            let seeds: Vec<&str> = SEEDS.lines().collect();
            let mut all = seeds[0].as_bytes().to_vec();
            for (seed, at, byte) in picks {
                let mut line = seeds[seed.index(seeds.len())].as_bytes().to_vec();
                let at = at.index(line.len());
                line[at] = byte;
                all.push(b'\n');
                all.extend(line);
            }
            server_message(&all);
        }
    }
}
