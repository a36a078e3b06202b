//! RTCP (RFC 3550 6): one sender or receiver report with one block, and the round trip that comes back.

use std::time::{Duration, Instant};

use rtcp_types::prelude::{RtcpPacket as _, RtcpPacketParser as _};
use rtcp_types::{Bye, ReceiverReport, ReportBlock, SenderReport};

use super::reception::ReportNumbers;

/// Octets of the longest packet we write: report with one block, CNAME, BYE.
pub const CONTROL_BYTES_MAX: usize = 128;
/// Mean time between reports (RFC 3550 6.2).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// A round trip beyond this is a broken report.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);
/// Hexadecimal digits of a CNAME: short-term, by chance (RFC 7022 4.2).
const CNAME_BYTES: usize = 16;

/// What we send: packets, octets and the timestamp of this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Our source.
    pub ssrc: u32,
    /// RTP timestamp of now.
    pub timestamp: u32,
    /// Packets so far; 0 makes a receiver report.
    pub packets: u64,
    /// Octets of payload so far.
    pub octets: u64,
}

/// Control of one session. Its clock counts from the session's beginning: no wall clock is needed for round trips,
/// and RFC 3550 6.4.1 allows elapsed time in a sender report.
#[derive(Debug)]
pub struct Control {
    origin: Instant,
    cname: [u8; CNAME_BYTES],
    /// Middle 32 bits of the peer's last sender report, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    ended: bool,
}

impl Control {
    /// Begins now; the name by chance tells the peer which sources are one participant.
    pub fn new(now: Instant, rng: &mut crate::base::Rng) -> Self {
        let mut cname = [b'0'; CNAME_BYTES];
        cname.copy_from_slice(rng.hex(CNAME_BYTES).as_bytes());
        Self { origin: now, cname, last_sender_report: None, round_trip: None, ended: false }
    }

    /// Reads a datagram of the peer: its sender report's time, and how our own came back.
    pub fn handle_packet(&mut self, now: Instant, our_ssrc: u32, datagram: &[u8]) {
        let mut rest = datagram;
        // Each part says its length in words after the first (RFC 3550 6.4.1).
        while let [first, _, high, low, ..] = *rest {
            let len = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
            if first >> 6 != 2 || len > rest.len() {
                return;
            }
            let (part, after) = rest.split_at(len);
            rest = after;
            match part.get(1).copied() {
                Some(SenderReport::PACKET_TYPE) => {
                    if let Ok(report) = SenderReport::parse(part) {
                        self.last_sender_report = Some(((report.ntp_timestamp() >> 16) as u32, now));
                        report.report_blocks().for_each(|block| self.block(now, our_ssrc, &block));
                    }
                }
                Some(ReceiverReport::PACKET_TYPE) => {
                    if let Ok(report) = ReceiverReport::parse(part) {
                        report.report_blocks().for_each(|block| self.block(now, our_ssrc, &block));
                    }
                }
                Some(Bye::PACKET_TYPE) => self.ended = true,
                _ => {}
            }
        }
    }

    /// RFC 3550 6.4.1: round trip = arrival - LSR - DLSR, all in 1/65536 s.
    fn block(&mut self, now: Instant, our_ssrc: u32, block: &ReportBlock<'_>) {
        let sent = block.last_sender_report_timestamp();
        if block.ssrc() != our_ssrc || sent == 0 {
            return;
        }
        let arrival = (self.ntp(now) >> 16) as u32;
        let units = arrival.wrapping_sub(sent).wrapping_sub(block.delay_since_last_sender_report_timestamp());
        let round_trip = Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16);
        if round_trip <= ROUND_TRIP_MAX {
            self.round_trip = Some(round_trip);
        }
    }

    /// The last round trip that a report told.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether the peer said goodbye (its packets may end; the call ends by SIP).
    pub fn peer_said_bye(&self) -> bool {
        self.ended
    }

    /// Writes a compound packet into `out` and returns its length: report, CNAME, and BYE when it is the last.
    pub fn write(
        &self,
        now: Instant,
        sent: &Sent,
        about: Option<(u32, ReportNumbers)>,
        bye: bool,
        out: &mut [u8; CONTROL_BYTES_MAX],
    ) -> usize {
        let mut writer = Writer { out, len: 0 };
        let blocks = u8::from(about.is_some());
        if sent.packets > 0 {
            writer.header(blocks, SenderReport::PACKET_TYPE, 6 + 6 * u16::from(blocks));
            writer.word(sent.ssrc);
            let ntp = self.ntp(now);
            let clocks = [(ntp >> 32) as u32, ntp as u32, sent.timestamp];
            for word in clocks.into_iter().chain([sent.packets as u32, sent.octets as u32]) {
                writer.word(word);
            }
        } else {
            writer.header(blocks, ReceiverReport::PACKET_TYPE, 1 + 6 * u16::from(blocks));
            writer.word(sent.ssrc);
        }
        if let Some((ssrc, numbers)) = about {
            let (lsr, delay) = self.last_sender_report.map_or((0, 0), |(lsr, at)| {
                let since = now.saturating_duration_since(at);
                (lsr, (since.as_micros() * 65536 / 1_000_000).min(u128::from(u32::MAX)) as u32)
            });
            let lost = u32::from(numbers.fraction_lost) << 24 | (numbers.cumulative_lost as u32 & 0xff_ffff);
            for word in [ssrc, lost, numbers.extended_highest, numbers.jitter, lsr, delay] {
                writer.word(word);
            }
        }
        // SDES (RFC 3550 6.5): source, CNAME item, and two octets that end the list on a word.
        writer.header(1, 202, 6);
        writer.word(sent.ssrc);
        writer.bytes(&[1, CNAME_BYTES as u8]);
        writer.bytes(&self.cname);
        writer.bytes(&[0, 0]);
        if bye {
            writer.header(1, Bye::PACKET_TYPE, 1);
            writer.word(sent.ssrc);
        }
        writer.len
    }

    /// Time since the beginning in NTP's 32.32 fixed point. One second ahead, because 0 means "none" in a report.
    fn ntp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin) + Duration::from_secs(1);
        (since.as_secs() << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
    }
}

