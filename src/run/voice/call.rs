//! One call in the voice thread: the link to whoever talks, and what was counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::report::{Counters, add};
use crate::base::CallId;
use crate::call::audio::Block;
use crate::call::leg_audio::Steady;
use crate::hfp::host::Address;
use crate::run::link::MediaEnd;

/// A call that was given to this thread.
pub(super) struct Call {
    pub(super) id: CallId,
    /// Whose link carries it.
    pub(super) device: Option<Address>,
    pub(super) counters: Arc<Counters>,
    media: MediaEnd,
    steady: Steady,
}

impl Call {
    pub(super) fn new(now: Instant, id: CallId, media: MediaEnd, counters: Arc<Counters>) -> Self {
        Self { id, device: None, counters, media, steady: Steady::new(now) }
    }

    /// Passes on what the phone said.
    pub(super) fn heard(&mut self, now: Instant, block: &Block) {
        self.steady.heard(now, block);
        if self.media.uplink_is_open() {
            self.media.push(*block);
        }
    }

    /// The next block for the phone.
    pub(super) fn next(&mut self) -> Option<Block> {
        self.media.pop()
    }

    /// Whether what is left of the last block shall not be heard any more.
    pub(super) fn was_interrupted(&self) -> bool {
        self.media.last_is_void()
    }

    /// When silence is due if nothing is heard.
    pub(super) fn deadline(&self) -> Instant {
        self.steady.deadline()
    }

    /// Makes silence while nothing is heard.
    pub(super) fn beat(&mut self, now: Instant) {
        if let Some(block) = self.steady.beat(now)
            && self.media.uplink_is_open()
        {
            add(&self.counters.silence_micros, block.micros());
            self.media.push(block);
        }
    }

    /// A link carries it now that did not before.
    pub(super) fn linked(&self) {
        self.counters.links.store(self.counters.links.load(Relaxed) + 1, Relaxed);
    }
}
