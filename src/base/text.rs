//! Texts of strangers, fit to be kept and shown.

/// At most `bytes_max` bytes of a text, whole characters, without control characters and surrounding space.
pub fn bounded(text: &str, bytes_max: usize) -> String {
    let mut kept = String::new();
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > bytes_max {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_hold_no_control_characters() {
        assert_eq!(bounded(" a\u{7}b\r\nc\u{1b}[2J ", 64), "abc[2J");
        assert_eq!(bounded(&"ü".repeat(200), 65).len(), 64);
        assert_eq!(bounded(" \t", 64), "");
    }
}