struct Writer<'a> {
    out: &'a mut [u8; CONTROL_BYTES_MAX],
    len: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, packet_type: u8, words_after: u16) {
        self.bytes(&[0x80 | count, packet_type]);
        self.bytes(&words_after.to_be_bytes());
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.out.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use rtcp_types::{Compound, Packet};

    use super::*;
    use crate::base::Rng;
    use crate::base::time::any_instant;

    fn sent(ssrc: u32, packets: u64) -> Sent {
        Sent { ssrc, timestamp: 5, packets, octets: packets * 160 }
    }

    #[test]
    fn our_packets_are_what_another_reader_expects_rfc3550_6_1() {
        let start = any_instant();
        let control = Control::new(start, &mut Rng::from_u64(3));
        let numbers =
            ReportNumbers { fraction_lost: 9, cumulative_lost: -2, extended_highest: 77, jitter: 4 };
        let mut out = [0; CONTROL_BYTES_MAX];
        for (packets, about, bye) in [(0, None, false), (7, Some((2, numbers)), true), (7, None, true)] {
            let len = control.write(start, &sent(1, packets), about, bye, &mut out);
            let parts: Vec<_> = Compound::parse(&out[..len]).unwrap().map(Result::unwrap).collect();
            assert_eq!(parts.len(), 2 + usize::from(bye));
            let blocks: Vec<_> = if let Packet::Sr(report) = &parts[0] {
                assert_eq!((report.ssrc(), report.packet_count(), report.octet_count()), (1, 7, 1120));
                report.report_blocks().collect()
            } else {
                let Packet::Rr(report) = &parts[0] else { panic!("{parts:?}") };
                assert_eq!((report.ssrc(), packets), (1, 0));
                report.report_blocks().collect()
            };
            assert_eq!(blocks.len(), usize::from(about.is_some()));
            for block in blocks {
                assert_eq!((block.ssrc(), block.fraction_lost(), block.cumulative_lost()), (2, 9, 0xff_fffe));
                assert_eq!((block.extended_sequence_number(), block.interarrival_jitter()), (77, 4));
            }
            let Packet::Sdes(sdes) = &parts[1] else { panic!("{parts:?}") };
            let chunk = sdes.chunks().next().unwrap();
            let name = chunk.items().next().unwrap();
            assert_eq!((chunk.ssrc(), name.type_(), name.value()), (1, 1, &control.cname[..]));
        }
    }

    #[test]
    fn the_round_trip_is_arrival_less_lsr_less_dlsr_rfc3550_6_4_1() {
        let (start, mut rng) = (any_instant(), Rng::from_u64(4));
        let (mut a, mut b) = (Control::new(start, &mut rng), Control::new(start, &mut rng));
        let ms = |ms| start + Duration::from_millis(ms);
        let mut out = [0; CONTROL_BYTES_MAX];
        let len = a.write(ms(1000), &sent(1, 1), None, false, &mut out);
        b.handle_packet(ms(1030), 2, &out[..len]);
        let len = b.write(ms(3030), &sent(2, 1), Some((1, ReportNumbers::default())), true, &mut out);
        a.handle_packet(ms(3060), 1, &out[..len]);
        let round_trip = a.round_trip().unwrap();
        assert!(round_trip.abs_diff(Duration::from_millis(60)) < Duration::from_millis(1), "{round_trip:?}");
        assert!(a.peer_said_bye() && b.round_trip().is_none());
    }

    #[test]
    fn a_report_about_another_source_or_with_an_impossible_time_is_passed_over() {
        let (start, mut rng) = (any_instant(), Rng::from_u64(5));
        let (mut a, b) = (Control::new(start, &mut rng), Control::new(start, &mut rng));
        let mut out = [0; CONTROL_BYTES_MAX];
        // LSR 0: the peer has seen no report of ours.
        let len = b.write(start, &sent(2, 1), Some((1, ReportNumbers::default())), false, &mut out);
        a.handle_packet(start, 1, &out[..len]);
        assert_eq!(a.round_trip(), None);
        // A report from our future.
        out[48..52].copy_from_slice(&[0x7f, 0, 0, 0]);
        a.handle_packet(start, 1, &out[..len]);
        assert_eq!(a.round_trip(), None);
    }
}
