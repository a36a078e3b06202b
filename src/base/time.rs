//! Time as it is given to the cores: a monotonic instant for durations and deadlines, and the wall clock
//! for what people read. Whoever holds a `Now` never asks a clock.

use std::time::{Duration, Instant};

/// One reading of both clocks, taken together by `sys::clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines: never goes back.
    pub mono: Instant,
    /// Unix time in milliseconds: may jump (a Pi has no clock at boot).
    pub unix_ms: i64,
}

impl Now {
    /// This reading moved forward on both clocks: virtual time in tests.
    pub fn plus(self, by: Duration) -> Self {
        Self { mono: self.mono + by, unix_ms: self.unix_ms + by.as_millis() as i64 }
    }
}

/// Any instant at all, where virtual time begins: an `Instant` comes from nowhere but a clock. For tests and fuzz
/// bodies.
#[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere, and where does not matter")]
pub fn any_instant() -> Instant {
    Instant::now()
}

/// Unix milliseconds as UTC in whole seconds, `2026-11-22T08:51:07Z`: the only form that API clients parse.
pub fn rfc3339_seconds(unix_ms: i64) -> String {
    jiff::Timestamp::from_second(unix_ms.div_euclid(1000))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Unix milliseconds as the date of an HTTP header (RFC 9110 5.6.7).
pub fn http_date(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// The earlier of two optional deadlines.
pub fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_in_utc() {
        assert_eq!(rfc3339_seconds(1_795_337_467_999), "2026-11-22T08:51:07Z");
        assert_eq!(rfc3339_seconds(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339_seconds(i64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn an_http_date_is_in_gmt_rfc9110_5_6_7() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(i64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn the_earlier_deadline_wins_and_none_never_does() {
        assert_eq!(earlier(Some(2), Some(1)), Some(1));
        assert_eq!(earlier(None, Some(1)), Some(1));
        assert_eq!(earlier::<u8>(None, None), None);
    }
}
