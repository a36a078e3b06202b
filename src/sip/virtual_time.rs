//! Where virtual time starts: tests and fuzz bodies have no clock, but an `Instant` comes from nowhere else.

use std::time::Instant;

/// Any instant at all.
#[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere, and where does not matter")]
pub(super) fn start() -> Instant {
    Instant::now()
}
