//! Standard output and the last words: the one place that prints, whole lines at a time, so that a pipe sees them
//! at once.

use std::io::{ErrorKind, Write as _};

use super::fault::Fault;

/// Prints one line of what a program does. Its work goes on when nobody reads: the line is dropped.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line in the place of what `now` shows; an empty one only takes that away.
pub fn over(line: &str) {
    let shown = crate::sys::terminal::is_shown();
    let mut out = std::io::stdout().lock();
    let clear = if shown { "\r\x1b[K" } else { "" };
    let end = if line.is_empty() { "" } else { "\n" };
    let _ = write!(out, "{clear}{line}{end}").and_then(|()| out.flush());
}

/// Shows on a terminal what is so now, until the next line takes its place.
pub fn now(words: &str) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "\r\x1b[K{words}").and_then(|()| out.flush());
}

/// Prints what was asked for, which is the whole work. A reader that has left ends the command, quietly.
pub fn print(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe { Fault::NobodyReads } else { Fault::Output(error) }
    })
}

/// Tells a person beside the output, on standard error.
pub fn remark(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "callscoot: {line}");
}
