//! How loud: root mean square in dB below full scale.

/// What a meter shows for digital silence.
pub const SILENCE_DBFS: f32 = -96.0;

/// Collects samples until it is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    sum_of_squares: u64,
    samples: u32,
}

impl Meter {
    /// Adds samples.
    pub fn add(&mut self, samples: &[i16]) {
        let squares = samples.iter().map(|sample| u64::from(i32::from(*sample).pow(2) as u32));
        self.sum_of_squares = self.sum_of_squares.saturating_add(squares.sum());
        self.samples = self.samples.saturating_add(samples.len() as u32);
    }

    /// Adds so many samples of silence.
    pub fn add_silence(&mut self, samples: u32) {
        self.samples = self.samples.saturating_add(samples);
    }

    /// Samples since the last reading.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// The level of what was added, in dBFS (a full-scale sine shows -3), and begins anew.
    pub fn take_dbfs(&mut self) -> f32 {
        let meter = std::mem::take(self);
        if meter.samples == 0 || meter.sum_of_squares == 0 {
            return SILENCE_DBFS;
        }
        let mean = meter.sum_of_squares as f64 / f64::from(meter.samples);
        ((10.0 * (mean / f64::from(1u32 << 30)).log10()) as f32).max(SILENCE_DBFS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::Tone;

    #[test]
    fn a_sine_shows_its_level_and_silence_the_floor() {
        let mut meter = Meter::default();
        let mut samples = [0; 1600];
        Tone::new(1000.0, 16000, -20.0).fill(&mut samples);
        meter.add(&samples);
        assert_eq!(meter.samples(), 1600);
        assert!((meter.take_dbfs() + 20.0).abs() < 0.1);
        meter.add(&[0; 160]);
        assert!((meter.take_dbfs() - SILENCE_DBFS).abs() < f32::EPSILON);
        meter.add(&[i16::MIN; 160]);
        assert!(meter.take_dbfs().abs() < 0.01);
    }
}
