//! Symmetric RTP (RFC 4961): whose packets are taken, and where ours go.
//!
//! ```text
//!  Waiting ──packet from the SDP's address───────────────▶ Latched(it)
//!     └────four valid packets in a row from one other────▶ Latched(it)     the SDP's was behind a NAT
//!  Latched ──silent for RELATCH_AFTER──▶ Waiting
//! ```
//! A latched session takes nobody else's packets, so a stranger can neither be heard nor redirect the call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Packets of the agreed payload type that an address other than the SDP's must send in a row.
const STRANGER_PACKETS_MIN: u8 = 4;
/// After so much silence another address may take over.
const RELATCH_AFTER: Duration = Duration::from_secs(3);

/// The address rule of one session.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    signalled: SocketAddr,
    latched: Option<SocketAddr>,
    last_packet: Option<Instant>,
    candidate: Option<SocketAddr>,
    candidate_packets: u8,
}

impl Latch {
    /// Nothing has come yet; packets go where the SDP says.
    pub fn new(signalled: SocketAddr) -> Self {
        Self { signalled, latched: None, last_packet: None, candidate: None, candidate_packets: 0 }
    }

    /// A packet of our session's form came from here. `agreed` says whether its payload type was agreed.
    /// False: it is a stranger's and must be dropped.
    pub fn admit(&mut self, now: Instant, from: SocketAddr, agreed: bool) -> bool {
        if self.latched == Some(from) {
            self.last_packet = Some(now);
            return true;
        }
        let silent = self.last_packet.is_none_or(|last| now.saturating_duration_since(last) >= RELATCH_AFTER);
        if self.latched.is_some() && !silent {
            return false;
        }
        if from == self.signalled {
            self.take(now, from);
            return true;
        }
        if self.candidate != Some(from) || !agreed {
            self.candidate = Some(from);
            self.candidate_packets = 0;
        }
        if agreed {
            self.candidate_packets += 1;
        }
        if self.candidate_packets < STRANGER_PACKETS_MIN {
            return false;
        }
        self.take(now, from);
        true
    }

    fn take(&mut self, now: Instant, from: SocketAddr) {
        self.latched = Some(from);
        self.last_packet = Some(now);
        self.candidate = None;
        self.candidate_packets = 0;
    }

    /// Where our packets go.
    pub fn destination(&self) -> SocketAddr {
        self.latched.unwrap_or(self.signalled)
    }

    /// Whether control packets from here belong to the session: same host as its packets or as the SDP.
    pub fn knows_host_of(&self, from: SocketAddr) -> bool {
        from.ip() == self.destination().ip() || (self.latched.is_none() && from.ip() == self.signalled.ip())
    }

    /// A new description of the peer: if it names another address than before, everything begins anew.
    pub fn signal(&mut self, signalled: SocketAddr) {
        if signalled != self.signalled {
            *self = Self::new(signalled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    fn address(port: u16) -> SocketAddr {
        ([198, 51, 100, 1], port).into()
    }

    fn bench() -> (Latch, Instant) {
        (Latch::new(address(1)), any_instant())
    }

    #[test]
    fn the_address_of_the_sdp_is_taken_at_once_and_a_stranger_never_afterwards() {
        let (mut latch, now) = bench();
        assert!(latch.admit(now, address(1), true));
        for _ in 0..100 {
            assert!(!latch.admit(now, address(2), true));
        }
        assert_eq!(latch.destination(), address(1));
    }

    #[test]
    fn behind_a_nat_the_source_is_learnt_from_four_agreed_packets_rfc4961() {
        let (mut latch, now) = bench();
        for (agreed, admitted) in [(true, false), (true, false), (false, false)] {
            assert_eq!(latch.admit(now, address(2), agreed), admitted);
        }
        for admitted in [false, false, false, true] {
            assert_eq!(latch.admit(now, address(2), true), admitted);
        }
        assert_eq!(latch.destination(), address(2));
        assert!(!latch.admit(now, address(1), true), "latched: even the SDP's own address is a stranger now");
    }

    #[test]
    fn two_strangers_in_turn_never_make_a_row() {
        let (mut latch, now) = bench();
        for number in 0..100 {
            assert!(!latch.admit(now, address(2 + number % 2), true));
        }
    }

    #[test]
    fn after_three_silent_seconds_another_address_may_take_over() {
        let (mut latch, now) = bench();
        latch.admit(now, address(1), true);
        let later = now + RELATCH_AFTER;
        let admitted: Vec<bool> = (0..4).map(|_| latch.admit(later, address(2), true)).collect();
        assert_eq!(admitted, [false, false, false, true]);
    }

    #[test]
    fn a_new_description_moves_the_session_and_the_same_one_does_not() {
        let (mut latch, now) = bench();
        (0..4).for_each(|_| _ = latch.admit(now, address(2), true));
        latch.signal(address(1));
        assert_eq!(latch.destination(), address(2));
        latch.signal(address(9));
        assert_eq!(latch.destination(), address(9));
        assert!(latch.admit(now, address(9), false));
    }
}
