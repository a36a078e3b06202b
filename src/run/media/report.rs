//! What a media thread counts about a call: written by it alone, read by the switch at any time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::run::counted::Levels;

/// Digits that are kept of a call; further ones are only counted.
const DIGITS_MAX: usize = 64;
/// "None yet" of a time in microseconds.
const NEVER: u64 = u64::MAX;

/// A call's media, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaReport {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Octets of their payloads.
    pub octets_sent: u64,
    /// RTP packets received from the peer.
    pub packets_received: u64,
    /// Octets of their payloads.
    pub octets_received: u64,
    /// Packets of the peer that never came in time.
    pub lost: u64,
    /// Those of them that came too late.
    pub late: u64,
    /// Packets that came out of order and were put in order.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Datagrams dropped: no RTP, unknown payload type, huge jumps.
    pub dropped: u64,
    /// Datagrams of strangers, dropped.
    pub strangers: u64,
    /// Datagrams that the system did not take.
    pub send_failures: u64,
    /// Milliseconds of caller audio that were made up: concealment and silence.
    pub made_up_ms: u64,
    /// Short holes in what the line heard of us.
    pub underruns: u64,
    /// Beats that came late and were made good.
    pub late_beats: u64,
    /// Beats that came so late that their audio was skipped.
    pub skipped_beats: u64,
    /// Interarrival jitter (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Round trip by RTCP, once the peer told.
    pub round_trip_ms: Option<f32>,
    /// Level of the caller in the last whole second, in dBFS.
    pub caller_dbfs: f32,
    /// The caller's loudest second.
    pub caller_loudest_dbfs: f32,
    /// Level of what the line heard of us in the last whole second, in dBFS.
    pub line_dbfs: f32,
    /// The loudest second of that.
    pub line_loudest_dbfs: f32,
    /// How long nothing has come from the peer; since the start, if nothing ever has. `None` before the start.
    pub silent_for: Option<Duration>,
    /// DTMF digits so far (telephone-event), the first 64.
    pub digits: String,
    /// All digits, kept or not.
    pub digits_received: u64,
}

impl MediaReport {
    /// What was measured, for people and programs: the `audio` member of a session.
    pub fn to_json(&self) -> Map<String, Value> {
        let tenths = |value: f32| (f64::from(value) * 10.0).round() / 10.0;
        let object = json!({
            "packets_sent": self.packets_sent,
            "packets_received": self.packets_received,
            "lost": self.lost,
            "late": self.late,
            "reordered": self.reordered,
            "duplicates": self.duplicates,
            "dropped": self.dropped,
            "strangers": self.strangers,
            "send_failures": self.send_failures,
            "made_up_ms": self.made_up_ms,
            "underruns": self.underruns,
            "late_beats": self.late_beats,
            "skipped_beats": self.skipped_beats,
            "jitter_ms": tenths(self.jitter_ms),
            "round_trip_ms": self.round_trip_ms.map(tenths),
            "caller_loudest_dbfs": tenths(self.caller_loudest_dbfs),
            "line_loudest_dbfs": tenths(self.line_loudest_dbfs),
            "digits": self.digits,
        });
        object.as_object().cloned().unwrap_or_default()
    }
}

/// The atomics behind it.
#[derive(Debug)]
pub(super) struct Counters {
    opened: Instant,
    pub(super) packets_sent: AtomicU64,
    pub(super) octets_sent: AtomicU64,
    pub(super) packets_received: AtomicU64,
    pub(super) octets_received: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) reordered: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) strangers: AtomicU64,
    pub(super) send_failures: AtomicU64,
    pub(super) made_up_ms: AtomicU64,
    pub(super) underruns: AtomicU64,
    pub(super) late_beats: AtomicU64,
    pub(super) skipped_beats: AtomicU64,
    /// What the receiver dropped, beside `dropped`.
    pub(super) receiver_dropped: AtomicU64,
    pub(super) jitter_us: AtomicU64,
    pub(super) round_trip_us: AtomicU64,
    pub(super) levels: Levels,
    last_packet_us: AtomicU64,
    digits: [AtomicU8; DIGITS_MAX],
    digits_received: AtomicU64,
}

