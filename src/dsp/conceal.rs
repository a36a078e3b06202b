//! Concealing lost packets at 8 and 16 kHz: the voice goes on for a moment by repeating its last pitch period, softer
//! or louder by what that was against the one before, then ever quieter, and is silent after 60 ms. Between ITU-T
//! G.711 Appendix I (the repetition, its fading) and HFP 1.8, appendix A (a short piece to look for, its loudness, what
//! the decoder rings on with).
//!
//! No delay is paid for overlapping into a loss: where the decoder rings on, what is made up takes over from that; else
//! the step at its beginning is faded away.
//!
//! ```text
//!  good … |last period|   lost: period, period, period … × falling gain   good again
//!                     └ from the ring, 1 ms, or step faded, 2 ms          └ settling, made up; overlapped, 2 ms
//! ```

/// Samples in a millisecond, at most: at 16 kHz.
const MS_MAX: usize = 16;
/// Pitch between 66 and 400 Hz, in halves of a millisecond.
const PITCH_MIN_HALF_MS: usize = 5;
const PITCH_MAX_HALF_MS: usize = 30;
const PITCH_MAX: usize = PITCH_MAX_HALF_MS * MS_MAX / 2;
/// So much of the end is looked for in what was before it. A longer piece finds what the voice was, not what it has
/// become.
const COMPARED_MS: usize = 5;
/// What is remembered.
const HISTORY: usize = PITCH_MAX + COMPARED_MS * MS_MAX;
/// How much louder than the period before, or softer, the voice may have become.
const LEVEL_MAX: f32 = 1.2;
const LEVEL_MIN: f32 = 0.75;
/// After 10 ms the gain falls by a fifth every 10 ms, and is zero from 60 ms on.
const FADE_FROM_MS: usize = 10;
const SILENT_FROM_MS: usize = 60;
/// What the decoder rings on with is used for so long.
const RING_MS: usize = 1;
/// Without it, the step at the beginning is faded over so long.
const STEP_FADE_MS: usize = 2;
/// Good samples are overlapped with made ones over so long.
const END_FADE_MS: usize = 2;

/// One stream, by default at 8 kHz.
#[derive(Clone, Debug)]
pub struct Concealment {
    /// Samples in a millisecond.
    ms: usize,
    /// How many of the first good samples after a loss are none yet.
    settling: usize,
    history: [i16; HISTORY],
    /// The period being repeated, made at the beginning of a loss; of its length is `pitch`.
    period: [f32; PITCH_MAX],
    pitch: usize,
    /// Samples made since the last good one; 0 while all is well.
    lost: usize,
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
            period: [0.0; PITCH_MAX],
            pitch: PITCH_MIN_HALF_MS * ms / 2,
            lost: 0,
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

    /// Makes up the samples of a loss. `ring` is what a decoder that remembers gives for nothing; others have none.
    pub fn lost(&mut self, samples: &mut [i16], ring: &[i16]) {
        let begins = self.lost == 0;
        let ring = &ring[..ring.len().min(if begins { RING_MS * self.ms } else { 0 })];
        if begins {
            self.begin(ring.is_empty());
        }
        for (index, sample) in samples.iter_mut().enumerate() {
            let made = self.next();
            let rings = ring.get(index).map(|rings| f32::from(*rings));
            *sample = rings.map_or(made, |rings| faded(rings, made, index, ring.len())).round() as i16;
        }
        self.remember(samples);
    }

    fn remember(&mut self, samples: &[i16]) {
        let new = &samples[samples.len().saturating_sub(HISTORY)..];
        self.history.copy_within(new.len().., 0);
        self.history[HISTORY - new.len()..].copy_from_slice(new);
    }

    fn begin(&mut self, fades_step: bool) {
        let (pitch, level) = self.find_pitch();
        let past = |back: usize| f32::from(self.history[HISTORY - back]);
        let quarter = pitch / 4;
        for (index, made) in self.period[..pitch].iter_mut().enumerate() {
            let back = pitch - index;
            // The last quarter turns into what was before the period, so that the repetition has no seam.
            let turned = (quarter + 1).saturating_sub(back);
            let value = if turned == 0 {
                past(back)
            } else {
                faded(past(back), past(back + pitch), turned - 1, quarter)
            };
            *made = value * level;
        }
        self.step = if fades_step { past(1) - past(1 + pitch) * level } else { 0.0 };
        self.pitch = pitch;
    }

    fn next(&mut self) -> f32 {
        let step_fade = STEP_FADE_MS * self.ms;
        let step = if self.lost < step_fade { faded(self.step, 0.0, self.lost, step_fade) } else { 0.0 };
        let value = (self.period[self.lost % self.pitch] + step) * self.gain();
        self.lost += 1;
        value.clamp(f32::from(i16::MIN), f32::from(i16::MAX))
    }

