//! From the packets of the link to samples at 16 kHz.

use super::health::Health;
use super::link::Counts;
use crate::codec::h2::{Piece, Reader};
use crate::codec::msbc::{FRAME_BYTES, FRAME_SAMPLES, NoMemory, RATE_HZ, SETTLING_SAMPLES};
use crate::codec::{MsbcDecoder, g711};
use crate::dsp::{Concealment, Up2};

/// Samples of the house in what is passed on at once: 7.5 ms, in either codec.
pub(super) type Samples = [i16; FRAME_SAMPLES];
/// Microseconds of a frame.
const FRAME_MICROS: u64 = 7500;

/// CVSD: 16-bit samples at 8 kHz, the low octet first; the adapter does the rest.
#[derive(Debug)]
pub(super) struct Cvsd {
    /// The low octet of a sample whose other one is in the next packet.
    odd: Option<u8>,
    samples: [i16; FRAME_SAMPLES / 2],
    filled: usize,
    /// Whether some of the samples are damaged.
    damaged: bool,
    concealment: Concealment,
    up: Up2,
}

impl Cvsd {
    pub(super) fn new() -> Self {
        Self {
            odd: None,
            samples: [0; FRAME_SAMPLES / 2],
            filled: 0,
            damaged: false,
            concealment: Concealment::new(g711::RATE_HZ),
            up: Up2::default(),
        }
    }

    /// Takes a packet, `damaged` when the adapter says so; what it is too short for waits. Returns the microseconds of
    /// its audio.
    pub(super) fn packet(
        &mut self,
        packet: &[u8],
        damaged: bool,
        counts: &mut Counts,
        mut out: impl FnMut(Samples),
    ) -> u64 {
        for byte in packet {
            let Some(low) = self.odd.take() else {
                self.odd = Some(*byte);
                continue;
            };
            self.samples[self.filled] = i16::from_le_bytes([low, *byte]);
            self.filled += 1;
            self.damaged |= damaged;
            if self.filled == self.samples.len() {
                out(self.whole(counts));
            }
        }
        packet.len() as u64 * 125 / 2
    }

    fn whole(&mut self, counts: &mut Counts) -> Samples {
        self.filled = 0;
        counts.frames += 1;
        if std::mem::take(&mut self.damaged) {
            counts.frames_bad += 1;
            counts.concealed_micros += FRAME_MICROS;
            self.concealment.lost(&mut self.samples, &[]);
        } else {
            self.concealment.good(&mut self.samples);
        }
        let mut samples = [0; FRAME_SAMPLES];
        self.up.process(&self.samples, &mut samples);
        samples
    }
}

/// mSBC in H2.
#[derive(Debug)]
pub(super) struct Msbc {
    reader: Reader,
    frames: Frames,
}

#[derive(Debug)]
struct Frames {
    decoder: MsbcDecoder,
    concealment: Concealment,
    health: Health,
}

impl Msbc {
    pub(super) fn new() -> Result<Self, NoMemory> {
        let concealment = Concealment::new(RATE_HZ).settling(SETTLING_SAMPLES);
        let frames = Frames { decoder: MsbcDecoder::new()?, concealment, health: Health::default() };
        Ok(Self { reader: Reader::default(), frames })
    }

    /// Takes a packet, as for CVSD. Returns the microseconds of its audio and of what was missing before it.
    pub(super) fn packet(
        &mut self,
        packet: &[u8],
        damaged: bool,
        counts: &mut Counts,
        mut out: impl FnMut(Samples),
    ) -> u64 {
        let (before, frames) = (self.reader.counts(), &mut self.frames);
        let take = |piece: Piece<'_>| match piece {
            Piece::Absent => out(frames.lost(counts)),
            Piece::Frame { frame, missing } => {
                for _ in 0..missing {
                    out(frames.lost(counts));
                }
                out(frames.frame(frame, counts));
            }
        };
        // The check sum does not cover the samples: what the adapter calls damaged would be heard.
        if damaged {
            self.reader.absent(packet.len(), take);
        } else {
            self.reader.packet(packet, take);
        }
        let after = self.reader.counts();
        counts.bad_bytes += after.bad_bytes - before.bad_bytes;
        packet.len() as u64 * 125 + (after.missing - before.missing) * FRAME_MICROS
    }

    /// Whether too little of it can be decoded.
    pub(super) fn is_unusable(&self) -> bool {
        self.frames.health.is_unusable()
    }
}

impl Frames {
    fn frame(&mut self, frame: &[u8; FRAME_BYTES], counts: &mut Counts) -> Samples {
        counts.frames += 1;
        if let Ok(mut samples) = self.decoder.decode(frame) {
            self.health.good();
            self.concealment.good(&mut samples);
            samples
        } else {
            counts.frames_bad += 1;
            self.made_up(counts)
        }
    }

    fn lost(&mut self, counts: &mut Counts) -> Samples {
        counts.frames_lost += 1;
        self.made_up(counts)
    }

    fn made_up(&mut self, counts: &mut Counts) -> Samples {
        self.health.bad();
        // When the next frame comes, its filter shall not ring with what was before the gap.
        let ring = self.decoder.run_dry();
        counts.concealed_micros += FRAME_MICROS;
        let mut samples = [0; FRAME_SAMPLES];
        self.concealment.lost(&mut samples, &ring);
        samples
    }
}
