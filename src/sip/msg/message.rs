//! Requests and responses, and how they are printed.

use std::fmt;

use super::{Headers, Name};
use crate::sip::field::CSeq;

/// A method (RFC 3261 7.1): case-sensitive. Those of ours by name, all others as they came.
#[expect(missing_docs, reason = "each is the RFC's name of a method")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Info,
    Update,
    /// Any other token.
    Other(String),
}

impl Method {
    /// The method that this token names.
    pub fn from_token(token: &str) -> Self {
        match token {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "INFO" => Self::Info,
            "UPDATE" => Self::Update,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The token of a method of ours.
    pub fn known(&self) -> Option<&'static str> {
        Some(match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Other(_) => return None,
        })
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        if let Self::Other(token) = self { token } else { self.known().unwrap_or_default() }
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A stranger's token may hold anything.
        f.write_str(if let Self::Other(_) = self { "(other)" } else { self.as_str() })
    }
}

/// A request. Its URI stays as it was written: what it means is asked of `Uri::parse`.
#[expect(missing_docs, reason = "the RFC's nouns")]
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// A response.
#[expect(missing_docs, reason = "the RFC's nouns")]
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub code: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// Either.
#[expect(missing_docs, reason = "the RFC's nouns")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Request {
    /// Its CSeq, when there is one that can be read.
    pub fn cseq(&self) -> Option<CSeq> {
        CSeq::parse(self.headers.first(Name::CSeq)?)
    }

    /// The bytes for the wire; Content-Length is written here.
    pub fn print(&self) -> Vec<u8> {
        print(&format!("{} {} SIP/2.0", self.method.as_str(), self.uri), &self.headers, &self.body)
    }

    /// A response to it with the headers that every response copies (8.2.6.2). `to_tag` is added to the To
    /// header where it has no tag yet, except in a 100.
    pub fn respond(&self, code: u16, to_tag: &str) -> Response {
        let mut headers = Headers::default();
        headers.copy(&self.headers, Name::Via);
        if let Some(from) = self.headers.first(Name::From) {
            headers.push(Name::From, from);
        }
        if let Some(to) = self.headers.first(Name::To) {
            let tagged =
                code == 100 || crate::sip::field::NameAddr::parse(to).is_none_or(|to| to.params.has("tag"));
            headers.push(Name::To, if tagged { to.to_owned() } else { format!("{to};tag={to_tag}") });
        }
        for name in [Name::CallId, Name::CSeq] {
            if let Some(value) = self.headers.first(name) {
                headers.push(name, value);
            }
        }
        Response { code, reason: reason(code).to_owned(), headers, body: Vec::new() }
    }
}

impl Response {
    /// Its CSeq, when there is one that can be read.
    pub fn cseq(&self) -> Option<CSeq> {
        CSeq::parse(self.headers.first(Name::CSeq)?)
    }

    /// The bytes for the wire; Content-Length is written here.
    pub fn print(&self) -> Vec<u8> {
        print(&format!("SIP/2.0 {} {}", self.code, self.reason), &self.headers, &self.body)
    }

    /// The same response with one more header.
    pub fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }
}

impl Message {
    /// The bytes for the wire.
    pub fn print(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.print(),
            Self::Response(response) => response.print(),
        }
    }
}

fn print(start: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{start}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?})", self.method)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({})", self.code)
    }
}

/// The usual phrase of a code that we send.
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        603 => "Decline",
        _ => "",
    }
}
