//! Whether the audio link is where it should be. Its life is not the call's: a phone opens it when it likes, keeps
//! it to itself, gives it to a watch, or drops it in the middle of a call.

use std::time::{Duration, Instant};

/// An active call without audio for this long is asked about.
const PATIENCE: Duration = Duration::from_millis(1500);
/// So often; then it is told that the audio is elsewhere.
const TRIES_MAX: u8 = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for the link.
    Open,
    /// The phone, or something else that it is connected to, keeps the audio.
    Lost,
}

/// Watches one phone's link.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    linked: bool,
    wanted: bool,
    tries: u8,
    deadline: Option<Instant>,
}

impl Watch {
    /// The link is there, or not any more.
    pub(super) fn linked(&mut self, now: Instant, linked: bool) {
        self.linked = linked;
        if linked {
            self.tries = 0;
        }
        self.settle(now);
    }

    /// An active call wants it, or none does.
    pub(super) fn wanted(&mut self, now: Instant, wanted: bool) {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.tries = 0;
            self.settle(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        self.deadline.filter(|deadline| now >= *deadline)?;
        self.deadline = None;
        if self.tries >= TRIES_MAX {
            return Some(Step::Lost);
        }
        self.tries += 1;
        self.deadline = Some(now + PATIENCE);
        Some(Step::Open)
    }

    fn settle(&mut self, now: Instant) {
        self.deadline = (self.wanted && !self.linked).then_some(now + PATIENCE);
    }
}
