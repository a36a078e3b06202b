//! Dialogs (RFC 3261 section 12): what two user agents remember of each other between requests.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::field::{CSeq, NameAddr, list};
use super::msg::{Headers, Method, Name, Request, Response};
use super::uri::Uri;
use crate::base::Rng;

/// Hops that a request may take (8.1.1.6).
const MAX_FORWARDS: &str = "70";
/// Route sets longer than this make no dialog: no honest path has so many proxies.
const ROUTES_MAX: usize = 32;

/// Where we are, as one peer sees us.
#[derive(Clone)]
pub struct Here {
    /// The address of the interface that faces the peer: for Via.
    pub local: SocketAddr,
    /// The address under which the peer can reach us; another one than `local` behind a NAT: for Contact.
    pub contact: SocketAddr,
    /// User part of Contact.
    pub user: String,
}

impl Here {
    /// A Via with a fresh branch, asking for symmetric routing (8.1.1.7, RFC 3581 3).
    pub fn via(&self, rng: &mut Rng) -> String {
        format!("SIP/2.0/UDP {};rport;branch=z9hG4bK{}", self.local, rng.hex(24))
    }

    /// The Contact value.
    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.contact)
    }

    /// A request outside any dialog (8.1.1).
    pub fn request(&self, method: Method, target: RequestTo<'_>, rng: &mut Rng) -> Request {
        let mut headers = Headers::default();
        headers.push(Name::Via, self.via(rng));
        headers.push(Name::MaxForwards, MAX_FORWARDS);
        headers.push(Name::From, target.from);
        headers.push(Name::To, target.to);
        headers.push(Name::CallId, target.call_id);
        headers.push(Name::CSeq, CSeq { number: target.number, method: method.clone() }.to_string());
        headers.push(Name::Contact, self.contact());
        Request { method, uri: target.uri.to_owned(), headers, body: Vec::new() }
    }
}

/// The addressing of a request outside any dialog.
#[expect(missing_docs, reason = "the RFC's nouns")]
#[derive(Clone, Copy)]
pub struct RequestTo<'a> {
    pub uri: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub call_id: &'a str,
    pub number: u32,
}

/// One dialog.
#[derive(Clone)]
pub struct Dialog {
    here: Here,
    call_id: String,
    /// The From and To values of our requests, tags within.
    local: String,
    remote: String,
    local_tag: String,
    remote_tag: String,
    local_number: u32,
    remote_number: Option<u32>,
    target: String,
    routes: Vec<String>,
    peer: SocketAddr,
}

impl Dialog {
    /// The dialog that a response to our INVITE makes (12.1.2). A response without a Contact keeps the target
    /// of the request; `peer` is where the request went.
    pub fn of_response(here: Here, request: &Request, response: &Response, peer: SocketAddr) -> Option<Self> {
        let remote = response.headers.first(Name::To)?.to_owned();
        let local = request.headers.first(Name::From)?.to_owned();
        let mut routes = routes(&response.headers)?;
        routes.reverse();
        Some(Self {
            here,
            call_id: request.headers.first(Name::CallId)?.to_owned(),
            local_tag: tag(&local)?,
            remote_tag: tag(&remote)?,
            local,
            remote,
            local_number: request.cseq()?.number,
            remote_number: None,
            target: contact(&response.headers).unwrap_or_else(|| request.uri.clone()),
            routes,
            peer,
        })
    }

    /// The dialog that an INVITE to us makes (12.1.1); `None` when its Contact cannot be used.
    pub fn of_request(here: Here, request: &Request, local_tag: &str, peer: SocketAddr) -> Option<Self> {
        let remote = request.headers.first(Name::From)?.to_owned();
        Some(Self {
            here,
            call_id: request.headers.first(Name::CallId)?.to_owned(),
            local: format!("{};tag={local_tag}", request.headers.first(Name::To)?),
            local_tag: local_tag.to_owned(),
            remote_tag: tag(&remote)?,
            remote,
            local_number: 0,
            remote_number: Some(request.cseq()?.number),
            target: caller_target(&request.headers)?,
            routes: routes(&request.headers)?,
            peer,
        })
    }

