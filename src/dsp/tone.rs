//! Tones, and how much of a tone is in a sound: test calls, simulated peers, measurements.

use std::f64::consts::TAU;

use super::SILENCE_DBFS;

/// A sine that goes on from one call to the next.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    phase: f64,
    step: f64,
    amplitude: f64,
}

impl Tone {
    /// A sine of `hz` at `rate_hz` samples a second whose root mean square is `dbfs`.
    pub fn new(hz: f32, rate_hz: u32, dbfs: f32) -> Self {
        let amplitude = std::f64::consts::SQRT_2 * 32768.0 * 10f64.powf(f64::from(dbfs) / 20.0);
        Self { phase: 0.0, step: TAU * f64::from(hz) / f64::from(rate_hz.max(1)), amplitude }
    }

    /// The next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            *sample = (self.phase.sin() * self.amplitude).round() as i16;
            self.phase = (self.phase + self.step) % TAU;
        }
    }
}

/// The level of a sine of `hz` in the samples, in dBFS: correlation over whole periods with a Hann window.
pub fn level_at(samples: &[i16], rate_hz: u32, hz: f32) -> f32 {
    let step = TAU * f64::from(hz) / f64::from(rate_hz.max(1));
    let len = samples.len() as f64;
    let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / len).cos();
        let angle = step * index as f64;
        real += window * f64::from(*sample) * angle.cos();
        imaginary += window * f64::from(*sample) * angle.sin();
        weight += window;
    }
    // Amplitude of the sine, then its root mean square against full scale.
    let amplitude = 2.0 * real.hypot(imaginary) / f64::max(weight, 1.0);
    let rms = amplitude / std::f64::consts::SQRT_2 / 32768.0;
    if rms <= 0.0 { SILENCE_DBFS } else { ((20.0 * rms.log10()) as f32).max(SILENCE_DBFS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_frequency_and_level_and_nowhere_else() {
        let mut samples = [0; 3200];
        let mut tone = Tone::new(440.0, 16000, -12.0);
        for piece in samples.chunks_mut(333) {
            tone.fill(piece);
        }
        assert!((level_at(&samples, 16000, 440.0) + 12.0).abs() < 0.1);
        assert!(level_at(&samples, 16000, 880.0) < -70.0);
        assert!((level_at(&[], 16000, 440.0) - SILENCE_DBFS).abs() < f32::EPSILON);
    }
}
