//! The fuzz targets' bodies over the kept corpus: what once broke a parser, or nearly did, is tried in every test run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Body = fn(&[u8]);

/// Name of target and corpus, and the body in the crate.
const TARGETS: [(&str, Body); 9] = [
    ("sip_msg", callscoot::sip::fuzz::message),
    ("hfp_at", callscoot::hfp::fuzz::at_lines),
    ("h2", callscoot::codec::fuzz::voice_link),
    ("adb_server", callscoot::adb::fuzz::server_says),
    ("sdp", callscoot::sdp::fuzz::session),
    ("rtp", callscoot::rtp::fuzz::packet),
    ("rtcp", callscoot::rtp::fuzz::control),
    ("agent_msg", callscoot::agent::fuzz::server_message),
    ("http_head", callscoot::port::http::fuzz::head),
];

fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.trim_end_matches(ending).to_owned()).collect()
}

#[test]
fn every_kept_input_is_taken_without_a_panic() {
    for (target, body) in TARGETS {
        let inputs = names(&format!("tests/corpus/{target}"), "");
        assert!(inputs.len() >= 3, "{target}: {} inputs", inputs.len());
        for input in inputs {
            // The name stands in the output of a failed test, beside the panic.
            println!("{target}/{input}");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target).join(input);
            body(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn each_target_has_a_program_a_corpus_and_a_place_here() {
    let here: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/fuzz_targets", ".rs"), here);
    assert_eq!(names("tests/corpus", ""), here);
}