    fn gain(&self) -> f32 {
        if self.lost >= SILENT_FROM_MS * self.ms {
            return 0.0;
        }
        let fade_from = FADE_FROM_MS * self.ms;
        let faded = self.lost.saturating_sub(fade_from) as f32 / fade_from as f32;
        (1.0 - 0.2 * faded).max(0.0)
    }

    /// The end of a loss: made up until the decoder is right again, then faded into good samples.
    fn overlap(&mut self, samples: &mut [i16]) {
        let (settling, samples) = samples.split_at_mut(self.settling.min(samples.len()));
        for sample in settling {
            *sample = self.next().round() as i16;
        }
        let long = (END_FADE_MS * self.ms).min(samples.len());
        for (index, sample) in samples[..long].iter_mut().enumerate() {
            *sample = faded(self.next(), f32::from(*sample), index, long).round() as i16;
        }
    }

    /// The lag at which the end of the past resembles what was before it most (normalised cross-correlation), and how
    /// much louder the end is.
    fn find_pitch(&self) -> (usize, f32) {
        let compared = COMPARED_MS * self.ms;
        let energy = |samples: &[i16]| samples.iter().map(|a| i64::from(*a) * i64::from(*a)).sum::<i64>();
        let before = |lag: usize| &self.history[HISTORY - compared - lag..HISTORY - lag];
        let end = before(0);
        let (mut best, mut found) = (f32::MIN, (PITCH_MIN_HALF_MS * self.ms / 2, 0));
        for lag in PITCH_MIN_HALF_MS * self.ms / 2..=PITCH_MAX_HALF_MS * self.ms / 2 {
            let product: i64 = end.iter().zip(before(lag)).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum();
            let energy = energy(before(lag));
            let likeness = product as f32 / (energy.max(1) as f32).sqrt();
            if likeness > best {
                (best, found) = (likeness, (lag, energy));
            }
        }
        let (pitch, earlier) = found;
        let level = (energy(end) as f32 / earlier.max(1) as f32).sqrt();
        (pitch, level.clamp(LEVEL_MIN, LEVEL_MAX))
    }
}

/// Sample `index` of `long`, on the way from one signal to another.
fn faded(from: f32, to: f32, index: usize, long: usize) -> f32 {
    let weight = (index + 1) as f32 / (long + 1) as f32;
    from + (to - from) * weight
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
        concealment.lost(&mut samples[800..960], &[]);
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
        concealment.lost(&mut samples[2040..2160], &[]);
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
    fn a_loss_begins_with_what_the_decoder_rings_on_with_once() {
        let mut concealment = Concealment::new(16_000);
        let mut made = [0; 120];
        for begins in [true, false] {
            concealment.lost(&mut made, &[1000; 120]);
            assert_eq!((made[0] > 900, made[8] > 400), (begins, begins), "{made:?}");
            assert_eq!(made[16..], [0; 104]);
        }
    }

    /// The level of the last period of a voice with such a loudness, in dBFS, and that of what is made after it.
    fn last_and_made(loudness: impl Fn(f32) -> f32) -> (f32, f32) {
        let mut samples = voice(800);
        for (index, sample) in samples.iter_mut().enumerate() {
            *sample = (f32::from(*sample) * loudness(index as f32)) as i16;
        }
        let mut concealment = Concealment::default();
        concealment.good(&mut samples);
        let mut made = [0; 64];
        concealment.lost(&mut made, &[]);
        (level(&samples[736..]), level(&made))
    }

    #[test]
    fn a_voice_that_fades_goes_on_fading() {
        let (last, made) = last_and_made(|index| 0.5f32.powf(index / 160.0));
        assert!((2.0..2.8).contains(&(last - made)), "{last} dBFS became {made}: 2.4 dB in a period");
    }

    #[test]
    fn a_voice_that_grows_goes_on_growing_no_faster_than_a_fifth_in_a_period() {
        for (doubles_in, grows_db) in [(320.0, 1.2), (80.0, 1.6)] {
            let (last, made) = last_and_made(|index| 0.5f32.powf((800.0 - index) / doubles_in));
            let range = grows_db - 0.3..grows_db + 0.3;
            assert!(range.contains(&(made - last)), "{last} dBFS became {made}: {grows_db} dB in a period");
        }
    }

    #[test]
    fn a_long_loss_fades_and_is_silent_after_60_ms() {
        let mut concealment = Concealment::default();
        concealment.good(&mut voice(800));
        let levels: Vec<f32> = (0..8)
            .map(|_| {
                let mut made = [0; 80];
                concealment.lost(&mut made, &[]);
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
        concealment.lost(&mut made, &[]);
        assert_eq!(made, [0; 160]);
        let square: Vec<i16> = (0..800).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let mut samples = square.clone();
        concealment.good(&mut samples);
        concealment.lost(&mut made, &[]);
        concealment.good(&mut samples[..160]);
        assert_eq!(samples[100..160], square[100..160]);
    }
}
