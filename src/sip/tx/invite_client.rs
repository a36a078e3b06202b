//! INVITE client transaction (RFC 3261 17.1.1, RFC 6026 7.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::layer::{Transmit, Transmits};
use crate::sip::field::CSeq;
use crate::sip::msg::{Headers, Method, Name, Request, Response};
use crate::sip::timer::{GIVE_UP, Resend, Timer};

pub(super) struct InviteClient {
    request: Request,
    bytes: Arc<[u8]>,
    to: SocketAddr,
    state: State,
}

enum State {
    Calling { resend: Resend, give_up: Instant },
    Proceeding,
    Completed { ack: Arc<[u8]>, until: Instant },
    Accepted { until: Instant },
    Terminated,
}

impl InviteClient {
    pub(super) fn start(now: Instant, request: Request, to: SocketAddr, out: &mut Transmits) -> Self {
        let bytes: Arc<[u8]> = request.print().into();
        out.push_back(Transmit { to, bytes: bytes.clone() });
        let state = State::Calling { resend: Resend::start(now, GIVE_UP), give_up: now + GIVE_UP };
        Self { request, bytes, to, state }
    }

    /// `true` when the response is for the user of the transaction.
    pub(super) fn on_response(&mut self, now: Instant, response: &Response, out: &mut Transmits) -> bool {
        match (&self.state, response.code) {
            (State::Calling { .. } | State::Proceeding, ..200) => {
                self.state = State::Proceeding;
                true
            }
            (State::Calling { .. } | State::Proceeding, 200..300) => {
                self.state = State::Accepted { until: now + GIVE_UP };
                true
            }
            (State::Calling { .. } | State::Proceeding, 300..) => {
                let ack: Arc<[u8]> = self.ack(response).print().into();
                out.push_back(Transmit { to: self.to, bytes: ack.clone() });
                self.state = State::Completed { ack, until: now + GIVE_UP };
                true
            }
            (State::Accepted { .. }, 200..300) => true,
            (State::Completed { ack, .. }, 300..) => {
                out.push_back(Transmit { to: self.to, bytes: ack.clone() });
                false
            }
            (State::Accepted { .. } | State::Completed { .. } | State::Terminated, _) => false,
        }
    }

    /// The ACK of a failure belongs to the transaction: same branch, same Request-URI (17.1.1.3).
    fn ack(&self, response: &Response) -> Request {
        let mut headers = Headers::default();
        for name in [Name::Via, Name::Route, Name::MaxForwards, Name::From] {
            headers.copy(&self.request.headers, name);
        }
        headers.push(Name::To, response.headers.first(Name::To).unwrap_or_default());
        headers.copy(&self.request.headers, Name::CallId);
        let number = self.request.cseq().map_or(0, |cseq| cseq.number);
        headers.push(Name::CSeq, CSeq { number, method: Method::Ack }.to_string());
        Request { method: Method::Ack, uri: self.request.uri.clone(), headers, body: Vec::new() }
    }

    /// `true` when timer B gave the peer up.
    pub(super) fn on_timeout(&mut self, now: Instant, out: &mut Transmits) -> bool {
        match &mut self.state {
            State::Calling { give_up, .. } if now >= *give_up => {
                self.state = State::Terminated;
                return true;
            }
            State::Calling { resend, .. } => {
                if resend.due(now) {
                    out.push_back(Transmit { to: self.to, bytes: self.bytes.clone() });
                }
            }
            State::Completed { until, .. } | State::Accepted { until } if now >= *until => {
                self.state = State::Terminated;
            }
            State::Proceeding | State::Completed { .. } | State::Accepted { .. } | State::Terminated => {}
        }
        false
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Calling { resend, give_up } => Some((resend.at, Timer::A).min((*give_up, Timer::B))),
            State::Completed { until, .. } => Some((*until, Timer::D)),
            State::Accepted { until } => Some((*until, Timer::M)),
            State::Proceeding | State::Terminated => None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
    }

    pub(super) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
