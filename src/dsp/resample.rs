//! Between the house's 16 kHz and the rates that agents and files have (8000 to 48000 Hz).
//!
//! The ratio of two has its own filter; all others are rubato's windowed sinc.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};
use thiserror::Error;

use super::halfband::{Down2, Up2};

/// Samples that are put through at once: what is less waits for more (at 48 kHz 2.7 ms).
const CHUNK_SAMPLES: usize = 128;
/// Rates that make sense for speech.
const RATES_HZ: std::ops::RangeInclusive<u32> = 8000..=48000;
/// The filter's length in samples of the lower rate.
const SINC_SAMPLES: usize = 64;

/// Why there is no resampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot convert from {from_hz} Hz to {to_hz} Hz")]
pub struct RateError {
    from_hz: u32,
    to_hz: u32,
}

/// Changes the rate of a mono stream; input in pieces of any length.
pub struct Resampler(Way);

enum Way {
    Same,
    Double(Box<Up2>),
    Halve(Box<Down2>, Option<i16>),
    Sinc(Box<Sinc>),
}

struct Sinc {
    inner: Async<f32>,
    input: [f32; CHUNK_SAMPLES],
    filled: usize,
    output: Vec<f32>,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Way::Same => "Resampler(same)",
            Way::Double(_) => "Resampler(double)",
            Way::Halve(..) => "Resampler(halve)",
            Way::Sinc(_) => "Resampler(sinc)",
        })
    }
}

impl Resampler {
    /// From one rate to another, each between 8000 and 48000 Hz. Allocates here and never again.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, RateError> {
        let error = RateError { from_hz, to_hz };
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return Err(error);
        }
        Ok(Self(if from_hz == to_hz {
            Way::Same
        } else if from_hz * 2 == to_hz {
            Way::Double(Box::default())
        } else if from_hz == to_hz * 2 {
            Way::Halve(Box::default(), None)
        } else {
            let parameters = SincInterpolationParameters::new(SINC_SAMPLES, WindowFunction::BlackmanHarris2)
                .interpolation(SincInterpolationType::Linear)
                .oversampling_factor(256);
            let ratio = f64::from(to_hz) / f64::from(from_hz);
            let inner = Async::new_sinc(ratio, 1.0, &parameters, CHUNK_SAMPLES, 1, FixedAsync::Input);
            let inner = inner.map_err(|_| error)?;
            let output = vec![0.0; inner.output_frames_max()];
            Way::Sinc(Box::new(Sinc { inner, input: [0.0; CHUNK_SAMPLES], filled: 0, output }))
        }))
    }

    /// Puts samples through; what comes out is given to `out` in pieces of at most 512 samples.
    pub fn process(&mut self, input: &[i16], mut out: impl FnMut(&[i16])) {
        let mut piece = [0; 2 * CHUNK_SAMPLES];
        match &mut self.0 {
            Way::Same => out(input),
            Way::Double(up) => {
                for samples in input.chunks(CHUNK_SAMPLES) {
                    let output = &mut piece[..2 * samples.len()];
                    up.process(samples, output);
                    out(output);
                }
            }
            Way::Halve(down, odd) => {
                let mut rest = input;
                if let (Some(first), [second, after @ ..]) = (*odd, rest) {
                    down.process(&[first, *second], &mut piece[..1]);
                    out(&piece[..1]);
                    *odd = None;
                    rest = after;
                }
                for samples in rest.chunks(2 * CHUNK_SAMPLES) {
                    let output = &mut piece[..samples.len() / 2];
                    down.process(samples, output);
                    out(output);
                    if samples.len() % 2 == 1 {
                        *odd = samples.last().copied();
                    }
                }
            }
            Way::Sinc(sinc) => {
                for sample in input {
                    sinc.input[sinc.filled] = f32::from(*sample);
                    sinc.filled += 1;
                    if sinc.filled == CHUNK_SAMPLES {
                        sinc.filled = 0;
                        sinc.chunk(&mut piece, &mut out);
                    }
                }
            }
        }
    }
}

impl Sinc {
    fn chunk(&mut self, piece: &mut [i16], out: &mut impl FnMut(&[i16])) {
        let room = self.output.len();
        let (Ok(input), Ok(mut output)) = (
            InterleavedSlice::new(&self.input[..], 1, CHUNK_SAMPLES),
            InterleavedSlice::new_mut(&mut self.output[..], 1, room),
        ) else {
            return;
        };
        let Ok((_, written)) = self.inner.process_into_buffer(&input, &mut output, None::<&Indexing>) else {
            return;
        };
        for samples in self.output[..written.min(room)].chunks(piece.len()) {
            for (slot, sample) in piece.iter_mut().zip(samples) {
                *slot = sample.round() as i16;
            }
            out(&piece[..samples.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::{Tone, level_at};

    #[test]
    fn every_rate_an_agent_speaks_keeps_tone_level_and_length() {
        for (from_hz, to_hz) in [
            (16000, 16000),
            (8000, 16000),
            (16000, 8000),
            (22050, 16000),
            (24000, 16000),
            (44100, 16000),
            (48000, 16000),
            (16000, 22050),
            (16000, 24000),
            (16000, 44100),
            (16000, 48000),
            (11025, 16000),
        ] {
            let mut input = vec![0; from_hz as usize];
            Tone::new(1000.0, from_hz, -15.0).fill(&mut input);
            let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
            let mut output = Vec::new();
            for piece in input.chunks(317) {
                resampler.process(piece, |samples| output.extend_from_slice(samples));
            }
            let missing_ms = (to_hz as f32 - output.len() as f32) * 1000.0 / to_hz as f32;
            assert!((0.0..20.0).contains(&missing_ms), "{from_hz} to {to_hz}: {missing_ms} ms");
            let level = level_at(&output[output.len() / 4..], to_hz, 1000.0);
            assert!((level + 15.0).abs() < 0.2, "{from_hz} to {to_hz}: {level} dBFS");
        }
    }

    #[test]
    fn what_would_fold_is_removed_when_the_rate_falls() {
        let mut input = vec![0; 48000];
        Tone::new(10_000.0, 48000, -10.0).fill(&mut input);
        let mut output = Vec::new();
        Resampler::new(48000, 16000).unwrap().process(&input, |samples| output.extend_from_slice(samples));
        let level = level_at(&output[2000..], 16000, 6000.0);
        assert!(level < -60.0, "{level} dBFS");
    }

    #[test]
    fn a_rate_that_is_no_sound_is_refused() {
        assert!(Resampler::new(0, 16000).is_err());
        assert!(Resampler::new(16000, 7999).is_err());
        assert!(Resampler::new(48001, 16000).is_err());
    }

    #[test]
    fn nothing_is_allocated_after_construction() {
        for from_hz in [8000, 16000, 22050, 32000, 44100] {
            let mut resampler = Resampler::new(from_hz, 16000).unwrap();
            let input = [100; 441];
            let mut total = 0;
            assert_no_alloc::assert_no_alloc(|| {
                for _ in 0..50 {
                    resampler.process(&input, |samples| total += samples.len());
                }
            });
            assert!(total > 0);
        }
    }
}
