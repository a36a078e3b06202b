//! The sending end of one RTP session: numbers, timestamps, marker, counts.

use crate::base::Rng;

use super::packet::{HEADER_BYTES, Header, write};

/// One outgoing stream. The timestamp is a clock: it runs on while nothing is sent.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet begins a talk spurt.
    marker: bool,
    packets: u64,
    octets: u64,
}

impl Sender {
    /// Source, first number and first timestamp by chance (RFC 3550 5.1).
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            ssrc: rng.u32(),
            sequence: rng.u32() as u16,
            timestamp: rng.u32(),
            marker: true,
            packets: 0,
            octets: 0,
        }
    }

    /// Writes the next packet with a payload of one octet for each sample into `out`, and returns its length.
    pub fn packet(&mut self, payload_type: u8, payload: &[u8], out: &mut [u8]) -> usize {
        let header = Header {
            marker: self.marker,
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        let len = write(&header, payload, out);
        if len > 0 {
            self.marker = false;
            self.sequence = self.sequence.wrapping_add(1);
            self.packets += 1;
            self.octets += (len - HEADER_BYTES) as u64;
        }
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
        len
    }

    /// Time passed without a packet: the timestamp follows, and the next packet is marked (RFC 3551 4.1).
    pub fn skip(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
        self.marker = true;
    }

    /// Our source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of the next packet.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets of payload so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::parse;
    use super::*;

    #[test]
    fn the_timestamp_runs_on_and_a_talk_spurt_is_marked_rfc3551_4_1() {
        let mut sender = Sender::new(&mut Rng::from_u64(1));
        let mut out = [0; 200];
        let mut sent = |sender: &mut Sender| {
            let len = sender.packet(0, &[0xff; 160], &mut out);
            parse(&out[..len]).unwrap().0
        };
        let first = sent(&mut sender);
        let second = sent(&mut sender);
        sender.skip(320);
        let third = sent(&mut sender);
        assert_eq!([first.marker, second.marker, third.marker], [true, false, true]);
        assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 160);
        assert_eq!(third.timestamp.wrapping_sub(second.timestamp), 480);
        assert_eq!(third.sequence.wrapping_sub(first.sequence), 2);
        assert_eq!((sender.packets(), sender.octets()), (3, 480));
    }
}
