//! The list of headers of a message. rsip keeps it; here are the names that this program reads or writes, and
//! access by name, in order, however often a header comes.

use std::fmt;

use rsip::headers::UntypedHeader as _;

macro_rules! names {
    ($($name:ident $text:literal $compact:literal)*) => {
        /// A header that this program reads or writes.
        #[expect(missing_docs, reason = "each is the RFC's name of a header")]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Name {
            $($name,)*
            /// One that rsip has no name for, in its usual writing.
            Other(&'static str),
        }

        impl Name {
            /// The header of this name (RFC 3261 7.3.1: in any case) or compact form (7.3.3).
            fn header(text: &str, value: String) -> rsip::Header {
                $(if text.eq_ignore_ascii_case($text) || text.eq_ignore_ascii_case($compact) {
                    return rsip::Header::$name(rsip::headers::$name::new(value));
                })*
                rsip::Header::Other(text.to_owned(), value)
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            fn value_in(self, header: &rsip::Header) -> Option<&str> {
                match self {
                    $(Self::$name => {
                        if let rsip::Header::$name(inner) = header { Some(inner.value()) } else { None }
                    })*
                    Self::Other(text) => {
                        let rsip::Header::Other(name, value) = header else { return None };
                        name.eq_ignore_ascii_case(text).then_some(value)
                    }
                }
            }
        }
    };
}

names! {
    Accept "Accept" "Accept"
    AcceptEncoding "Accept-Encoding" "Accept-Encoding"
    AcceptLanguage "Accept-Language" "Accept-Language"
    Allow "Allow" "Allow"
    Authorization "Authorization" "Authorization"
    CallId "Call-ID" "i"
    Contact "Contact" "m"
    ContentEncoding "Content-Encoding" "e"
    ContentLength "Content-Length" "l"
    ContentType "Content-Type" "c"
    CSeq "CSeq" "CSeq"
    Expires "Expires" "Expires"
    From "From" "f"
    MaxForwards "Max-Forwards" "Max-Forwards"
    MinExpires "Min-Expires" "Min-Expires"
    ProxyAuthenticate "Proxy-Authenticate" "Proxy-Authenticate"
    ProxyAuthorization "Proxy-Authorization" "Proxy-Authorization"
    RecordRoute "Record-Route" "Record-Route"
    Require "Require" "Require"
    RetryAfter "Retry-After" "Retry-After"
    Route "Route" "Route"
    Supported "Supported" "k"
    To "To" "t"
    Unsupported "Unsupported" "Unsupported"
    UserAgent "User-Agent" "User-Agent"
    Via "Via" "v"
    WwwAuthenticate "WWW-Authenticate" "WWW-Authenticate"
}

/// Headers in the order of the message.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(rsip::Headers);

impl Headers {
    /// Appends a header by name. `value` holds no line break.
    pub fn push(&mut self, name: Name, value: impl Into<String>) {
        self.push_read(name.text(), value.into());
    }

    /// Appends a header as it was read: any name, compact or not.
    pub(super) fn push_read(&mut self, name: &str, value: String) {
        self.0.push(Name::header(name, value));
    }

    /// The first value of this name.
    pub fn first(&self, name: Name) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of this name, in order, each as one line had it.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |header| name.value_in(header))
    }

    /// How often the name comes.
    pub fn count(&self, name: Name) -> usize {
        self.all(name).count()
    }

    /// Removes every header of this name.
    pub fn remove(&mut self, name: Name) {
        self.0.retain(|header| name.value_in(header).is_none());
    }

    /// Gives the first header of this name another value; appends one where there was none.
    pub fn set(&mut self, name: Name, value: impl Into<String>) {
        let fresh = Name::header(name.text(), value.into());
        let place = self.0.iter_mut().find(|header| name.value_in(header).is_some());
        if let Some(header) = place {
            *header = fresh;
            return;
        }
        self.0.push(fresh);
    }

    /// Appends every header of this name from another message (Via, Record-Route: 8.2.6.2, 12.1.1).
    pub fn copy(&mut self, from: &Self, name: Name) {
        for value in from.all(name) {
            self.push(name, value);
        }
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.0.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_compact_form_rfc3261_7_3_3() {
        let mut headers = Headers::default();
        headers.push_read("v", "one".into());
        headers.push_read("VIA", "two".into());
        headers.push_read("x-other", "three".into());
        assert_eq!(headers.all(Name::Via).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(headers.first(Name::Other("X-Other")), Some("three"));
        headers.set(Name::Via, "zero");
        assert_eq!(headers.to_string(), "Via: zero\r\nVia: two\r\nx-other: three\r\n");
    }
}
