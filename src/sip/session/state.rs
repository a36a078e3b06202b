//! What a session remembers, and what every direction shares.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use crate::base::{CallId, Rng};
use crate::sip::dialog::{Dialog, Here, soonest};
use crate::sip::digest::{Credentials, Digest};
use crate::sip::field::NameAddr;
use crate::sip::msg::{Method, Name, Request, Response};
use crate::sip::register::RegistrationStatus;
use crate::sip::timer::{GIVE_UP, Resend, Timer};
use crate::sip::tx::{Owner, ServerKey, Transactions, Transmit};

/// What happens in the user agent that its user must know.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug)]
pub enum Event {
    /// Someone calls; 100 was sent. `body` is the offer, empty when we are to offer; `local` faces the caller.
    Incoming { call: CallId, from: NameAddr, asserted: Option<NameAddr>, body: Vec<u8>, local: SocketAddr },
    /// A provisional response other than 100.
    Progress { call: CallId, code: u16 },
    /// Our INVITE was accepted and the ACK sent; `body` is the answer.
    Accepted { call: CallId, body: Vec<u8> },
    /// The ACK of a 200 that carried our offer: `body` is the answer.
    Answered { call: CallId, body: Vec<u8> },
    /// The peer wants to change the session: give it an answer by `Command::Answer`, or an offer when `body`
    /// is empty.
    Offered { call: CallId, body: Vec<u8> },
    /// The call is over; nothing more comes for it.
    Ended { call: CallId, cause: Cause },
    /// A REGISTER was answered, or was not.
    Registration(RegistrationStatus),
    /// `Command::Close` is done.
    Closed,
}

/// Why a call is over.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer sent BYE.
    RemoteBye,
    /// We hung up what was up.
    LocalBye,
    /// The caller, either side, gave up before the answer.
    Cancelled,
    /// The peer answered our INVITE with this failure.
    Refused { code: u16, reason: String },
    /// We answered the peer's INVITE with this failure.
    RefusedHere { code: u16 },
    /// No final response; `heard` when there was a provisional one.
    Silence { heard: bool },
    /// The peer never acknowledged our 200.
    NoAck,
    /// Too many requests are under way.
    Overload,
}

/// What a session may use while it handles one input.
pub(in crate::sip) struct Context<'a> {
    pub(in crate::sip) now: Instant,
    pub(in crate::sip) tx: &'a mut Transactions,
    pub(in crate::sip) rng: &'a mut Rng,
    pub(in crate::sip) events: &'a mut VecDeque<Event>,
}

pub(super) enum Phase {
    /// Our INVITE is out. `patience` ends a call that keeps ringing.
    Calling { provisional: bool, cancelling: Cancelling, patience: Instant },
    /// Their INVITE waits for our answer.
    Incoming { key: ServerKey, ringing: Option<Instant> },
    /// Accepted.
    Up,
    /// Kept for what may still arrive.
    Over { forget: Instant },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelling {
    No,
    /// No provisional response has come yet, so CANCEL must wait (9.1).
    Wanted,
    Sent,
}

/// A 200 of ours that was not acknowledged yet (13.3.1.4).
pub(super) struct Unacknowledged {
    pub(super) key: ServerKey,
    pub(super) number: u32,
    pub(super) response: Response,
    pub(super) resend: Resend,
    pub(super) give_up: Instant,
    /// It carried our offer, so the ACK carries the answer.
    pub(super) offered: bool,
    /// We hung up meanwhile; BYE must wait for the ACK (15).
    pub(super) then_bye: bool,
}

/// One call.
pub struct Session {
    pub(super) call: CallId,
    pub(super) here: Here,
    pub(super) peer: SocketAddr,
    pub(super) is_inbound: bool,
    pub(super) phase: Phase,
    /// The INVITE that began it, ours or theirs.
    pub(super) invite: Request,
    pub(super) local_tag: String,
    pub(super) dialog: Option<Dialog>,
    pub(super) credentials: Option<Credentials>,
    pub(super) digest: Digest,
    /// ACKs of 2xx responses by the tag of who accepted: the first is the call, the others were hung up.
    pub(super) acks: Vec<(String, Transmit)>,
    /// The last body of a provisional response: some servers send the answer only there.
    pub(super) early_body: Vec<u8>,
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// A re-INVITE or UPDATE that waits for `Command::Answer`.
    pub(super) change: Option<(ServerKey, Request)>,
    pub(super) told: bool,
}

impl Session {
    /// Reports the end, once.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, cause: Cause) {
        if !self.told {
            self.told = true;
            cx.events.push_back(Event::Ended { call: self.call, cause });
        }
    }

