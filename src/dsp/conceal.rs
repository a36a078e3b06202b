//! Concealing lost packets, in the spirit of ITU-T G.711 Appendix I, at 8 and 16 kHz: the voice goes on for a moment by
//! repeating its last pitch periods, ever quieter, and is silent after 60 ms.
//!
//! Unlike the Appendix no delay is paid for overlapping into a loss: the step at its beginning is faded away.
//!
//! ```text
//!  good … |last period|      lost: period, period, two periods, …  × falling gain     good again
//!                     └step faded over 2 ms                        └──overlapped 4–10 ms──┘
//! ```

/// Samples in a millisecond, at most: at 16 kHz.
const MS_MAX: usize = 16;
/// Pitch between 66 and 200 Hz.
const PITCH_MIN_MS: usize = 5;
const PITCH_MAX_MS: usize = 15;
/// How much of the past two periods are compared over.
const CORRELATED_MS: usize = 20;
/// What is remembered: three long periods and the overlap of a quarter of one.
const HISTORY: usize = 3 * PITCH_MAX_MS * MS_MAX + PITCH_MAX_MS * MS_MAX / 4;
/// After 10 ms the gain falls by a fifth every 10 ms, and is zero from 60 ms on.
const FADE_FROM_MS: usize = 10;
const SILENT_FROM_MS: usize = 60;
/// The step at the beginning is faded over so long.
const STEP_FADE_MS: usize = 2;

/// One stream, by default at 8 kHz.
#[derive(Clone, Debug)]
pub struct Concealment {
    /// Samples in a millisecond.
    ms: usize,
    /// How many of the first good samples after a loss are none yet.
    settling: usize,
    history: [i16; HISTORY],
    /// The periods being repeated, made at the beginning of a loss.
    periods: [f32; HISTORY],
    pitch: usize,
    /// Samples made since the last good one; 0 while all is well.
    lost: usize,
    /// Where the next made sample is in its period.
    at: usize,
    /// The step at the beginning of the loss.
    step: f32,
}

impl Default for Concealment {
    fn default() -> Self {
        Self::new(8000)
    }
}

impl Concealment {
    /// A stream at 8 or 16 kHz.
    pub fn new(rate_hz: u32) -> Self {
        let ms = (rate_hz as usize / 1000).clamp(1, MS_MAX);
        Self {
            ms,
            settling: 0,
            history: [0; HISTORY],
            periods: [0.0; HISTORY],
            pitch: PITCH_MIN_MS * ms,
            lost: 0,
            at: 0,
            step: 0.0,
        }
    }

    /// A stream whose decoder gives so many wrong samples after a loss, because it remembers: they are made up, too.
    pub fn settling(mut self, samples: usize) -> Self {
        self.settling = samples;
        self
    }

    /// Good samples, in order. After a loss their beginning is overlapped with what was made up; true then.
    pub fn good(&mut self, samples: &mut [i16]) -> bool {
        let after_loss = self.lost > 0;
        if after_loss {
            self.overlap(samples);
            self.lost = 0;
        }
        self.remember(samples);
        after_loss
    }

    /// Makes up the samples of a loss.
    pub fn lost(&mut self, samples: &mut [i16]) {
        if self.lost == 0 {
            self.begin();
        }
        for sample in samples.iter_mut() {
            *sample = self.next().round() as i16;
        }
        self.remember(samples);
    }

    fn remember(&mut self, samples: &[i16]) {
        let new = &samples[samples.len().saturating_sub(HISTORY)..];
        self.history.copy_within(new.len().., 0);
        self.history[HISTORY - new.len()..].copy_from_slice(new);
    }

    fn begin(&mut self) {
        self.pitch = self.find_pitch();
        for (period, sample) in self.periods.iter_mut().zip(&self.history) {
            *period = f32::from(*sample);
        }
        self.smooth_seam();
        self.at = 0;
        let last = f32::from(self.history[HISTORY - 1]);
        self.step = last - f32::from(self.history[HISTORY - 1 - self.pitch]);
    }

    /// The last quarter period is overlapped with the one before it, so that the repetition has no seam.
    fn smooth_seam(&mut self) {
        let quarter = self.pitch / 4;
        for index in 0..quarter {
            let place = HISTORY - quarter + index;
            let weight = (index + 1) as f32 / (quarter + 1) as f32;
            let earlier = f32::from(self.history[place - self.pitch]);
            self.periods[place] += (earlier - self.periods[place]) * weight;
        }
    }

    /// How many periods are repeated: one at first, two after 10 ms, three after 20, so that it does not buzz.
    fn periods_in_use(&self) -> usize {
        (self.lost / (FADE_FROM_MS * self.ms) + 1).min(3)
    }

    fn next(&mut self) -> f32 {
        let gain = self.gain();
        let length = self.periods_in_use() * self.pitch;
        if self.at >= length {
            self.at -= length.min(self.at);
        }
        let mut value = self.periods[HISTORY - length + self.at % length];
        let step_fade = STEP_FADE_MS * self.ms;
        if self.lost < step_fade {
            value += self.step * (1.0 - (self.lost + 1) as f32 / (step_fade + 1) as f32);
        }
        self.at += 1;
        self.lost += 1;
        (value * gain).clamp(f32::from(i16::MIN), f32::from(i16::MAX))
    }

    fn gain(&self) -> f32 {
        if self.lost >= SILENT_FROM_MS * self.ms {
            return 0.0;
        }
        let fade_from = FADE_FROM_MS * self.ms;
        let faded = self.lost.saturating_sub(fade_from) as f32 / fade_from as f32;
        (1.0 - 0.2 * faded).max(0.0)
    }

