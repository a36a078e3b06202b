//! Tones that are played, and what is left of them when they come back: measured, not believed.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

/// Length of the pieces in which sound is judged.
const WINDOW_MS: usize = 20;
/// A window holds a tone when this share of its energy is at the tone's frequency.
const TONE_SHARE: f64 = 0.7;
/// Quieter windows (about -46 dB below full scale) hold nothing.
const QUIET_RMS: f64 = 160.0;

/// Mono sound.
#[derive(Clone, Debug, Default)]
pub struct Sound {
    /// Samples a second.
    pub rate: u32,
    /// Signed 16-bit samples.
    pub samples: Vec<i16>,
}

impl Sound {
    /// A steady tone at a quarter of full scale.
    pub fn tone(rate: u32, hertz: f64, ms: usize) -> Self {
        let count = rate as usize * ms / 1000;
        let step = TAU * hertz / f64::from(rate);
        let samples = (0..count).map(|index| ((step * index as f64).sin() * 8192.0) as i16).collect();
        Self { rate, samples }
    }

    /// Nothing at all.
    pub fn silence(rate: u32, ms: usize) -> Self {
        Self { rate, samples: vec![0; rate as usize * ms / 1000] }
    }

    /// This, then that.
    pub fn then(mut self, next: &Self) -> Self {
        assert_eq!(self.rate, next.rate, "one rate for one sound");
        self.samples.extend(&next.samples);
        self
    }

    /// Writes a mono WAV file.
    pub fn write_wav(&self, path: &Path) {
        let spec = WavSpec {
            channels: 1,
            sample_rate: self.rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(path, spec).unwrap();
        for sample in &self.samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    /// Writes raw G.711 mu-law, as SIPp streams it.
    pub fn write_ulaw(&self, path: &Path) {
        assert_eq!(self.rate, 8000, "G.711 has 8000 samples a second");
        let bytes: Vec<u8> = self.samples.iter().map(|sample| ulaw(*sample)).collect();
        fs::write(path, bytes).unwrap();
    }

    /// Reads one channel of a WAV file of 16-bit samples. A file whose writer was stopped is read as far as it goes.
    pub fn read_wav(path: &Path, channel: usize) -> Self {
        let reader = WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let spec = reader.spec();
        let step = usize::from(spec.channels);
        let samples =
            reader.into_samples::<i16>().map_while(Result::ok).skip(channel).step_by(step).collect();
        Self { rate: spec.sample_rate, samples }
    }

    /// Length in milliseconds.
    pub fn ms(&self) -> usize {
        self.samples.len() * 1000 / self.rate as usize
    }

    /// How many milliseconds of it are this tone and little else.
    pub fn tone_ms(&self, hertz: f64) -> usize {
        self.windows().filter(|window| holds_tone(window, self.rate, hertz)).count() * WINDOW_MS
    }

    /// Milliseconds from the beginning to the first window with this tone.
    pub fn tone_starts_ms(&self, hertz: f64) -> Option<usize> {
        self.windows().position(|window| holds_tone(window, self.rate, hertz)).map(|at| at * WINDOW_MS)
    }

    /// How many milliseconds are loud enough to be heard.
    pub fn loud_ms(&self) -> usize {
        self.windows().filter(|window| rms(window) > QUIET_RMS).count() * WINDOW_MS
    }

    /// Root mean square of the windows that hold the tone, in decibels below full scale.
    pub fn tone_dbfs(&self, hertz: f64) -> f64 {
        let with: Vec<i16> =
            self.windows().filter(|w| holds_tone(w, self.rate, hertz)).flatten().copied().collect();
        20.0 * (rms(&with) / 32768.0).log10()
    }

    fn windows(&self) -> impl Iterator<Item = &[i16]> {
        self.samples.chunks_exact(self.rate as usize * WINDOW_MS / 1000)
    }
}

fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// Goertzel's filter: the share of a window's energy at one frequency.
fn holds_tone(window: &[i16], rate: u32, hertz: f64) -> bool {
    let level = rms(window);
    if level < QUIET_RMS {
        return false;
    }
    let twice_cos = 2.0 * (TAU * hertz / f64::from(rate)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in window {
        let zero = f64::from(*sample) + twice_cos * one - two;
        (one, two) = (zero, one);
    }
    let energy = one * one + two * two - twice_cos * one * two;
    let count = window.len() as f64;
    // A pure tone gives (amplitude * count / 2)^2, and its rms is amplitude / sqrt(2).
    2.0 * energy / (count * level).powi(2) > TONE_SHARE
}

/// One sample in mu-law (G.711), by its definition.
pub fn ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs().min(32_635)) + 132;
    let exponent = (magnitude >> 7).ilog2();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// The middle of the range that a mu-law byte stands for.
pub fn from_ulaw(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((i32::from(bits & 0x0f) << 3) + 132) << (bits >> 4 & 7);
    let level = (magnitude - 132) as i16;
    if bits & 0x80 == 0 { level } else { -level }
}
