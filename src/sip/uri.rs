//! `sip:` and `sips:` URIs (RFC 3261 19.1).

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::field::Params;

/// A SIP URI, its parts as they were written (escapes kept).
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// `sips:`.
    pub secure: bool,
    /// The user part, with a password if there was one.
    pub user: Option<String>,
    /// Host name or IP address, IPv6 in its brackets.
    pub host: String,
    /// The port, when written.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params,
    /// Headers after `?`.
    pub headers: Option<String>,
}

/// Why a text is not a SIP URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// A URI of another scheme, as far as one can see.
    #[error("the URI is neither sip: nor sips:")]
    Scheme,
    /// No URI.
    #[error("the URI cannot be read")]
    Syntax,
}

impl Uri {
    /// Reads a URI that stands alone (no angle brackets, no spaces).
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || b"<>\"".contains(&byte)) {
            return Err(UriError::Syntax);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Syntax)?;
        let secure = scheme.eq_ignore_ascii_case("sips");
        if !secure && !scheme.eq_ignore_ascii_case("sip") {
            let known = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
            return Err(if known && !scheme.is_empty() { UriError::Scheme } else { UriError::Syntax });
        }
        // The user part may hold `;`, `?` and `/`, but no unescaped `@`.
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (hostport, params) = rest.find(';').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = host_port(hostport).ok_or(UriError::Syntax)?;
        if user.is_some_and(str::is_empty) || rest.contains('@') {
            return Err(UriError::Syntax);
        }
        let params = Params::parse(params).ok_or(UriError::Syntax)?;
        Ok(Self { secure, user: user.map(str::to_owned), host, port, params, headers })
    }

    /// The host when it is an IP address: then nothing needs to be resolved.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

/// `host[:port]`, also as it stands in a Via (`sent-by`).
pub(super) fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let host = text.get(..end)?;
        host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::Ipv6Addr>().ok()?;
        (host, text.get(end..)?)
    } else {
        text.find(':').map_or((text, ""), |at| text.split_at(at))
    };
    let (host, port) = (host.trim(), port.trim());
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(name)) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(digits.trim().parse().ok().filter(|port| *port != 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    Some((host.to_owned(), port))
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        self.headers.as_ref().map_or(Ok(()), |headers| write!(f, "?{headers}"))
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uri(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found_rfc3261_19_1_1() {
        let uri = Uri::parse("sip:user;par=u%40example.net@example.com:5070;lr;ttl=1?a=b").unwrap();
        assert_eq!(uri.user.as_deref(), Some("user;par=u%40example.net"));
        assert_eq!((uri.host.as_str(), uri.port), ("example.com", Some(5070)));
        assert!(uri.params.has("LR"));
        assert_eq!(uri.params.get("ttl"), Some("1"));
        assert_eq!(uri.headers.as_deref(), Some("a=b"));
        let uri = Uri::parse("SIPS:[2001:db8::1]:5061").unwrap();
        assert_eq!(
            (uri.secure, uri.ip(), uri.port),
            (true, Some("2001:db8::1".parse().unwrap()), Some(5061))
        );
    }

    #[test]
    fn what_is_no_sip_uri_is_refused() {
        for bad in
            ["", "sip:", "sip:@h", "sip:h:0", "sip:h:x", "sip:h:70000", "sip:a b@h", "sip:[::1", "sip:a@b@c"]
        {
            assert_eq!(Uri::parse(bad), Err(UriError::Syntax), "{bad}");
        }
        for other in ["tel:+1", "nobodyKnowsThisScheme:x", "soap.beep://1:2"] {
            assert_eq!(Uri::parse(other), Err(UriError::Scheme), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_uri_reads_as_itself(
            user in proptest::option::of("[a-z0-9+%;?/=-]{1,20}"),
            host in "[a-z][a-z0-9.-]{0,20}",
            port in proptest::option::of(1u16..),
            param in proptest::option::of("[a-z]{1,5}(=[a-z0-9]{1,5})?"),
        ) {
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let param = param.map(|param| format!(";{param}")).unwrap_or_default();
            let text = format!("sip:{user}{host}{port}{param}");
            prop_assert_eq!(Uri::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,60}") {
            if let Ok(uri) = Uri::parse(&format!("sip:{text}")) {
                prop_assert_eq!(Uri::parse(&uri.to_string()).unwrap(), uri);
            }
        }
    }
}
