//! The receiving end of one RTP session with one peer: one source at a time, in order, counted.

use std::time::{Duration, Instant};

use super::packet::Header;
use super::reception::{Reception, ReportNumbers};
use super::reorder::{Frame, Kept, PAYLOAD_BYTES_MAX, Reorder};
use super::sequence::{Placed, Sequence};

/// A source that was replaced takes over again only after the new one was silent for so long.
const TAKE_BACK_AFTER: Duration = Duration::from_millis(200);

/// What was received since the session began, over all sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverCounters {
    /// Valid packets.
    pub packets: u64,
    /// Octets of their payloads.
    pub octets: u64,
    /// Packets that were given up.
    pub lost: u64,
    /// Packets that came when their turn was over; they are among the lost.
    pub late: u64,
    /// Packets that had to wait for, or were, an earlier one.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets dropped: too long, a huge jump, a source that was replaced.
    pub dropped: u64,
    /// How often the source changed or started over.
    pub restarts: u64,
}

/// One stream of packets, in order.
#[derive(Debug)]
pub struct Receiver {
    ssrc: Option<u32>,
    replaced: Option<u32>,
    sequence: Sequence,
    reception: Reception,
    reorder: Reorder,
    counters: ReceiverCounters,
    last_packet: Option<Instant>,
    clock_hz: u32,
}

impl Receiver {
    /// For payloads with this clock; everything it will ever need is allocated by its owner.
    pub fn new(clock_hz: u32) -> Self {
        Self {
            ssrc: None,
            replaced: None,
            sequence: Sequence::default(),
            reception: Reception::new(clock_hz),
            reorder: Reorder::default(),
            counters: ReceiverCounters::default(),
            last_packet: None,
            clock_hz,
        }
    }

    /// Takes a packet as it arrived; then call `poll_output` until `None`.
    pub fn handle_packet(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        if self.ssrc != Some(header.ssrc) && !self.change_source(now, header.ssrc) {
            self.counters.dropped += 1;
            return;
        }
        let sequence = match self.sequence.place(header.sequence) {
            Placed::At(sequence) => sequence,
            Placed::Restarted(sequence) => {
                if self.last_packet.is_some() {
                    self.counters.restarts += 1;
                }
                self.reorder.clear();
                self.reception = Reception::new(self.clock_hz);
                sequence
            }
            Placed::Unbelievable => {
                self.counters.dropped += 1;
                return;
            }
        };
        self.last_packet = Some(now);
        self.counters.packets += 1;
        self.counters.octets += payload.len() as u64;
        self.reception.packet(now, self.sequence.extended_highest(), header.timestamp);
        if payload.len() > PAYLOAD_BYTES_MAX {
            self.counters.dropped += 1;
            return;
        }
        let frame = Frame {
            lost_before: 0,
            payload_type: header.payload_type,
            timestamp: header.timestamp,
            marker: header.marker,
            payload,
        };
        match self.reorder.insert(now, sequence, &frame) {
            Kept::InTurn => {}
            Kept::Reordered => self.counters.reordered += 1,
            Kept::Late => self.counters.late += 1,
            Kept::Duplicate => self.counters.duplicates += 1,
        }
    }

    /// Whether packets of this new source are taken from now on.
    fn change_source(&mut self, now: Instant, ssrc: u32) -> bool {
        let quiet = self.last_packet.is_none_or(|last| now.saturating_duration_since(last) > TAKE_BACK_AFTER);
        if self.replaced == Some(ssrc) && !quiet {
            return false;
        }
        self.replaced = self.ssrc;
        self.ssrc = Some(ssrc);
        self.sequence = Sequence::default();
        true
    }

    /// The next frame in order.
    pub fn poll_output(&mut self, now: Instant) -> Option<Frame<'_>> {
        let frame = self.reorder.pop(now)?;
        self.counters.lost += u64::from(frame.lost_before);
        Some(frame)
    }

    /// When to call `poll_output` even if nothing arrives: a gap is given up then.
    pub fn deadline(&self) -> Option<Instant> {
        self.reorder.deadline()
    }

    /// What was counted.
    pub fn counters(&self) -> ReceiverCounters {
        self.counters
    }

    /// Interarrival jitter of the present source.
    pub fn jitter(&self) -> Duration {
        self.reception.jitter_time()
    }

    /// The present source and what a report says about it.
    pub fn report(&mut self) -> Option<(u32, ReportNumbers)> {
        Some((self.ssrc?, self.reception.report()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    struct Bench {
        receiver: Receiver,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { receiver: Receiver::new(8000), now: any_instant() }
        }

        /// A packet 20 ms later; what comes out, by first octet.
        fn packet(&mut self, ssrc: u32, sequence: u16) -> Vec<u8> {
            self.now += Duration::from_millis(20);
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence,
                timestamp: u32::from(sequence) * 160,
                ssrc,
            };
            self.receiver.handle_packet(self.now, &header, &[sequence as u8; 160]);
            let mut out = Vec::new();
            while let Some(frame) = self.receiver.poll_output(self.now) {
                out.push(frame.payload[0]);
            }
            out
        }
    }

    #[test]
    fn losses_duplicates_and_late_packets_are_counted() {
        let mut bench = Bench::new();
        let out: Vec<u8> = [1, 2, 2, 4, 5, 6, 3, 7].into_iter().flat_map(|n| bench.packet(1, n)).collect();
        assert_eq!(out, [1, 2, 4, 5, 6, 7]);
        let counters = bench.receiver.counters();
        assert_eq!((counters.packets, counters.octets), (8, 8 * 160));
        // The second 2 is over; 3 came 60 ms after 4.
        assert_eq!((counters.lost, counters.late, counters.duplicates), (1, 2, 0));
    }

    #[test]
    fn another_source_takes_over_at_once_and_stragglers_of_the_old_one_are_dropped() {
        let mut bench = Bench::new();
        bench.packet(1, 100);
        assert_eq!(bench.packet(2, 7), [7]);
        assert_eq!(bench.packet(1, 101), [0; 0]);
        assert_eq!(bench.packet(2, 8), [8]);
        assert_eq!((bench.receiver.counters().restarts, bench.receiver.counters().dropped), (1, 1));
        bench.now += Duration::from_secs(1);
        assert_eq!(bench.packet(1, 140), [140]);
    }

    #[test]
    fn a_source_that_starts_over_is_followed_after_two_packets_rfc3550_a_1() {
        let mut bench = Bench::new();
        bench.packet(1, 10);
        assert_eq!(bench.packet(1, 20000), [0; 0]);
        assert_eq!(bench.packet(1, 20001), [33]);
        assert_eq!(bench.packet(1, 20002), [34]);
    }

    #[test]
    fn a_payload_beyond_all_packet_times_is_dropped() {
        let mut bench = Bench::new();
        let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 0, ssrc: 1 };
        bench.receiver.handle_packet(bench.now, &header, &[0; PAYLOAD_BYTES_MAX + 1]);
        assert!(bench.receiver.poll_output(bench.now).is_none());
        assert_eq!(bench.receiver.counters().dropped, 1);
    }
}
