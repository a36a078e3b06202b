//! Requests from the network: checked, matched, admitted or refused (RFC 3261 8.2, 9.2, 12.2.2).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Instant;

use super::core::{SESSIONS_MAX, UNANSWERED_MAX, Ua};
use crate::base::CallId;
use crate::sip::field::NameAddr;
use crate::sip::msg::{Fault, Method, Name, Request, Response, check};
use crate::sip::session::{Session, capabilities};
use crate::sip::tx::{Seen, ServerKey, mark_via, reply_address};

/// When a refused caller may try again, in seconds.
const RETRY_AFTER_SEC: &str = "10";

impl Ua {
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        local: SocketAddr,
        mut request: Request,
        fault: Option<Fault>,
    ) {
        let reply_to = reply_address(&request, from);
        mark_via(&mut request, from);
        if let Err(refusal) = check(&request, fault) {
            self.counters.malformed += 1;
            let mut response = self.stateless(&request, refusal.code);
            for name in [Name::Allow, Name::Accept, Name::AcceptEncoding, Name::Unsupported] {
                response.headers.copy(&refusal.headers, name);
            }
            self.send_stateless(&request, reply_to, &response);
            return;
        }
        match self.tx.on_request(now, &request) {
            Some(Seen::Absorbed) => {}
            Some(Seen::Ack) => self.on_ack(now, request),
            Some(Seen::New(key)) => {
                if let Some(code) = self.admit(now, &key, from, local, request.clone()) {
                    let mut response = self.stateless(&request, code);
                    if matches!(code, 486 | 503) {
                        self.counters.overload += 1;
                        response = response.with(Name::RetryAfter, RETRY_AFTER_SEC);
                    }
                    self.send_stateless(&request, reply_to, &response);
                }
            }
            None => self.counters.unmatched += 1,
        }
    }

    /// Handles a new request, or names the code with which it is refused without a memory of it: so a flood costs
    /// answers, not memory, and a retransmission is refused alike.
    fn admit(
        &mut self,
        now: Instant,
        key: &ServerKey,
        from: SocketAddr,
        local: SocketAddr,
        request: Request,
    ) -> Option<u16> {
        if request.method == Method::Cancel {
            return self.on_cancel(now, key, from, &request);
        }
        let to_tag = request.headers.first(Name::To).and_then(NameAddr::parse);
        let in_dialog = to_tag.is_some_and(|to| to.tag().is_some_and(|tag| !tag.is_empty()));
        if in_dialog {
            let Some(call) = self.owner_of(&request) else { return Some(481) };
            if !self.tx.open(key, &request, from) {
                return Some(503);
            }
            self.with_session(now, call, |session, cx| session.on_request(cx, key, request, from));
            return None;
        }
        match request.method {
            Method::Options => {
                if !self.tx.open(key, &request, from) {
                    return Some(503);
                }
                let tag = self.tag(&request);
                self.tx.respond(now, key, &capabilities(request.respond(200, &tag)));
                None
            }
            Method::Invite => self.on_invite(now, key, from, local, request),
            Method::Bye | Method::Info | Method::Update => Some(481),
            Method::Ack | Method::Cancel | Method::Register | Method::Other(_) => Some(405),
        }
    }

    fn on_invite(
        &mut self,
        now: Instant,
        key: &ServerKey,
        from: SocketAddr,
        local: SocketAddr,
        request: Request,
    ) -> Option<u16> {
        if !self.options.accept_strangers && !self.is_server(from) {
            self.counters.strangers += 1;
            return Some(403);
        }
        if self.sessions.values().any(|session| session.is_merged(&request)) {
            return Some(482);
        }
        self.make_room();
        let unanswered =
            self.sessions.values().filter(|session| !session.is_told() && session.is_unanswered()).count();
        if self.is_closing() {
            return Some(480);
        }
        if unanswered >= UNANSWERED_MAX || self.live_calls() >= SESSIONS_MAX {
            return Some(486);
        }
        if !self.tx.open(key, &request, from) {
            return Some(503);
        }
        let (call, here) = (self.ids.mint(), self.here(from, local));
        let tag = self.tag(&request);
        let (sessions, _, mut cx) = self.split(now);
        match Session::incoming(&mut cx, call, key.clone(), request.clone(), from, here) {
            Some(session) => {
                sessions.insert(call, session);
            }
            // No usable Contact: no dialog (12.1.1).
            None => self.tx.respond(now, key, &request.respond(400, &tag)),
        }
        None
    }

    fn on_cancel(
        &mut self,
        now: Instant,
        key: &ServerKey,
        from: SocketAddr,
        request: &Request,
    ) -> Option<u16> {
        let Some(invite) = ServerKey::cancelled_by(request).filter(|invite| self.tx.knows(invite)) else {
            return Some(481);
        };
        if !self.tx.open(key, request, from) {
            return Some(503);
        }
        let call =
            self.sessions.iter().find(|(_, session)| session.is_invited_by(&invite)).map(|(id, _)| *id);
        let tag = call.and_then(|call| self.sessions.get(&call)).map(Session::local_tag).map(str::to_owned);
        let tag = tag.unwrap_or_else(|| self.tag(request));
        self.tx.respond(now, key, &request.respond(200, &tag));
        if let Some(call) = call {
            self.with_session(now, call, Session::on_cancel);
        }
        None
    }

    fn on_ack(&mut self, now: Instant, ack: Request) {
        match self.owner_of(&ack) {
            Some(call) => self.with_session(now, call, |session, cx| session.on_ack(cx, ack)),
            None => self.counters.unmatched += 1,
        }
    }

    fn owner_of(&self, request: &Request) -> Option<CallId> {
        self.sessions.iter().find(|(_, session)| session.owns(request)).map(|(call, _)| *call)
    }

    fn stateless(&self, request: &Request, code: u16) -> Response {
        request.respond(code, &self.tag(request))
    }

    /// A To tag that the same request gets each time (8.2.7).
    fn tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        self.salt.hash(&mut hasher);
        for name in [Name::CallId, Name::CSeq, Name::From, Name::Via] {
            request.headers.first(name).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    /// An ACK is never answered, and neither is what does not say by which way it came.
    fn send_stateless(&mut self, request: &Request, to: SocketAddr, response: &Response) {
        if request.method == Method::Ack || request.headers.first(Name::Via).is_none() {
            self.counters.unmatched += 1;
        } else {
            self.tx.send_plain(to, response.print().into());
        }
    }
}
