//! The terminal of a command: how wide it is, a line that it does not show, a reader that has left.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::wait::{Interest, on, wait};

/// Ctrl-C as the terminal sends it.
const INTERRUPT: u8 = 3;
/// A hidden line has fewer bytes, its end included: at so many the kernel has cut what was typed, in silence.
const LINE_BYTES_MAX: usize = 4096;

/// Whether a person reads standard output.
pub fn is_shown() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal at standard output; `None` when it is none, or does not know.
pub fn columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// One line from standard input, without its end; `None` when the person pressed Ctrl-C. At a terminal the prompt
/// is shown and what is typed is not. A line that is too long is `InvalidData`.
pub fn hidden_line(prompt: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return read_line(stdin.lock()).map(|line| Some(text_of(line)));
    }
    let before = tcgetattr(&stdin)?;
    let mut hidden = before.clone();
    // Ctrl-C must end the line instead of the process, which would leave the terminal without an echo.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    hidden.local_modes.insert(LocalModes::ECHONL);
    hidden.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    // Only then the prompt: what is typed after it is hidden.
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let mut prompted = io::stderr();
    let line =
        write!(prompted, "{prompt}").and_then(|()| prompted.flush()).and_then(|()| read_line(stdin.lock()));
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    let line = line?;
    if line.last() == Some(&INTERRUPT) {
        // No line end was typed, so none was echoed.
        writeln!(prompted)?;
        return Ok(None);
    }
    Ok(Some(text_of(line)))
}

/// Forgets what was typed at the terminal and not read. Lines of a file or a pipe stay: somebody meant them in order.
pub fn forget_typed() {
    // Standard input that is no terminal has nothing to forget.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// One line from standard input, without its end; `None` at the end of input.
pub fn line() -> io::Result<Option<String>> {
    let line = read_line(io::stdin().lock())?;
    Ok(Some(line).filter(|line| !line.is_empty()).map(text_of))
}

/// Up to a line end, the end of input, or Ctrl-C.
fn read_line(mut input: impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let bytes = input.fill_buf()?;
        let end = bytes.iter().position(|byte| matches!(*byte, b'\n' | INTERRUPT));
        let taken = end.map_or(bytes.len(), |at| at + 1);
        line.extend(bytes.iter().take(taken));
        input.consume(taken);
        if line.len() >= LINE_BYTES_MAX {
            let why = format!("longer than {} bytes", LINE_BYTES_MAX - 2);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if end.is_some() || taken == 0 {
            return Ok(line);
        }
    }
}

fn text_of(line: Vec<u8>) -> String {
    String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
}

/// Waits until nobody can read standard output any more: `… | head -1` has what it wants.
pub fn wait_until_unread() -> io::Result<()> {
    wait(&mut [on(io::stdout().as_fd(), Interest::NONE)], None).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_or_refused() {
        let most = "x".repeat(LINE_BYTES_MAX - 2);
        assert_eq!(text_of(read_line(format!("{most}\nmore").as_bytes()).unwrap()), most);
        for long in [format!("{most}x\n"), format!("{most}xx"), "x".repeat(3 * LINE_BYTES_MAX)] {
            assert_eq!(read_line(long.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert_eq!(read_line(&b"ab\x03cd"[..]).unwrap(), b"ab\x03");
    }
}
