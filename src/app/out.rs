//! Standard output and the last words: the one place that prints, whole lines at a time, so that a pipe sees them
//! at once.

use std::io::{ErrorKind, Write as _};

use super::fault::Fault;

/// Prints one line of what a program does. Its work goes on when nobody reads: the line is dropped.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
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
