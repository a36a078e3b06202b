//! Whole calls over a real bluetoothd, real RFCOMM and real voice links: the service in a guest without radio
//! (tests/bluetooth/bench), a scripted phone on the other side. `make test-bluetooth`.
//!
//! What is done in the guest is in `tests/bluetooth/scenarios`, one file a scenario; what was said there is judged
//! here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::print_stdout, reason = "the figures are what a person runs it for")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::sound::Sound;
use support::speech::{narrow, score, spoken};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Speech in a call must be at least so good in either direction (mean opinion score).
const PESQ_MIN: f64 = 3.0;
/// What is said, each in a voice of its own: name, voice, words.
const SENTENCES: [(&str, &str, &str); 8] = [
    ("caller1", "en-gb", "I would like to order two loaves of bread, and a small cake for my daughter."),
    ("agent1", "en-us", "Of course. The bread will be ready at noon, and the cake tomorrow at nine."),
    ("caller2", "en-gb-scotland", "Thank you. Could you also keep a dozen rolls for me until the evening?"),
    ("agent2", "en-us", "Twelve rolls, certainly. We close at six, so please be there by half past five."),
    ("caller3", "en-gb", "Could my brother fetch all of it for me? He will come on his bicycle after work."),
    ("agent3", "en-us", "He is welcome. Please tell him that the side door is open when the shop is dark."),
    (
        "caller4",
        "en-gb-scotland",
        "That is very kind. I shall pay for everything on Monday, if you do not mind.",
    ),
    ("agent4", "en-us", "Not at all. Your order has the number fourteen, and it will be ready for him."),
];

/// A folder for the guest: the scenario, the program, speech; and what both sides will have heard.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(ROOT).join("target/bluetooth").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("logs")).unwrap();
    for file in fs::read_dir(Path::new(ROOT).join("tests/bluetooth/scenarios")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    fs::copy(Path::new(ROOT).join("src/callscoot_client.py"), folder.join("callscoot_client.py")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_callscoot"), folder.join("callscoot")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_callscoot-sco-routing"), folder.join("callscoot-sco-routing")).unwrap();
    let rules = "90-callscoot-bluetooth.rules";
    fs::copy(Path::new(ROOT).join("packaging/udev").join(rules), folder.join(rules)).unwrap();
    for (name, voice, words) in SENTENCES {
        let speech = Sound::silence(16_000, 300).then(&spoken(voice, words));
        speech.write_wav(&folder.join(format!("{name}.wav")));
        narrow(&speech).write_wav(&folder.join(format!("{name}-8k.wav")));
    }
    folder
}

/// Plays `tests/bluetooth/scenarios/NAME.py`, then judges every sentence that was said in it. One that is bad must be
/// so twice: a guest that got no processor for a moment stutters, too.
fn scenario(name: &str, arguments: &[&str]) {
    let mut bad = play(name, arguments);
    if !bad.is_empty() {
        let again = play(name, arguments);
        bad.retain(|what| again.contains(what));
    }
    assert!(bad.is_empty(), "speech is not intelligible: {bad:#?}");
}

/// Plays it once; the sentences that were not understood.
fn play(name: &str, arguments: &[&str]) -> Vec<String> {
    let label = [&[name], arguments].concat().join("-");
    let folder = folder(&label);
    let status = Command::new(format!("{ROOT}/tests/bluetooth/bench/run.sh"))
        .args(["--timeout", "180"])
        .arg(&folder)
        .arg(name)
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success(), "{label}: {status}; see {}/logs", folder.display());
    let exchanges: Vec<Value> =
        serde_json::from_slice(&fs::read(folder.join("logs/exchanges.json")).unwrap()).unwrap();
    let mut bad = Vec::new();
    for exchange in exchanges {
        let text = |member: &str| exchange[member].as_str().unwrap();
        let rate = exchange["rate"].as_u64().unwrap() as u32;
        let score = score(rate, &folder.join(text("said")), &folder.join(text("heard")));
        println!("{label}: {}: PESQ {:.2}", text("what"), score.pesq);
        bad.extend((score.pesq < PESQ_MIN).then(|| text("what").to_owned()));
    }
    bad
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn wide_band_calls_in_and_out_over_a_real_bluetoothd() {
    scenario("calls", &["msbc"]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn narrow_band_calls_in_and_out_over_a_real_bluetoothd() {
    scenario("calls", &["cvsd"]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn a_call_is_handed_to_the_handset_and_back() {
    scenario("handover", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn a_voice_link_that_breaks_is_asked_for_again() {
    scenario("audio_lost", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn bluetoothd_that_stops_or_dies_costs_no_more_than_it_must() {
    scenario("restart", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn an_adapter_that_is_switched_off_unplugged_or_blocked_comes_back_with_its_phone() {
    scenario("adapter", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn the_profile_of_another_program_is_named_and_taken_when_it_is_free() {
    scenario("profile", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn a_stranger_gets_no_link_and_harms_nothing() {
    scenario("stranger", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn phones_pair_as_they_can_and_an_answer_is_for_one_question() {
    scenario("pairing", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn packets_of_every_size_are_heard_on_both_sides() {
    scenario("packets", &[]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn noise_instead_of_msbc_gives_way_to_cvsd() {
    scenario("codec", &["noise"]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn msbc_without_a_packet_gives_way_to_cvsd() {
    scenario("codec", &["mute"]);
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn the_routing_helper_is_wanted_for_each_adapter_and_whenever_a_phone_connects_h2() {
    scenario("udev", &[]);
}
