//! SIP datagrams of strangers.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| callscoot::sip::fuzz::message(datagram));
