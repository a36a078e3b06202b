//! Requests of the peer within the dialog: ACK, BYE, re-INVITE, UPDATE, INFO, OPTIONS (RFC 3261 14.2, 15; RFC 3311).

use std::net::SocketAddr;

use super::state::{Cause, Context, Event, Phase, Session};
use crate::sip::msg::{ALLOWED, Method, Name, Request, Response};
use crate::sip::tx::ServerKey;

impl Session {
    /// A request with a transaction of its own. It was checked, and it belongs to this dialog.
    pub(in crate::sip) fn on_request(
        &mut self,
        cx: &mut Context<'_>,
        key: &ServerKey,
        request: Request,
        from: SocketAddr,
    ) {
        if !self.dialog.as_mut().is_some_and(|dialog| dialog.take_number(&request)) {
            cx.tx.respond(cx.now, key, &request.respond(500, &self.local_tag));
            return;
        }
        match request.method {
            Method::Bye => self.on_bye(cx, key, &request),
            Method::Invite | Method::Update => self.on_change(cx, key, request, from),
            Method::Options | Method::Info if matches!(self.phase, Phase::Over { .. }) => {
                cx.tx.respond(cx.now, key, &request.respond(481, &self.local_tag));
            }
            Method::Options => {
                cx.tx.respond(cx.now, key, &capabilities(request.respond(200, &self.local_tag)));
            }
            Method::Info => cx.tx.respond(cx.now, key, &request.respond(200, &self.local_tag)),
            // Refused before by the check, or without a transaction.
            Method::Register | Method::Ack | Method::Cancel | Method::Other(_) => {}
        }
    }

    fn on_bye(&mut self, cx: &mut Context<'_>, key: &ServerKey, request: &Request) {
        cx.tx.respond(cx.now, key, &request.respond(200, &self.local_tag));
        if let Some((key, open)) = self.change.take() {
            cx.tx.respond(cx.now, &key, &open.respond(487, &self.local_tag));
        }
        self.on_cancel(cx);
        self.unacknowledged = None;
        self.end(cx, Cause::RemoteBye);
        self.over(cx);
    }

    /// The peer wants to change the session (14.2, RFC 3311 5.2).
    fn on_change(&mut self, cx: &mut Context<'_>, key: &ServerKey, request: Request, from: SocketAddr) {
        let code = match self.phase {
            Phase::Over { .. } => Some(481),
            // Our own first answer is still open.
            Phase::Incoming { .. } | Phase::Calling { .. } => Some(500),
            Phase::Up if self.change.is_some() => Some(500),
            Phase::Up if self.unacknowledged.is_some() && !request.body.is_empty() => Some(500),
            Phase::Up if self.unacknowledged.is_some() && request.method == Method::Invite => Some(500),
            Phase::Up => None,
        };
        if let Some(code) = code {
            let mut response = request.respond(code, &self.local_tag);
            if code == 500 {
                response = response.with(Name::RetryAfter, cx.rng.below(10).to_string());
            }
            cx.tx.respond(cx.now, key, &response);
            return;
        }
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh(&request.headers, from);
        }
        if request.method == Method::Update && request.body.is_empty() {
            cx.tx.respond(cx.now, key, &self.dialog_response(&request, 200));
            return;
        }
        cx.events.push_back(Event::Offered { call: self.call, body: request.body.clone() });
        self.change = Some((key.clone(), request));
    }

    /// The answer (or offer) to `Event::Offered`; `None` refuses the change with 488, and the session goes on as
    /// it was.
    pub(in crate::sip) fn answer_change(&mut self, cx: &mut Context<'_>, body: Option<Vec<u8>>) {
        let Some((key, request)) = self.change.take() else { return };
        match (body, &request.method) {
            (Some(body), Method::Invite) => self.respond_200(cx, &key, &request, body),
            (Some(body), _) => {
                let mut response = self.dialog_response(&request, 200);
                response.headers.push(Name::ContentType, "application/sdp");
                response.body = body;
                cx.tx.respond(cx.now, &key, &response);
            }
            (None, _) => cx.tx.respond(cx.now, &key, &request.respond(488, &self.local_tag)),
        }
    }

    /// An ACK of a 2xx.
    pub(in crate::sip) fn on_ack(&mut self, cx: &mut Context<'_>, ack: Request) {
        let number = ack.cseq().map(|cseq| cseq.number);
        let Some(open) = self.unacknowledged.take_if(|open| Some(open.number) == number) else { return };
        if open.then_bye {
            self.bye(cx);
        } else if open.offered {
            cx.events.push_back(Event::Answered { call: self.call, body: ack.body });
        }
    }
}

/// What OPTIONS is told (11.2).
pub(in crate::sip) fn capabilities(response: Response) -> Response {
    response
        .with(Name::Allow, ALLOWED)
        .with(Name::Accept, "application/sdp")
        .with(Name::AcceptEncoding, "identity")
        .with(Name::AcceptLanguage, "en")
        .with(Name::Supported, "")
}
