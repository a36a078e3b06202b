//! Reading members of a message without trusting their types or sizes.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use thiserror::Error;

/// Bytes of one text (words, reasons) that are kept; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of a message other than audio; a larger one is not looked into.
pub const OTHER_BYTES_MAX: usize = 1 << 20;
/// Bytes of a name or identifier that are kept.
const NAME_BYTES_MAX: usize = 256;

/// Writes padding, reads with or without.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a message means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Not one JSON object.
    #[error("the message is not a JSON object")]
    Json,
    /// More than 1 MiB without being audio.
    #[error("the message is larger than {OTHER_BYTES_MAX} bytes")]
    TooLarge,
    /// No `type`, or a member without which this type means nothing.
    #[error("the message has no valid `{0}`")]
    Missing(&'static str),
}

/// Cuts a text to `max` bytes at a character's border.
pub(super) fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("").to_owned()
}

/// A text, or a number as its digits.
pub(super) fn text(object: &Value, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => Some(cut(text, TEXT_BYTES_MAX)),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An identifier or a name: as `text`, shorter.
pub(super) fn name(object: &Value, key: &str) -> Option<String> {
    text(object, key).map(|text| cut(&text, NAME_BYTES_MAX))
}

/// A whole number from 0, also as text or with a fraction of zero.
pub(super) fn integer(object: &Value, key: &str) -> Option<u64> {
    whole(object.get(key)?)
}

/// The same for a value by itself.
pub(super) fn whole(value: &Value) -> Option<u64> {
    /// Beyond this a double does not hold every integer.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            number.as_f64().filter(|f| f.fract() == 0.0 && (0.0..=EXACT_MAX).contains(f)).map(|f| f as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// True, also as text or number.
pub(super) fn flag(object: &Value, key: &str) -> bool {
    match object.get(key) {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        Some(Value::Number(number)) => number.as_f64() == Some(1.0),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// What a message cannot do without.
pub(super) fn required<T>(found: Option<T>, key: &'static str) -> Result<T, MessageError> {
    found.ok_or(MessageError::Missing(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_come_as_texts_and_texts_as_numbers() {
        let object = json!({"a": "17", "b": 17.0, "c": -1, "d": 1.5, "e": true, "f": 5, "g": "x"});
        let ids: Vec<_> = ["a", "b", "c", "d", "e", "g", "h"].map(|key| integer(&object, key)).into();
        assert_eq!(ids, [Some(17), Some(17), None, None, None, None, None]);
        assert_eq!((text(&object, "f"), text(&object, "e")), (Some("5".into()), None));
        assert!(flag(&object, "e") && !flag(&object, "g"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_border() {
        assert_eq!(cut("aäb", 2), "a");
        assert_eq!(cut("aäb", 3), "aä");
        assert_eq!(text(&json!({"t": "ä".repeat(TEXT_BYTES_MAX)}), "t").unwrap().len(), TEXT_BYTES_MAX);
    }
}
