//! Reading a datagram. Strict enough to trust what comes out, tolerant enough that whatever can be answered is
//! answered: a request with a fault is still a request, and its fault says how to refuse it.

use thiserror::Error;

use super::{Headers, Message, Method, Name, Request, Response};

/// The largest message: what a UDP datagram can carry. Longer ones are not read.
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// More header lines than this and the message is not read.
pub const HEADERS_MAX: usize = 256;

/// What was read.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message, as far as it could be read.
    pub message: Message,
    /// What is wrong with it: a request is refused for it, a response dropped.
    pub fault: Option<Fault>,
}

/// A message that names its parts but breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Not SIP/2.0: 505.
    #[error("version is not SIP/2.0")]
    Version,
    /// Anything else: 400, with these words.
    #[error("{0}")]
    Syntax(&'static str),
}

/// A datagram that is no SIP message: nothing to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Only line breaks or zeros: somebody keeps a path through a NAT open.
    #[error("keep-alive")]
    KeepAlive,
    /// No start line of SIP.
    #[error("not SIP")]
    NotSip,
    /// Over `MESSAGE_BYTES_MAX` bytes or `HEADERS_MAX` headers.
    #[error("too long")]
    TooLong,
}

/// Reads one datagram (RFC 3261 section 7, 18.3).
pub fn read(datagram: &[u8]) -> Result<Received, Unreadable> {
    if datagram.len() > MESSAGE_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    // Line breaks before the start line are ignored (7.5).
    let start =
        datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | 0)).ok_or(Unreadable::KeepAlive)?;
    let (head, rest) = split_head(datagram.get(start..).unwrap_or_default());
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let start_line = lines.next().unwrap_or_default();
    let mut fault = None;
    let mut headers = read_headers(lines, &mut fault)?;
    let body = body(&headers, rest, &mut fault);
    // Printing writes it anew.
    headers.remove(Name::ContentLength);
    let message = match start_line.strip_prefix("SIP/2.0 ") {
        Some(status) => {
            let (code, reason) = status.split_once(' ').unwrap_or((status, ""));
            let code = code.parse().ok().filter(|code| (100..700).contains(code));
            let code = code.ok_or(Unreadable::NotSip)?;
            Message::Response(Response { code, reason: clean(reason), headers, body })
        }
        None => Message::Request(request(start_line, headers, body, &mut fault)?),
    };
    Ok(Received { message, fault })
}

/// The request line: method, URI and version with single spaces between and nothing after (7.1, 25.1).
fn request(
    line: &str,
    headers: Headers,
    body: Vec<u8>,
    fault: &mut Option<Fault>,
) -> Result<Request, Unreadable> {
    let trimmed = line.trim_end();
    let (method, rest) = trimmed.split_once(' ').ok_or(Unreadable::NotSip)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Unreadable::NotSip)?;
    if method.is_empty() || !method.bytes().all(is_token) || !version.starts_with("SIP/") {
        return Err(Unreadable::NotSip);
    }
    if version != "SIP/2.0" {
        *fault = Some(Fault::Version);
    } else if trimmed.len() != line.len()
        || uri.is_empty()
        || uri.contains(|c: char| c.is_whitespace() || "<>\"".contains(c))
    {
        fault.get_or_insert(Fault::Syntax("request line"));
    }
    Ok(Request { method: Method::from_token(method), uri: clean(uri), headers, body })
}

/// Where the head ends: at the first empty line, or with the datagram.
fn split_head(message: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if at > 0 && matches!(line, b"\r\n" | b"\n") {
            return (
                message.get(..at).unwrap_or_default(),
                message.get(at + line.len()..).unwrap_or_default(),
            );
        }
        at += line.len();
    }
    (message, &[])
}

fn read_headers<'a>(
    lines: impl Iterator<Item = &'a str>,
    fault: &mut Option<Fault>,
) -> Result<Headers, Unreadable> {
    let mut headers = Headers::default();
    let mut open: Option<(&str, String)> = None;
    let mut count = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            // A folded line continues the value before it (7.3.1).
            match &mut open {
                Some((_, value)) => {
                    value.push(' ');
                    value.push_str(&clean(line));
                }
                None => *fault = Some(Fault::Syntax("folded line without a header")),
            }
            continue;
        }
        count += 1;
        if count > HEADERS_MAX {
            return Err(Unreadable::TooLong);
        }
        if let Some((name, value)) = open.take() {
            headers.push_read(name, value.trim().to_owned());
        }
        match line.split_once(':').map(|(name, value)| (name.trim_end(), value)) {
            Some((name, value)) if !name.is_empty() && name.bytes().all(is_token) => {
                open = Some((name, clean(value)));
            }
            Some(_) | None => *fault = Some(Fault::Syntax("header line")),
        }
    }
    if let Some((name, value)) = open {
        headers.push_read(name, value.trim().to_owned());
    }
    Ok(headers)
}

