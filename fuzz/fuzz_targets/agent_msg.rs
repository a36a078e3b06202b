//! Messages of the agent service of strangers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| callscoot::agent::fuzz::server_message(text));
