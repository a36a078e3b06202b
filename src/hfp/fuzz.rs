//! What a fuzzer runs, and what the corpora are replayed with.

use crate::base::time::any_instant;
use std::time::Duration;

use super::Codec;
use super::ag::{self, Ag};
use super::slc::{Command, Output, Slc};

/// Bytes that one line of a hostile phone makes the unit send, at most: a question about calls, or two.
const SENT_PER_INPUT_BYTES_MAX: usize = 4096;

/// A hostile phone: the first byte of each piece says how long it is; between pieces time passes and the user wants
/// things. And the same as a hostile hands-free unit against the simulated phone.
pub fn at_lines(data: &[u8]) {
    let mut now = any_instant();
    let mut slc = Slc::start(now, &[Codec::Msbc, Codec::Cvsd]);
    let mut ag = Ag::new(ag::Options::default());
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (piece, later) = after.split_at(usize::from(length).min(after.len()));
        rest = later;
        slc.handle_input(now, piece);
        drain(&mut slc);
        ag.handle_input(piece);
        while ag.poll_output() != ag::Output::Idle {}
        match length % 8 {
            0 => {
                now += Duration::from_secs(5);
                slc.handle_timeout(now);
            }
            1 => slc.command(now, Command::Answer),
            2 => slc.command(now, Command::CvsdOnly),
            3 => slc.audio_linked(now, length > 100),
            4 => ag.happens(ag::Happening::Called(None)),
            5 => ag.happens(ag::Happening::OwnerAnswers),
            _ => {}
        }
        drain(&mut slc);
        assert!(slc.calls().len() <= 8, "calls without end");
    }
}

fn drain(slc: &mut Slc) {
    let mut sent = 0;
    loop {
        match slc.poll_output() {
            Output::Transmit(bytes) => sent += bytes.len(),
            Output::Event(_) => {}
            Output::Timeout(_) => break,
        }
    }
    assert!(sent <= SENT_PER_INPUT_BYTES_MAX, "one input makes the unit send {sent} bytes");
}
