//! A call that we make: INVITE, its responses, ACK, CANCEL, forks (RFC 3261 9.1, 13.2).

use std::net::SocketAddr;
use std::time::Duration;

use super::state::{Cancelling, Cause, Context, Event, Phase, Session};
use crate::base::CallId;
use crate::sip::dialog::{Dialog, Here, RequestTo};
use crate::sip::digest::{Credentials, Digest};
use crate::sip::field::CSeq;
use crate::sip::msg::{ALLOWED, Headers, Method, Name, Request, Response};
use crate::sip::timer::GIVE_UP;
use crate::sip::tx::Transmit;

/// A peer that says "ringing" and nothing else is left after this; each provisional response starts it anew.
/// Longer than timer C of the proxies on the way (16.6).
const PATIENCE: Duration = Duration::from_secs(240);
/// Branches of a forked call that are acknowledged and hung up; more are left to their own timers.
const FORKS_MAX: usize = 8;

/// What a call out needs.
pub struct Outgoing {
    /// Our number for it.
    pub call: CallId,
    /// Whom to call: a SIP URI.
    pub target: String,
    /// Our address of record, without a tag.
    pub from: String,
    /// Where the INVITE goes.
    pub peer: SocketAddr,
    /// Where we are to that peer.
    pub here: Here,
    /// For its challenges.
    pub credentials: Option<Credentials>,
    /// The offer.
    pub body: Vec<u8>,
}

impl Session {
    /// Sends the INVITE.
    pub(in crate::sip) fn outgoing(cx: &mut Context<'_>, order: Outgoing) -> Self {
        let local_tag = cx.rng.hex(16);
        let mut invite = order.here.request(
            Method::Invite,
            RequestTo {
                uri: &order.target,
                from: &format!("<{}>;tag={local_tag}", order.from),
                to: &format!("<{}>", order.target),
                call_id: &cx.rng.hex(32),
                number: 1,
            },
            cx.rng,
        );
        invite.headers.push(Name::Allow, ALLOWED);
        invite.headers.push(Name::Accept, "application/sdp");
        invite.headers.push(Name::ContentType, "application/sdp");
        invite.body = order.body;
        let mut session = Self {
            call: order.call,
            here: order.here,
            peer: order.peer,
            is_inbound: false,
            phase: Phase::Calling {
                provisional: false,
                cancelling: Cancelling::No,
                patience: cx.now + PATIENCE,
            },
            invite,
            local_tag,
            dialog: None,
            credentials: order.credentials,
            digest: Digest::default(),
            acks: Vec::new(),
            early_body: Vec::new(),
            unacknowledged: None,
            change: None,
            told: false,
        };
        session.send_invite(cx);
        session
    }

    fn send_invite(&mut self, cx: &mut Context<'_>) {
        if !cx.tx.send(cx.now, self.invite.clone(), self.peer, self.owner()) {
            self.end(cx, Cause::Overload);
            self.over(cx);
        }
    }

    pub(super) fn on_invite_response(&mut self, cx: &mut Context<'_>, response: &Response) {
        match response.code {
            ..200 => self.on_provisional(cx, response),
            200..300 => self.on_accepted(cx, response),
            300.. => self.on_failure(cx, response),
        }
    }

    fn on_provisional(&mut self, cx: &mut Context<'_>, response: &Response) {
        let Phase::Calling { provisional, cancelling, patience } = &mut self.phase else { return };
        *provisional = true;
        if *cancelling == Cancelling::Wanted {
            *cancelling = Cancelling::Sent;
            self.send_cancel(cx);
        } else if *cancelling == Cancelling::No {
            *patience = cx.now + PATIENCE;
            if response.code > 100 {
                if !response.body.is_empty() {
                    self.early_body.clone_from(&response.body);
                }
                cx.events.push_back(Event::Progress { call: self.call, code: response.code });
            }
        }
    }

