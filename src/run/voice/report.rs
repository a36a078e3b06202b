//! What the voice thread counts about a call: written by it alone, read by others at any time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::hfp::Codec;
use crate::run::counted::Levels;

/// "None yet" of a time in microseconds.
const NEVER: u64 = u64::MAX;
/// "None yet" of a drift.
const UNKNOWN: i32 = i32::MIN;

/// A call's audio over Bluetooth, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceReport {
    /// The codec of the last link; `None` before the first packet.
    pub codec: Option<Codec>,
    /// Bytes of the last packet.
    pub packet_bytes: u64,
    /// Links that carried it, one after the other.
    pub links: u64,
    /// Packets that came.
    pub packets_received: u64,
    /// Packets that were sent.
    pub packets_sent: u64,
    /// Packets that the system did not take, or that would have been late.
    pub unsent: u64,
    /// Frames of 7.5 ms that came.
    pub frames: u64,
    /// Frames that never came.
    pub lost: u64,
    /// Frames that came damaged.
    pub bad: u64,
    /// Bytes that belonged to no frame.
    pub bad_bytes: u64,
    /// Milliseconds of caller audio that were made up for lost and damaged frames.
    pub concealed_ms: u64,
    /// Milliseconds of silence that the talker got because there was no link, or nothing on it.
    pub silence_ms: u64,
    /// Short holes in what the phone heard of us.
    pub underruns: u64,
    /// Millionths that the link's clock is faster than ours, once it is known.
    pub drift_ppm: Option<i32>,
    /// Level of the caller in the last whole second, in dBFS.
    pub caller_dbfs: f32,
    /// The caller's loudest second.
    pub caller_loudest_dbfs: f32,
    /// Level of what the phone heard of us in the last whole second, in dBFS.
    pub line_dbfs: f32,
    /// The loudest second of that.
    pub line_loudest_dbfs: f32,
    /// How long nothing has come; since the beginning, if nothing ever has.
    pub silent_for: Duration,
}

impl VoiceReport {
    /// What was measured, for people and programs: the `audio` member of a session.
    pub fn to_json(&self) -> Map<String, Value> {
        let tenths = |value: f32| (f64::from(value) * 10.0).round() / 10.0;
        let object = json!({
            "codec": self.codec.map(|codec| match codec {
                Codec::Cvsd => "CVSD",
                Codec::Msbc => "mSBC",
            }),
            "packet_bytes": self.packet_bytes,
            "links": self.links,
            "packets_sent": self.packets_sent,
            "packets_received": self.packets_received,
            "unsent": self.unsent,
            "frames": self.frames,
            "lost": self.lost,
            "bad": self.bad,
            "bad_bytes": self.bad_bytes,
            "made_up_ms": self.concealed_ms + self.silence_ms,
            "concealed_ms": self.concealed_ms,
            "underruns": self.underruns,
            "drift_ppm": self.drift_ppm,
            "caller_loudest_dbfs": tenths(self.caller_loudest_dbfs),
            "line_loudest_dbfs": tenths(self.line_loudest_dbfs),
        });
        object.as_object().cloned().unwrap_or_default()
    }
}

/// The atomics behind it.
#[derive(Debug)]
pub(super) struct Counters {
    entered: Instant,
    codec: AtomicU8,
    pub(super) packet_bytes: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) packets_received: AtomicU64,
    pub(super) packets_sent: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) frames_lost: AtomicU64,
    pub(super) frames_bad: AtomicU64,
    pub(super) bad_bytes: AtomicU64,
    pub(super) concealed_micros: AtomicU64,
    pub(super) silence_micros: AtomicU64,
    pub(super) underruns: AtomicU64,
    drift_ppm: AtomicI32,
    pub(super) levels: Levels,
    last_packet_us: AtomicU64,
}

impl Counters {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            entered: now,
            codec: AtomicU8::new(0),
            packet_bytes: AtomicU64::new(0),
            links: AtomicU64::new(0),
            packets_received: AtomicU64::new(0),
            packets_sent: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            frames_lost: AtomicU64::new(0),
            frames_bad: AtomicU64::new(0),
            bad_bytes: AtomicU64::new(0),
            concealed_micros: AtomicU64::new(0),
            silence_micros: AtomicU64::new(0),
            underruns: AtomicU64::new(0),
            drift_ppm: AtomicI32::new(UNKNOWN),
            levels: Levels::silent(),
            last_packet_us: AtomicU64::new(NEVER),
        }
    }

    /// Packets came.
    pub(super) fn heard(&self, now: Instant) {
        self.last_packet_us.store(now.saturating_duration_since(self.entered).as_micros() as u64, Relaxed);
    }

    pub(super) fn codec(&self, codec: Codec) {
        let number = match codec {
            Codec::Cvsd => 1,
            Codec::Msbc => 2,
        };
        self.codec.store(number, Relaxed);
    }

    pub(super) fn drift(&self, ppm: Option<i32>) {
        if let Some(ppm) = ppm {
            self.drift_ppm.store(ppm, Relaxed);
        }
    }

    pub(super) fn report(&self, now: Instant) -> VoiceReport {
        let (caller_dbfs, caller_loudest_dbfs) = self.levels.caller.get();
        let (line_dbfs, line_loudest_dbfs) = self.levels.line.get();
        let last_packet_us = Some(self.last_packet_us.load(Relaxed)).filter(|micros| *micros != NEVER);
        VoiceReport {
            codec: match self.codec.load(Relaxed) {
                1 => Some(Codec::Cvsd),
                2 => Some(Codec::Msbc),
                _ => None,
            },
            packet_bytes: self.packet_bytes.load(Relaxed),
            links: self.links.load(Relaxed),
            packets_received: self.packets_received.load(Relaxed),
            packets_sent: self.packets_sent.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            frames: self.frames.load(Relaxed),
            lost: self.frames_lost.load(Relaxed),
            bad: self.frames_bad.load(Relaxed),
            bad_bytes: self.bad_bytes.load(Relaxed),
            concealed_ms: self.concealed_micros.load(Relaxed) / 1000,
            silence_ms: self.silence_micros.load(Relaxed) / 1000,
            underruns: self.underruns.load(Relaxed),
            drift_ppm: Some(self.drift_ppm.load(Relaxed)).filter(|ppm| *ppm != UNKNOWN),
            caller_dbfs,
            caller_loudest_dbfs,
            line_dbfs,
            line_loudest_dbfs,
            silent_for: now
                .saturating_duration_since(self.entered)
                .saturating_sub(Duration::from_micros(last_packet_us.unwrap_or(0))),
        }
    }
}

/// Adds to a counter that only this thread writes.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed) + count, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;
    use crate::call::api::document::{describes, schema};

    #[test]
    fn a_report_has_exactly_the_members_of_the_description() {
        let counters = Counters::new(any_instant());
        let json = || Value::from(counters.report(any_instant()).to_json());
        describes("PhoneAudio", &json());
        counters.drift(Some(-12));
        for codec in [Codec::Cvsd, Codec::Msbc] {
            counters.codec(codec);
            describes("PhoneAudio", &json());
            let words = &schema("PhoneAudio")["properties"]["codec"]["enum"];
            assert!(words.as_array().unwrap().contains(&json()["codec"]), "{words}");
        }
    }
}
