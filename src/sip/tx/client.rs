//! Client transaction of every request but INVITE and ACK (RFC 3261 17.1.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::layer::{Transmit, Transmits};
use crate::sip::msg::{Request, Response};
use crate::sip::timer::{GIVE_UP, Resend, T2, T4, Timer};

pub(super) struct Client {
    bytes: Arc<[u8]>,
    to: SocketAddr,
    state: State,
}

enum State {
    Trying { resend: Resend, give_up: Instant },
    Completed { until: Instant },
    Terminated,
}

impl Client {
    pub(super) fn start(now: Instant, request: &Request, to: SocketAddr, out: &mut Transmits) -> Self {
        let bytes: Arc<[u8]> = request.print().into();
        out.push_back(Transmit { to, bytes: bytes.clone() });
        let state = State::Trying { resend: Resend::start(now, T2), give_up: now + GIVE_UP };
        Self { bytes, to, state }
    }

    /// `true` when the response is for the user of the transaction.
    pub(super) fn on_response(&mut self, now: Instant, response: &Response) -> bool {
        match &mut self.state {
            State::Trying { resend, .. } => {
                if response.code < 200 {
                    resend.slow_down();
                } else {
                    self.state = State::Completed { until: now + T4 };
                }
                true
            }
            State::Completed { .. } | State::Terminated => false,
        }
    }

    /// `true` when timer F gave the peer up.
    pub(super) fn on_timeout(&mut self, now: Instant, out: &mut Transmits) -> bool {
        match &mut self.state {
            State::Trying { give_up, .. } if now >= *give_up => {
                self.state = State::Terminated;
                return true;
            }
            State::Trying { resend, .. } => {
                if resend.due(now) {
                    out.push_back(Transmit { to: self.to, bytes: self.bytes.clone() });
                }
            }
            State::Completed { until } if now >= *until => self.state = State::Terminated,
            State::Completed { .. } | State::Terminated => {}
        }
        false
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Trying { resend, give_up } => Some((resend.at, Timer::E).min((*give_up, Timer::F))),
            State::Completed { until } => Some((*until, Timer::K)),
            State::Terminated => None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    pub(super) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