    /// Whether a request from the peer belongs here (12.2.2).
    pub fn matches(&self, request: &Request) -> bool {
        let tag_of = |name| request.headers.first(name).and_then(tag).unwrap_or_default();
        request.headers.first(Name::CallId) == Some(&self.call_id)
            && tag_of(Name::To) == self.local_tag
            && tag_of(Name::From) == self.remote_tag
    }

    /// The tag of the other side.
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Takes the number of a request from the peer; `false` when it is too old (12.2.2).
    pub fn take_number(&mut self, request: &Request) -> bool {
        let Some(number) = request.cseq().map(|cseq| cseq.number) else { return false };
        let in_order = self.remote_number.is_none_or(|last| number > last);
        if in_order {
            self.remote_number = Some(number);
        }
        in_order
    }

    /// A target refresh (12.2.2): INVITE and UPDATE may move the peer. It came from `peer`.
    pub fn refresh(&mut self, headers: &Headers, peer: SocketAddr) {
        if let Some(target) = contact(headers) {
            self.target = target;
            self.peer = peer;
        }
    }

    /// Our Contact in this dialog.
    pub fn contact(&self) -> String {
        self.here.contact()
    }

    /// A new request within the dialog (12.2.1.1) and where it goes.
    pub fn request(&mut self, method: Method, rng: &mut Rng) -> (Request, SocketAddr) {
        self.local_number += 1;
        self.numbered(method, self.local_number, rng)
    }

    /// The ACK of the 2xx with this number (13.2.2.4).
    pub fn ack(&self, number: u32, rng: &mut Rng) -> (Request, SocketAddr) {
        self.numbered(Method::Ack, number, rng)
    }

    fn numbered(&self, method: Method, number: u32, rng: &mut Rng) -> (Request, SocketAddr) {
        let (call_id, from, to) = (&self.call_id, &self.local, &self.remote);
        let addressing = RequestTo { uri: &self.target, from, to, call_id, number };
        let mut request = self.here.request(method, addressing, rng);
        let mut next = self.target.clone();
        if let Some(first) = self.routes.first().and_then(|route| NameAddr::parse(route)) {
            next = first.uri;
            if Uri::parse(&next).is_ok_and(|uri| uri.params.has("lr")) {
                for route in &self.routes {
                    request.headers.push(Name::Route, route.as_str());
                }
            } else {
                // A strict router wants itself as the Request-URI and the target as the last Route.
                request.uri.clone_from(&next);
                for route in self.routes.iter().skip(1) {
                    request.headers.push(Name::Route, route.as_str());
                }
                request.headers.push(Name::Route, format!("<{}>", self.target));
            }
        }
        (request, self.next_hop(&next))
    }

    /// Where a request to this URI goes. An IP address is taken as it is; a name is not resolved again: the peer
    /// is where its last message came from. So is one that gave a private address but is not at one (no NAT
    /// would let a packet through to it).
    fn next_hop(&self, uri: &str) -> SocketAddr {
        let Ok(uri) = Uri::parse(uri) else { return self.peer };
        match uri.ip() {
            Some(ip) if !is_private(ip) || is_private(self.peer.ip()) => {
                SocketAddr::new(ip, uri.port.unwrap_or(5060))
            }
            Some(_) | None => self.peer,
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unspecified(),
    }
}

fn tag(value: &str) -> Option<String> {
    // A peer of RFC 2543 may have none (12.1.1).
    Some(NameAddr::parse(value)?.tag().unwrap_or_default().to_owned())
}

fn contact(headers: &Headers) -> Option<String> {
    let value = headers.first(Name::Contact).and_then(|value| list(value).next())?;
    let uri = NameAddr::parse(value)?.uri;
    Uri::parse(&uri).is_ok().then_some(uri)
}

/// Where a caller wants to be reached: its Contact; From where a caller of RFC 2543 gave none.
fn caller_target(headers: &Headers) -> Option<String> {
    if headers.first(Name::Contact).is_some() {
        return contact(headers);
    }
    let uri = NameAddr::parse(headers.first(Name::From)?)?.uri;
    Uri::parse(&uri).is_ok().then_some(uri)
}

fn routes(headers: &Headers) -> Option<Vec<String>> {
    let routes: Vec<String> = headers.all(Name::RecordRoute).flat_map(list).map(str::to_owned).collect();
    (routes.len() <= ROUTES_MAX).then_some(routes)
}

/// `Retry-After` in seconds, kept within a day (20.33).
pub(super) fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = headers.first(Name::RetryAfter)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    if digits.is_empty() {
        return None;
    }
    Some(Duration::from_secs(digits.parse::<u64>().unwrap_or(u64::MAX).min(86_400)))
}

