//! What the media of all calls counted, live and past. The media threads know nothing of it: whoever asks adds up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::report::{Counters, MediaReport};
use crate::base::Metrics;
use crate::sys::clock;

/// Figures that are added up.
const FIGURES: usize = 15;

/// Sums over all calls. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Totals(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    live: Vec<Arc<Counters>>,
    ended: [u64; FIGURES],
}

impl Totals {
    /// A call opened.
    pub(super) fn add(&self, counters: Arc<Counters>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.forget_ended();
        calls.live.push(counters);
    }

    /// Brings the counters of `metrics` up to now.
    pub fn report(&self, metrics: &Metrics) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.forget_ended();
        let mut sums = calls.ended;
        for counters in &calls.live {
            add(&mut sums, counters);
        }
        drop(calls);
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
        ] = sums;
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

impl Calls {
    /// A call whose counters nobody else holds has left its thread: they are final.
    fn forget_ended(&mut self) {
        let Self { live, ended } = self;
        live.retain_mut(|counters| {
            // Unlike a look at its count, being the only owner means to see all that the others wrote.
            let has_ended = Arc::get_mut(counters).is_some();
            if has_ended {
                add(ended, counters);
            }
            !has_ended
        });
    }
}

fn add(sums: &mut [u64; FIGURES], counters: &Counters) {
    for (sum, figure) in sums.iter_mut().zip(figures(&counters.report(clock::mono()))) {
        *sum += figure;
    }
}

/// In the order of `Totals::report`.
fn figures(report: &MediaReport) -> [u64; FIGURES] {
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
