//! Addresses of the agent service: the REST base as configured, and what follows from it. Parsed here once, so
//! that REST and socket obey the same rule: without TLS only on loopback.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// A signed URL of the service is well below 1 KiB; a longer one than this is refused.
pub const URL_BYTES_MAX: usize = 8 << 10;

/// RFC 3986 2.3: everything but the unreserved characters is escaped.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where to connect and what to ask for there.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// TLS (`https`, `wss`); never false for a host beyond loopback.
    pub secure: bool,
    /// Name, or IP address without brackets.
    pub host: String,
    /// From the URL, or the scheme's own: 443 and 80.
    pub port: u16,
    /// Path and query, as in the request line. A signed URL's is a credential, so `Debug` does not show it.
    pub target: String,
}

/// Why a URL is no address of an agent service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Not `http`, `https`, `ws` or `wss`.
    #[error("the URL of the agent service must begin with https:// (or http:// on loopback)")]
    Scheme,
    /// No TLS, and not a loopback host.
    #[error("the URL of the agent service may go without TLS on loopback only")]
    Insecure,
    /// Host or port missing or malformed, or a user name in it.
    #[error("the URL of the agent service has no valid host")]
    Host,
    /// A space, control or non-ASCII character, or more than 8 KiB.
    #[error("the URL of the agent service holds characters that a URL may not hold")]
    Characters,
}

impl Endpoint {
    /// Takes a URL apart. The fragment is dropped.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        if url.len() > URL_BYTES_MAX || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EndpointError::Characters);
        }
        let (scheme, rest) = url.split_once("://").ok_or(EndpointError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(EndpointError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or("");
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority).ok_or(EndpointError::Host)?;
        let port = match port {
            None if secure => 443,
            None => 80,
            Some(digits) => digits.parse().map_err(|_| EndpointError::Host)?,
        };
        if !secure && !is_loopback(host) {
            return Err(EndpointError::Insecure);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { secure, host: host.to_owned(), port, target })
    }

    /// The socket of a public agent, below the REST base `base_url`.
    pub fn conversation(base_url: &str, agent_id: &str) -> Result<Self, EndpointError> {
        Self::below(base_url, "/v1/convai/conversation", agent_id)
    }

    /// Where a signed URL is asked for.
    pub fn signed_url(base_url: &str, agent_id: &str) -> Result<Self, EndpointError> {
        Self::below(base_url, "/v1/convai/conversation/get-signed-url", agent_id)
    }

    fn below(base_url: &str, path: &str, agent_id: &str) -> Result<Self, EndpointError> {
        let mut base = Self::parse(base_url)?;
        let prefix = base.target.split('?').next().unwrap_or("").trim_end_matches('/');
        base.target = format!("{prefix}{path}?agent_id={}", utf8_percent_encode(agent_id, QUERY_VALUE));
        if base.target.len() > URL_BYTES_MAX {
            return Err(EndpointError::Characters);
        }
        Ok(base)
    }

    /// The URL for REST.
    pub fn http_url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.target)
    }

    /// The URL for the socket.
    pub fn socket_url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.target)
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({} tls={})", self.authority(), self.secure)
    }
}

fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after {
            "" => Some((host, None)),
            after => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let written = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!host.is_empty() && host.bytes().all(written)).then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_follows_from_the_rest_base() {
        let agent = Endpoint::conversation("https://api.elevenlabs.io/", "agent 7&x").unwrap();
        assert_eq!(
            agent.socket_url(),
            "wss://api.elevenlabs.io:443/v1/convai/conversation?agent_id=agent%207%26x"
        );
        let signed = Endpoint::signed_url("http://127.0.0.1:8/pre/", "a").unwrap();
        assert_eq!(
            signed.http_url(),
            "http://127.0.0.1:8/pre/v1/convai/conversation/get-signed-url?agent_id=a"
        );
        assert_eq!(Endpoint::parse("ws://[::1]:9?x=1").unwrap().socket_url(), "ws://[::1]:9/?x=1");
    }

    #[test]
    fn without_tls_only_loopback_is_allowed() {
        assert!(Endpoint::parse("ws://localhost:1/").is_ok());
        for url in ["http://api.elevenlabs.io", "ws://10.0.0.1/", "ws://127.0.0.1.evil.example/"] {
            assert_eq!(Endpoint::parse(url), Err(EndpointError::Insecure), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (url, error) in [
            ("", EndpointError::Scheme),
            ("ftp://localhost/", EndpointError::Scheme),
            ("https://", EndpointError::Host),
            ("https://user@host/", EndpointError::Host),
            ("https://host:99999/", EndpointError::Host),
            ("https://[::1/", EndpointError::Host),
            ("https://ho st/", EndpointError::Characters),
            ("https://host/\r\nX: y", EndpointError::Characters),
        ] {
            assert_eq!(Endpoint::parse(url), Err(error), "{url:?}");
        }
    }

    #[test]
    fn a_signed_url_is_not_shown() {
        let endpoint = Endpoint::parse("wss://host/path?conversation_signature=cvtkn_9").unwrap();
        assert_eq!(format!("{endpoint:?}"), "Endpoint(host:443 tls=true)");
    }
}
