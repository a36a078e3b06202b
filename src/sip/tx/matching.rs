//! Which transaction a request belongs to (RFC 3261 17.2.3), and where its responses go (18.2.2, RFC 3581).

use std::net::SocketAddr;

use crate::sip::field::{NameAddr, Via, list};
use crate::sip::msg::{Method, Name, Request};

/// Branches of RFC 3261 begin so (8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// What tells one server transaction from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey {
    id: String,
    method: Method,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerKey({:?})", self.method)
    }
}

impl ServerKey {
    /// The transaction of this request; an ACK belongs to its INVITE's.
    pub fn of(request: &Request) -> Option<Self> {
        let method = if request.method == Method::Ack { Method::Invite } else { request.method.clone() };
        Self::with_method(request, method)
    }

    /// The INVITE that this CANCEL is about (9.2).
    pub fn cancelled_by(request: &Request) -> Option<Self> {
        Self::with_method(request, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Option<Self> {
        let headers = &request.headers;
        let top = list(headers.first(Name::Via)?).next()?;
        let via = Via::parse(top)?;
        let unique = via.branch().strip_prefix(COOKIE).is_some_and(|rest| !rest.is_empty());
        let id = if unique {
            format!("{} {}:{:?}", via.branch(), via.host.to_ascii_lowercase(), via.port)
        } else {
            // The rules of RFC 2543. The To tag stays out, because that of an ACK is ours.
            let from = NameAddr::parse(headers.first(Name::From)?)?;
            let (call_id, number) = (headers.first(Name::CallId)?, request.cseq()?.number);
            format!(
                "{} {} {call_id} {number} {}",
                request.uri,
                from.tag().unwrap_or_default(),
                unmarked(&via)
            )
        };
        Some(Self { id, method })
    }
}

/// The Via as its sender wrote it, before `mark_via`.
fn unmarked(via: &Via) -> String {
    format!("{} {} {:?} {}", via.transport, via.host, via.port, via.branch())
}

/// Writes into the topmost Via where the request really came from (18.2.1, RFC 3581 4).
pub fn mark_via(request: &mut Request, from: SocketAddr) {
    let Some(value) = request.headers.first(Name::Via) else { return };
    let mut hops = list(value);
    let Some(mut via) = hops.next().and_then(Via::parse) else { return };
    let asks = via.params.has("rport");
    if asks {
        via.params.set("rport", from.port().to_string());
    }
    if asks || via.host.trim_matches(['[', ']']) != from.ip().to_string() {
        via.params.set("received", from.ip().to_string());
    }
    let mut value = via.to_string();
    for hop in hops.map(str::to_owned).collect::<Vec<_>>() {
        value.push_str(", ");
        value.push_str(&hop);
    }
    request.headers.set(Name::Via, value);
}

/// Where responses to the request go: back to where it came from; to the port in its Via when it did not ask
/// for symmetric routing. `maddr` is not obeyed: it would let a stranger choose whom we send to.
pub fn reply_address(request: &Request, from: SocketAddr) -> SocketAddr {
    let top = request.headers.first(Name::Via).and_then(|value| list(value).next()).and_then(Via::parse);
    match top {
        Some(via) if !via.params.has("rport") => SocketAddr::new(from.ip(), via.port.unwrap_or(5060)),
        Some(_) | None => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::{Message, read};

    fn request(method: &str, via: &str, to: &str) -> Request {
        let text = format!(
            "{method} sip:c@d SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: {to}\r\nCall-ID: x\r\n\
             CSeq: 7 {method}\r\n\r\n"
        );
        match read(text.as_bytes()).unwrap().message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    #[test]
    fn branch_sent_by_and_method_make_a_transaction_rfc3261_17_2_3() {
        let key = |method, via| ServerKey::of(&request(method, via, "<sip:c@d>")).unwrap();
        let invite = key("INVITE", "SIP/2.0/UDP h:5070;branch=z9hG4bKa");
        assert_eq!(key("ACK", "SIP/2.0/UDP H:5070;rport;branch=z9hG4bKa"), invite);
        assert_ne!(key("CANCEL", "SIP/2.0/UDP h:5070;branch=z9hG4bKa"), invite);
        assert_ne!(key("INVITE", "SIP/2.0/UDP h;branch=z9hG4bKa"), invite);
        let cancel = request("CANCEL", "SIP/2.0/UDP h:5070;branch=z9hG4bKa", "<sip:c@d>");
        assert_eq!(ServerKey::cancelled_by(&cancel), Some(invite));
    }

    #[test]
    fn without_the_cookie_the_headers_make_a_transaction_rfc3261_17_2_3() {
        for via in ["SIP/2.0/UDP h", "SIP/2.0/UDP h;branch=1", "SIP/2.0/UDP h;branch=z9hG4bK"] {
            let invite = ServerKey::of(&request("INVITE", via, "<sip:c@d>")).unwrap();
            assert_eq!(ServerKey::of(&request("ACK", via, "<sip:c@d>;tag=2")), Some(invite.clone()));
            assert_ne!(ServerKey::of(&request("INVITE", "SIP/2.0/UDP i", "<sip:c@d>")), Some(invite));
        }
    }

    #[test]
    fn responses_go_where_the_request_came_from_rfc3581_4() {
        let from: SocketAddr = "192.0.2.9:40000".parse().unwrap();
        let mut asked =
            request("BYE", "SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa, SIP/2.0/TCP z", "<sip:c@d>");
        assert_eq!(reply_address(&asked, from), from);
        mark_via(&mut asked, from);
        assert_eq!(
            asked.headers.first(Name::Via),
            Some("SIP/2.0/UDP 10.0.0.1:5070;rport=40000;branch=z9hG4bKa;received=192.0.2.9, SIP/2.0/TCP z")
        );
        let mut plain = request("BYE", "SIP/2.0/UDP 192.0.2.9", "<sip:c@d>");
        assert_eq!(reply_address(&plain, from), "192.0.2.9:5060".parse().unwrap());
        mark_via(&mut plain, from);
        assert_eq!(plain.headers.first(Name::Via), Some("SIP/2.0/UDP 192.0.2.9"));
    }
}
