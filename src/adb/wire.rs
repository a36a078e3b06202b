//! The host protocol (`SERVICES.TXT` of adb): a request is its length in four hexadecimal digits and its text; the
//! answer is `OKAY` or `FAIL`, then blocks of counted text, or raw bytes until the end.

use crate::base::text::bounded;

/// Bytes that a request may have: the server takes no longer one.
pub const REQUEST_BYTES_MAX: usize = 1024;
/// Bytes of the server's own words that are kept.
const WORDS_BYTES_MAX: usize = 256;

/// A request as it is sent; `None` when it is too long.
pub fn request(text: &str) -> Option<Vec<u8>> {
    (text.len() <= REQUEST_BYTES_MAX).then(|| counted(text.as_bytes()))
}

/// A block with its length before it. What is past 65,535 bytes is cut: more cannot be said.
pub fn counted(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.get(..0xffff).unwrap_or(bytes);
    let mut out = format!("{:04x}", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out
}

/// What comes next from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `OKAY` or `FAIL`.
    Status,
    /// A counted block.
    Block,
    /// Bytes until the end.
    Raw,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got<'b> {
    /// `OKAY`.
    Okay,
    /// `FAIL` and why, in the server's words.
    Fail(String),
    /// A counted block, at most 65,535 bytes by its nature.
    Block(Vec<u8>),
    /// Raw bytes.
    Raw(&'b [u8]),
    /// Not this protocol.
    Garbage,
}

/// Reads what a server says, in pieces of any size. Whoever uses it says what is expected next.
#[derive(Clone, Debug)]
pub struct Reader {
    expect: Expect,
    failing: bool,
    part: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { expect: Expect::Status, failing: false, part: Vec::new() }
    }
}

impl Reader {
    /// What comes after what was read last.
    pub fn expect(&mut self, expect: Expect) {
        self.expect = expect;
    }

    /// The next thing in `bytes`, which loses what was used. `None`: more is needed.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Got<'b>> {
        match (self.expect, self.failing) {
            (Expect::Raw, _) => Some(std::mem::take(bytes)).filter(|raw| !raw.is_empty()).map(Got::Raw),
            (Expect::Status, false) => {
                let status = self.take(bytes, 4)?;
                match status.as_slice() {
                    b"OKAY" => Some(Got::Okay),
                    b"FAIL" => {
                        self.failing = true;
                        self.next(bytes)
                    }
                    _ => Some(Got::Garbage),
                }
            }
            (Expect::Status, true) => Some(match self.block(bytes)? {
                Ok(words) => Got::Fail(bounded(&String::from_utf8_lossy(&words), WORDS_BYTES_MAX)),
                Err(NoLength) => Got::Garbage,
            }),
            (Expect::Block, _) => Some(self.block(bytes)?.map_or(Got::Garbage, Got::Block)),
        }
    }

    fn block(&mut self, bytes: &mut &[u8]) -> Option<Result<Vec<u8>, NoLength>> {
        self.fill(bytes, 4)?;
        let digits = self.part.get(..4)?;
        let Some(length) = length(digits) else { return Some(Err(NoLength)) };
        let mut block = self.take(bytes, 4 + length)?;
        block.drain(..4);
        Some(Ok(block))
    }

    fn take(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<Vec<u8>> {
        self.fill(bytes, wanted)?;
        Some(std::mem::take(&mut self.part))
    }

    fn fill(&mut self, bytes: &mut &[u8], wanted: usize) -> Option<()> {
        let missing = wanted.saturating_sub(self.part.len()).min(bytes.len());
        let (more, rest) = bytes.split_at(missing);
        self.part.extend_from_slice(more);
        *bytes = rest;
        (self.part.len() >= wanted).then_some(())
    }
}

struct NoLength;

/// Four hexadecimal digits in either case.
pub fn length(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.len() == 4)?;
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    usize::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is read from `text` in pieces of `size` bytes; after `OKAY` comes what `then` says.
    fn read(text: &[u8], size: usize, then: Expect) -> Vec<Got<'_>> {
        let mut reader = Reader::default();
        let mut all = Vec::new();
        for mut piece in text.chunks(size) {
            while let Some(got) = reader.next(&mut piece) {
                if got == Got::Okay {
                    reader.expect(then);
                }
                let over = matches!(got, Got::Garbage | Got::Fail(_));
                all.push(got);
                if over {
                    return all;
                }
            }
        }
        all
    }

    #[test]
    fn a_request_is_its_length_and_its_text() {
        assert_eq!(request("host:version").unwrap(), b"000chost:version");
        assert_eq!(request(&"x".repeat(1025)), None);
    }

    #[test]
    fn answers_are_read_whatever_pieces_they_come_in() {
        for size in 1..20 {
            assert_eq!(read(b"OKAY00040029", size, Expect::Block), [Got::Okay, Got::Block(b"0029".to_vec())]);
            assert_eq!(read(b"FAIL0006closed", size, Expect::Raw), [Got::Fail("closed".into())]);
            assert_eq!(
                read(b"OKAY0000000Ba\tb", size, Expect::Block),
                [Got::Okay, Got::Block(Vec::new())],
                "the last one is not complete"
            );
        }
        assert_eq!(read(b"OKAYabc", 7, Expect::Raw), [Got::Okay, Got::Raw(b"abc")]);
    }

    #[test]
    fn what_is_no_answer_is_garbage() {
        for text in [&b"HTTP/1.1 400"[..], b"okay", b"FAILzzzz", b"FAIL+004", b"\0\0\0\0"] {
            assert_eq!(read(text, 5, Expect::Raw), [Got::Garbage]);
        }
        assert_eq!(read(b"OKAY 12a", 3, Expect::Block), [Got::Okay, Got::Garbage]);
    }

    #[test]
    fn the_servers_words_are_kept_short_and_plain() {
        let text = [b"FAIL0200".to_vec(), vec![7; 12], vec![b'x'; 500]].concat();
        assert_eq!(read(&text, 100, Expect::Raw), [Got::Fail("x".repeat(256))]);
    }
}
