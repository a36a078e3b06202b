//! mSBC: wide-band speech of the Hands-Free Profile (HFP 1.8, appendix A): 7.5 ms at 16 kHz in 57 octets.
//! The arithmetic is that of libsbc.

use super::libsbc::Stream;

/// Samples in a second.
pub const RATE_HZ: u32 = 16_000;
/// Samples in a frame: 7.5 ms.
pub const FRAME_SAMPLES: usize = 120;
/// Octets of a frame.
pub const FRAME_BYTES: usize = 57;
/// Samples until a decoder that missed a frame is right again: the length of its filter's memory.
pub const SETTLING_SAMPLES: usize = 36;
/// The frame of silence, whatever was before it.
const SILENCE: [u8; FRAME_BYTES] = {
    let head = [0xad, 0, 0, 0xc5, 0, 0, 0, 0];
    // Every sample of every band in the middle of its range.
    let body = [0x77, 0x6d, 0xb6, 0xdd, 0xdb, 0x6d, 0xb7, 0x76, 0xdb, 0x6d, 0xdd, 0xb6, 0xdb];
    let mut frame = [0; FRAME_BYTES];
    let mut at = 0;
    while at < FRAME_BYTES {
        frame[at] = if at < head.len() { head[at] } else { body[(at - head.len()) % body.len()] };
        at += 1;
    }
    // The last bit is padding.
    frame[FRAME_BYTES - 1] &= 0xfe;
    frame
};

/// There is no memory for another codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for mSBC")]
pub struct NoMemory;

/// What is no frame of mSBC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of mSBC")]
pub struct NoFrame;

/// Encodes one stream. Allocates at construction only.
#[derive(Debug)]
pub struct MsbcEncoder(Stream);

impl MsbcEncoder {
    /// A stream that begins.
    pub fn new() -> Result<Self, NoMemory> {
        Stream::new().map(Self).ok_or(NoMemory)
    }

    /// The next frame.
    pub fn encode(&mut self, samples: &[i16; FRAME_SAMPLES]) -> [u8; FRAME_BYTES] {
        let mut frame = [0; FRAME_BYTES];
        // With whole buffers the library has no reason to refuse.
        if self.0.encode(samples, &mut frame) == Some(FRAME_BYTES) { frame } else { SILENCE }
    }
}

/// Decodes one stream. Allocates at construction only.
#[derive(Debug)]
pub struct MsbcDecoder(Stream);

impl MsbcDecoder {
    /// A stream that begins.
    pub fn new() -> Result<Self, NoMemory> {
        let mut decoder = Stream::new().map(Self).ok_or(NoMemory)?;
        // The library sets itself up by the first frame, for good: it must not be a damaged one.
        decoder.run_dry();
        Ok(decoder)
    }

    /// The samples of the next frame. What is damaged in its head (synchronisation, check sum of the scale factors) is
    /// refused and leaves the stream as it was; the rest is not protected.
    pub fn decode(&mut self, frame: &[u8; FRAME_BYTES]) -> Result<[i16; FRAME_SAMPLES], NoFrame> {
        let mut samples = [0; FRAME_SAMPLES];
        let written = self.0.decode(frame, &mut samples);
        if written == Some(FRAME_SAMPLES) { Ok(samples) } else { Err(NoFrame) }
    }

    /// What the stream rings on with when a frame is missing: its filter runs dry.
    pub fn run_dry(&mut self) -> [i16; FRAME_SAMPLES] {
        self.decode(&SILENCE).unwrap_or([0; FRAME_SAMPLES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(hz: f32, count: usize) -> Vec<[i16; FRAME_SAMPLES]> {
        let sample = |n: usize| {
            let turns = n as f32 * hz / RATE_HZ as f32;
            ((turns.fract() * std::f32::consts::TAU).sin() * 8000.0) as i16
        };
        (0..count).map(|frame| std::array::from_fn(|index| sample(frame * FRAME_SAMPLES + index))).collect()
    }

    fn rms(samples: &[i16]) -> f32 {
        let sum: f32 = samples.iter().map(|sample| f32::from(*sample).powi(2)).sum();
        (sum / samples.len() as f32).sqrt()
    }

    #[test]
    fn what_is_said_is_heard_as_loud_over_the_whole_band() {
        for hz in [150.0, 1000.0, 3300.0, 6800.0] {
            let (mut encoder, mut decoder) = (MsbcEncoder::new().unwrap(), MsbcDecoder::new().unwrap());
            let said = frames(hz, 60);
            let heard: Vec<i16> =
                said.iter().flat_map(|samples| decoder.decode(&encoder.encode(samples)).unwrap()).collect();
            let gain = rms(&heard[1200..]) / rms(said[10..].as_flattened());
            assert!((gain - 1.0).abs() < 0.05, "{hz} Hz: {gain}");
        }
    }

    #[test]
    fn silence_is_the_known_frame_and_is_heard_as_nothing() {
        let mut encoder = MsbcEncoder::new().unwrap();
        assert_eq!(encoder.encode(&[0; FRAME_SAMPLES]), SILENCE);
        let mut decoder = MsbcDecoder::new().unwrap();
        assert_eq!(decoder.decode(&SILENCE), Ok([0; FRAME_SAMPLES]));
    }

    #[test]
    fn a_damaged_head_is_refused_and_the_stream_goes_on() {
        let (mut encoder, mut decoder) = (MsbcEncoder::new().unwrap(), MsbcDecoder::new().unwrap());
        let mut other = MsbcDecoder::new().unwrap();
        for (number, samples) in frames(440.0, 20).iter().enumerate() {
            let frame = encoder.encode(samples);
            let mut damaged = frame;
            damaged[number % 8] ^= 0x10;
            assert_eq!(decoder.decode(&damaged), Err(NoFrame), "octet {}", number % 8);
            assert_eq!(decoder.decode(&frame), other.decode(&frame), "frame {number}");
        }
    }

    #[test]
    fn a_decoder_that_missed_a_frame_is_right_again_after_its_settling_time() {
        let (mut encoder, mut whole) = (MsbcEncoder::new().unwrap(), MsbcDecoder::new().unwrap());
        let mut missing = MsbcDecoder::new().unwrap();
        let mut last = ([0; FRAME_SAMPLES], [0; FRAME_SAMPLES]);
        for (number, samples) in frames(440.0, 12).iter().enumerate() {
            let frame = encoder.encode(samples);
            let right = whole.decode(&frame).unwrap();
            let heard = if number == 10 { missing.run_dry() } else { missing.decode(&frame).unwrap() };
            last = (right, heard);
        }
        let (right, heard) = last;
        let errors: Vec<i32> =
            right.iter().zip(heard).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).collect();
        let (settling, settled) = errors.split_at(2 * SETTLING_SAMPLES);
        assert!(settling.iter().any(|error| *error > 1000), "{settling:?}");
        assert!(settled.iter().all(|error| *error < 100), "{settled:?}");
    }

    #[test]
    fn nothing_allocates_after_construction() {
        let (mut encoder, mut decoder) = (MsbcEncoder::new().unwrap(), MsbcDecoder::new().unwrap());
        assert_no_alloc::assert_no_alloc(|| {
            for samples in frames_without_heap() {
                decoder.decode(&encoder.encode(&samples)).unwrap();
                decoder.run_dry();
            }
        });
    }

    fn frames_without_heap() -> impl Iterator<Item = [i16; FRAME_SAMPLES]> {
        (0..100i16).map(|number| std::array::from_fn(|index| number.wrapping_mul(index as i16 * 37)))
    }
}
