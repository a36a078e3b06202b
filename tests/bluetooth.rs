//! Whole calls over a real bluetoothd, real RFCOMM and real voice links: the service in a guest without radio
//! (tests/bluetooth/bench), a scripted phone on the other side. `make test-bluetooth`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::print_stdout, reason = "the figures are what a person runs it for")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::sound::Sound;
use support::speech::{narrow, score, spoken};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Speech in a call must be at least so good in either direction (mean opinion score).
const PESQ_MIN: f64 = 3.0;

/// A folder for the guest: the scenario, the program, and what both sides say.
fn scenario(codec: &str) -> PathBuf {
    let folder = Path::new(ROOT).join("target/bluetooth").join(codec);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("logs")).unwrap();
    for file in ["run.sh", "drive.py"] {
        fs::copy(Path::new(ROOT).join("tests/bluetooth/calls").join(file), folder.join(file)).unwrap();
    }
    fs::copy(Path::new(ROOT).join("src/callscoot_client.py"), folder.join("callscoot_client.py")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_callscoot"), folder.join("callscoot")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_callscoot-sco-routing"), folder.join("callscoot-sco-routing")).unwrap();

    let caller = "I would like to order two loaves of bread, and a small cake for my daughter.";
    let agent = "Of course. The bread will be ready at noon, and the cake tomorrow morning at nine.";
    // A voice link opens before the agent listens: what is said in its first second may be lost, as with people.
    let caller = Sound::silence(16_000, 2000).then(&spoken("en-gb", caller));
    let agent = Sound::silence(16_000, 500).then(&spoken("en-us", agent));
    if codec == "msbc" { caller.clone() } else { narrow(&caller) }.write_wav(&folder.join("phone.wav"));
    caller.write_wav(&folder.join("caller.wav"));
    agent.write_wav(&folder.join("agent.wav"));
    folder
}

fn calls_over(codec: &str) {
    let folder = scenario(codec);
    let status = Command::new(format!("{ROOT}/tests/bluetooth/bench/run.sh"))
        .args(["--timeout", "180"])
        .arg(&folder)
        .arg(codec)
        .status()
        .unwrap();
    assert!(status.success(), "{codec}: {status}; see {}/logs", folder.display());
    let rate = if codec == "msbc" { 16_000 } else { 8000 };
    let heard = [
        ("call in, the agent hears", "caller.wav", "logs/agent_heard_inbound.wav"),
        ("call in, the phone hears", "agent.wav", "logs/phone_heard.wav"),
        ("call out, the agent hears", "caller.wav", "logs/agent_heard_outbound.wav"),
        ("call out, the phone hears", "agent.wav", "logs/phone_heard-2.wav"),
    ];
    let mut bad = 0;
    for (what, said, heard) in heard {
        let score = score(rate, &folder.join(said), &folder.join(heard));
        println!("{codec}: {what}: PESQ {:.2}", score.pesq);
        bad += usize::from(score.pesq < PESQ_MIN);
    }
    assert_eq!(bad, 0, "{codec}: speech is not intelligible");
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn wide_band_calls_in_and_out_over_a_real_bluetoothd() {
    calls_over("msbc");
}

#[test]
#[ignore = "boots a guest with a real bluetoothd: make test-bluetooth"]
fn narrow_band_calls_in_and_out_over_a_real_bluetoothd() {
    calls_over("cvsd");
}
