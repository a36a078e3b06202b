//! From the blocks of whoever talks to the bytes of the link.

use super::link::Counts;
use crate::call::audio::{BLOCK_SAMPLES_MAX, Block, BlockFormat};
use crate::call::leg_audio::Loudness;
use crate::codec::h2::{PACKET_BYTES, Writer};
use crate::codec::msbc::{FRAME_SAMPLES, NoMemory};
use crate::codec::{Law, MsbcEncoder};
use crate::dsp::{Down2, Up2};
use crate::hfp::Codec;

/// Samples of 7.5 ms at 8 kHz.
const NARROW_SAMPLES: usize = FRAME_SAMPLES / 2;
/// A hole of at most so many milliseconds inside speech is an underrun; a longer one is a pause.
const HOLE_MS_MAX: usize = 100;

/// What the phone hears. Its bytes are made 7.5 ms at a time.
#[derive(Debug)]
pub(super) struct Speaking {
    way: Way,
    voice: Voice,
    /// Bytes that the last packet had no room for.
    bytes: [u8; 2 * NARROW_SAMPLES],
    at: usize,
    len: usize,
}

#[derive(Debug)]
enum Way {
    /// 16-bit samples at 8 kHz, the low octet first; the adapter does the rest.
    Cvsd,
    Msbc(MsbcEncoder, Writer),
}

impl Speaking {
    pub(super) fn new(codec: Codec) -> Result<Self, NoMemory> {
        let (way, samples_in_ms) = match codec {
            Codec::Cvsd => (Way::Cvsd, 8),
            Codec::Msbc => (Way::Msbc(MsbcEncoder::new()?, Writer::default()), 16),
        };
        Ok(Self { way, voice: Voice::new(samples_in_ms), bytes: [0; 2 * NARROW_SAMPLES], at: 0, len: 0 })
    }

    /// Fills a packet.
    pub(super) fn packet(
        &mut self,
        packet: &mut [u8],
        counts: &mut Counts,
        loudness: &mut Loudness,
        mut next: impl FnMut() -> Option<Block>,
    ) {
        let mut filled = 0;
        while filled < packet.len() {
            if self.at == self.len {
                self.make(counts, loudness, &mut next);
            }
            let taken = (self.len - self.at).min(packet.len() - filled);
            packet[filled..filled + taken].copy_from_slice(&self.bytes[self.at..self.at + taken]);
            (filled, self.at) = (filled + taken, self.at + taken);
        }
    }

    /// The next 7.5 ms.
    fn make(
        &mut self,
        counts: &mut Counts,
        loudness: &mut Loudness,
        next: &mut impl FnMut() -> Option<Block>,
    ) {
        let mut samples = [0; FRAME_SAMPLES];
        self.at = 0;
        match &mut self.way {
            Way::Cvsd => {
                let samples = &mut samples[..NARROW_SAMPLES];
                self.voice.take(samples, counts, next);
                loudness.add(samples);
                for (pair, sample) in self.bytes.chunks_exact_mut(2).zip(samples) {
                    pair.copy_from_slice(&sample.to_le_bytes());
                }
                self.len = 2 * NARROW_SAMPLES;
            }
            Way::Msbc(encoder, writer) => {
                self.voice.take(&mut samples, counts, next);
                loudness.add(&samples);
                self.bytes[..PACKET_BYTES].copy_from_slice(&writer.packet(&encoder.encode(&samples)));
                self.len = PACKET_BYTES;
            }
        }
    }

    /// An interruption: what is left of the last block is not to be heard. Of a frame that was begun the rest still
    /// goes, or the stream would break.
    pub(super) fn interrupt(&mut self) {
        self.voice.interrupt();
        match self.way {
            // Half a sample is finished, too.
            Way::Cvsd => self.len = self.len.min(self.at + self.at % 2),
            Way::Msbc(..) => {}
        }
    }
}

/// What is left of the last block, at the rate of the link.
#[derive(Debug)]
struct Voice {
    rest: [i16; BLOCK_SAMPLES_MAX],
    at: usize,
    len: usize,
    rate: Rate,
    /// Samples of silence since the last voice; `None` before the first, and after an interruption.
    quiet: Option<usize>,
}

/// The rate of the link, and the filter for blocks of the other one.
#[derive(Debug)]
enum Rate {
    Narrow(Down2),
    Wide(Up2),
}

impl Voice {
    fn new(samples_in_ms: usize) -> Self {
        let rate =
            if samples_in_ms == 8 { Rate::Narrow(Down2::default()) } else { Rate::Wide(Up2::default()) };
        Self { rest: [0; BLOCK_SAMPLES_MAX], at: 0, len: 0, rate, quiet: None }
    }

    /// Fills `samples` as far as there are blocks; the rest stays silent.
    fn take(&mut self, samples: &mut [i16], counts: &mut Counts, next: &mut impl FnMut() -> Option<Block>) {
        let mut filled = 0;
        while filled < samples.len() {
            if self.at == self.len {
                let Some(block) = next() else { break };
                self.put(&block);
            }
            let taken = (self.len - self.at).min(samples.len() - filled);
            samples[filled..filled + taken].copy_from_slice(&self.rest[self.at..self.at + taken]);
            (filled, self.at) = (filled + taken, self.at + taken);
        }
        if filled > 0 {
            let hole_max = HOLE_MS_MAX * self.samples_in_ms();
            if self.quiet.is_some_and(|quiet| (1..=hole_max).contains(&quiet)) {
                counts.underruns += 1;
            }
            self.quiet = Some(0);
        }
        if filled < samples.len() {
            self.quiet = self.quiet.map(|quiet| quiet.saturating_add(samples.len() - filled));
            // The filter holds nothing of the old words.
            self.rate.reset();
        }
    }

    fn put(&mut self, block: &Block) {
        self.at = 0;
        let mut narrow = [0; BLOCK_SAMPLES_MAX / 2];
        self.len = match (block.format(), &mut self.rate) {
            (BlockFormat::Pcm16k, Rate::Wide(_)) => {
                let samples = block.samples();
                self.rest[..samples.len()].copy_from_slice(samples);
                samples.len()
            }
            (BlockFormat::Pcm16k, Rate::Narrow(down)) => {
                let samples = block.samples().len() / 2;
                down.process(block.samples(), &mut self.rest[..samples]);
                samples
            }
            (BlockFormat::Ulaw8k, Rate::Narrow(_)) => decode(block, &mut self.rest),
            (BlockFormat::Ulaw8k, Rate::Wide(up)) => {
                let samples = decode(block, &mut narrow);
                up.process(&narrow[..samples], &mut self.rest);
                2 * samples
            }
        };
    }

    fn interrupt(&mut self) {
        (self.at, self.len, self.quiet) = (0, 0, None);
        self.rate.reset();
    }

    fn samples_in_ms(&self) -> usize {
        match self.rate {
            Rate::Narrow(_) => 8,
            Rate::Wide(_) => 16,
        }
    }
}

impl Rate {
    fn reset(&mut self) {
        match self {
            Self::Narrow(down) => down.reset(),
            Self::Wide(up) => up.reset(),
        }
    }
}

/// The samples of a mu-law block; how many.
fn decode(block: &Block, samples: &mut [i16]) -> usize {
    let octets = block.ulaw();
    let len = octets.len().min(samples.len());
    for (octet, sample) in octets.zip(samples.iter_mut()) {
        Law::Mu.decode(&[octet], std::slice::from_mut(sample));
    }
    len
}
