//! Whether mSBC is of any use on this link: some adapters deliver it damaged, or not at all, and CVSD would work.

/// A bad or absent frame weighs as much as this many good ones: more than one in four is too many, in the long run.
const BAD_WEIGHS: u32 = 3;
/// Unusable from here on: 100 frames (750 ms) without a good one, or 2 s in which every second one is bad.
const UNUSABLE: u32 = 100 * BAD_WEIGHS;
/// Before the first good frame the phone may not have begun yet: 400 frames (3 s).
const UNUSABLE_AT_FIRST: u32 = 400 * BAD_WEIGHS;

/// A bucket that bad frames fill and good ones empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    level: u32,
    began: bool,
}

impl Health {
    /// A frame that could be decoded.
    pub(super) fn good(&mut self) {
        if !self.began {
            (self.began, self.level) = (true, 0);
        }
        self.level = self.level.saturating_sub(1);
    }

    /// The time of a frame without one that could be decoded.
    pub(super) fn bad(&mut self) {
        self.level = (self.level + BAD_WEIGHS).min(UNUSABLE_AT_FIRST);
    }

    /// Whether another codec should be taken.
    pub(super) fn is_unusable(&self) -> bool {
        self.level >= if self.began { UNUSABLE } else { UNUSABLE_AT_FIRST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds until it is unusable when of `of` frames `bad` are; `None`: not within a minute.
    fn unusable_after_ms(bad: u32, of: u32) -> Option<u32> {
        let mut health = Health::default();
        (0..8000).find_map(|frame| {
            if frame > 0 && frame % of < bad {
                health.bad();
            } else {
                health.good();
            }
            health.is_unusable().then_some(frame * 15 / 2)
        })
    }

    #[test]
    fn a_link_that_loses_more_than_a_quarter_is_given_up_and_a_good_one_never() {
        assert_eq!(unusable_after_ms(1, 1), Some(750));
        assert!(unusable_after_ms(1, 2).is_some_and(|ms| (2000..2500).contains(&ms)));
        assert!(unusable_after_ms(1, 3).is_some_and(|ms| ms < 8000));
        assert_eq!((unusable_after_ms(1, 5), unusable_after_ms(1, 20)), (None, None));
    }

    #[test]
    fn a_phone_that_begins_late_has_three_seconds() {
        let mut health = Health::default();
        (0..399).for_each(|_| health.bad());
        assert!(!health.is_unusable());
        let mut begun = health.clone();
        health.bad();
        assert!(health.is_unusable());
        begun.good();
        (0..99).for_each(|_| begun.bad());
        assert!(!begun.is_unusable(), "what was before the first frame does not count");
        (0..2).for_each(|_| begun.bad());
        assert!(begun.is_unusable());
    }
}