impl Counters {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            packets_sent: AtomicU64::new(0),
            octets_sent: AtomicU64::new(0),
            packets_received: AtomicU64::new(0),
            octets_received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            late: AtomicU64::new(0),
            reordered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            send_failures: AtomicU64::new(0),
            made_up_ms: AtomicU64::new(0),
            underruns: AtomicU64::new(0),
            late_beats: AtomicU64::new(0),
            skipped_beats: AtomicU64::new(0),
            receiver_dropped: AtomicU64::new(0),
            jitter_us: AtomicU64::new(0),
            round_trip_us: AtomicU64::new(NEVER),
            levels: Levels::silent(),
            last_packet_us: AtomicU64::new(NEVER),
            digits: [const { AtomicU8::new(0) }; DIGITS_MAX],
            digits_received: AtomicU64::new(0),
        }
    }

    /// Something came from the peer, or its media began.
    pub(super) fn heard(&self, now: Instant) {
        self.last_packet_us.store(now.saturating_duration_since(self.opened).as_micros() as u64, Relaxed);
    }

    pub(super) fn digit(&self, digit: u8) {
        let received = self.digits_received.load(Relaxed);
        if let Some(slot) = self.digits.get(received as usize) {
            slot.store(digit, Relaxed);
        }
        // The digit before its count, so that a reader never sees a place without its digit.
        self.digits_received.store(received + 1, std::sync::atomic::Ordering::Release);
    }

    pub(super) fn report(&self, now: Instant) -> MediaReport {
        let digits_received = self.digits_received.load(std::sync::atomic::Ordering::Acquire);
        let kept = self.digits.iter().take(digits_received as usize);
        let (caller_dbfs, caller_loudest_dbfs) = self.levels.caller.get();
        let (line_dbfs, line_loudest_dbfs) = self.levels.line.get();
        let millis = |micros: u64| micros as f32 / 1000.0;
        let time = |atomic: &AtomicU64| Some(atomic.load(Relaxed)).filter(|micros| *micros != NEVER);
        MediaReport {
            packets_sent: self.packets_sent.load(Relaxed),
            octets_sent: self.octets_sent.load(Relaxed),
            packets_received: self.packets_received.load(Relaxed),
            octets_received: self.octets_received.load(Relaxed),
            lost: self.lost.load(Relaxed),
            late: self.late.load(Relaxed),
            reordered: self.reordered.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            dropped: self.dropped.load(Relaxed) + self.receiver_dropped.load(Relaxed),
            strangers: self.strangers.load(Relaxed),
            send_failures: self.send_failures.load(Relaxed),
            made_up_ms: self.made_up_ms.load(Relaxed),
            underruns: self.underruns.load(Relaxed),
            late_beats: self.late_beats.load(Relaxed),
            skipped_beats: self.skipped_beats.load(Relaxed),
            jitter_ms: millis(self.jitter_us.load(Relaxed)),
            round_trip_ms: time(&self.round_trip_us).map(millis),
            caller_dbfs,
            caller_loudest_dbfs,
            line_dbfs,
            line_loudest_dbfs,
            silent_for: time(&self.last_packet_us).map(|micros| {
                now.saturating_duration_since(self.opened).saturating_sub(Duration::from_micros(micros))
            }),
            digits: kept.map(|digit| char::from(digit.load(Relaxed))).collect(),
            digits_received,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;
    use crate::call::api::document::describes;

    #[test]
    fn a_report_has_exactly_the_members_of_the_description() {
        let counters = Counters::new(any_instant());
        let json = || Value::from(counters.report(any_instant()).to_json());
        describes("Audio", &json());
        counters.round_trip_us.store(20_000, Relaxed);
        describes("Audio", &json());
    }
}