    /// 13.2.2.4: every 2xx is acknowledged, each time it comes; the first to come is the call, unless we gave up
    /// before, and every other branch is hung up.
    fn on_accepted(&mut self, cx: &mut Context<'_>, response: &Response) {
        let Some(mut dialog) = Dialog::of_response(self.here.clone(), &self.invite, response, self.peer)
        else {
            return;
        };
        if let Some((_, ack)) = self.acks.iter().find(|(tag, _)| tag == dialog.remote_tag()) {
            cx.tx.send_plain(ack.to, ack.bytes.clone());
            return;
        }
        if self.acks.len() >= FORKS_MAX {
            return;
        }
        let number = response.cseq().map_or(0, |cseq| cseq.number);
        let (mut ack, to) = dialog.ack(number, cx.rng);
        // The ACK carries the same credentials as its INVITE (22.1).
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            ack.headers.copy(&self.invite.headers, name);
        }
        let ack = Transmit { to, bytes: ack.print().into() };
        cx.tx.send_plain(ack.to, ack.bytes.clone());
        self.acks.push((dialog.remote_tag().to_owned(), ack));
        self.digest.accepted();
        if !matches!(self.phase, Phase::Calling { .. }) {
            let (bye, to) = dialog.request(Method::Bye, cx.rng);
            cx.tx.send(cx.now, bye, to, self.owner());
            return;
        }
        self.dialog = Some(dialog);
        if self.told {
            self.bye(cx);
            return;
        }
        self.phase = Phase::Up;
        let body = Some(&response.body).filter(|body| !body.is_empty()).unwrap_or(&self.early_body);
        cx.events.push_back(Event::Accepted { call: self.call, body: body.clone() });
    }

    fn on_failure(&mut self, cx: &mut Context<'_>, response: &Response) {
        let Phase::Calling { cancelling, .. } = self.phase else { return };
        if cancelling == Cancelling::No
            && let Some(credentials) = &self.credentials
            && self.digest.challenged(response)
        {
            // A new try of the same call: next number, fresh branch, same tag (22.2).
            let number = self.invite.cseq().map_or(1, |cseq| cseq.number + 1);
            self.invite.headers.set(Name::CSeq, CSeq { number, method: Method::Invite }.to_string());
            self.invite.headers.set(Name::Via, self.here.via(cx.rng));
            self.digest.authorize(&mut self.invite, credentials, cx.rng);
            self.send_invite(cx);
            return;
        }
        self.end(cx, Cause::Refused { code: response.code, reason: response.reason.clone() });
        self.over(cx);
    }

    /// Gives up before the answer. The end is told at once; whatever still comes is acknowledged and hung up.
    pub(super) fn cancel(&mut self, cx: &mut Context<'_>, cause: Cause) {
        self.end(cx, cause);
        if let Phase::Calling { provisional, cancelling, patience } = &mut self.phase {
            if *cancelling != Cancelling::No {
                // The peer has answered neither INVITE nor CANCEL for 64 T1 (9.1).
                self.over(cx);
                return;
            }
            *patience = cx.now + GIVE_UP;
            *cancelling = if *provisional { Cancelling::Sent } else { Cancelling::Wanted };
            if *provisional {
                self.send_cancel(cx);
            }
        }
    }

    /// 9.1: what the INVITE says, with the method CANCEL and the same branch.
    fn send_cancel(&self, cx: &mut Context<'_>) {
        let mut headers = Headers::default();
        for name in [Name::Via, Name::MaxForwards, Name::From, Name::To, Name::CallId, Name::Route] {
            headers.copy(&self.invite.headers, name);
        }
        let number = self.invite.cseq().map_or(1, |cseq| cseq.number);
        headers.push(Name::CSeq, CSeq { number, method: Method::Cancel }.to_string());
        let uri = self.invite.uri.clone();
        let cancel = Request { method: Method::Cancel, uri, headers, body: Vec::new() };
        cx.tx.send(cx.now, cancel, self.peer, self.owner());
    }
}