/// The body: as long as Content-Length says; without one as long as the datagram (18.3).
fn body(headers: &Headers, rest: &[u8], fault: &mut Option<Fault>) -> Vec<u8> {
    let mut announced = headers.all(Name::ContentLength);
    let (first, more) = (announced.next(), announced.next().is_some());
    let Some(text) = first else { return rest.to_vec() };
    match text.parse::<usize>() {
        _ if more => *fault = Some(Fault::Syntax("more than one Content-Length")),
        Ok(len) => match rest.get(..len) {
            Some(body) => return body.to_vec(),
            None => *fault = Some(Fault::Syntax("body shorter than Content-Length")),
        },
        Err(_) => *fault = Some(Fault::Syntax("Content-Length")),
    }
    Vec::new()
}

/// Bare carriage returns and zeros would be read otherwise by whoever reads what we echo.
fn clean(text: &str) -> String {
    text.trim().replace(['\r', '\n'], " ")
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_of(text: &str) -> (Request, Option<Fault>) {
        let received = read(text.as_bytes()).unwrap();
        match received.message {
            Message::Request(request) => (request, received.fault),
            Message::Response(_) => panic!("a response"),
        }
    }

    #[test]
    fn folded_and_compact_headers_are_one_value_rfc3261_7_3_1() {
        let (request, fault) = request_of(
            "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h\r\n ;branch=z9\r\n\t;rport\r\nl: 0\r\n\r\n",
        );
        assert_eq!(fault, None);
        assert_eq!(request.headers.first(Name::Via), Some("SIP/2.0/UDP h ;branch=z9 ;rport"));
    }

    #[test]
    fn the_body_is_as_long_as_announced_rfc3261_18_3() {
        let (request, fault) = request_of("INFO sip:a@b SIP/2.0\r\nContent-Length: 3\r\n\r\nabcdef");
        assert_eq!((request.body.as_slice(), fault), (&b"abc"[..], None));
        let (request, fault) = request_of("INFO sip:a@b SIP/2.0\r\nA: b\r\n\r\nabcdef");
        assert_eq!((request.body.as_slice(), fault), (&b"abcdef"[..], None));
        for bad in ["7", "-1", "9999999999999999999999", "x", "3\r\nl: 3"] {
            let (_, fault) = request_of(&format!("INFO sip:a@b SIP/2.0\r\nl: {bad}\r\n\r\nabcdef"));
            assert!(matches!(fault, Some(Fault::Syntax(_))), "{bad}");
        }
    }

    #[test]
    fn other_versions_and_loose_request_lines_are_faults_and_garbage_is_nothing() {
        assert_eq!(request_of("OPTIONS sip:a@b SIP/7.0\r\n\r\n").1, Some(Fault::Version));
        for line in ["OPTIONS  sip:a@b SIP/2.0", "OPTIONS sip:a@b SIP/2.0 ", "OPTIONS <sip:a@b> SIP/2.0"] {
            assert_eq!(
                request_of(&format!("{line}\r\n\r\n")).1,
                Some(Fault::Syntax("request line")),
                "{line}"
            );
        }
        for garbage in ["x", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0 99 x\r\n\r\n", "SIP/2.0 4294967301 x\r\n\r\n"]
        {
            assert_eq!(read(garbage.as_bytes()).unwrap_err(), Unreadable::NotSip, "{garbage}");
        }
        assert_eq!(read(b"\r\n\r\n").unwrap_err(), Unreadable::KeepAlive);
        assert_eq!(read(&vec![b'a'; MESSAGE_BYTES_MAX + 1]).unwrap_err(), Unreadable::TooLong);
        let many = format!("OPTIONS sip:a@b SIP/2.0\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(read(many.as_bytes()).unwrap_err(), Unreadable::TooLong);
    }

    #[test]
    fn line_breaks_before_the_start_line_are_ignored_rfc3261_7_5() {
        assert_eq!(request_of("\r\n\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n").0.method, Method::Options);
    }
}