    pub(super) fn over(&mut self, cx: &Context<'_>) {
        if !matches!(self.phase, Phase::Over { .. }) {
            self.phase = Phase::Over { forget: cx.now + GIVE_UP };
        }
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::Session(self.call)
    }

    /// Whether the end was reported.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Whether nobody has answered yet.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.phase, Phase::Calling { .. } | Phase::Incoming { .. })
    }

    /// Whether a request of the peer belongs to this session's dialog.
    pub fn owns(&self, request: &Request) -> bool {
        self.dialog.as_ref().is_some_and(|dialog| dialog.matches(request))
    }

    /// Whether this is the INVITE that began it, on another path (8.2.2.2).
    pub fn is_merged(&self, request: &Request) -> bool {
        let same = |name| request.headers.first(name) == self.invite.headers.first(name);
        self.is_inbound
            && !matches!(self.phase, Phase::Over { .. })
            && [Name::CallId, Name::CSeq, Name::From].into_iter().all(same)
    }

    /// Ends the call in whatever state it is.
    pub(in crate::sip) fn hang_up(&mut self, cx: &mut Context<'_>) {
        match &self.phase {
            Phase::Calling { .. } => self.cancel(cx, Cause::Cancelled),
            Phase::Incoming { .. } => self.reject(cx, 603),
            Phase::Up => {
                self.end(cx, Cause::LocalBye);
                match &mut self.unacknowledged {
                    Some(unacknowledged) => unacknowledged.then_bye = true,
                    None => self.bye(cx),
                }
            }
            Phase::Over { .. } => {}
        }
    }

    /// The process ends: a BYE that waits for an ACK goes out now.
    pub(in crate::sip) fn close(&mut self, cx: &mut Context<'_>) {
        self.hang_up(cx);
        if self.unacknowledged.take_if(|unacknowledged| unacknowledged.then_bye).is_some() {
            self.bye(cx);
        }
    }

    pub(super) fn bye(&mut self, cx: &mut Context<'_>) {
        self.over(cx);
        if let Some((key, open)) = self.change.take() {
            cx.tx.respond(cx.now, &key, &open.respond(487, &self.local_tag));
        }
        if let Some(dialog) = &mut self.dialog {
            let (mut bye, to) = dialog.request(Method::Bye, cx.rng);
            if let Some(credentials) = &self.credentials {
                self.digest.authorize(&mut bye, credentials, cx.rng);
            }
            cx.tx.send(cx.now, bye, to, self.owner());
        }
    }

    /// A response to one of our requests.
    pub(in crate::sip) fn on_response(&mut self, cx: &mut Context<'_>, method: &Method, response: &Response) {
        match method {
            Method::Invite => self.on_invite_response(cx, response),
            Method::Bye => {
                // A BYE may be challenged like any request (22.2).
                if self.credentials.is_some() && self.digest.challenged(response) {
                    self.bye(cx);
                }
            }
            Method::Cancel
            | Method::Ack
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Update
            | Method::Other(_) => {}
        }
    }

    /// One of our requests was never answered.
    pub(in crate::sip) fn on_lost(&mut self, cx: &mut Context<'_>, method: &Method) {
        if *method == Method::Invite && matches!(self.phase, Phase::Calling { .. }) {
            self.end(cx, Cause::Silence { heard: false });
            self.over(cx);
        }
    }

    pub(in crate::sip) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Calling { patience, .. } if cx.now >= patience => {
                self.cancel(cx, Cause::Silence { heard: true });
            }
            Phase::Incoming { ringing: Some(at), .. } if cx.now >= at => self.ring(cx),
            Phase::Calling { .. } | Phase::Incoming { .. } | Phase::Up | Phase::Over { .. } => {}
        }
        self.repeat_200(cx);
    }

    pub(in crate::sip) fn deadline(&self) -> Option<(Instant, Timer)> {
        let phase = match self.phase {
            Phase::Calling { patience, .. } => Some((patience, Timer::B)),
            Phase::Incoming { ringing, .. } => ringing.map(|at| (at, Timer::Repeat180)),
            Phase::Up => None,
            Phase::Over { forget } => Some((forget, Timer::Forget)),
        };
        let repeat = self.unacknowledged.as_ref();
        soonest([
            phase,
            repeat.map(|repeat| (repeat.resend.at, Timer::Repeat200)),
            repeat.map(|repeat| (repeat.give_up, Timer::H)),
        ])
    }

    /// Whether nothing can come any more.
    pub(in crate::sip) fn is_forgotten(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Over { forget } if now >= forget)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.call)
    }
}
