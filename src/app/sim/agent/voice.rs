//! The simulated agent's voice and ear: samples at 16 kHz inside, the service's formats outside.

use std::process::{Command, Stdio};

use super::script::Say;
use crate::agent::AudioFormat;
use crate::codec::g711::Law;
use crate::dsp::{Meter, Resampler, Tone};
use crate::port::wav;

/// The rate inside.
pub(super) const RATE_HZ: u32 = 16_000;
/// Samples in 20 ms: the ear's step.
const FRAME_SAMPLES: usize = 320;
/// Louder is speech.
const SPEECH_DBFS: f32 = -40.0;
/// So many loud frames begin speech (60 ms).
const SPEECH_FRAMES: u32 = 3;
/// So many quiet frames end it (500 ms).
const SILENCE_FRAMES: u32 = 25;
/// Of a text that nobody can speak, each character lasts so long.
const CHARACTER_MS: u64 = 60;

/// The samples of what is said. What cannot be made is an error for the person who wrote the script.
pub(super) fn samples(say: &Say) -> Result<Vec<i16>, String> {
    match say {
        Say::Wav { wav } => wav::read(wav).map_err(|error| format!("{}: {error}", wav.display())),
        Say::Text { text } => {
            Ok(spoken(text).unwrap_or_else(|| melody(text.chars().count() as u64 * CHARACTER_MS)))
        }
        Say::Tone { tone_hz, ms } => Ok(tone(*tone_hz, *ms)),
    }
}

fn tone(hz: f32, ms: u64) -> Vec<i16> {
    let mut samples = vec![0; (u64::from(RATE_HZ) * ms / 1000) as usize];
    Tone::new(hz, RATE_HZ, -16.0).fill(&mut samples);
    samples
}

/// Rising and falling tones with pauses, in the rhythm of syllables.
fn melody(ms: u64) -> Vec<i16> {
    let notes = [330.0, 392.0, 440.0, 392.0].into_iter().cycle();
    notes.take((ms / 200).max(1) as usize).flat_map(|hz| [tone(hz, 150), vec![0; 800]].concat()).collect()
}

/// By espeak-ng; `None` where it is not installed or fails.
fn spoken(text: &str) -> Option<Vec<i16>> {
    let file = tempfile_path()?;
    let status = Command::new("espeak-ng")
        .arg("-w")
        .arg(&file)
        .arg("--")
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let samples = status.is_ok_and(|status| status.success()).then(|| wav::read(&file).ok()).flatten();
    let _ = std::fs::remove_file(&file);
    samples.filter(|samples| !samples.is_empty())
}

fn tempfile_path() -> Option<std::path::PathBuf> {
    let name = format!("callscoot-{}.wav", crate::sys::clock::rng().ok()?.hex(16));
    Some(std::env::temp_dir().join(name))
}

/// Samples in the service's format.
pub(super) fn encode(format: AudioFormat, samples: &[i16]) -> Vec<u8> {
    let Ok(mut resampler) = Resampler::new(RATE_HZ, format.rate_hz()) else { return Vec::new() };
    let mut bytes = Vec::new();
    let mut put = |piece: &[i16]| {
        if format == AudioFormat::Ulaw8000 {
            let mut octets = vec![0; piece.len()];
            Law::Mu.encode(piece, &mut octets);
            bytes.extend(octets);
        } else {
            bytes.extend(piece.iter().flat_map(|sample| sample.to_le_bytes()));
        }
    };
    for piece in samples.chunks(FRAME_SAMPLES) {
        resampler.process(piece, &mut put);
    }
    bytes
}

/// What the ear noticed in a piece of audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// The caller began to speak.
    pub(super) began: bool,
    /// The caller has spoken and is silent.
    pub(super) ended: bool,
}

/// Hears the caller: level, speech and silence by energy, in the caller's own time.
pub(super) struct Ear {
    format: AudioFormat,
    resampler: Resampler,
    odd: Option<u8>,
    frame: Vec<i16>,
    meter: Meter,
    loud: u32,
    quiet: u32,
    pub(super) is_speaking: bool,
    pub(super) heard_ms: u64,
    pub(super) level_dbfs: f32,
}

impl Ear {
    pub(super) fn new(format: AudioFormat) -> Option<Self> {
        let resampler = Resampler::new(format.rate_hz(), RATE_HZ).ok()?;
        Some(Self {
            format,
            resampler,
            odd: None,
            frame: Vec::new(),
            meter: Meter::default(),
            loud: 0,
            quiet: 0,
            is_speaking: false,
            heard_ms: 0,
            level_dbfs: f32::NEG_INFINITY,
        })
    }

    /// Takes a message of any length; `keep` gets its samples.
    pub(super) fn hear(&mut self, bytes: &[u8], mut keep: impl FnMut(&[i16])) -> Noticed {
        let samples = self.decode(bytes);
        let mut all = Vec::new();
        self.resampler.process(&samples, |piece| all.extend_from_slice(piece));
        keep(&all);
        self.frame.extend(all);
        let mut noticed = Noticed::default();
        while self.frame.len() >= FRAME_SAMPLES {
            let rest = self.frame.split_off(FRAME_SAMPLES);
            let frame = std::mem::replace(&mut self.frame, rest);
            self.heard_ms += 20;
            self.meter.add(&frame);
            self.level_dbfs = self.meter.take_dbfs();
            self.judge(&mut noticed);
        }
        noticed
    }

    fn judge(&mut self, noticed: &mut Noticed) {
        if self.level_dbfs > SPEECH_DBFS {
            (self.loud, self.quiet) = (self.loud + 1, 0);
        } else {
            (self.loud, self.quiet) = (0, self.quiet + 1);
        }
        if !self.is_speaking && self.loud >= SPEECH_FRAMES {
            self.is_speaking = true;
            noticed.began = true;
        } else if self.is_speaking && self.quiet >= SILENCE_FRAMES {
            self.is_speaking = false;
            noticed.ended = true;
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Vec<i16> {
        if self.format == AudioFormat::Ulaw8000 {
            let mut samples = vec![0; bytes.len()];
            Law::Mu.decode(bytes, &mut samples);
            return samples;
        }
        let all: Vec<u8> = self.odd.take().into_iter().chain(bytes.iter().copied()).collect();
        let pairs = all.chunks_exact(2);
        self.odd = pairs.remainder().first().copied();
        pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ear_notices_speech_and_the_silence_after_it_in_every_format() {
        for format in AudioFormat::ALL {
            let mut ear = Ear::new(format).unwrap();
            let mut hear = |samples: &[i16]| {
                let mut all = Noticed::default();
                for piece in encode(format, samples).chunks(777) {
                    let noticed = ear.hear(piece, |_| ());
                    all.began |= noticed.began;
                    all.ended |= noticed.ended;
                }
                all
            };
            assert_eq!(hear(&vec![0; 16_000]), Noticed::default());
            assert_eq!(hear(&tone(500.0, 1000)), Noticed { began: true, ended: false }, "{format}");
            assert_eq!(hear(&vec![0; 16_000]), Noticed { began: false, ended: true }, "{format}");
        }
    }

    #[test]
    fn a_text_is_heard_with_or_without_a_speaker() {
        let words = samples(&Say::Text { text: "Good morning.".into() }).unwrap();
        let tones = melody(1000);
        assert!(words.len() > 4000 && tones.len() == 16_000, "{} {}", words.len(), tones.len());
    }
}
