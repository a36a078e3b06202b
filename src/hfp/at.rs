//! AT lines (HFP 4.34, ITU-T V.250 5): cut from the stream of bytes that RFCOMM is, and taken apart.

use crate::base::text::bounded;

/// Bytes of one line; a longer one is dropped whole and counted. The longest line of HFP is a `+CIND` list of some
/// 150 bytes.
pub const LINE_BYTES_MAX: usize = 1024;

/// Cuts a stream into lines. CR and LF both end one, so that it serves both directions: result codes stand between
/// CR LF pairs, commands end with CR.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    part: Vec<u8>,
    too_long: bool,
    dropped: u64,
}

impl Lines {
    /// Gives every line that `bytes` completes to `each`; empty ones are passed over, bytes that are no UTF-8 replaced.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    if !std::mem::take(&mut self.too_long) && !self.part.is_empty() {
                        each(String::from_utf8_lossy(&self.part).trim());
                    }
                    self.part.clear();
                }
                _ if self.part.len() < LINE_BYTES_MAX => self.part.push(byte),
                // Counted at once: it may never end.
                _ => self.dropped += u64::from(!std::mem::replace(&mut self.too_long, true)),
            }
        }
    }

    /// Lines that were too long.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The last line of the answer to a command (V.250 5.7.1, HFP 4.34.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalResult {
    /// `OK`.
    Ok,
    /// `ERROR`.
    Error,
    /// `+CME ERROR: <err>` (3GPP 27.007 9.2); sent once `AT+CMEE=1` was accepted.
    CmeError(u16),
    /// `NO CARRIER`, `BUSY`, `NO ANSWER`, `DELAYED` or `BLACKLISTED`: only about a call, and sent unasked as well.
    CallFailed(CallFailure),
}

/// Why a call could not be made, as the phone says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// `NO CARRIER`.
    NoCarrier,
    /// `BUSY`.
    Busy,
    /// `NO ANSWER`.
    NoAnswer,
    /// `DELAYED`.
    Delayed,
    /// `BLACKLISTED`.
    Blacklisted,
}

/// One line from the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultCode<'a> {
    /// It ends an answer.
    Final(FinalResult),
    /// `RING`.
    Ring,
    /// `+NAME: rest`.
    Named(&'a str, &'a str),
    /// Anything else.
    Other,
}

impl<'a> ResultCode<'a> {
    /// Reads a line that [`Lines`] cut.
    pub fn read(line: &'a str) -> Self {
        match line {
            "OK" => Self::Final(FinalResult::Ok),
            "ERROR" => Self::Final(FinalResult::Error),
            "RING" => Self::Ring,
            "NO CARRIER" => Self::Final(FinalResult::CallFailed(CallFailure::NoCarrier)),
            "BUSY" => Self::Final(FinalResult::CallFailed(CallFailure::Busy)),
            "NO ANSWER" => Self::Final(FinalResult::CallFailed(CallFailure::NoAnswer)),
            "DELAYED" => Self::Final(FinalResult::CallFailed(CallFailure::Delayed)),
            "BLACKLISTED" => Self::Final(FinalResult::CallFailed(CallFailure::Blacklisted)),
            _ => match line.strip_prefix('+').and_then(|line| line.split_once(':')) {
                Some(("CME ERROR", code)) => match code.trim().parse() {
                    Ok(code) => Self::Final(FinalResult::CmeError(code)),
                    Err(_) => Self::Final(FinalResult::Error),
                },
                Some((name, rest)) => Self::Named(name.trim_end(), rest.trim()),
                None => Self::Other,
            },
        }
    }
}

/// The fields of a line: parted by commas that stand neither in quotes nor in parentheses, without surrounding
/// space. Quotes and parentheses stay.
pub fn fields(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut depth, mut quoted) = (0_u32, false);
        let comma = text.char_indices().find(|&(_, c)| {
            match c {
                '"' => quoted = !quoted,
                '(' if !quoted => depth = depth.saturating_add(1),
                ')' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0 && !quoted
        });
        let (field, after) = match comma {
            Some((at, _)) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(field.trim())
    })
}

