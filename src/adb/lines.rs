//! The output of a shell, cut into lines as it arrives.

/// Bytes of a line that are kept: what is looked for stands at the beginning of short ones, while one line of cell
/// information has kilobytes.
const LINE_BYTES_MAX: usize = 512;

/// Cuts bytes into lines; of a longer one the beginning is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Gives every line that `bytes` completes to `each`, without surrounding space.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end(&mut each);
            } else if self.0.len() < LINE_BYTES_MAX {
                self.0.push(byte);
            }
        }
    }

    /// The last line may have no end.
    pub(super) fn end(&mut self, mut each: impl FnMut(&str)) {
        each(String::from_utf8_lossy(&self.0).trim());
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_trimmed_and_shortened() {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        let text = format!("  a=1\r\n\n{}\n\u{fc}", "x".repeat(5000));
        for piece in text.as_bytes().chunks(3) {
            lines.push(piece, |line| all.push(line.to_owned()));
        }
        lines.end(|line| all.push(line.to_owned()));
        assert_eq!(all, ["a=1", "", &"x".repeat(512), "\u{fc}"]);
    }
}
