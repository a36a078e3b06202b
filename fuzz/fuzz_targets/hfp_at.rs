//! What a hostile phone, or a hostile hands-free unit, says over RFCOMM.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| callscoot::hfp::fuzz::at_lines(bytes));
