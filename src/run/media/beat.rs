//! The beat: every 20 ms since an origin, so that an error of one wake is never added to the next.

use std::time::{Duration, Instant};

/// Length of a beat.
pub(super) const BEAT: Duration = Duration::from_millis(20);
/// After a stall at most so many beats are made good at once; older ones are skipped, because what the line
/// did not hear in time it shall not hear in a rush.
const CATCH_UP_MAX: u32 = 3;

/// Beats since an origin; stopped while nobody needs them.
#[derive(Debug, Default)]
pub(super) struct Beat {
    next: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Beats that were missed for good.
    pub(super) skipped: u32,
    /// Beats to play now.
    pub(super) play: u32,
}

impl Beat {
    /// Begins, if it stands still: the first beat is one beat from now.
    pub(super) fn start(&mut self, now: Instant) {
        self.next.get_or_insert(now + BEAT);
    }

    /// Stands still.
    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// When the next beat is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The beats that have come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let next = self.next.filter(|next| *next <= now)?;
        let beats =
            (now.saturating_duration_since(next).as_nanos() / BEAT.as_nanos() + 1).min(1 << 30) as u32;
        self.next = Some(next + BEAT * beats);
        let play = beats.min(CATCH_UP_MAX);
        Some(Due { skipped: beats - play, play })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn late_wakes_do_not_shift_the_beat_and_a_long_stall_is_skipped() {
        let (start, mut beat) = (Instant::now(), Beat::default());
        assert_eq!((beat.deadline(), beat.due(start)), (None, None));
        beat.start(start);
        let ms = |ms| start + Duration::from_millis(ms);
        assert_eq!(beat.due(ms(19)), None);
        assert_eq!(beat.due(ms(29)), Some(Due { skipped: 0, play: 1 }));
        assert_eq!(beat.deadline(), Some(ms(40)));
        assert_eq!(beat.due(ms(61)), Some(Due { skipped: 0, play: 2 }));
        assert_eq!(beat.due(ms(1000)), Some(Due { skipped: 44, play: 3 }));
        assert_eq!(beat.deadline(), Some(ms(1020)));
        beat.start(ms(1001));
        assert_eq!(beat.deadline(), Some(ms(1020)), "a beat that runs is not started again");
        beat.stop();
        assert_eq!(beat.deadline(), None);
    }
}
