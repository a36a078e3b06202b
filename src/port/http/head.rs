//! Request heads: parsed, checked for what makes two readers disagree on where a request ends, and written again
//! in one plain form.

use std::fmt::Write as _;

use crate::call::api::Response;

/// Bytes of a head; longer is 431.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of a head; more is 431.
const FIELDS_MAX: usize = 64;
/// Bytes of a body; longer is 413, when it is announced or when it has come.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// The fields that are passed on. Each may come once: of two, a proxy and we might believe different ones.
const PASSED_ON: [&str; 7] =
    ["Host", "Origin", "Authorization", "Content-Type", "Sec-Fetch-Site", "Last-Event-ID", "Idempotency-Key"];

/// How the body is framed (RFC 9112 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; 0 when none is announced.
    Length(usize),
    /// Chunks.
    Chunked,
}

/// A head that is well-formed and within the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    method: String,
    target: String,
    http10: bool,
    fields: Vec<(&'static str, String)>,
    /// How the body is framed.
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 10.1.1).
    pub(super) expects_continue: bool,
}

/// A head, and how many bytes it took; `Ok(None)` while it is incomplete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Response> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(_) => return Err(Response::problem(431, "the request head is longer than 16 KiB")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Response::problem(431, "the request has more than 64 header fields"));
        }
        Err(httparse::Error::Version) => {
            return Err(Response::problem(505, "only HTTP/1.0 and HTTP/1.1 are spoken here"));
        }
        Err(_) => return Err(malformed("the request head is malformed")),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(malformed("the request line is malformed"));
    };
    let fields: &[httparse::Header<'_>] = request.headers;
    let http10 = version == 0;
    let mut head = Head {
        method: method.to_owned(),
        target: String::new(),
        http10,
        fields: passed_on(fields)?,
        framing: framing(fields, http10)?,
        expects_continue: expects_continue(fields, http10)?,
    };
    head.set_target(target)?;
    Ok(Some((head, length)))
}

