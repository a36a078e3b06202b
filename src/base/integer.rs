//! Integers as JSON has them: `60` and `60.0` are the same one (JSON Schema 6.1.1).

use serde_json::Number;

/// The largest integer that every program reads as it was written (RFC 8259 6): 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The value of an integer from 0 to `INTEGER_MAX`; `None` for every other number.
pub fn whole(number: &Number) -> Option<u64> {
    let float = || number.as_f64().filter(|value| value.fract() == 0.0 && *value >= 0.0);
    // What is too large for a u64 becomes the largest one.
    number.as_u64().or_else(|| float().map(|value| value as u64)).filter(|value| *value <= INTEGER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_fraction_is_no_fraction_and_nothing_is_rounded() {
        let read = |text: &str| whole(&serde_json::from_str(text).unwrap());
        for (text, value) in [
            ("0", 0),
            ("-0.0", 0),
            ("60.0", 60),
            ("6e1", 60),
            ("905551112233.0", 905_551_112_233),
            ("9007199254740991", INTEGER_MAX),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in ["-1", "-1.0", "0.5", "9007199254740992", "9007199254740992.0", "1e19", "1e300"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
