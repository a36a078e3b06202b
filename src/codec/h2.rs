//! H2: the framing of mSBC in the byte stream of a voice link (HFP 1.8, 5.7.2): every 7.5 ms two octets of header,
//! which count frames from 0 to 3 and over, then 57 of mSBC and one of padding.
//!
//! ```text
//!  01 08|38|C8|F8  AD …57 octets of mSBC…  00     the borders of the link's packets mean nothing
//! ```
//! The reader looks for the next frame after whatever is none. A packet of zeros is how an adapter says that
//! nothing came over the air.

use super::msbc::FRAME_BYTES;

/// A frame with its header and padding.
pub const PACKET_BYTES: usize = 60;
/// First octet of the header: the H2 synchronisation word, without the part that counts.
const MARK: u8 = 0x01;
/// Second octet of the header: the number 0 to 3, each of its two bits twice, before the rest of the word.
const NUMBERS: [u8; 4] = [0x08, 0x38, 0xc8, 0xf8];
/// First octet of every mSBC frame.
const SYNC: u8 = 0xad;
/// A packet of this many zeros or more lies in no stream of frames, wherever its borders are.
const ABSENT_BYTES_MIN: usize = 20;

/// Numbers and pads frames.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    frames: usize,
}

impl Writer {
    /// The next frame as it goes into the stream.
    pub fn packet(&mut self, frame: &[u8; FRAME_BYTES]) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = MARK;
        packet[1] = NUMBERS[self.frames % NUMBERS.len()];
        packet[2..2 + FRAME_BYTES].copy_from_slice(frame);
        self.frames = self.frames.wrapping_add(1);
        packet
    }
}

/// What stands in the stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The time of one frame passed without one.
    Absent,
    /// A frame, unchecked.
    Frame {
        /// The mSBC frame.
        frame: &'a [u8; FRAME_BYTES],
        /// Frames that its number says are missing before it, beside those told as `Absent`: 0 to 3.
        missing: u8,
    },
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames found.
    pub frames: u64,
    /// Frames that numbers said are missing.
    pub missing: u64,
    /// Octets that belonged to no frame.
    pub bad_bytes: u64,
    /// Octets of packets of zeros, and of those that were told to be of no use.
    pub absent_bytes: u64,
}

/// Finds frames in the stream.
#[derive(Clone, Debug)]
pub struct Reader {
    packet: [u8; PACKET_BYTES],
    filled: usize,
    /// Number of the next frame; `None` before the first.
    next: Option<usize>,
    /// Octets since the last frame that belong to none.
    passed_over: usize,
    /// How many frames that long were told as absent.
    told: usize,
    counts: Counts,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            packet: [0; PACKET_BYTES],
            filled: 0,
            next: None,
            passed_over: 0,
            told: 0,
            counts: Counts::default(),
        }
    }
}

