//! How a person sees the output: columns, colours, the time it is and the zone they live in.

use std::env;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::text::{clean, columns, relative, wrap};
use crate::app::fault::Fault;
use crate::app::out;
use crate::sys::{clock, terminal};

/// Columns of running text where the terminal is wider, or there is none.
const TEXT_COLUMNS_MAX: usize = 100;

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// A heading.
    Strong,
    /// Beside the point.
    Faint,
    Good,
    Doubtful,
    Bad,
}

/// Everything that rendering depends on beside the data.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Columns; `None` where nothing needs to be cut.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
    pub(super) now_unix_ms: i64,
    pub(super) zone: TimeZone,
}

impl View {
    /// Of standard output: a terminal's width, else `COLUMNS`; colours on a terminal alone, unless `NO_COLOR` is set.
    pub(super) fn of_stdout() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let by_name = || set("COLUMNS")?.to_str()?.parse().ok().filter(|columns| *columns > 0);
        let shown = terminal::is_shown();
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            width: terminal::columns().or_else(by_name),
            colour: shown && !dumb && set("NO_COLOR").is_none(),
            now_unix_ms: clock::now().unix_ms,
            zone: TimeZone::system(),
        }
    }

    /// The text in its tone.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Plain => "",
        };
        if self.colour && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A stranger's words after a label, wrapped under themselves.
    pub(super) fn labelled(&self, label: &str, tone: Tone, words: &str) -> String {
        let indent = columns(label);
        let room =
            self.width.unwrap_or(TEXT_COLUMNS_MAX).min(TEXT_COLUMNS_MAX).saturating_sub(indent).max(16);
        let mut out = String::new();
        for (number, line) in wrap(&clean(words), room).into_iter().enumerate() {
            let before = if number == 0 { self.paint(tone, label) } else { " ".repeat(indent) };
            out += format!("{before}{line}").trim_end();
            out.push('\n');
        }
        out
    }

    /// A moment: how long ago, or its date.
    pub(super) fn moment(&self, unix_ms: i64) -> String {
        relative(self.now_unix_ms - unix_ms).unwrap_or_else(|| self.local(unix_ms, "%Y-%m-%d"))
    }

    /// A moment on this machine's wall.
    pub(super) fn local(&self, unix_ms: i64, format: &str) -> String {
        let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    #[cfg(test)]
    pub(super) fn plain(width: usize) -> Self {
        Self { width: Some(width), colour: false, now_unix_ms: 1_795_337_467_000, zone: TimeZone::UTC }
    }
}

/// The API's own document for programs, or what `render` makes of it for people.
pub(super) fn show(
    body: &Value,
    as_json: bool,
    render: impl FnOnce(&Value, &View) -> String,
) -> Result<(), Fault> {
    if as_json { document(body) } else { out::print(&render(body, &View::of_stdout())) }
}

/// One JSON document: on one line for programs, indented for people.
pub(super) fn document(body: &Value) -> Result<(), Fault> {
    out::print(&inert(&if terminal::is_shown() { format!("{body:#}") } else { body.to_string() }))
}

/// One JSON document on one line, whoever reads.
pub(super) fn json_line(body: &Value) -> Result<(), Fault> {
    out::print(&inert(&body.to_string()))
}

/// The same JSON, with what a terminal might obey escaped: serde_json escapes only what JSON demands.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Below U+0020 only the line ends of the indentation are left; beyond U+FFFF nothing is obeyed.
        let obeyed = (c.is_control() && c != '\n') || (super::text::hides(c) && c <= '\u{ffff}');
        if obeyed {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A text member, without what a terminal would obey; empty where there is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map(clean).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_stays_the_same_document_and_nothing_in_it_is_obeyed() {
        let body = json!({"text": "\u{1b}[2J \u{9b}2J \u{7f} \u{202e}ü 電\u{2028}"});
        for text in [inert(&body.to_string()), inert(&format!("{body:#}"))] {
            assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), body);
        }
    }

    #[test]
    fn words_are_wrapped_under_themselves() {
        let view = View::plain(30);
        assert_eq!(
            view.labelled("  caller  ", Tone::Strong, "Is this the\nbakery?  It is."),
            "  caller  Is this the bakery?\n          It is.\n"
        );
        let coloured = View { colour: true, ..view };
        assert_eq!(coloured.paint(Tone::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(coloured.moment(0), "1970-01-01");
    }
}
