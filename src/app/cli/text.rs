//! Text of strangers made fit for a terminal, and lengths of time and text as people read them.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Marks on one letter at most; some draw towers with more.
const MARKS_MAX: usize = 4;

/// One line that moves no cursor, sets no colour, turns no writing direction: line ends and tabs become spaces, what
/// a terminal would obey becomes a replacement character, what it would hide is left out.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') {
            out.push(' ');
        } else if c.is_control() {
            out.push(char::REPLACEMENT_CHARACTER);
        } else if !hides(c) {
            marks = if c.width() == Some(0) { marks + 1 } else { 0 };
            if marks <= MARKS_MAX {
                out.push(c);
            }
        }
    }
    out
}

/// Characters without a shape of their own that change what is around them: direction, joining, tags.
pub(super) fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Columns that a clean text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text in at most so many columns; what was cut off ends in `…`.
pub(super) fn cut(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns_max {
            break;
        }
        out.push(c);
    }
    if columns_max > 0 {
        out.push('…');
    }
    out
}

/// The text in lines of at most so many columns, broken at spaces, in words only where one is longer than a line.
pub(super) fn wrap(text: &str, columns_max: usize) -> Vec<String> {
    let columns_max = columns_max.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        if !line.is_empty() && columns(&line) + 1 + columns(&word) > columns_max {
            lines.push(std::mem::take(&mut line));
        }
        while columns(&word) > columns_max {
            let mut used = 0;
            let fits = word.char_indices().find(|(_, c)| {
                used += c.width().unwrap_or(0);
                used > columns_max
            });
            let rest = word.split_off(fits.map_or(word.len(), |(at, _)| at));
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// How long something took: `0:07`, `12:30`, `1:02:03`.
pub(super) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A moment as seen from now: `5 min ago`, `in 4 min`. `None` when a date says more.
pub(super) fn relative(ms: i64) -> Option<String> {
    let seconds = ms.unsigned_abs() / 1000;
    let amount = match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=86_399 => format!("{} h", seconds / 3600),
        86_400..=172_799 => "1 day".into(),
        172_800..=604_799 => format!("{} days", seconds / 86_400),
        _ => return None,
    };
    Some(if ms < 0 { format!("in {amount}") } else { format!("{amount} ago") })
}

/// Bytes in the unit that fits: `512 B`, `3.2 GB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_stranger_moves_the_cursor_or_hides_what_it_says() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}]0;title\u{7}"), "�[31mred�]0;title�");
        assert_eq!(clean("a\nb\r\nc\td\u{9b}2J\u{7f}"), "a b  c d�2J�");
        assert_eq!(clean("+49\u{202e}30\u{200b}1\u{feff}"), "+49301");
        assert_eq!(clean(&format!("e{}x", "\u{301}".repeat(100))), format!("e{}x", "\u{301}".repeat(4)));
        assert_eq!(clean("Grüße 電話 👨\u{200d}👩"), "Grüße 電話 👨\u{200d}👩");
    }

    #[test]
    fn texts_are_cut_and_wrapped_by_columns_not_by_bytes() {
        assert_eq!(
            (cut("Grüße", 5), cut("Grüße!", 5), cut("", 0)),
            ("Grüße".into(), "Grüß…".into(), String::new())
        );
        assert_eq!((cut("電話番号", 5), columns("電話")), ("電話…".into(), 4));
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(
            (wrap("", 10), wrap("電話番号", 4)),
            (vec![String::new()], vec!["電話".into(), "番号".into()])
        );
    }

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(
            [span(7_900), span(750_000), span(3_723_000), span(-5)],
            ["0:07", "12:30", "1:02:03", "0:00"]
        );
        let shown =
            [0, 59_999, 3_599_000, 86_399_000, 86_400_000, 604_799_000].map(|ms| relative(ms).unwrap());
        assert_eq!(shown, ["0 s ago", "59 s ago", "59 min ago", "23 h ago", "1 day ago", "6 days ago"]);
        assert_eq!((relative(-240_000).unwrap(), relative(604_800_000)), ("in 4 min".into(), None));
        assert_eq!(
            [size(0), size(999), size(3_210_000_000), size(64_000_000)],
            ["0 B", "999 B", "3.2 GB", "64 MB"]
        );
    }
}
