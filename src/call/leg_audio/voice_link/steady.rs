//! A talker that gets steady audio: silence on a beat while no link brings any.

use std::time::{Duration, Instant};

use crate::call::audio::{BLOCK_MS, Block};

/// When nothing came for so long, silence is made.
const FILL_AFTER: Duration = Duration::from_millis(100);
/// A burst may put the audio so far ahead of time before that is forgotten.
const AHEAD_MAX: Duration = Duration::from_millis(200);
/// Length of a block of silence.
const BEAT: Duration = Duration::from_millis(BLOCK_MS);

/// One call's audio towards its talker, against time.
#[derive(Clone, Debug)]
pub struct Steady {
    /// The time up to which audio was passed on.
    covered: Instant,
}

impl Steady {
    /// Nothing came yet.
    pub fn new(now: Instant) -> Self {
        Self { covered: now }
    }

    /// Audio was passed on.
    pub fn heard(&mut self, now: Instant, block: &Block) {
        self.covered = (self.covered + Duration::from_micros(block.micros())).clamp(now, now + AHEAD_MAX);
    }

    /// When a block of silence is due if nothing comes.
    pub fn deadline(&self) -> Instant {
        self.covered + FILL_AFTER
    }

    /// The silence that is due. A late beat is made good, a stall is not.
    pub fn beat(&mut self, now: Instant) -> Option<Block> {
        if now < self.deadline() {
            return None;
        }
        let floor = now.checked_sub(FILL_AFTER).unwrap_or(now);
        self.covered = (self.covered + BEAT).max(floor);
        Some(Block::pcm16k(&[0; 16 * BLOCK_MS as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    #[test]
    fn silence_begins_after_100_ms_and_keeps_the_time() {
        let start = any_instant();
        let mut steady = Steady::new(start);
        let ms = |ms| start + Duration::from_millis(ms);
        assert!(steady.beat(ms(99)).is_none());
        let mut made = 0;
        for at in 100..1100 {
            made += u64::from(steady.beat(ms(at)).is_some()) * BLOCK_MS;
        }
        assert_eq!(made, 1000);
        steady.heard(ms(1100), &Block::pcm16k(&[1; 120]));
        assert_eq!(steady.deadline(), ms(1200), "audio that comes is the time again");
        assert!(steady.beat(ms(1199)).is_none());
        let late = (0..19).filter(|at| steady.beat(ms(5000 + at)).is_some()).count();
        assert!(late <= 2, "a stall is not made good: {late} blocks");
    }
}
