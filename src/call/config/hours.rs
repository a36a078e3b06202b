//! `business_hours`: a window of the day, `HH:MM-HH:MM`.

use std::fmt;

use jiff::civil::Time;

/// Minutes in a day.
const DAY_MIN: u16 = 24 * 60;

/// A window of the day in local time. An end before the begin is on the next day; an end equal to the begin
/// makes the window a whole day long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusinessHours {
    /// Minutes since midnight, below 1440.
    begin_min: u16,
    /// Minutes since midnight, up to 1440 (`24:00`).
    end_min: u16,
}

impl BusinessHours {
    /// Reads `HH:MM-HH:MM`; the end may be `24:00`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (begin, end) = text.trim().split_once('-')?;
        let (begin_min, end_min) = (minutes(begin.trim())?, minutes(end.trim())?);
        (begin_min < DAY_MIN).then_some(Self { begin_min, end_min })
    }

    /// Whether the time of day lies in the part of the window that begins on the same day.
    pub(in crate::call) fn begun_today(self, time: Time) -> bool {
        let now = minute_of_day(time);
        now >= self.begin_min && (self.passes_midnight() || now < self.end_min)
    }

    /// Whether the time of day lies in the part of the window that began the day before.
    pub(in crate::call) fn begun_yesterday(self, time: Time) -> bool {
        self.passes_midnight() && minute_of_day(time) < self.end_min
    }

    fn passes_midnight(self) -> bool {
        self.end_min <= self.begin_min
    }
}

impl fmt::Display for BusinessHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begin, end) = (self.begin_min, self.end_min);
        write!(f, "{:02}:{:02}-{:02}:{:02}", begin / 60, begin % 60, end / 60, end % 60)
    }
}

fn minute_of_day(time: Time) -> u16 {
    time.hour().unsigned_abs() as u16 * 60 + time.minute().unsigned_abs() as u16
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| -> Option<u16> {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MIN).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_form_is_taken() {
        for text in ["09:00-17:00", "22:30-06:15", "00:00-24:00", "00:00-00:00"] {
            assert_eq!(BusinessHours::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "9-17",
            "9:00-17:00",
            "09:00",
            "24:00-01:00",
            "09:60-10:00",
            "25:00-26:00",
            "09:00-17:0x",
            "+9:00-10:00",
        ] {
            assert_eq!(BusinessHours::parse(text), None, "{text:?}");
        }
    }
}
