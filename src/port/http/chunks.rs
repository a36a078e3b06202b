//! Bodies: by length, or in chunks (RFC 9112 7.1), collected up to their limit.

use super::head::{BODY_BYTES_MAX, Framing, too_large};
use crate::call::api::Response;

/// Bytes of one chunk's size line, or of all trailer fields; longer is 400.
const LINE_BYTES_MAX: usize = 1024;

/// A body that is coming in.
#[derive(Clone, Debug)]
pub(super) struct Body {
    collected: Vec<u8>,
    expect: Expect,
    line: Vec<u8>,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// So many bytes, and then the body is whole.
    Rest(usize),
    /// A chunk's size and extensions.
    Size,
    /// So many bytes of a chunk, and then its line end.
    Chunk(usize),
    /// The line end of a chunk.
    ChunkEnd,
    /// Trailer fields up to an empty line; so many bytes of them have been passed over.
    Trailer(usize),
    /// Nothing: the body is whole.
    Nothing,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        let expect = match framing {
            Framing::Length(0) => Expect::Nothing,
            Framing::Length(length) => Expect::Rest(length),
            Framing::Chunked => Expect::Size,
        };
        Self { collected: Vec::new(), expect, line: Vec::new() }
    }

    /// The whole of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// What has come so far.
    pub(super) fn collected(&self) -> &[u8] {
        &self.collected
    }

    /// Takes what came; what follows a whole body is left alone.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Response> {
        while !bytes.is_empty() {
            match self.expect {
                Expect::Nothing => break,
                Expect::Rest(left) => {
                    let left = self.collect(&mut bytes, left)?;
                    self.expect = if left == 0 { Expect::Nothing } else { Expect::Rest(left) };
                }
                Expect::Chunk(left) => {
                    let left = self.collect(&mut bytes, left)?;
                    self.expect = if left == 0 { Expect::ChunkEnd } else { Expect::Chunk(left) };
                }
                Expect::Size | Expect::ChunkEnd | Expect::Trailer(_) => {
                    if let Some(line) = self.line(&mut bytes)? {
                        self.expect = self.after_line(&line)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn collect(&mut self, bytes: &mut &[u8], left: usize) -> Result<usize, Response> {
        let (now, later) = bytes.split_at(left.min(bytes.len()));
        if self.collected.len() + now.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        self.collected.extend_from_slice(now);
        *bytes = later;
        Ok(left - now.len())
    }

    /// A line without its end, once it is complete.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, Response> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (now, later) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
        if self.line.len() + now.len() > LINE_BYTES_MAX {
            return Err(malformed());
        }
        self.line.extend_from_slice(now);
        *bytes = later;
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        // A bare line feed inside chunked framing is a way to make two readers disagree.
        if !line.ends_with(b"\r\n") {
            return Err(malformed());
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }

    fn after_line(&self, line: &[u8]) -> Result<Expect, Response> {
        match self.expect {
            Expect::ChunkEnd if line.is_empty() => Ok(Expect::Size),
            Expect::Trailer(_) if line.is_empty() => Ok(Expect::Nothing),
            Expect::Trailer(passed) if passed + line.len() <= LINE_BYTES_MAX => {
                Ok(Expect::Trailer(passed + line.len() + 2))
            }
            Expect::Size => match chunk_size(line)? {
                0 => Ok(Expect::Trailer(0)),
                size if size > BODY_BYTES_MAX - self.collected.len() => Err(too_large()),
                size => Ok(Expect::Chunk(size)),
            },
            Expect::ChunkEnd | Expect::Trailer(_) | Expect::Rest(_) | Expect::Chunk(_) | Expect::Nothing => {
                Err(malformed())
            }
        }
    }
}

fn malformed() -> Response {
    Response::problem(400, "the chunks of the body are malformed")
}

/// Hexadecimal digits, then perhaps extensions after `;`.
fn chunk_size(line: &[u8]) -> Result<usize, Response> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    let extension = extension.trim_ascii_start();
    if digits.is_empty()
        || !digits.iter().all(u8::is_ascii_hexdigit)
        || !(extension.is_empty() || extension.starts_with(b";"))
    {
        return Err(malformed());
    }
    let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
    // Digits alone that do not fit are a size above the limit.
    usize::from_str_radix(digits, 16).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(text: &[u8]) -> Result<(Vec<u8>, bool), u16> {
        let mut body = Body::new(Framing::Chunked);
        body.take(text).map_err(|response| response.status)?;
        let mut bytewise = Body::new(Framing::Chunked);
        for byte in text {
            bytewise.take(&[*byte]).unwrap();
        }
        assert_eq!((bytewise.collected(), bytewise.is_whole()), (body.collected(), body.is_whole()));
        Ok((body.collected().to_vec(), body.is_whole()))
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_passed_over_rfc9112_7_1() {
        let text = b"4\r\nWiki\r\n5;ext=\"x\"\r\npedia\r\nA ; y\r\n0123456789\r\n\
                     000\r\nTrailer: x\r\n\r\nGET / garbage";
        assert_eq!(chunked(text), Ok((b"Wikipedia0123456789".to_vec(), true)));
        assert_eq!(chunked(b"0\r\n\r\n"), Ok((Vec::new(), true)));
        assert_eq!(chunked(b"4\r\nWi"), Ok((b"Wi".to_vec(), false)));
        assert_eq!(chunked(b"4\r\nWiki\r\n0\r\n"), Ok((b"Wiki".to_vec(), false)));
    }

    #[test]
    fn malformed_chunks_are_refused_rfc9112_7_1() {
        for text in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-4\r\nWiki",
            b"+4\r\nWiki",
            b"0x4\r\n",
            b"4\nWiki",
            b"4\r\nWikipedia\r\n",
            b"4\r\nWiki\n0\r\n",
            b" 4\r\n",
            b"4 5\r\n",
            &[b'0'; 2000],
        ] {
            assert_eq!(chunked(text), Err(400), "{:?}", String::from_utf8_lossy(text));
        }
        let trailer = [b"0\r\n".to_vec(), b"X: y\r\n".repeat(1000)].concat();
        assert_eq!(chunked(&trailer), Err(400));
    }

    #[test]
    fn a_body_in_chunks_has_the_same_limit_as_an_announced_one() {
        assert_eq!(chunked(b"100001\r\n"), Err(413));
        assert_eq!(chunked(b"ffffffffffffffffffffffff\r\n"), Err(413));
        let mebibyte = [b"100000\r\n".to_vec(), vec![b'x'; 1 << 20], b"\r\n".to_vec()].concat();
        assert_eq!(chunked(&[mebibyte.clone(), b"0\r\n\r\n".to_vec()].concat()).unwrap().0.len(), 1 << 20);
        assert_eq!(chunked(&[mebibyte, b"1\r\nx".to_vec()].concat()), Err(413));
    }

    #[test]
    fn an_announced_body_is_whole_at_its_length() {
        let mut body = Body::new(Framing::Length(4));
        body.take(b"ab").unwrap();
        assert!(!body.is_whole());
        body.take(b"cdGET").unwrap();
        assert_eq!((body.collected(), body.is_whole()), (&b"abcd"[..], true));
        assert!(Body::new(Framing::Length(0)).is_whole());
    }
}