/// The earliest of some deadlines.
pub(super) fn soonest<T: Ord>(
    deadlines: impl IntoIterator<Item = Option<(Instant, T)>>,
) -> Option<(Instant, T)> {
    deadlines.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::msg::{Message, read};

    fn invite(more: &str) -> Request {
        let text = format!(
            "INVITE sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=them\r\n\
             To: <sip:us@h>\r\nCall-ID: x\r\nCSeq: 7 INVITE\r\n{more}\r\n"
        );
        match read(text.as_bytes()).unwrap().message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn here() -> Here {
        let local = "198.51.100.1:5060".parse().unwrap();
        Here { local, contact: local, user: "us".into() }
    }

    fn peer() -> SocketAddr {
        "192.0.2.9:5070".parse().unwrap()
    }

    #[test]
    fn the_callee_keeps_the_order_of_record_route_and_the_caller_turns_it_rfc3261_12_1() {
        let request =
            invite("Contact: <sip:a@203.0.113.5:5080>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n");
        let mut rng = Rng::from_u64(1);
        let mut callee = Dialog::of_request(here(), &request, "us", peer()).unwrap();
        let (bye, to) = callee.request(Method::Bye, &mut rng);
        assert_eq!(bye.headers.all(Name::Route).collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
        assert_eq!((bye.uri.as_str(), to), ("sip:a@203.0.113.5:5080", peer()));
        assert_eq!(bye.headers.first(Name::CSeq), Some("1 BYE"));
        assert_eq!(bye.headers.first(Name::To), Some("<sip:a@b>;tag=them"));

        let mut response = request.respond(200, "them");
        response.headers.copy(&request.headers, Name::RecordRoute);
        let caller = Dialog::of_response(here(), &request, &response, peer()).unwrap();
        let (ack, _) = caller.ack(7, &mut rng);
        assert_eq!(ack.headers.all(Name::Route).collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
        assert_eq!((ack.uri.as_str(), ack.headers.first(Name::CSeq)), ("sip:us@h", Some("7 ACK")));
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri_rfc3261_12_2_1_1() {
        let request = invite("Contact: <sip:a@h>\r\nRecord-Route: <sip:203.0.113.7>,<sip:p2;lr>\r\n");
        let mut dialog = Dialog::of_request(here(), &request, "us", peer()).unwrap();
        let (bye, to) = dialog.request(Method::Bye, &mut Rng::from_u64(1));
        assert_eq!((bye.uri.as_str(), to), ("sip:203.0.113.7", "203.0.113.7:5060".parse().unwrap()));
        assert_eq!(bye.headers.all(Name::Route).collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:a@h>"]);
    }

    #[test]
    fn old_numbers_are_refused_and_a_contact_moves_the_target_rfc3261_12_2_2() {
        let request = invite("Contact: <sip:a@10.0.0.5>\r\n");
        let mut dialog = Dialog::of_request(here(), &request, "us", peer()).unwrap();
        assert!(!dialog.take_number(&request));
        // A private address of a public peer leads nowhere.
        assert_eq!(dialog.request(Method::Bye, &mut Rng::from_u64(1)).1, peer());
        let mut newer = invite("Contact: <sip:a@203.0.113.8>\r\n");
        newer.headers.set(Name::CSeq, "8 INVITE");
        assert!(dialog.take_number(&newer));
        dialog.refresh(&newer.headers, peer());
        assert_eq!(dialog.request(Method::Bye, &mut Rng::from_u64(1)).1, "203.0.113.8:5060".parse().unwrap());
    }

    #[test]
    fn a_contact_that_cannot_be_used_makes_no_dialog_and_none_at_all_means_from_rfc2543_6_13() {
        let mut dialog = Dialog::of_request(here(), &invite(""), "us", peer()).unwrap();
        let (bye, to) = dialog.request(Method::Bye, &mut Rng::from_u64(1));
        assert_eq!((bye.uri.as_str(), to), ("sip:a@b", peer()));
        assert!(Dialog::of_request(here(), &invite("Contact: *\r\n"), "us", peer()).is_none());
    }
}
