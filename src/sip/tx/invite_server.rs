//! INVITE server transaction (RFC 3261 17.2.1, RFC 6026 7.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::layer::{Transmit, Transmits};
use crate::sip::msg::Response;
use crate::sip::timer::{GIVE_UP, Resend, T2, T4, Timer};

pub(super) struct InviteServer {
    to: SocketAddr,
    last: Option<Arc<[u8]>>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Proceeding,
    Completed { resend: Resend, give_up: Instant },
    Confirmed { until: Instant },
    Accepted { until: Instant },
    Terminated,
}

impl InviteServer {
    pub(super) fn new(to: SocketAddr) -> Self {
        Self { to, last: None, state: State::Proceeding }
    }

    pub(super) fn respond(&mut self, now: Instant, response: &Response, out: &mut Transmits) {
        match self.state {
            State::Proceeding => match response.code {
                ..200 => {}
                200..300 => self.state = State::Accepted { until: now + GIVE_UP },
                300.. => {
                    self.state = State::Completed { resend: Resend::start(now, T2), give_up: now + GIVE_UP };
                }
            },
            // The session repeats its 200 through here.
            State::Accepted { .. } if (200..300).contains(&response.code) => {}
            State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => return,
        }
        let bytes: Arc<[u8]> = response.print().into();
        self.last = Some(bytes.clone());
        out.push_back(Transmit { to: self.to, bytes });
    }

    /// The INVITE came again.
    pub(super) fn on_retransmission(&self, out: &mut Transmits) {
        match (self.state, &self.last) {
            (State::Proceeding | State::Completed { .. }, Some(bytes)) => {
                out.push_back(Transmit { to: self.to, bytes: bytes.clone() });
            }
            // Accepted: the session repeats the 200 by its own clock (RFC 6026 7.1).
            (State::Proceeding | State::Completed { .. }, None)
            | (State::Accepted { .. } | State::Confirmed { .. } | State::Terminated, _) => {}
        }
    }

    /// `true` when the ACK is for the session: it acknowledges a 2xx.
    pub(super) fn on_ack(&mut self, now: Instant) -> bool {
        match self.state {
            State::Completed { .. } => self.state = State::Confirmed { until: now + T4 },
            State::Accepted { .. } => return true,
            State::Proceeding | State::Confirmed { .. } | State::Terminated => {}
        }
        false
    }

    pub(super) fn on_timeout(&mut self, now: Instant, out: &mut Transmits) {
        match &mut self.state {
            State::Completed { give_up, .. } if now >= *give_up => self.state = State::Terminated,
            State::Completed { resend, .. } => {
                if let (true, Some(bytes)) = (resend.due(now), &self.last) {
                    out.push_back(Transmit { to: self.to, bytes: bytes.clone() });
                }
            }
            State::Confirmed { until } | State::Accepted { until } if now >= *until => {
                self.state = State::Terminated;
            }
            State::Proceeding | State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self.state {
            State::Completed { resend, give_up } => Some((resend.at, Timer::G).min((give_up, Timer::H))),
            State::Confirmed { until } => Some((until, Timer::I)),
            State::Accepted { until } => Some((until, Timer::L)),
            State::Proceeding | State::Terminated => None,
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