impl Reader {
    /// Takes one packet of the link, of any length.
    pub fn packet(&mut self, bytes: &[u8], mut out: impl FnMut(Piece<'_>)) {
        if bytes.len() >= ABSENT_BYTES_MIN && bytes.iter().all(|byte| *byte == 0) {
            self.absent(bytes.len(), out);
            return;
        }
        for byte in bytes {
            self.packet[self.filled] = *byte;
            self.filled += 1;
            while !begins_frame(&self.packet[..self.filled]) {
                self.pass_over_bad(1);
            }
            if self.filled == PACKET_BYTES {
                self.whole(&mut out);
            }
            self.tell(&mut out);
        }
    }

    /// A packet of this length is not there, or is of no use.
    pub fn absent(&mut self, bytes: usize, mut out: impl FnMut(Piece<'_>)) {
        // A frame that was cut off by nothing will not be finished.
        self.pass_over_bad(self.filled);
        self.counts.absent_bytes += bytes as u64;
        self.passed_over += bytes;
        self.tell(&mut out);
    }

    /// Sixty octets that begin as a frame does.
    fn whole(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        // A frame that lost its end runs into the next one.
        if let Some(border) = self.next_header() {
            self.pass_over_bad(border);
            return;
        }
        let Some(number) = NUMBERS.iter().position(|octet| *octet == self.packet[1]) else { return };
        let missing = self.missing_before(number);
        self.counts.frames += 1;
        self.counts.missing += missing as u64;
        (self.next, self.passed_over, self.told, self.filled) = (Some((number + 1) % 4), 0, 0, 0);
        if let Some(frame) = self.packet[2..].first_chunk() {
            out(Piece::Frame { frame, missing: missing as u8 });
        }
    }

    /// Where in the packet the header of the frame after it stands already.
    fn next_header(&self) -> Option<usize> {
        let number = NUMBERS.iter().position(|octet| *octet == self.packet[1])?;
        let header = [MARK, NUMBERS[(number + 1) % 4], SYNC, 0, 0];
        self.packet.windows(header.len()).position(|window| window == header)
    }

    /// The number counts up to 3 only: of all distances that it may mean, the nearest to what was told already.
    fn missing_before(&self, number: usize) -> usize {
        let gap = self.next.map_or(0, |next| (number + 4 - next) % 4);
        match (gap + 4 - self.told % 4) % 4 {
            // One too many was told.
            3 if self.told > 0 => 0,
            missing => missing,
        }
    }

    fn pass_over_bad(&mut self, bytes: usize) {
        self.packet.copy_within(bytes.., 0);
        self.filled -= bytes;
        self.counts.bad_bytes += bytes as u64;
        self.passed_over += bytes;
    }

    fn tell(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        while self.told < self.passed_over / PACKET_BYTES {
            self.told += 1;
            out(Piece::Absent);
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// Whether a frame may begin so.
fn begins_frame(bytes: &[u8]) -> bool {
    let [mark, number, sync] = [bytes.first(), bytes.get(1), bytes.get(2)];
    mark.is_none_or(|mark| *mark == MARK)
        && number.is_none_or(|number| NUMBERS.contains(number))
        && sync.is_none_or(|sync| *sync == SYNC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u8) -> [u8; FRAME_BYTES] {
        let mut frame = [number; FRAME_BYTES];
        frame[..3].copy_from_slice(&[SYNC, 0, 0]);
        frame
    }

    /// Frames 10, 11, … as a stream.
    fn stream(frames: u8) -> Vec<u8> {
        let mut writer = Writer::default();
        (0..frames).flat_map(|number| writer.packet(&frame(number + 10))).collect()
    }

    /// The last octet of each frame with what was missing before it; 0 for an absent one.
    fn heard(reader: &mut Reader, packets: &[&[u8]]) -> Vec<(u8, u8)> {
        let mut heard = Vec::new();
        for packet in packets {
            reader.packet(packet, |piece| {
                heard.push(match piece {
                    Piece::Absent => (0, 0),
                    Piece::Frame { frame, missing } => (frame[FRAME_BYTES - 1], missing),
                });
            });
        }
        heard
    }

    fn packets(stream: &[u8], size: usize) -> Vec<&[u8]> {
        stream.chunks(size).collect()
    }

    #[test]
    fn frames_are_numbered_padded_and_found_again_in_packets_of_any_size_hfp_5_7_2() {
        let stream = stream(9);
        assert_eq!(stream[..6], [1, 0x08, 0xad, 0, 0, 10]);
        assert_eq!(
            (stream[59], stream[61], stream[121], stream[181], stream[241]),
            (0, 0x38, 0xc8, 0xf8, 0x08)
        );
        for size in [1, 24, 48, 60, 64, 72, 250] {
            let mut reader = Reader::default();
            let found = heard(&mut reader, &packets(&stream, size));
            assert_eq!(found, (10..19).map(|number| (number, 0)).collect::<Vec<_>>(), "{size}");
            assert_eq!(reader.counts(), Counts { frames: 9, ..Counts::default() });
        }
    }

    #[test]
    fn a_lost_packet_is_told_by_the_number_of_the_frame_after_it() {
        let stream = stream(8);
        let mut packets = packets(&stream, 60);
        packets.drain(2..5);
        let mut reader = Reader::default();
        assert_eq!(heard(&mut reader, &packets), [(10, 0), (11, 0), (15, 3), (16, 0), (17, 0)]);
        assert_eq!(reader.counts().missing, 3);
    }

    #[test]
    fn packets_of_zeros_are_absent_frames_at_once_and_are_not_told_twice() {
        for absent in 1..9 {
            let mut stream = stream(12);
            stream[120..120 + 60 * absent].fill(0);
            for size in [24, 60] {
                let mut reader = Reader::default();
                let found = heard(&mut reader, &packets(&stream, size));
                let (zeros, frames): (Vec<_>, Vec<_>) = found.into_iter().partition(|piece| piece.0 == 0);
                assert_eq!(
                    (zeros.len(), frames.len()),
                    (absent, 12 - absent),
                    "{absent} in packets of {size}"
                );
                assert!(frames.iter().all(|(_, missing)| *missing == 0), "{frames:?}");
                assert!(size == 24 || reader.counts().bad_bytes == 0);
            }
        }
    }

    #[test]
    fn a_frame_that_lost_a_part_is_dropped_and_the_next_one_is_found() {
        let stream = stream(6);
        // Of packets of 24 octets one never came: the middle of the second frame.
        let mut packets = packets(&stream, 24);
        packets.remove(3);
        let mut reader = Reader::default();
        assert_eq!(heard(&mut reader, &packets), [(10, 0), (12, 1), (13, 0), (14, 0), (15, 0)]);
        assert_eq!(reader.counts().bad_bytes, 36);
    }

    #[test]
    fn after_noise_the_stream_is_found_again_and_the_octets_are_counted() {
        let stream = stream(4);
        let noise = [0x01, 0x08, 0x77, 0x01, 0x01, 0xad, 0x08];
        let mut reader = Reader::default();
        let found = heard(&mut reader, &[&noise, &stream[..130], &noise, &stream[120..]]);
        assert_eq!(found, [(10, 0), (11, 0), (12, 0), (13, 0)]);
        assert_eq!(reader.counts().bad_bytes, 7 + 10 + 7);
    }

    #[test]
    fn noise_alone_is_time_without_frames() {
        let mut reader = Reader::default();
        assert_eq!(
            heard(&mut reader, &[&[7; 250], &[1; 50]]),
            [(0, 0); 4],
            "the last octet may begin a header"
        );
        assert_eq!(reader.counts().bad_bytes, 299);
    }
}
