//! What the two simulated people say: the caller as a WAV file, the agent as a script.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::app::fault::Fault;
use crate::dsp::Tone;
use crate::port::wav::{self, Recording};

/// Samples in a millisecond at 16 kHz.
const PER_MS: usize = 16;
/// The caller lets the agent talk for so long, then talks over it.
const CALLER_LISTENS_MS: usize = 3500;
/// The caller waits for the answer for so long.
const CALLER_WAITS_MS: usize = 6500;

const QUESTION: &str = "Sorry to interrupt. Do you have any sourdough bread left?";
const THANKS: &str = "Wonderful, thank you. Goodbye.";
const GREETING: &str = "Good morning, this is the bakery. We open at eight and close at six, on Sundays we open at \
    nine, and today we have rye bread, poppy seed rolls and a plum cake.";
const ANSWER: &str = "Yes, two loaves are left. I will put one aside for you.";
const FAREWELL: &str = "Goodbye, see you soon.";

/// Writes `caller.wav`: silence, a question into the agent's greeting, silence, thanks.
pub(super) fn write_caller(folder: &Path) -> Result<(), Fault> {
    let mut samples = vec![0; CALLER_LISTENS_MS * PER_MS];
    samples.extend(spoken(QUESTION, folder)?);
    samples.extend(vec![0; CALLER_WAITS_MS * PER_MS]);
    samples.extend(spoken(THANKS, folder)?);
    let failed = |error: wav::WavError| Fault::Failed(format!("caller.wav: {error}"));
    let mut recording = Recording::create(&folder.join("caller.wav"), 1).map_err(failed)?;
    recording.write(&samples, &[]).map_err(failed)?;
    recording.finish().map_err(failed)
}

/// The agent's script, for `sim agent --script`.
pub(super) fn agent_script() -> Value {
    json!({
        "input_format": "ulaw_8000",
        "output_format": "ulaw_8000",
        "steps": [
            { "say": { "text": GREETING } },
            { "when": "after_caller", "caller_said": QUESTION, "say": { "text": ANSWER } },
            { "when": "after_caller", "caller_said": THANKS, "say": { "text": FAREWELL },
              "tool": { "system": "end_call" } },
        ],
        "close": { "code": 1000, "reason": "done" },
    })
}

/// 16 kHz mono: spoken by espeak-ng where it is installed, else a tone of about that length.
fn spoken(text: &str, folder: &Path) -> Result<Vec<i16>, Fault> {
    let path = folder.join("spoken.wav");
    let done = Command::new("espeak-ng")
        .args(["-v", "en-gb", "-s", "165", "-w"])
        .arg(&path)
        .arg(text)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if done.is_ok_and(|status| status.success()) {
        let samples = wav::read(&path).map_err(|error| Fault::Failed(format!("espeak-ng: {error}")))?;
        // A file that cannot be removed is a few seconds of speech in a folder of ours.
        let _ = std::fs::remove_file(&path);
        return Ok(samples);
    }
    let mut samples = vec![0; text.len() * 60 * PER_MS];
    Tone::new(440.0, 16_000, -15.0).fill(&mut samples);
    Ok(samples)
}
