//! The values inside headers: lists, parameters, name-addr, Via, CSeq (RFC 3261 section 20, 25.1).

use std::fmt;

use super::msg::Method;
use super::uri::host_port;

/// The parts of `text` between separators that stand neither in quotes nor in angle brackets.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
        let end = text.find(|c| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '<' if !quoted => bracketed = true,
                '>' if !quoted => bracketed = false,
                c => return c == separator && !quoted && !bracketed,
            }
            false
        });
        match end {
            Some(at) => {
                rest = text.get(at + separator.len_utf8()..);
                text.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// The values of a header that may hold several (7.3.1): trimmed, empty ones left out.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    split(value, ',').map(str::trim).filter(|item| !item.is_empty())
}

/// `;name=value` parameters in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads parameters, each led by `;`. White space around names and `=` is dropped (25.1).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut params = Vec::new();
        for part in split(text.strip_prefix(';')?, ';') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
                None => (part.trim(), None),
            };
            if name.is_empty() {
                return None;
            }
            params.push((name.to_owned(), value));
        }
        Some(Self(params))
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Its value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_deref())
    }

    /// Gives the parameter a value, in its place or at the end.
    pub fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = Some(value),
            None => self.0.push((name.to_owned(), Some(value))),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// `"display" <uri>;params` or `uri;params`: From, To, Contact, Route, P-Asserted-Identity (20.10).
#[derive(Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without its quotes, when there was one.
    pub display: Option<String>,
    /// The URI as written: any scheme.
    pub uri: String,
    /// Header parameters (tag, expires, …).
    pub params: Params,
}

impl NameAddr {
    /// Reads one value.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (display, rest) = if value.starts_with('"') {
            let (display, rest) = unquote(value)?;
            (display, rest.trim_start())
        } else {
            let at = value.find('<').unwrap_or(0);
            (value.get(..at)?.trim().to_owned(), value.get(at..)?)
        };
        let (uri, params) = match rest.strip_prefix('<') {
            Some(rest) => rest.split_once('>')?,
            // Without brackets, what follows the first semicolon is the header's, not the URI's.
            None => rest.find(';').map_or((rest, ""), |at| rest.split_at(at)),
        };
        let uri = uri.trim();
        if !uri.contains(':') || uri.contains(['"', '<', ' ']) {
            return None;
        }
        let display = Some(display).filter(|display| !display.is_empty());
        Some(Self { display, uri: uri.to_owned(), params: Params::parse(params)? })
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameAddr(***)")
    }
}

/// The content of the quoted string that `text` begins with, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let (mut out, mut escaped) = (String::new(), false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                out.push(c);
            }
            '\\' => escaped = true,
            '"' => return Some((out, inner.get(at + 1..)?)),
            c => out.push(c),
        }
    }
    None
}

/// One hop of a Via header (20.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, …
    pub transport: String,
    /// Host of sent-by.
    pub host: String,
    /// Port of sent-by, when written.
    pub port: Option<u16>,
    /// branch, received, rport, …
    pub params: Params,
}

impl Via {
    /// Reads one hop.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.splitn(3, '/');
        parts.next().filter(|name| name.trim().eq_ignore_ascii_case("SIP"))?;
        // Any version: a request of another one is answered too (505).
        parts.next().filter(|version| !version.trim().is_empty())?;
        let rest = parts.next()?.trim_start();
        let (transport, rest) = rest.split_once([' ', '\t'])?;
        let rest = rest.trim_start();
        let (sent_by, params) = rest.find(';').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = host_port(sent_by.trim())?;
        Some(Self { transport: transport.to_owned(), host, port, params: Params::parse(params)? })
    }

    /// The branch parameter, empty when there is none.
    pub fn branch(&self) -> &str {
        self.params.get("branch").unwrap_or_default()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

/// `CSeq: 4711 INVITE` (20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31 (8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads the value.
    pub fn parse(value: &str) -> Option<Self> {
        let (number, method) = value.trim().split_once([' ', '\t'])?;
        let number = number.parse().ok().filter(|number| *number < 1 << 31)?;
        Some(Self { number, method: Method::from_token(method.trim()) })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_split_outside_quotes_and_brackets_rfc3261_7_3_1() {
        let parts: Vec<_> = list(r#" "a, \"b" <sip:x,y@h>;p="1,2" , <sip:z@h>,, "#).collect();
        assert_eq!(parts, [r#""a, \"b" <sip:x,y@h>;p="1,2""#, "<sip:z@h>"]);
    }

    #[test]
    fn name_addr_with_and_without_brackets_rfc3261_20_10() {
        let addr = NameAddr::parse(r#""J \"R\"" <sip:a@b;x=y> ;  tag = 98"#).unwrap();
        assert_eq!((addr.display.as_deref(), addr.uri.as_str()), (Some("J \"R\""), "sip:a@b;x=y"));
        assert_eq!(addr.tag(), Some("98"));
        let addr = NameAddr::parse("sip:a@b;tag=1").unwrap();
        assert_eq!((addr.display, addr.uri.as_str(), addr.params.get("tag")), (None, "sip:a@b", Some("1")));
        assert_eq!(NameAddr::parse("caller<sip:a@b>").unwrap().display.as_deref(), Some("caller"));
        for bad in ["", "\"open <sip:a@b>", "<sip:a@b", "nothing", "<sip:a@b>x", "<sip:a@b>;"] {
            assert_eq!(NameAddr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn via_is_read_with_its_white_space_rfc3261_25_1() {
        let via =
            Via::parse("SIP  / 2.0  / TCP     spindle.example.com : 4000  ;  branch  =   z9hG4bK9 ;rport");
        let via = via.unwrap();
        assert_eq!(
            (via.host.as_str(), via.port, via.branch()),
            ("spindle.example.com", Some(4000), "z9hG4bK9")
        );
        assert!(via.params.has("rport"));
        for bad in ["SIP/2.0/UDP", "SIP/2.0/UDP 192.0.2.15;;,;,,", "HTTP/2.0/UDP h", "SIP/2.0/UDP ;branch=x"]
        {
            assert_eq!(Via::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn cseq_ends_below_2_31_rfc3261_8_1_1_5() {
        assert_eq!(CSeq::parse("0009   INVITE"), Some(CSeq { number: 9, method: Method::Invite }));
        for bad in ["2147483648 INVITE", "36893488147419103232 REGISTER", "INVITE", "-1 INVITE", "1"] {
            assert_eq!(CSeq::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_reader(text in ".{0,80}") {
            let _ = (list(&text).count(), NameAddr::parse(&text), CSeq::parse(&text));
            if let Some(via) = Via::parse(&format!("SIP/2.0/{text}")) {
                prop_assert_eq!(Via::parse(&via.to_string()).unwrap(), via);
            }
        }
    }
}