    /// Cross-fades the end of a loss into good samples: longer after a longer loss, at most 10 ms.
    fn overlap(&mut self, samples: &mut [i16]) {
        let (settling, samples) = samples.split_at_mut(self.settling.min(samples.len()));
        for sample in settling {
            *sample = self.next().round() as i16;
        }
        let ms = self.ms;
        let long =
            (self.pitch / 4 + self.lost / (FADE_FROM_MS * ms) * 4 * ms).min(10 * ms).min(samples.len());
        for (index, sample) in samples[..long].iter_mut().enumerate() {
            let weight = (index + 1) as f32 / (long + 1) as f32;
            let made = self.next();
            *sample = (made + (f32::from(*sample) - made) * weight).round() as i16;
        }
    }

    /// The lag at which the end of the past resembles what was before it most (normalised cross-correlation).
    fn find_pitch(&self) -> usize {
        let correlated = CORRELATED_MS * self.ms;
        let end = &self.history[HISTORY - correlated..];
        let mut best = (f32::MIN, PITCH_MIN_MS * self.ms);
        for lag in PITCH_MIN_MS * self.ms..=PITCH_MAX_MS * self.ms {
            let earlier = &self.history[HISTORY - correlated - lag..HISTORY - lag];
            let (mut product, mut energy) = (0i64, 0i64);
            // At 8 kHz every second sample decides as well as all of them.
            for (a, b) in end.iter().zip(earlier).step_by(self.ms.div_ceil(4)) {
                product += i64::from(*a) * i64::from(*b);
                energy += i64::from(*b) * i64::from(*b);
            }
            let likeness = product as f32 / (energy.max(1) as f32).sqrt();
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::{Meter, Tone, level_at};

    /// A voiced sound: 125 Hz with harmonics.
    fn voice(len: usize) -> Vec<i16> {
        voice_at(8000, len)
    }

    fn voice_at(rate_hz: u32, len: usize) -> Vec<i16> {
        let mut sum = vec![0i16; len];
        for (hz, dbfs) in [(125.0, -15.0), (250.0, -18.0), (500.0, -22.0), (1000.0, -28.0)] {
            let mut part = vec![0; len];
            Tone::new(hz, rate_hz, dbfs).fill(&mut part);
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part;
            }
        }
        sum
    }

    fn level(samples: &[i16]) -> f32 {
        let mut meter = Meter::default();
        meter.add(samples);
        meter.take_dbfs()
    }

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs()).max().unwrap()
    }

    #[test]
    fn good_samples_are_left_alone() {
        let mut concealment = Concealment::default();
        let mut samples = voice(800);
        for piece in samples.chunks_mut(160) {
            assert!(!concealment.good(piece));
        }
        assert_eq!(samples, voice(800));
    }

    #[test]
    fn one_lost_packet_of_a_voice_is_hardly_heard() {
        let mut samples = voice(1600);
        let natural = largest_step(&samples);
        let mut concealment = Concealment::default();
        concealment.good(&mut samples[..800]);
        concealment.lost(&mut samples[800..960]);
        assert!(concealment.good(&mut samples[960..]));
        assert!(largest_step(&samples) <= natural * 3 / 2, "{} against {natural}", largest_step(&samples));
        let (before, made) = (level(&samples[640..800]), level(&samples[800..960]));
        assert!((before - made).abs() < 2.0, "{before} dBFS became {made}");
        assert!(level_at(&samples[800..960], 8000, 125.0) > -18.0);
    }

    #[test]
    fn one_lost_frame_of_msbc_is_hardly_heard_and_what_the_decoder_gets_wrong_after_it_is_not_heard() {
        let mut samples = voice_at(16_000, 3000);
        let natural = largest_step(&samples);
        let mut concealment = Concealment::new(16_000).settling(36);
        for piece in samples[..2040].chunks_mut(120) {
            concealment.good(piece);
        }
        concealment.lost(&mut samples[2040..2160]);
        samples[2160..2196].fill(i16::MAX);
        assert!(concealment.good(&mut samples[2160..2280]));
        assert!(!concealment.good(&mut samples[2280..2400]));
        assert!(largest_step(&samples) <= natural * 3 / 2, "{} against {natural}", largest_step(&samples));
        let (before, made) = (level(&samples[1920..2040]), level(&samples[2040..2196]));
        assert!((before - made).abs() < 3.0, "{before} dBFS became {made}");
        let right = voice_at(16_000, 3000);
        let off = |at: usize| (i32::from(samples[at]) - i32::from(right[at])).abs();
        assert!((2040..2280).all(|at| off(at) < 1500), "{:?}", (2040..2280).map(off).max());
    }

    #[test]
    fn a_long_loss_fades_and_is_silent_after_60_ms() {
        let mut concealment = Concealment::default();
        concealment.good(&mut voice(800));
        let levels: Vec<f32> = (0..8)
            .map(|_| {
                let mut made = [0; 80];
                concealment.lost(&mut made);
                level(&made)
            })
            .collect();
        assert!(levels[..6].windows(2).all(|pair| pair[1] < pair[0] + 1.5), "{levels:?}");
        assert!(levels[5] < levels[0] - 10.0, "{levels:?}");
        assert!(levels[6..].iter().all(|level| *level <= -96.0), "{levels:?}");
    }

    #[test]
    fn silence_is_concealed_by_silence_and_full_scale_does_not_wrap() {
        let mut concealment = Concealment::default();
        let mut made = [7; 160];
        concealment.lost(&mut made);
        assert_eq!(made, [0; 160]);
        let square: Vec<i16> = (0..800).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let mut samples = square.clone();
        concealment.good(&mut samples);
        concealment.lost(&mut made);
        concealment.good(&mut samples[..160]);
        assert_eq!(samples[100..160], square[100..160]);
    }
}
