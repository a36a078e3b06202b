//! What the calls over Bluetooth counted, live and past.

use std::sync::Arc;
use std::time::Duration;

use super::report::Counters;
use crate::base::Metrics;
use crate::run::counted::{Counted, Sums};
use crate::sys::clock;

/// Figures that are added up.
const FIGURES: usize = 9;

/// Sums over all calls. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Totals(Sums<Counters, FIGURES>);

impl Totals {
    /// A call entered.
    pub(super) fn add(&self, counters: Arc<Counters>) {
        self.0.add(counters);
    }

    /// Brings the counters of `metrics` up to now.
    pub fn report(&self, metrics: &Metrics) {
        let [received, sent, unsent, frames, lost, bad, concealed_ms, silence_ms, underruns] = self.0.now();
        metrics.sco_received_packets.advance_to(received);
        metrics.sco_sent_packets.advance_to(sent);
        metrics.sco_unsent_packets.advance_to(unsent);
        metrics.sco_frames.advance_to(frames);
        metrics.sco_lost_frames.advance_to(lost);
        metrics.sco_bad_frames.advance_to(bad);
        metrics.sco_concealed.advance_to(Duration::from_millis(concealed_ms));
        metrics.sco_silence.advance_to(Duration::from_millis(silence_ms));
        metrics.sco_underruns.advance_to(underruns);
    }
}

impl Counted<FIGURES> for Counters {
    /// In the order of `Totals::report`.
    fn figures(&self) -> [u64; FIGURES] {
        let report = self.report(clock::mono());
        [
            report.packets_received,
            report.packets_sent,
            report.unsent,
            report.frames,
            report.lost,
            report.bad,
            report.concealed_ms,
            report.silence_ms,
            report.underruns,
        ]
    }
}
