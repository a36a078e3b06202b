//! The budget of minutes: how long the answered outbound calls of the last 24 hours lasted, together.

use super::DAY_MS;

const MINUTE_MS: i64 = 60_000;

/// From when to when an outbound call was answered, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talked {
    /// It was answered.
    pub from_unix_ms: i64,
    /// It ended; now, if it has not.
    pub to_unix_ms: i64,
}

impl Talked {
    /// The time of it that counts still.
    fn after(self, unix_ms: i64, now_unix_ms: i64) -> i64 {
        // A time in the future is a clock that was set back: it counts as if it ended now.
        let ahead = self.to_unix_ms.saturating_sub(now_unix_ms).max(0);
        let from = self.from_unix_ms.saturating_sub(ahead);
        let to = self.to_unix_ms.saturating_sub(ahead);
        to.saturating_sub(from.max(unix_ms)).max(0)
    }

    /// Whether it may count still, now or after a while of it.
    pub fn counts(self, now_unix_ms: i64) -> bool {
        self.to_unix_ms > now_unix_ms.saturating_sub(DAY_MS)
    }
}

/// Seconds until a call may be made again, when `minutes_max` (0: no limit) of the last 24 hours are used up.
pub(super) fn spent(minutes_max: u32, talked: &[Talked], now_unix_ms: i64) -> Option<u64> {
    let max_ms = i64::from(minutes_max) * MINUTE_MS;
    let is_spent = |since: i64| {
        let times = talked.iter().map(|talked| talked.after(since, now_unix_ms));
        times.fold(0_i64, i64::saturating_add) >= max_ms
    };
    let begin = now_unix_ms.saturating_sub(DAY_MS);
    if minutes_max == 0 || !is_spent(begin) {
        return None;
    }
    // The longer the wait, the less of the past counts: the first moment from which it is not too much.
    let (mut spent, mut free) = (begin, now_unix_ms);
    while free.saturating_sub(spent) > 1 {
        let between = spent + (free - spent) / 2;
        if is_spent(between) {
            spent = between;
        } else {
            free = between;
        }
    }
    Some(free.saturating_sub(begin).max(1).unsigned_abs().div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_337_467_000;

    /// Calls as minutes ago and minutes long.
    fn calls(calls: &[(i64, i64)]) -> Vec<Talked> {
        let from = |ago: i64| NOW - ago * MINUTE_MS;
        calls
            .iter()
            .map(|&(ago, long)| Talked { from_unix_ms: from(ago), to_unix_ms: from(ago - long) })
            .collect()
    }

    #[test]
    fn minutes_of_the_last_day_count_and_a_call_leaves_it_as_it_went() {
        assert_eq!(spent(10, &calls(&[]), NOW), None);
        assert_eq!(spent(10, &calls(&[(60, 9)]), NOW), None);
        // Ten minutes are used; after 23 h a first moment of the call is older than a day.
        assert_eq!(spent(10, &calls(&[(60, 10)]), NOW), Some(23 * 3600 + 1));
        assert_eq!(spent(10, &calls(&[(60, 15)]), NOW), Some(23 * 3600 + 5 * 60 + 1));
        assert_eq!(spent(10, &calls(&[(25 * 60, 30)]), NOW), None, "all of it is too old");
        assert_eq!(spent(10, &calls(&[(24 * 60 + 20, 30)]), NOW), Some(1), "ten minutes of it are not");
        assert_eq!(spent(0, &calls(&[(60, 60)]), NOW), None, "no limit");
    }

    #[test]
    fn calls_at_the_same_time_count_each() {
        assert_eq!(spent(10, &calls(&[(60, 5), (60, 4)]), NOW), None);
        assert_eq!(spent(10, &calls(&[(60, 5), (60, 5)]), NOW), Some(23 * 3600 + 1));
    }

    #[test]
    fn a_clock_set_back_never_makes_the_wait_longer_than_a_day() {
        for talked in [
            Talked { from_unix_ms: NOW + DAY_MS, to_unix_ms: NOW + 2 * DAY_MS },
            Talked { from_unix_ms: i64::MIN, to_unix_ms: i64::MAX },
            Talked { from_unix_ms: i64::MAX, to_unix_ms: i64::MIN },
        ] {
            assert!(spent(1, &[talked; 2], NOW).is_none_or(|wait| wait <= 86_400), "{talked:?}");
        }
        let later = Talked { from_unix_ms: NOW + MINUTE_MS, to_unix_ms: NOW + 3 * MINUTE_MS };
        assert_eq!(spent(2, &[later], NOW), Some(86_400 - 120 + 1));
    }
}
