//! What a fuzzer runs, and what the corpus is replayed with.

use super::MsbcDecoder;
use super::h2::{PACKET_BYTES, Piece, Reader, Writer};

/// A hostile voice link: the first octet of each piece says how long its packet is. Every octet is accounted for, what
/// the reader finds can be written and read again, and the decoder takes it or refuses it.
pub fn voice_link(data: &[u8]) {
    let (mut reader, mut decoder) = (Reader::default(), MsbcDecoder::new().ok());
    let (mut writer, mut again) = (Writer::default(), Reader::default());
    let (mut rest, mut taken, mut told) = (data, 0, 0);
    while let Some((&length, after)) = rest.split_first() {
        let (packet, later) = after.split_at(usize::from(length).min(after.len()));
        rest = later;
        taken += packet.len() as u64;
        reader.packet(packet, |piece| match piece {
            Piece::Absent => told += 1,
            Piece::Frame { frame, missing } => {
                assert!(missing < 4, "{missing} frames missing, and the number has two bits");
                if let Some(decoder) = &mut decoder {
                    let _ = decoder.decode(frame);
                }
                let mut found = None;
                again.packet(&writer.packet(frame), |piece| {
                    if let Piece::Frame { frame, .. } = piece {
                        found = Some(*frame);
                    }
                });
                match found {
                    Some(found) => assert!(found == *frame, "another frame came back"),
                    // By chance the header of the next one stood in it: it is taken for a damaged one.
                    None => again = Reader::default(),
                }
            }
        });
        let counts = reader.counts();
        let known = counts.frames * PACKET_BYTES as u64 + counts.bad_bytes + counts.absent_bytes;
        assert!(known <= taken && taken - known < PACKET_BYTES as u64, "{counts:?} of {taken} octets");
        assert!(
            told * PACKET_BYTES as u64 <= counts.bad_bytes + counts.absent_bytes,
            "absent more than told"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_streams_are_accounted_for(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            super::voice_link(&data);
        }

        #[test]
        fn streams_of_headers_and_rubbish_are_accounted_for(
            pieces in prop::collection::vec((0usize..6, 1u8..80), 0..100),
        ) {
            let heads: [&[u8]; 6] =
                [&[1, 8, 0xad, 0, 0], &[1, 0x38, 0xad, 0, 0], &[1, 0xc8, 0xad], &[1, 0xf8, 0xad, 0, 0], &[0], &[1]];
            let mut data = Vec::new();
            for (head, length) in pieces {
                let mut packet = heads[head].to_vec();
                packet.resize(usize::from(length), u8::from(head == 2));
                data.push(length);
                data.extend(&packet[..usize::from(length)]);
            }
            super::voice_link(&data);
        }
    }
}
