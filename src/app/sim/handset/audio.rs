//! Samples into packets of a voice link, and back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::codec::h2::{self, Piece};
use crate::codec::msbc::{FRAME_SAMPLES, NoMemory};
use crate::codec::{MsbcDecoder, MsbcEncoder};
use crate::dsp::{Down2, Up2};
use crate::hfp::Codec;

/// What goes over the link in a second: 8 kHz of 16 bits, or 60 octets each 7.5 ms.
fn bytes_a_second(codec: Codec) -> u64 {
    match codec {
        Codec::Cvsd => 16_000,
        Codec::Msbc => 8000,
    }
}

/// How long a packet of this size lasts.
pub(super) fn pace(codec: Codec, packet_bytes: usize) -> Duration {
    Duration::from_nanos(packet_bytes as u64 * 1_000_000_000 / bytes_a_second(codec))
}

/// Makes packets.
pub(super) struct Encoder {
    kind: Kind,
    ready: VecDeque<u8>,
}

enum Kind {
    Cvsd(Box<Down2>),
    Msbc(MsbcEncoder, h2::Writer),
}

impl Encoder {
    pub(super) fn new(codec: Codec) -> Result<Self, NoMemory> {
        let kind = match codec {
            Codec::Cvsd => Kind::Cvsd(Box::default()),
            Codec::Msbc => Kind::Msbc(MsbcEncoder::new()?, h2::Writer::default()),
        };
        Ok(Self { kind, ready: VecDeque::new() })
    }

    /// Fills the packet; `say` gives the next samples of 16 kHz.
    pub(super) fn packet(&mut self, packet: &mut [u8], mut say: impl FnMut(&mut [i16; FRAME_SAMPLES])) {
        while self.ready.len() < packet.len() {
            let mut wide = [0; FRAME_SAMPLES];
            say(&mut wide);
            match &mut self.kind {
                Kind::Cvsd(down) => {
                    let mut narrow = [0; FRAME_SAMPLES / 2];
                    down.process(&wide, &mut narrow);
                    self.ready.extend(narrow.into_iter().flat_map(i16::to_le_bytes));
                }
                Kind::Msbc(encoder, writer) => self.ready.extend(writer.packet(&encoder.encode(&wide))),
            }
        }
        let ready = self.ready.drain(..packet.len());
        for (to, from) in packet.iter_mut().zip(ready) {
            *to = from;
        }
    }
}

/// Reads packets.
pub(super) struct Decoder {
    kind: Heard,
}

enum Heard {
    Cvsd(Box<Up2>),
    Msbc(MsbcDecoder, Box<h2::Reader>),
}

impl Decoder {
    pub(super) fn new(codec: Codec) -> Result<Self, NoMemory> {
        let kind = match codec {
            Codec::Cvsd => Heard::Cvsd(Box::default()),
            Codec::Msbc => Heard::Msbc(MsbcDecoder::new()?, Box::default()),
        };
        Ok(Self { kind })
    }

    /// The samples of a packet, at 16 kHz. For a frame that did not come, or came damaged, the filter rings on.
    pub(super) fn packet(&mut self, packet: &[u8], hear: &mut impl FnMut(&[i16])) {
        match &mut self.kind {
            Heard::Cvsd(up) => {
                let narrow: Vec<i16> =
                    packet.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
                let mut wide = vec![0; narrow.len() * 2];
                up.process(&narrow, &mut wide);
                hear(&wide);
            }
            Heard::Msbc(decoder, reader) => reader.packet(packet, |piece| match piece {
                Piece::Absent => hear(&decoder.run_dry()),
                Piece::Frame { frame, missing } => {
                    for _ in 0..missing {
                        hear(&decoder.run_dry());
                    }
                    let samples = decoder.decode(frame).unwrap_or_else(|_| decoder.run_dry());
                    hear(&samples);
                }
            }),
        }
    }

    /// Frames that did not come, and octets that belonged to none: of mSBC only.
    pub(super) fn faults(&self) -> (u64, u64) {
        match &self.kind {
            Heard::Cvsd(_) => (0, 0),
            Heard::Msbc(_, reader) => (reader.counts().missing, reader.counts().bad_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::{Tone, level_at};

    #[test]
    fn what_is_said_is_heard_with_each_codec_in_packets_of_each_size() {
        for codec in [Codec::Cvsd, Codec::Msbc] {
            for size in [24, 48, 60, 72] {
                let mut tone = Tone::new(1000.0, 16_000, -12.0);
                let (mut encoder, mut decoder) = (Encoder::new(codec).unwrap(), Decoder::new(codec).unwrap());
                let mut heard = Vec::new();
                for _ in 0..16_000 / size {
                    let mut packet = vec![0; size];
                    encoder.packet(&mut packet, |samples| tone.fill(samples));
                    decoder.packet(&packet, &mut |samples: &[i16]| heard.extend_from_slice(samples));
                }
                let level = level_at(&heard[2000..10_000], 16_000, 1000.0);
                assert!((level + 12.0).abs() < 0.5, "{codec:?} in {size}: {level} dBFS");
                assert_eq!(decoder.faults(), (0, 0));
            }
        }
    }

    #[test]
    fn the_pace_is_that_of_the_codec() {
        assert_eq!(pace(Codec::Msbc, 60), Duration::from_micros(7500));
        assert_eq!(pace(Codec::Msbc, 24), Duration::from_millis(3));
        assert_eq!(pace(Codec::Cvsd, 48), Duration::from_millis(3));
        assert_eq!(pace(Codec::Cvsd, 60), Duration::from_micros(3750));
    }
}
