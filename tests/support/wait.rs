//! Waiting for a fact, with a deadline: never for a time.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded two-core machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The first `Some`, or a failed test that says what it waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// As `until`, and shows the last value that was not good enough.
pub fn until_is<T: Debug>(what: &str, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if good(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}; last: {found:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// That `bad` stays away for `span`: the only wait that takes its time, for what must not happen.
pub fn stays_away<T: Debug>(what: &str, span: Duration, mut bad: impl FnMut() -> Option<T>) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        if let Some(found) = bad() {
            panic!("{what}: {found:?}");
        }
        thread::sleep(LOOK_EVERY);
    }
}
