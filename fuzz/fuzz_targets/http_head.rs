//! Request heads of strangers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| callscoot::port::http::fuzz::head(bytes));
