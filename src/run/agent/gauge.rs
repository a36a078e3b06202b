//! What a conversation measures of itself, on the agent's own thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::Metrics;
use crate::run::link::TalkerEnd;

/// Length of a block of caller audio.
const BLOCK: Duration = Duration::from_millis(20);

/// The moments from which something is measured.
#[derive(Debug)]
pub(super) struct Gauge {
    metrics: Arc<Metrics>,
    /// Until the socket was open for the first time.
    begun: Option<Instant>,
    /// From the answer of the call to the first audio.
    activated: Option<Instant>,
    has_spoken: bool,
    /// When the ring was made void, and the position up to which it is.
    flushed: Option<(Instant, u64)>,
    overruns: u64,
}

impl Gauge {
    pub(super) fn new(now: Instant, metrics: Arc<Metrics>) -> Self {
        Self { metrics, begun: Some(now), activated: None, has_spoken: false, flushed: None, overruns: 0 }
    }

    /// The socket is open; later ones are reconnects.
    pub(super) fn connected(&mut self, now: Instant) {
        if let Some(begun) = self.begun.take() {
            self.metrics.agent_connect.observe(now.saturating_duration_since(begun));
        }
    }

    /// The call is answered.
    pub(super) fn activated(&mut self, now: Instant) {
        if !self.has_spoken {
            self.activated.get_or_insert(now);
        }
    }

    /// The ring to the line is about to be made void. With nothing in it the line is silent already.
    pub(super) fn flushed(&mut self, now: Instant, talker: &TalkerEnd) {
        if talker.taken() < talker.pushed() {
            self.flushed.get_or_insert((now, talker.pushed()));
        }
    }

    /// The line has moved on.
    pub(super) fn line(&mut self, now: Instant, talker: &TalkerEnd) {
        if !self.has_spoken && talker.played() > 0 {
            self.has_spoken = true;
            if let Some(activated) = self.activated.take() {
                self.metrics.agent_first_audio.observe(now.saturating_duration_since(activated));
            }
        }
        if let Some((at, _)) = self.flushed.take_if(|(_, void)| talker.taken() >= *void) {
            self.metrics.agent_interruption_silence.observe(now.saturating_duration_since(at));
        }
        let overruns = talker.dropped();
        self.metrics.agent_ring_overruns.add(overruns - self.overruns);
        self.overruns = overruns;
    }

    /// A block of caller audio was too old to be sent.
    pub(super) fn skipped_block(&self) {
        self.metrics.agent_stale_audio.add(BLOCK);
    }
}
