//! What the media of all calls counted, live and past.

use std::sync::Arc;
use std::time::Duration;

use super::report::Counters;
use crate::base::Metrics;
use crate::run::counted::{Counted, Sums};
use crate::sys::clock;

/// Figures that are added up.
const FIGURES: usize = 15;

/// Sums over all calls. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Totals(Sums<Counters, FIGURES>);

impl Totals {
    /// A call opened.
    pub(super) fn add(&self, counters: Arc<Counters>) {
        self.0.add(counters);
    }

    /// Brings the counters of `metrics` up to now.
    pub fn report(&self, metrics: &Metrics) {
        let [
            packets_sent,
            octets_sent,
            packets_received,
            octets_received,
            lost,
            late,
            reordered,
            duplicates,
            dropped,
            strangers,
            send_failures,
            made_up_ms,
            underruns,
            late_beats,
            skipped_beats,
        ] = self.0.now();
        metrics.rtp_sent_packets.advance_to(packets_sent);
        metrics.rtp_sent_bytes.advance_to(octets_sent);
        metrics.rtp_received_packets.advance_to(packets_received);
        metrics.rtp_received_bytes.advance_to(octets_received);
        metrics.rtp_lost_packets.advance_to(lost);
        metrics.rtp_late_packets.advance_to(late);
        metrics.rtp_reordered_packets.advance_to(reordered);
        metrics.rtp_duplicate_packets.advance_to(duplicates);
        metrics.rtp_dropped_packets.advance_to(dropped);
        metrics.rtp_stranger_packets.advance_to(strangers);
        metrics.rtp_unsent_packets.advance_to(send_failures);
        metrics.rtp_concealed.advance_to(Duration::from_millis(made_up_ms));
        metrics.rtp_underruns.advance_to(underruns);
        metrics.rtp_late_beats.advance_to(late_beats);
        metrics.rtp_skipped_beats.advance_to(skipped_beats);
    }
}

impl Counted<FIGURES> for Counters {
    /// In the order of `Totals::report`.
    fn figures(&self) -> [u64; FIGURES] {
        let report = self.report(clock::mono());
        [
            report.packets_sent,
            report.octets_sent,
            report.packets_received,
            report.octets_received,
            report.lost,
            report.late,
            report.reordered,
            report.duplicates,
            report.dropped,
            report.strangers,
            report.send_failures,
            report.made_up_ms,
            report.underruns,
            report.late_beats,
            report.skipped_beats,
        ]
    }
}
