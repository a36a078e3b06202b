//! Blocks of the line into bytes of the service, and back.

use std::collections::VecDeque;

use crate::agent::AudioFormat;
use crate::call::audio::{BLOCK_SAMPLES_MAX, Block, BlockFormat};
use crate::codec::g711::Law;
use crate::dsp::resample::{RateError, Resampler};

/// The house's own rate.
const HOUSE_HZ: u32 = 16_000;
/// The rate of mu-law.
const LINE_HZ: u32 = 8_000;
/// Silence in front of resampled audio (8 ms), so that each 20 ms that go in bring 20 ms out although the
/// resampler works in pieces of its own.
const LEAD_SAMPLES: usize = 128;

/// The caller's voice on its way up.
#[derive(Debug)]
pub(super) struct Uplink {
    format: AudioFormat,
    from_house: Resampler,
    from_line: Resampler,
}

impl Uplink {
    /// Towards the service's input format.
    pub(super) fn new(format: AudioFormat) -> Result<Self, RateError> {
        let rate_hz = format.rate_hz();
        Ok(Self {
            format,
            from_house: Resampler::new(HOUSE_HZ, rate_hz)?,
            from_line: Resampler::new(LINE_HZ, rate_hz)?,
        })
    }

    /// The block in the service's format; mu-law towards mu-law is passed untouched.
    pub(super) fn convert(&mut self, block: &Block) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.format.block_bytes() + 64);
        match block.format() {
            BlockFormat::Ulaw8k if self.format == AudioFormat::Ulaw8000 => bytes.extend(block.ulaw()),
            BlockFormat::Ulaw8k => {
                let octets: Vec<u8> = block.ulaw().collect();
                let mut samples = [0; BLOCK_SAMPLES_MAX];
                let samples = &mut samples[..octets.len()];
                Law::Mu.decode(&octets, samples);
                let format = self.format;
                self.from_line.process(samples, |piece| encode(format, piece, &mut bytes));
            }
            BlockFormat::Pcm16k => {
                let format = self.format;
                self.from_house.process(block.samples(), |piece| encode(format, piece, &mut bytes));
            }
        }
        bytes
    }
}

fn encode(format: AudioFormat, samples: &[i16], bytes: &mut Vec<u8>) {
    if format == AudioFormat::Ulaw8000 {
        let start = bytes.len();
        bytes.resize(start + samples.len(), 0);
        Law::Mu.encode(samples, &mut bytes[start..]);
    } else {
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    }
}

/// The agent's voice on its way down.
#[derive(Debug)]
pub(super) struct Downlink {
    format: AudioFormat,
    to_house: Option<Resampler>,
    waiting: VecDeque<i16>,
}

impl Downlink {
    /// From the service's output format.
    pub(super) fn new(format: AudioFormat) -> Result<Self, RateError> {
        let to_house = match format {
            AudioFormat::Ulaw8000 | AudioFormat::Pcm16000 => None,
            AudioFormat::Pcm8000
            | AudioFormat::Pcm22050
            | AudioFormat::Pcm24000
            | AudioFormat::Pcm44100
            | AudioFormat::Pcm48000 => Some(Resampler::new(format.rate_hz(), HOUSE_HZ)?),
        };
        let mut waiting = VecDeque::with_capacity(2 * BLOCK_SAMPLES_MAX + LEAD_SAMPLES);
        waiting.resize(LEAD_SAMPLES, 0);
        Ok(Self { format, to_house, waiting })
    }

    /// 20 ms of the service as 20 ms for the line.
    pub(super) fn convert(&mut self, bytes: &[u8]) -> Block {
        if self.format == AudioFormat::Ulaw8000 {
            return Block::ulaw8k(bytes);
        }
        let samples: Vec<i16> =
            bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let Some(resampler) = &mut self.to_house else { return Block::pcm16k(&samples) };
        let waiting = &mut self.waiting;
        resampler.process(&samples, |piece| waiting.extend(piece));
        let ready = waiting.len().min(BLOCK_SAMPLES_MAX);
        let mut block: Vec<i16> = waiting.drain(..ready).collect();
        block.resize(BLOCK_SAMPLES_MAX, 0);
        Block::pcm16k(&block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::tone::{Tone, level_at};

    #[test]
    fn mu_law_towards_mu_law_is_untouched_both_ways() {
        let octets: Vec<u8> = (0..160).map(|n| n as u8).collect();
        let mut up = Uplink::new(AudioFormat::Ulaw8000).unwrap();
        assert_eq!(up.convert(&Block::ulaw8k(&octets)), octets);
        let block = Downlink::new(AudioFormat::Ulaw8000).unwrap().convert(&octets);
        assert_eq!(block.ulaw().collect::<Vec<_>>(), octets);
    }

    #[test]
    fn a_tone_survives_the_way_up_and_down_in_every_format() {
        for format in AudioFormat::ALL {
            let mut tone = Tone::new(1000.0, HOUSE_HZ, -20.0);
            let (mut up, mut down) = (Uplink::new(format).unwrap(), Downlink::new(format).unwrap());
            let (mut wire, mut heard) = (Vec::new(), Vec::new());
            for _ in 0..50 {
                let mut samples = [0; BLOCK_SAMPLES_MAX];
                tone.fill(&mut samples);
                wire.extend(up.convert(&Block::pcm16k(&samples)));
            }
            // At most the resampler's own pieces are still in it.
            assert!(wire.len() > 49 * format.block_bytes(), "{format}: {}", wire.len());
            for bytes in wire.chunks_exact(format.block_bytes()) {
                let block = down.convert(bytes);
                assert_eq!(block.micros(), 20_000, "{format}");
                let mut decoded = vec![0; block.ulaw().len()];
                Law::Mu.decode(&block.ulaw().collect::<Vec<_>>(), &mut decoded);
                heard.extend(decoded.iter().flat_map(|sample| [*sample; 2]));
                heard.extend(block.samples());
            }
            let level = level_at(&heard[1600..9600], HOUSE_HZ, 1000.0);
            assert!((level + 20.0).abs() < 1.0, "{format}: {level} dB");
        }
    }

    #[test]
    fn a_mu_law_line_reaches_an_agent_of_any_format() {
        for format in AudioFormat::ALL {
            let mut up = Uplink::new(format).unwrap();
            let bytes: usize = (0..50).map(|_| up.convert(&Block::ulaw8k(&[0xff; 160])).len()).sum();
            assert!(bytes > 49 * format.block_bytes() && bytes <= 50 * format.block_bytes(), "{format}");
        }
    }
}
