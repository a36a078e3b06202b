//! What the calls over Bluetooth counted, live and past. The voice thread knows nothing of it: whoever asks adds up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::report::{Counters, VoiceReport};
use crate::base::Metrics;
use crate::sys::clock;

/// Figures that are added up.
const FIGURES: usize = 9;

/// Sums over all calls. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Totals(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    live: Vec<Arc<Counters>>,
    ended: [u64; FIGURES],
}

impl Totals {
    /// A call entered.
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
        let [received, sent, unsent, frames, lost, bad, concealed_ms, silence_ms, underruns] = sums;
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
fn figures(report: &VoiceReport) -> [u64; FIGURES] {
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
