//! Phone numbers as the API takes them: digits, with a leading `+` kept; written forms are normalised, and
//! nothing that could mean something else to a telephone network is ever dropped silently.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Digits that a number may have at most: E.164 allows 15; national prefixes and extensions need a few more.
pub const NUMBER_DIGITS_MAX: usize = 32;

/// A normalised number: an optional `+`, then 1 to 32 digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(String);

/// Why a text is not a number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NumberError {
    /// Something other than digits, a leading `+` and the separators space `-` `.` `/` `(` `)`.
    #[error("number may hold only digits, a leading + and the separators space - . / ( )")]
    Character,
    /// No digit at all.
    #[error("number has no digit")]
    Empty,
    /// More than 32 digits.
    #[error("number has more than {NUMBER_DIGITS_MAX} digits")]
    TooLong,
}

impl Number {
    /// Drops the separators of written numbers, keeps a leading `+`, refuses everything else.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let mut out = String::with_capacity(text.len().min(NUMBER_DIGITS_MAX + 1));
        for c in text.chars() {
            match c {
                '0'..='9' => out.push(c),
                '+' if out.is_empty() => out.push(c),
                ' ' | '-' | '.' | '/' | '(' | ')' => {}
                _ => return Err(NumberError::Character),
            }
            if out.len() > NUMBER_DIGITS_MAX + 1 {
                return Err(NumberError::TooLong);
            }
        }
        match out.trim_start_matches('+').len() {
            0 => Err(NumberError::Empty),
            1..=NUMBER_DIGITS_MAX => Ok(Self(out)),
            _ => Err(NumberError::TooLong),
        }
    }

    /// The normalised text, as it is dialled and stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits without `+`.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }

    /// The E.164 form with `+`, when `country_code` (digits only) is known: `00…` is international, one leading
    /// `0` is the national trunk prefix. Without a country code only numbers with `+` have one.
    pub fn e164(&self, country_code: Option<&str>) -> Option<String> {
        if self.0.starts_with('+') {
            return Some(self.0.clone());
        }
        let country = country_code?;
        if let Some(international) = self.0.strip_prefix("00") {
            return Some(format!("+{international}"));
        }
        Some(format!("+{country}{}", self.0.strip_prefix('0').unwrap_or(&self.0)))
    }

    /// Whether both name the same line: by E.164 when `country_code` is known, else by text.
    pub fn same_line(&self, other: &Self, country_code: Option<&str>) -> bool {
        match (self.e164(country_code), other.e164(country_code)) {
            (Some(a), Some(b)) => a == b,
            _ => self == other,
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Number(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn written_forms_are_normalised() {
        assert_eq!(number("+90 (555) 111-22.33").as_str(), "+905551112233");
        assert_eq!(number("030/123").as_str(), "030123");
    }

    #[test]
    fn what_a_network_could_read_otherwise_is_refused() {
        for text in ["*21*1#", "1,2", "1;2", "12a", "1\n", "1+2", "++1", "１２"] {
            assert_eq!(Number::parse(text), Err(NumberError::Character), "{text:?}");
        }
        for text in ["", "+", " - "] {
            assert_eq!(Number::parse(text), Err(NumberError::Empty), "{text:?}");
        }
        assert_eq!(Number::parse(&"1".repeat(33)), Err(NumberError::TooLong));
        assert!(Number::parse(&"1".repeat(32)).is_ok());
    }

    #[test]
    fn matching_compares_e164_when_the_country_is_known() {
        assert!(number("05551112233").same_line(&number("+905551112233"), Some("90")));
        assert!(number("00905551112233").same_line(&number("+905551112233"), Some("90")));
        assert!(!number("05551112233").same_line(&number("+905551112233"), None));
        assert!(number("1001").same_line(&number("1001"), None));
    }
}
