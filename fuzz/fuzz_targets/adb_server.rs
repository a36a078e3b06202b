//! What a hostile adb server, or a hostile client of one, says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| callscoot::adb::fuzz::server_says(bytes));
