//! The byte stream of a stranger's voice link.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packets: &[u8]| callscoot::codec::fuzz::voice_link(packets));
