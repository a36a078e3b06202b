//! Speech that is sent through a line, and how well it came through.

use std::path::Path;
use std::process::Command;

use callscoot::dsp::Down2;
use callscoot::port::wav;
use serde_json::Value;

use super::sims::python;
use super::sound::Sound;

/// A text spoken at 16 kHz.
pub fn spoken(voice: &str, text: &str) -> Sound {
    let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
    let done =
        Command::new("espeak-ng").args(["-v", voice, "-w"]).arg(file.path()).args(["--", text]).status();
    assert!(done.unwrap().success(), "espeak-ng speaks");
    Sound { rate: 16_000, samples: wav::read(file.path()).unwrap() }
}

/// The same at 8 kHz.
pub fn narrow(wide: &Sound) -> Sound {
    assert_eq!(wide.rate, 16_000);
    let mut samples = vec![0; wide.samples.len() / 2];
    Down2::default().process(&wide.samples[..samples.len() * 2], &mut samples);
    Sound { rate: 8000, samples }
}

/// How well speech came through.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Mean opinion score, listening quality (ITU-T P.862.2 at 16 kHz, P.862 at 8 kHz).
    pub pesq: f64,
    /// By how much later it begins in the file than in the reference.
    pub delay_ms: f64,
}

/// Compares what was heard with what was said; `rate` 8000 or 16000 is the bandwidth in which they are compared.
pub fn score(rate: u32, reference: &Path, heard: &Path) -> Score {
    let output =
        python().args(["tests/pesq_score.py", &rate.to_string()]).args([reference, heard]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    Score { pesq: answer["pesq"].as_f64().unwrap(), delay_ms: answer["delay_ms"].as_f64().unwrap() }
}
