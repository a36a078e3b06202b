//! The RTP packet (RFC 3550 5.1).

use rtp_types::{RtpPacket, RtpPacketBuilder};

/// Octets of a header without contributing sources or extension: all that we send.
pub const HEADER_BYTES: usize = 12;

/// The fixed header fields that a receiver of one stream needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// First packet of a talk spurt (RFC 3551 4.1); also the first of a telephone event.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Wraps.
    pub sequence: u16,
    /// In samples of the payload's clock; wraps.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

/// Header and payload of a datagram; `None` when it is no RTP packet. Contributing sources, extension and
/// padding are skipped.
pub fn parse(datagram: &[u8]) -> Option<(Header, &[u8])> {
    let packet = RtpPacket::parse(datagram).ok()?;
    let header = Header {
        marker: packet.marker_bit(),
        payload_type: packet.payload_type(),
        sequence: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    let from = packet.payload_offset();
    Some((header, datagram.get(from..from + packet.payload_len())?))
}

/// Writes a packet into `out`, which must hold header and payload, and returns its length; 0 when it does not fit.
pub fn write(header: &Header, payload: &[u8], out: &mut [u8]) -> usize {
    RtpPacketBuilder::<&[u8], &[u8]>::new()
        .marker_bit(header.marker)
        .payload_type(header.payload_type)
        .sequence_number(header.sequence)
        .timestamp(header.timestamp)
        .ssrc(header.ssrc)
        .payload(payload)
        .write_into(out)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn csrcs_extension_and_padding_are_skipped_rfc3550_5_1() {
        let mut bytes = vec![0b1011_0001, 0x80, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2];
        bytes.extend([0, 0, 0, 3]); // one CSRC
        bytes.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        bytes.extend([7, 7, 7, 0, 2]); // payload, padding
        let (header, payload) = parse(&bytes).unwrap();
        assert_eq!((header.marker, header.payload_type, header.sequence), (true, 0, 9));
        assert_eq!((header.timestamp, header.ssrc, payload), (1, 2, &[7, 7, 7][..]));
    }

    #[test]
    fn what_is_no_rtp_is_refused() {
        assert!(parse(&[]).is_none());
        assert!(parse(&[0x80; 11]).is_none());
        assert!(parse(&[0x40; 40]).is_none(), "version 1");
        assert!(parse(&[0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).is_none(), "15 CSRCs that are not there");
        assert!(parse(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]).is_none(), "padding beyond the packet");
    }

    proptest! {
        #[test]
        fn a_packet_comes_back_as_it_was_written(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let mut out = [0; 600];
            let len = write(&header, &payload, &mut out);
            prop_assert_eq!(len, HEADER_BYTES + payload.len());
            prop_assert_eq!(parse(&out[..len]), Some((header, &payload[..])));
            prop_assert_eq!(write(&header, &payload, &mut out[..len - 1]), 0);
        }
    }
}