/// The text of a field without its quotes; `None` when it is empty or not quoted.
pub fn quoted(field: &str) -> Option<&str> {
    let inner = field.strip_prefix('"')?;
    Some(inner.strip_suffix('"').unwrap_or(inner)).filter(|text| !text.is_empty())
}

/// The inside of a field in parentheses.
pub fn list(field: &str) -> Option<&str> {
    field.strip_prefix('(')?.strip_suffix(')')
}

/// Bytes of a name or a number that are kept.
const TEXT_BYTES_MAX: usize = 64;

/// A text of the phone's as it is kept.
pub fn kept(text: &str) -> String {
    bounded(text, TEXT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(parts: &[&[u8]]) -> (Vec<String>, u64) {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for part in parts {
            lines.push(part, |line| found.push(line.to_owned()));
        }
        (found, lines.dropped())
    }

    #[test]
    fn lines_are_cut_wherever_the_stream_was_cut() {
        let stream = b"\r\n+CIEV: 2,1\r\n\r\nOK\r\n";
        for at in 0..stream.len() {
            let (lines, dropped) = cut(&[&stream[..at], &stream[at..]]);
            assert_eq!((lines, dropped), (vec!["+CIEV: 2,1".to_owned(), "OK".to_owned()], 0));
        }
        assert_eq!(cut(&[b"AT+CLIP=1\rATA\r\n"]).0, ["AT+CLIP=1", "ATA"]);
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_its_limit_and_the_next_one_is_read() {
        let endless = vec![b'A'; 10 * LINE_BYTES_MAX];
        let (lines, dropped) = cut(&[&endless, b"\r\nOK\r\n"]);
        assert_eq!((lines, dropped), (vec!["OK".to_owned()], 1));
        assert_eq!(cut(&[&endless]), (vec![], 1), "counted before its end");
        let longest = [&vec![b'A'; LINE_BYTES_MAX][..], b"\r"].concat();
        assert_eq!(cut(&[&longest]).0.len(), 1);
    }

    #[test]
    fn result_codes_are_told_apart_hfp_4_34() {
        let of = ResultCode::read;
        assert_eq!(of("OK"), ResultCode::Final(FinalResult::Ok));
        assert_eq!(of("+CME ERROR: 30"), ResultCode::Final(FinalResult::CmeError(30)));
        assert_eq!(of("+CME ERROR: no network"), ResultCode::Final(FinalResult::Error));
        assert_eq!(of("RING"), ResultCode::Ring);
        assert_eq!(of("NO CARRIER"), ResultCode::Final(FinalResult::CallFailed(CallFailure::NoCarrier)));
        assert_eq!(of("+CIEV:2,1"), ResultCode::Named("CIEV", "2,1"));
        assert_eq!(of("+XAPL=iPhone,2"), ResultCode::Other);
        assert_eq!(of("ok"), ResultCode::Other);
    }

    #[test]
    fn fields_end_at_commas_outside_quotes_and_parentheses() {
        let all = |text| fields(text).collect::<Vec<_>>();
        assert_eq!(all(r#"("call",(0,1)), ("signal",(0-5))"#), [r#"("call",(0,1))"#, r#"("signal",(0-5))"#]);
        assert_eq!(all(r#""+1,555",145,,"#), [r#""+1,555""#, "145", "", ""]);
        assert_eq!(all(""), [""]);
        assert_eq!(all("((,"), ["((,"]);
        assert_eq!((quoted(r#""a""#), quoted("a"), quoted(r#""""#)), (Some("a"), None, None));
        assert_eq!((list("(0,1)"), list("(0"), list("0")), (Some("0,1"), None, None));
    }
}
