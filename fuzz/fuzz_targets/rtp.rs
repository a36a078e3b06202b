//! Audio packets of strangers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: &[u8]| callscoot::rtp::fuzz::packet(datagrams));
