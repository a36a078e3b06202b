//! What a receiver counts about one source, for its reports and for people (RFC 3550 6.4.1, A.3, A.8).

use std::time::{Duration, Instant};

/// Reception of one source since it began.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    clock_hz: u32,
    first: u32,
    /// Extended highest sequence number.
    highest: u32,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Arrival and timestamp of the packet before.
    last: Option<(Instant, u32)>,
    /// In timestamp units, 16 times enlarged (RFC 3550 A.8).
    jitter: u32,
}

impl Reception {
    /// Nothing received yet, of a payload with this clock.
    pub fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz,
            first: 0,
            highest: 0,
            received: 0,
            expected_before: 0,
            received_before: 0,
            last: None,
            jitter: 0,
        }
    }

    /// A valid packet of the source, in the order of arrival, duplicates included (RFC 3550 6.4.1).
    pub fn packet(&mut self, now: Instant, extended_highest: u32, timestamp: u32) {
        if self.received == 0 {
            self.first = extended_highest;
        }
        self.received += 1;
        self.highest = extended_highest;
        if let Some((arrived, last_timestamp)) = self.last {
            let samples = (now.saturating_duration_since(arrived).as_micros() * u128::from(self.clock_hz)
                / 1_000_000)
                .min(1 << 30) as i64;
            let stamped = i64::from(timestamp.wrapping_sub(last_timestamp) as i32);
            let difference = (samples - stamped).unsigned_abs();
            // Silence suppression and restarts are no jitter: a source that was away begins anew.
            if difference < u64::from(self.clock_hz) {
                self.jitter = (self.jitter + difference as u32).saturating_sub((self.jitter + 8) >> 4);
            }
        }
        self.last = Some((now, timestamp));
    }

    /// Packets lost so far; duplicates can make up for losses, as the RFC counts.
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    /// Interarrival jitter.
    pub fn jitter_time(&self) -> Duration {
        Duration::from_micros(u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.clock_hz.max(1)))
    }

    /// The numbers of a report block; the fraction is that since the call before.
    pub fn report(&mut self) -> ReportNumbers {
        let expected = self.expected();
        let expected_interval = expected.saturating_sub(self.expected_before);
        let received_interval = self.received - self.received_before;
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        ReportNumbers {
            fraction_lost: (lost_interval * 256).checked_div(expected_interval).unwrap_or(0).min(255) as u8,
            // RFC 3550 A.3: 24 bits, signed, clamped.
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            extended_highest: self.highest,
            jitter: self.jitter(),
        }
    }

    fn expected(&self) -> u64 {
        if self.received == 0 { 0 } else { u64::from(self.highest.wrapping_sub(self.first)) + 1 }
    }
}

/// What a report block says about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportNumbers {
    /// In 1/256, since the report before.
    pub fraction_lost: u8,
    /// Since the beginning.
    pub cumulative_lost: i32,
    /// Cycles and number.
    pub extended_highest: u32,
    /// In timestamp units.
    pub jitter: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    #[test]
    fn losses_are_counted_since_the_beginning_and_since_the_last_report_rfc3550_a_3() {
        let (mut reception, start) = (Reception::new(8000), any_instant());
        for number in [1, 2, 3, 5] {
            reception.packet(start, 0x1_0000 + number, number * 160);
        }
        let first = reception.report();
        assert_eq!((first.cumulative_lost, first.fraction_lost, first.extended_highest), (1, 51, 0x1_0005));
        reception.packet(start, 0x1_0006, 960);
        assert_eq!((reception.report().fraction_lost, reception.lost()), (0, 1));
        // The same packet again makes up for the loss, as the RFC's arithmetic has it.
        reception.packet(start, 0x1_0006, 960);
        reception.packet(start, 0x1_0006, 960);
        assert_eq!(reception.report().cumulative_lost, -1);
    }

    #[test]
    fn jitter_follows_the_difference_of_transit_times_rfc3550_a_8() {
        let (mut reception, start) = (Reception::new(8000), any_instant());
        let mut now = start;
        for number in 0..200 {
            reception.packet(now, number, number * 160);
            now += Duration::from_millis(20);
        }
        assert_eq!(reception.jitter(), 0);
        for number in 200..600 {
            reception.packet(now, number, number * 160);
            now += Duration::from_millis(if number % 2 == 0 { 10 } else { 30 });
        }
        // Each step differs by 10 ms.
        let jitter = reception.jitter_time();
        assert!(jitter > Duration::from_millis(9) && jitter < Duration::from_millis(11), "{jitter:?}");
    }

    #[test]
    fn a_pause_of_the_speaker_is_not_jitter() {
        let (mut reception, start) = (Reception::new(8000), any_instant());
        reception.packet(start, 1, 0);
        reception.packet(start + Duration::from_secs(9), 2, 160);
        assert_eq!(reception.jitter(), 0);
    }
}
