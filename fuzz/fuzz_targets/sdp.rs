//! Session descriptions of strangers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|description: &[u8]| callscoot::sdp::fuzz::session(description));
