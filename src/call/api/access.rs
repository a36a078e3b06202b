//! Who may ask: the names this service answers to, the pages that may use it, and the bearer token.
//!
//! `Host` and `Origin` are looked at because a service on localhost is reachable by every web page that the user
//! opens: a page of another origin, or one that rebinds its own name to 127.0.0.1, must not place calls.

use std::net::IpAddr;

use subtle::ConstantTimeEq as _;

use super::request::Request;
use super::response::Response;
use crate::base::Secret;

/// What the checks compare with.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Without one, everyone who reaches the socket may ask.
    pub token: Option<&'a Secret>,
    /// This machine's name, without `.local`.
    pub machine_name: &'a str,
    /// More names of this service.
    pub allowed_hosts: &'a [String],
    /// Pages of other origins that may ask.
    pub allowed_origins: &'a [String],
}

/// Which origin the request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// No page of another origin: a program, or our own page.
    Own,
    /// A page that the configuration allows; its answers carry CORS headers.
    Allowed(&'a str),
}

impl Access<'_> {
    /// The request must be meant for this service (RFC 9110 7.4): otherwise 421.
    pub(super) fn check_host(&self, request: &Request<'_>) -> Result<(), Response> {
        let Some(host) = request.headers.host else {
            return if request.http10 {
                Ok(())
            } else {
                Err(Response::problem(400, "the Host header is missing"))
            };
        };
        let name = name_of(host).ok_or_else(|| Response::problem(400, "the Host header is malformed"))?;
        if self.is_our_name(name) {
            Ok(())
        } else {
            Err(Response::problem(421, "this service does not answer to that host; see allowed_hosts"))
        }
    }

    fn is_our_name(&self, name: &str) -> bool {
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let literal = literal.split_once('%').map_or(literal, |(address, _zone)| address);
        if literal.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let machine = self.machine_name.strip_suffix(".local").unwrap_or(self.machine_name);
        let bare = match name.split_at_checked(name.len().saturating_sub(".local".len())) {
            Some((bare, ending)) if ending.eq_ignore_ascii_case(".local") => bare,
            _ => name,
        };
        let listed =
            |allowed: &String| name_of(allowed).is_some_and(|listed| listed.eq_ignore_ascii_case(name));
        (!machine.is_empty() && bare.eq_ignore_ascii_case(machine)) || self.allowed_hosts.iter().any(listed)
    }

    /// A page may ask when it is ours or listed: otherwise 403.
    pub(super) fn check_origin<'r>(&self, request: &Request<'r>) -> Result<Origin<'r>, Response> {
        let Some(origin) = request.headers.origin else {
            return Ok(Origin::Own);
        };
        let authority = origin.split_once("://").map(|(_scheme, authority)| authority);
        if authority.is_some_and(|authority| {
            request.headers.host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
        }) {
            return Ok(Origin::Own);
        }
        let listed = |allowed: &String| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin);
        if self.allowed_origins.iter().any(listed) {
            return Ok(Origin::Allowed(origin));
        }
        Err(Response::problem(403, "pages of this origin may not use this service; see allowed_origins"))
    }

    /// `Authorization: Bearer TOKEN`, where a token is set: otherwise 401. The comparison takes as long for a
    /// token that is nearly right as for one that is not.
    pub(super) fn check_token(&self, request: &Request<'_>) -> Result<(), Response> {
        let Some(token) = self.token.filter(|token| !token.expose().is_empty()) else {
            return Ok(());
        };
        let given = request.headers.authorization.and_then(|value| {
            let (scheme, given) = value.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(given.trim())
        });
        if given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.expose().as_bytes()))) {
            Ok(())
        } else {
            Err(Response::problem(401, "unauthorized").with_header("WWW-Authenticate", "Bearer"))
        }
    }
}

