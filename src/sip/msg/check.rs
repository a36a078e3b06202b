//! What is wrong with a request, in the order of RFC 3261 8.2: syntax, mandatory headers, method, URI, Require, body.

use super::{Fault, Headers, Method, Name, Request};
use crate::sip::field::{CSeq, NameAddr, Via, list};
use crate::sip::uri::{Uri, UriError};

/// The methods that are answered with something else than 405.
pub const ALLOWED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// How a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub code: u16,
    /// Headers that the status asks for (Allow, Accept, Unsupported, …).
    pub headers: Headers,
}

impl Refusal {
    fn new(code: u16) -> Self {
        Self { code, headers: Headers::default() }
    }

    fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }
}

/// Whether the request may be handled. `Max-Forwards: 0` may: only a proxy stops there (16.3).
pub fn check(request: &Request, fault: Option<Fault>) -> Result<(), Refusal> {
    match fault {
        Some(Fault::Version) => return Err(Refusal::new(505)),
        Some(Fault::Syntax(_)) => return Err(Refusal::new(400)),
        None => {}
    }
    mandatory(request).ok_or_else(|| Refusal::new(400))?;
    if let Method::Other(_) | Method::Register = request.method {
        return Err(Refusal::new(405).with(Name::Allow, ALLOWED));
    }
    match Uri::parse(&request.uri) {
        // Headers have no place in a Request-URI (19.1.1).
        Ok(uri) if uri.headers.is_some() => return Err(Refusal::new(400)),
        Ok(_) => {}
        Err(UriError::Scheme) => return Err(Refusal::new(416)),
        Err(UriError::Syntax) => return Err(Refusal::new(400)),
    }
    // 8.2.2.3: neither ACK nor CANCEL is refused for an extension. None is supported here.
    if !matches!(request.method, Method::Ack | Method::Cancel) {
        let required: Vec<&str> = request.headers.all(Name::Require).flat_map(list).collect();
        if !required.is_empty() {
            return Err(Refusal::new(420).with(Name::Unsupported, required.join(", ")));
        }
    }
    content(request)
}

/// 8.1.1: the headers without which nothing can be answered rightly, each once. A missing Max-Forwards is
/// forgiven (16.3), and so is a From without tag: both are older than RFC 3261.
fn mandatory(request: &Request) -> Option<()> {
    let headers = &request.headers;
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        if headers.count(name) != 1 {
            return None;
        }
    }
    if headers.count(Name::MaxForwards) > 1 || headers.first(Name::CallId)?.is_empty() {
        return None;
    }
    if let Some(text) = headers.first(Name::MaxForwards) {
        // 20.22 ends at 255; larger ones are in use.
        text.parse::<u32>().ok()?;
    }
    for name in [Name::From, Name::To] {
        NameAddr::parse(headers.first(name)?)?;
    }
    for via in headers.all(Name::Via).flat_map(list) {
        Via::parse(via)?;
    }
    headers.first(Name::Via)?;
    let cseq = CSeq::parse(headers.first(Name::CSeq)?)?;
    (cseq.method == request.method).then_some(())
}

/// 8.2.3: a body that nobody here reads is refused, saying what would be read.
fn content(request: &Request) -> Result<(), Refusal> {
    if request.method == Method::Invite && !accepts_sdp(&request.headers) {
        return Err(Refusal::new(406));
    }
    if request.body.is_empty() || matches!(request.method, Method::Ack | Method::Cancel | Method::Bye) {
        return Ok(());
    }
    let encoded = request.headers.all(Name::ContentEncoding).flat_map(list);
    if encoded.into_iter().any(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::new(415).with(Name::AcceptEncoding, "identity"));
    }
    let kind = request.headers.first(Name::ContentType).unwrap_or("application/sdp");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let read = match request.method {
        // Digits pressed at the other end; they are acknowledged and not used.
        Method::Info => matches!(kind.as_str(), "application/dtmf-relay" | "application/dtmf"),
        Method::Invite | Method::Update | Method::Options => kind == "application/sdp",
        Method::Ack | Method::Bye | Method::Cancel | Method::Register | Method::Other(_) => true,
    };
    let accept = if request.method == Method::Info { "application/dtmf-relay" } else { "application/sdp" };
    if read { Ok(()) } else { Err(Refusal::new(415).with(Name::Accept, accept)) }
}

/// Whether the caller could read an answer (20.1): no Accept header means that it can.
fn accepts_sdp(headers: &Headers) -> bool {
    let mut accepted = headers.all(Name::Accept).flat_map(list).peekable();
    accepted.peek().is_none()
        || accepted.any(|range| {
            let kind = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            matches!(kind.as_str(), "application/sdp" | "application/*" | "*/*")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::{Message, read};

    fn verdict(method: &str, uri: &str, more: &str) -> Result<(), u16> {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n{more}"
        );
        verdict_on(&text)
    }

    fn verdict_on(text: &str) -> Result<(), u16> {
        let received = read(text.as_bytes()).unwrap();
        let Message::Request(request) = received.message else { panic!("a response") };
        check(&request, received.fault).map_err(|refusal| refusal.code)
    }

    #[test]
    fn each_fault_has_its_code_rfc3261_8_2() {
        assert_eq!(verdict("INVITE", "sip:c@d", "\r\n"), Ok(()));
        assert_eq!(verdict("INVITE", "sip:c@d", "Max-Forwards: 0\r\n\r\n"), Ok(()));
        assert_eq!(verdict("NOTIFY", "sip:c@d", "\r\n"), Err(405));
        assert_eq!(verdict("REGISTER", "sip:d", "\r\n"), Err(405));
        assert_eq!(verdict("INVITE", "mailto:c@d", "\r\n"), Err(416));
        assert_eq!(verdict("INVITE", "sip:", "\r\n"), Err(400));
        assert_eq!(verdict("INVITE", "sip:c@d", "Require: 100rel\r\n\r\n"), Err(420));
        assert_eq!(verdict("CANCEL", "sip:c@d", "Require: 100rel\r\n\r\n"), Ok(()));
        assert_eq!(verdict("INVITE", "sip:c@d", "Content-Type: text/plain\r\n\r\nx"), Err(415));
        assert_eq!(verdict("INVITE", "sip:c@d", "Content-Type: Application/SDP;x=y\r\n\r\nx"), Ok(()));
        assert_eq!(
            verdict("INVITE", "sip:c@d", "c: application/sdp\r\nContent-Encoding: gzip\r\n\r\nx"),
            Err(415)
        );
        assert_eq!(verdict("INVITE", "sip:c@d", "Accept: text/plain\r\n\r\n"), Err(406));
        assert_eq!(verdict("INVITE", "sip:c@d", "Accept: text/plain, application/sdp;q=1\r\n\r\n"), Ok(()));
        assert_eq!(verdict("INVITE", "sip:c@d", "From: <sip:x@y>\r\n\r\n"), Err(400));
    }

    #[test]
    fn a_request_without_a_mandatory_header_is_a_bad_request_rfc3261_8_1_1() {
        let lines = [
            "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n",
            "From: <sip:a@b>;tag=1\r\n",
            "To: <sip:c@d>\r\n",
            "Call-ID: x\r\n",
            "CSeq: 1 BYE\r\n",
        ];
        for missing in 0..lines.len() {
            let mut text = "BYE sip:c@d SIP/2.0\r\n".to_owned();
            for (index, line) in lines.iter().enumerate() {
                if index != missing {
                    text.push_str(line);
                }
            }
            assert_eq!(verdict_on(&(text + "\r\n")), Err(400), "without {}", lines[missing]);
        }
    }
}
