//! Waiting longer after each failure, up to a cap, with chance so that many clients do not return together.

use std::time::Duration;

use super::Rng;

/// Exponential back-off: each delay is drawn from the upper half of a window that doubles up to `cap`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first window is `first`; no window is wider than `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, failures: 0 }
    }

    /// The delay before the next try, after one more failure.
    pub fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let window = self.first.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let half = window / 2;
        half + Duration::from_millis(u64::from(rng.below(half.as_millis() as u32 + 1)))
    }

    /// After a success: the next failure waits the first window again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_start_again_after_a_success() {
        let mut rng = Rng::from_u64(1);
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(8));
        for window in [2, 4, 8, 8, 8] {
            let delay = backoff.next_delay(&mut rng);
            assert!(
                delay >= Duration::from_secs(window) / 2 && delay <= Duration::from_secs(window),
                "{delay:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut rng) <= Duration::from_secs(2));
    }
}