/// The name of `name[:port]`, brackets of an IPv6 literal kept; `None` when it is neither.
fn name_of(host: &str) -> Option<&str> {
    let host = host.trim();
    let name_end =
        if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at_checked(name_end)?;
    let port_is_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let name_is_fine = !name.is_empty() && !name.contains(['/', '@', ' ', '\\', '?', '#', ',']);
    (port_is_fine && name_is_fine).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::api::request::Headers;

    const OPEN: Access<'static> =
        Access { token: None, machine_name: "pi", allowed_hosts: &[], allowed_origins: &[] };

    fn from_host(host: Option<&str>, http10: bool) -> u16 {
        let headers = Headers { host, ..Headers::default() };
        let request = Request { method: "GET", target: "/", http10, headers, body: b"" };
        let listed = ["phone.example".to_owned()];
        OPEN.allowing(&listed, &[]).check_host(&request).map_or_else(|response| response.status, |()| 200)
    }

    fn from_origin(origin: Option<&str>) -> Result<Option<String>, u16> {
        let headers = Headers { host: Some("localhost:8788"), origin, ..Headers::default() };
        let request = Request { method: "GET", target: "/", http10: false, headers, body: b"" };
        let listed = ["https://app.example/".to_owned()];
        match OPEN.allowing(&[], &listed).check_origin(&request) {
            Ok(Origin::Own) => Ok(None),
            Ok(Origin::Allowed(origin)) => Ok(Some(origin.to_owned())),
            Err(response) => Err(response.status),
        }
    }

    impl<'a> Access<'a> {
        fn allowing(self, allowed_hosts: &'a [String], allowed_origins: &'a [String]) -> Self {
            Access { allowed_hosts, allowed_origins, ..self }
        }
    }

    #[test]
    fn only_our_own_names_are_answered_rfc9110_7_4() {
        for host in [
            "localhost",
            "LOCALHOST:8788",
            "127.0.0.1",
            "127.0.0.1:1",
            "10.0.0.7:8788",
            "[::1]",
            "[::1]:8788",
            "[fe80::1%25eth0]:8788",
            "pi",
            "PI.local:8788",
            "pi.local",
            "phone.example",
            "Phone.Example:80",
        ] {
            assert_eq!(from_host(Some(host), false), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "pi.evil",
            "xpi",
            "127.0.0.1.evil",
            "phone.example.local",
        ] {
            assert_eq!(from_host(Some(host), false), 421, "{host}");
        }
        for host in ["", ":8788", "localhost:x", "[::1", "[::1]x", "a/b", "user@localhost", "localhost:1:2"] {
            assert_eq!(from_host(Some(host), false), 400, "{host}");
        }
        assert_eq!((from_host(None, true), from_host(None, false)), (200, 400));
    }

    #[test]
    fn a_machine_without_a_name_does_not_answer_to_the_empty_name() {
        let access = Access { machine_name: "", ..OPEN };
        assert!(!access.is_our_name(".local") && !access.is_our_name(""));
    }

    #[test]
    fn pages_of_other_origins_are_refused_unless_listed() {
        assert_eq!(from_origin(None), Ok(None));
        assert_eq!(from_origin(Some("http://localhost:8788")), Ok(None));
        assert_eq!(from_origin(Some("https://app.example")), Ok(Some("https://app.example".into())));
        for origin in [
            "http://localhost",
            "http://localhost:1",
            "null",
            "https://app.example.evil",
            "",
            "localhost:8788",
        ] {
            assert_eq!(from_origin(Some(origin)), Err(403), "{origin}");
        }
    }

    #[test]
    fn the_token_is_needed_where_one_is_set() {
        let token = Secret::new("s3cret");
        let access = Access { token: Some(&token), ..OPEN };
        let with = |authorization| {
            let headers = Headers { authorization, ..Headers::default() };
            access.check_token(&Request { method: "GET", target: "/", http10: false, headers, body: b"" })
        };
        for right in ["Bearer s3cret", "bearer s3cret", "Bearer  s3cret "] {
            assert!(with(Some(right)).is_ok(), "{right}");
        }
        for wrong in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("s3cret"),
            Some("Basic s3cret"),
            Some("Bearer s3cre"),
            Some("Bearer s3crets"),
        ] {
            let refused = with(wrong).unwrap_err();
            assert_eq!(refused.status, 401, "{wrong:?}");
            assert!(refused.headers.contains(&("WWW-Authenticate", "Bearer".into())));
        }
        let empty = Secret::new("");
        let access = Access { token: Some(&empty), ..OPEN };
        let request =
            Request { method: "GET", target: "/", http10: false, headers: Headers::default(), body: b"" };
        assert!(access.check_token(&request).is_ok());
    }
}
