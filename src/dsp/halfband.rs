//! Between 8 and 16 kHz: a half-band filter, exactly two samples for one, 1.5 ms of delay.
//!
//! Every second coefficient of a half-band filter is zero and the middle one is a half, so each input sample
//! costs 24 multiplications; no general resampler comes near.

/// Coefficients on one side of the middle that are not zero.
const SIDE: usize = 12;
/// Samples of the lower rate that the filter looks at.
const SPAN: usize = 2 * SIDE;

/// The coefficients at odd distances 1, 3, … from the middle: a windowed sinc (Kaiser, beta 5: 53 dB).
/// Scaled so that both phases pass a constant unchanged.
fn coefficients() -> [f32; SIDE] {
    let length = (2 * SPAN) as f64;
    let mut taps = [0.0; SIDE];
    for (index, tap) in taps.iter_mut().enumerate() {
        let distance = (2 * index + 1) as f64;
        let sinc = (std::f64::consts::FRAC_PI_2 * distance).sin() / (std::f64::consts::PI * distance);
        let place = 2.0 * distance / length;
        *tap = sinc * bessel_i0(5.0 * (1.0 - place * place).sqrt()) / bessel_i0(5.0);
    }
    let sum: f64 = 2.0 * taps.iter().sum::<f64>();
    taps.map(|tap| (tap * 0.5 / sum) as f32)
}

/// The modified Bessel function of order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// The last `SPAN` samples, twice in a row so that a window of them is always one slice.
#[derive(Clone, Debug)]
struct History {
    samples: [f32; 2 * SPAN],
    at: usize,
}

impl History {
    fn new() -> Self {
        Self { samples: [0.0; 2 * SPAN], at: 0 }
    }

    /// The newest `SPAN` samples, oldest first.
    fn push(&mut self, sample: f32) -> &[f32] {
        self.samples[self.at] = sample;
        self.samples[self.at + SPAN] = sample;
        self.at = (self.at + 1) % SPAN;
        &self.samples[self.at..self.at + SPAN]
    }
}

/// The symmetric sum over the samples at odd distances from the middle between the two halves.
fn symmetric_sum(window: &[f32], taps: &[f32; SIDE]) -> f32 {
    let (before, after) = window.split_at(SIDE);
    before.iter().rev().zip(after).zip(taps).map(|((a, b), tap)| (a + b) * tap).sum()
}

fn to_i16(sample: f32) -> i16 {
    // The cast saturates, so a filter's overshoot clips.
    sample.round() as i16
}

/// Doubles the rate.
#[derive(Clone, Debug)]
pub struct Up2 {
    taps: [f32; SIDE],
    history: History,
}

impl Default for Up2 {
    fn default() -> Self {
        Self { taps: coefficients(), history: History::new() }
    }
}

impl Up2 {
    /// Writes two samples for each of `input`, as many as `output` holds.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) {
        for (sample, pair) in input.iter().zip(output.chunks_exact_mut(2)) {
            let window = self.history.push(f32::from(*sample));
            pair[0] = to_i16(window[SIDE - 1]);
            pair[1] = to_i16(2.0 * symmetric_sum(window, &self.taps));
        }
    }

    /// Forgets what was before.
    pub fn reset(&mut self) {
        self.history = History::new();
    }
}

/// Halves the rate.
#[derive(Clone, Debug)]
pub struct Down2 {
    taps: [f32; SIDE],
    even: History,
    odd: History,
}

impl Default for Down2 {
    fn default() -> Self {
        Self { taps: coefficients(), even: History::new(), odd: History::new() }
    }
}

impl Down2 {
    /// Writes one sample for each two of `input`, as many as `output` holds. A last odd one is dropped.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) {
        for (pair, sample) in input.chunks_exact(2).zip(output) {
            // The middle of the window lies on an even sample, between the odd ones around it.
            let middle = self.even.push(f32::from(pair[0]))[SIDE];
            let around = symmetric_sum(self.odd.push(f32::from(pair[1])), &self.taps);
            *sample = to_i16(0.5 * middle + around);
        }
    }

    /// Forgets what was before: the next sample comes out of silence.
    pub fn reset(&mut self) {
        self.even = History::new();
        self.odd = History::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::{Tone, level_at};

    /// Level of a tone after `rates`, and of its image, in dB against the input.
    fn up(hz: f32) -> (f32, f32) {
        let (mut low, mut high) = ([0; 1600], [0; 3200]);
        Tone::new(hz, 8000, -10.0).fill(&mut low);
        Up2::default().process(&low, &mut high);
        let settled = &high[800..];
        (level_at(settled, 16000, hz) + 10.0, level_at(settled, 16000, 8000.0 - hz) + 10.0)
    }

    fn down(hz: f32, heard_at: f32) -> f32 {
        let (mut high, mut low) = ([0; 3200], [0; 1600]);
        Tone::new(hz, 16000, -10.0).fill(&mut high);
        Down2::default().process(&high, &mut low);
        level_at(&low[400..], 8000, heard_at) + 10.0
    }

    #[test]
    fn the_telephone_band_passes_and_its_image_does_not() {
        for hz in [300.0, 1000.0, 2000.0, 3000.0, 3400.0] {
            let (level, image) = up(hz);
            assert!(level.abs() < 0.2, "{hz} Hz: {level} dB");
            assert!(image < -50.0, "{hz} Hz: image at {image} dB");
            assert!(down(hz, hz).abs() < 0.2, "{hz} Hz");
        }
    }

    #[test]
    fn what_would_fold_into_the_telephone_band_is_removed() {
        for hz in [4600.0, 5000.0, 6000.0, 7500.0] {
            let level = down(hz, 8000.0 - hz);
            assert!(level < -50.0, "{hz} Hz: {level} dB");
        }
    }

    #[test]
    fn there_and_back_is_three_milliseconds_later_and_the_same() {
        let (mut low, mut high, mut back) = ([0; 800], [0; 1600], [0; 800]);
        Tone::new(700.0, 8000, -6.0).fill(&mut low);
        // In uneven pieces, as packets come.
        let mut up = Up2::default();
        for (input, output) in low.chunks(77).zip(high.chunks_mut(154)) {
            up.process(input, output);
        }
        Down2::default().process(&high, &mut back);
        let delay = (0..40).min_by_key(|delay| error(&low, &back, *delay)).unwrap();
        assert!(delay <= 24, "{delay} samples");
        assert!(error(&low, &back, delay) / 700 < 30, "mean error {}", error(&low, &back, delay) / 700);
    }

    fn error(low: &[i16], back: &[i16], delay: usize) -> i64 {
        let pairs = low[..700].iter().skip(60).zip(back.iter().skip(60 + delay));
        pairs.map(|(a, b)| i64::from((i32::from(*a) - i32::from(*b)).abs())).sum()
    }

    #[test]
    fn full_scale_clips_and_does_not_wrap() {
        let mut high = [0; 320];
        let square: Vec<i16> = (0..160).map(|n| if n / 8 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        Up2::default().process(&square, &mut high);
        let flips = high.windows(2).filter(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs() > 60_000);
        assert_eq!(flips.count(), 0);
    }
}
