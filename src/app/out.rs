//! Standard output: the one place that prints, a line at a time, so that a pipe sees it at once.

use std::io::Write as _;

/// Prints one line. A closed pipe is no fault of ours: the line is dropped.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