impl Head {
    /// Whether the response has no body.
    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The origin form as it is; of the absolute form the authority counts as Host (RFC 9112 3.2.2).
    fn set_target(&mut self, target: &str) -> Result<(), Response> {
        let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let path = match scheme {
            None => target,
            Some(scheme) => {
                let rest = &target[scheme.len()..];
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                self.fields.retain(|(name, _)| *name != "Host");
                self.fields.push(("Host", authority.to_owned()));
                if path.is_empty() { "/" } else { path }
            }
        };
        let well_formed = path == "*" || path.starts_with('/');
        if !well_formed || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the request target is malformed"));
        }
        path.clone_into(&mut self.target);
        Ok(())
    }

    /// The request in one plain form: body announced by its length, one request a connection.
    pub(super) fn normalised(&self, body: &[u8]) -> Vec<u8> {
        let minor = u8::from(!self.http10);
        let mut text = format!("{} {} HTTP/1.{minor}\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

fn malformed(error: &str) -> Response {
    Response::problem(400, error)
}

fn values<'h>(fields: &'h [httparse::Header<'_>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

fn passed_on(fields: &[httparse::Header<'_>]) -> Result<Vec<(&'static str, String)>, Response> {
    let mut passed = Vec::new();
    for name in PASSED_ON {
        let mut found = values(fields, name);
        let Some(value) = found.next() else { continue };
        if found.next().is_some() {
            return Err(malformed(&format!("the header field {name} came twice")));
        }
        let is_plain = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
        if !value.iter().all(is_plain) {
            return Err(malformed(&format!("the header field {name} holds more than ASCII")));
        }
        passed.push((name, String::from_utf8_lossy(value).trim().to_owned()));
    }
    Ok(passed)
}

/// Two framings, or a doubtful one, are how requests are smuggled (RFC 9112 6.1, 6.3): refused, never guessed.
fn framing(fields: &[httparse::Header<'_>], http10: bool) -> Result<Framing, Response> {
    let mut codings = values(fields, "Transfer-Encoding");
    let mut lengths = values(fields, "Content-Length");
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => Err(malformed("Content-Length and Transfer-Encoding came together")),
        (Some(_), None) if http10 => Err(malformed("HTTP/1.0 has no Transfer-Encoding")),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(Response::problem(501, "the only transfer coding known here is chunked")),
        (None, Some(length)) => {
            if lengths.next().is_some() || length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err(malformed("Content-Length is not one number"));
            }
            // Digits alone that do not fit are a length above the limit.
            let length = std::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok());
            match length.unwrap_or(usize::MAX) {
                length @ 0..=BODY_BYTES_MAX => Ok(Framing::Length(length)),
                _ => Err(too_large()),
            }
        }
    }
}

/// The body is, or would be, longer than `BODY_BYTES_MAX`.
pub(super) fn too_large() -> Response {
    Response::problem(413, "the body is longer than 1 MiB")
}

fn expects_continue(fields: &[httparse::Header<'_>], http10: bool) -> Result<bool, Response> {
    let mut expected = false;
    for value in values(fields, "Expect") {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Response::problem(417, "the only expectation known here is 100-continue"));
        }
        // An HTTP/1.0 client does not know what it asked for (RFC 9110 10.1.1).
        expected = !http10;
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<(Head, usize)>, u16> {
        parse(text.as_bytes()).map_err(|response| response.status)
    }

    fn plain(text: &str) -> String {
        let (head, _) = parsed(text).unwrap().unwrap();
        String::from_utf8(head.normalised(b"")).unwrap()
    }

    fn refused(fields: &str) -> u16 {
        parsed(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).unwrap_err()
    }

    #[test]
    fn a_head_is_written_again_in_one_plain_form() {
        let came = "GET /a?b HTTP/1.1\r\nhOST:  localhost \r\nX-Other: 1\r\nLast-Event-Id: 7\r\n\r\n";
        let passed = "GET /a?b HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 7\r\n";
        assert_eq!(plain(came), format!("{passed}Connection: close\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(parsed(came).unwrap().unwrap().1, came.len());
        assert!(plain("GET / HTTP/1.0\n\n").starts_with("GET / HTTP/1.0\r\nConnection"));
    }

    #[test]
    fn the_authority_of_an_absolute_target_counts_as_host_rfc9112_3_2_2() {
        let head = plain("GET HTTP://evil.example/x?y HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.starts_with("GET /x?y HTTP/1.1\r\nHost: evil.example\r\n"), "{head}");
        assert!(plain("GET http://a HTTP/1.1\r\n\r\n").starts_with("GET / HTTP/1.1\r\nHost: a\r\n"));
        for target in ["ftp://a/", "a", "localhost:80", "http://a?q", "/ä", "/\u{7f}"] {
            assert!(parsed(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).is_err(), "{target}");
        }
    }

    #[test]
    fn an_unfinished_head_waits_and_a_long_one_is_431() {
        assert_eq!(parsed(""), Ok(None));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        let long = |bytes| format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(bytes));
        assert_eq!(parsed(&long(1000)), Ok(None));
        assert_eq!(parsed(&long(HEAD_BYTES_MAX)), Err(431));
        assert_eq!(parsed(&format!("{}\r\n\r\n", long(HEAD_BYTES_MAX))), Err(431));
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65))), Err(431));
    }

    #[test]
    fn what_is_not_http_1_is_refused() {
        for text in
            ["\u{16}\u{3}\u{1}\u{2}", "GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "\0\0\0\0\r\n\r\n"]
        {
            assert_eq!(parsed(text), Err(400), "{text:?}");
        }
        for fields in ["A : b", "A: b\r\n folded: c", "A: b\0c"] {
            assert_eq!(refused(fields), 400, "{fields:?}");
        }
        assert_eq!(parsed("GET / HTTP/2.0\r\n\r\n"), Err(505));
    }

    #[test]
    fn two_framings_or_a_doubtful_one_are_refused_rfc9112_6_3() {
        let framing_of = |fields: &str| {
            parsed(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).map(|head| head.unwrap().0.framing)
        };
        assert_eq!(framing_of("Content-Length: 007"), Ok(Framing::Length(7)));
        assert_eq!(framing_of("Transfer-Encoding: Chunked"), Ok(Framing::Chunked));
        assert_eq!(framing_of("Content-Length: 1048576"), Ok(Framing::Length(1 << 20)));
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: -1",
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length:",
            "Content-Length: 1 1",
        ] {
            assert_eq!(framing_of(fields), Err(400), "{fields}");
        }
        for length in ["1048577", "1000000000000000", "99999999999999999999999999"] {
            assert_eq!(framing_of(&format!("Content-Length: {length}")), Err(413), "{length}");
        }
        for coding in ["gzip", "gzip, chunked", "chunked\r\nTransfer-Encoding: chunked", "identity", ""] {
            assert_eq!(framing_of(&format!("Transfer-Encoding: {coding}")), Err(501), "{coding}");
        }
        assert_eq!(parsed("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    }

    #[test]
    fn a_field_that_matters_comes_once_and_in_ascii() {
        for name in ["Host", "authorization", "Origin", "Content-Type", "idempotency-key"] {
            assert_eq!(
                parsed(&format!("GET / HTTP/1.1\r\n{name}: a\r\n{name}: a\r\n\r\n")),
                Err(400),
                "{name}"
            );
            assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{name}: ä\r\n\r\n")), Err(400), "{name}");
        }
        assert!(parsed("GET / HTTP/1.1\r\nCookie: ä\r\nCookie: b\r\n\r\n").is_ok());
    }

    #[test]
    fn only_one_expectation_is_known_rfc9110_10_1_1() {
        assert!(
            parsed("POST / HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n").unwrap().unwrap().0.expects_continue
        );
        assert!(
            !parsed("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap().unwrap().0.expects_continue
        );
        assert_eq!(refused("Expect: a miracle"), 417);
    }
}
