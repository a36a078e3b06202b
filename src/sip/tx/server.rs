//! Server transaction of every request but INVITE and ACK (RFC 3261 17.2.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::layer::{Transmit, Transmits};
use crate::sip::msg::Response;
use crate::sip::timer::{GIVE_UP, Timer};

pub(super) struct Server {
    to: SocketAddr,
    state: State,
}

enum State {
    Trying,
    Completed { response: Arc<[u8]>, until: Instant },
    Terminated,
}

impl Server {
    pub(super) fn new(to: SocketAddr) -> Self {
        Self { to, state: State::Trying }
    }

    pub(super) fn respond(&mut self, now: Instant, response: &Response, out: &mut Transmits) {
        if matches!(self.state, State::Trying) {
            let bytes: Arc<[u8]> = response.print().into();
            out.push_back(Transmit { to: self.to, bytes: bytes.clone() });
            if response.code >= 200 {
                self.state = State::Completed { response: bytes, until: now + GIVE_UP };
            }
        }
    }

    /// The request came again.
    pub(super) fn on_retransmission(&self, out: &mut Transmits) {
        if let State::Completed { response, .. } = &self.state {
            out.push_back(Transmit { to: self.to, bytes: response.clone() });
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        if let State::Completed { until, .. } = self.state
            && now >= until
        {
            self.state = State::Terminated;
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        match self.state {
            State::Completed { until, .. } => Some((until, Timer::J)),
            State::Trying | State::Terminated => None,
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
