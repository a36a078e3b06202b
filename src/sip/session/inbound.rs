//! A call that we are asked to take: 100, 180, the answer, its repetition until ACK (RFC 3261 9.2, 13.3).

use std::net::SocketAddr;
use std::time::Duration;

use super::state::{Cause, Context, Event, Phase, Session, Unacknowledged};
use crate::base::CallId;
use crate::sip::dialog::{Dialog, Here};
use crate::sip::digest::Digest;
use crate::sip::field::{NameAddr, list};
use crate::sip::msg::{ALLOWED, Name, Request, Response};
use crate::sip::timer::{GIVE_UP, Resend, T2};
use crate::sip::tx::ServerKey;

/// 180 is said again, so that no proxy gives the call up after three minutes (13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);

impl Session {
    /// A new call; `None` when the INVITE cannot make a dialog (then nothing was answered).
    pub(in crate::sip) fn incoming(
        cx: &mut Context<'_>,
        call: CallId,
        key: ServerKey,
        invite: Request,
        peer: SocketAddr,
        here: Here,
    ) -> Option<Self> {
        let local_tag = cx.rng.hex(16);
        let dialog = Dialog::of_request(here.clone(), &invite, &local_tag, peer)?;
        let from = NameAddr::parse(invite.headers.first(Name::From)?)?;
        let asserted =
            invite.headers.all(Name::Other("P-Asserted-Identity")).flat_map(list).find_map(NameAddr::parse);
        cx.tx.respond(cx.now, &key, &invite.respond(100, ""));
        let body = invite.body.clone();
        cx.events.push_back(Event::Incoming { call, from, asserted, body, local: here.local });
        Some(Self {
            call,
            here,
            peer,
            is_inbound: true,
            phase: Phase::Incoming { key, ringing: None },
            invite,
            local_tag,
            dialog: Some(dialog),
            credentials: None,
            digest: Digest::default(),
            acks: Vec::new(),
            early_body: Vec::new(),
            unacknowledged: None,
            change: None,
            told: false,
        })
    }

    /// A response that makes or keeps the dialog (12.1.1): Record-Route copied, Contact ours.
    pub(super) fn dialog_response(&self, request: &Request, code: u16) -> Response {
        let mut response = request.respond(code, &self.local_tag);
        response.headers.copy(&request.headers, Name::RecordRoute);
        response.headers.push(Name::Contact, self.here.contact());
        response
    }

    /// Says that it rings.
    pub(in crate::sip) fn ring(&mut self, cx: &mut Context<'_>) {
        let response = self.dialog_response(&self.invite, 180);
        if let Phase::Incoming { key, ringing } = &mut self.phase {
            *ringing = Some(cx.now + RING_AGAIN);
            cx.tx.respond(cx.now, key, &response);
        }
    }

    /// Takes the call; `body` is the answer, or the offer when the INVITE had none.
    pub(in crate::sip) fn accept(&mut self, cx: &mut Context<'_>, body: Vec<u8>) {
        let Phase::Incoming { key, .. } = &self.phase else { return };
        let key = key.clone();
        self.phase = Phase::Up;
        let invite = self.invite.clone();
        self.respond_200(cx, &key, &invite, body);
    }

    /// A 200 to an INVITE of the peer, first or later: repeated until its ACK comes.
    pub(super) fn respond_200(
        &mut self,
        cx: &mut Context<'_>,
        key: &ServerKey,
        invite: &Request,
        body: Vec<u8>,
    ) {
        let mut response = self.dialog_response(invite, 200);
        response.headers.push(Name::Allow, ALLOWED);
        response.headers.push(Name::ContentType, "application/sdp");
        response.body = body;
        cx.tx.respond(cx.now, key, &response);
        self.unacknowledged = Some(Unacknowledged {
            key: key.clone(),
            number: invite.cseq().map_or(0, |cseq| cseq.number),
            response,
            resend: Resend::start(cx.now, T2),
            give_up: cx.now + GIVE_UP,
            offered: invite.body.is_empty(),
            then_bye: false,
        });
    }

    /// 13.3.1.4: the 200 goes out again and again; without an ACK the session is ended with a BYE.
    pub(super) fn repeat_200(&mut self, cx: &mut Context<'_>) {
        let Some(open) = &mut self.unacknowledged else { return };
        if cx.now >= open.give_up {
            self.unacknowledged = None;
            self.end(cx, Cause::NoAck);
            self.bye(cx);
        } else if open.resend.due(cx.now) {
            cx.tx.respond_again(cx.now, &open.key, &open.response);
        }
    }

    /// Refuses the call.
    pub(in crate::sip) fn reject(&mut self, cx: &mut Context<'_>, code: u16) {
        self.refuse(cx, code, Cause::RefusedHere { code });
    }

    /// The caller gave up: CANCEL (the 200 to the CANCEL itself was sent), or BYE before the answer.
    pub(in crate::sip) fn on_cancel(&mut self, cx: &mut Context<'_>) {
        self.refuse(cx, 487, Cause::Cancelled);
    }

    fn refuse(&mut self, cx: &mut Context<'_>, code: u16, cause: Cause) {
        if let Phase::Incoming { key, .. } = &self.phase {
            cx.tx.respond(cx.now, key, &self.invite.respond(code, &self.local_tag));
            self.end(cx, cause);
            self.over(cx);
        }
    }

    /// Whether this CANCEL is for our open INVITE.
    pub(in crate::sip) fn is_invited_by(&self, key: &ServerKey) -> bool {
        matches!(&self.phase, Phase::Incoming { key: own, .. } if own == key)
    }

    /// The tag of our responses.
    pub(in crate::sip) fn local_tag(&self) -> &str {
        &self.local_tag
    }
}
