//! The timers of RFC 3261 (table 4, as amended by RFC 6026): their names for deadlines, their values for UDP.

use std::time::{Duration, Instant};

/// Round-trip estimate (17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval between retransmissions of anything but INVITE (17.1.2.2).
pub const T2: Duration = Duration::from_secs(4);
/// How long a message can stay in the network (17.1.2.2).
pub const T4: Duration = Duration::from_secs(5);
/// 64 × T1: after this a silent peer is given up, and a finished transaction forgotten.
pub const GIVE_UP: Duration = Duration::from_secs(32);

/// Why a core wants to be called at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// INVITE client: sends the request again.
    A,
    /// INVITE client: gives up.
    B,
    /// INVITE client: no more retransmitted failures to acknowledge.
    D,
    /// Client: sends the request again.
    E,
    /// Client: gives up.
    F,
    /// INVITE server: sends the failure again.
    G,
    /// INVITE server: no ACK came; also the 200 of a session (13.3.1.4).
    H,
    /// INVITE server: no more retransmitted ACKs to absorb.
    I,
    /// Server: no more retransmitted requests to answer.
    J,
    /// Client: no more retransmitted responses to absorb.
    K,
    /// INVITE server: no more INVITEs to absorb after a 2xx (RFC 6026 7.1).
    L,
    /// INVITE client: no more 2xx of other branches to wait for (RFC 6026 7.2).
    M,
    /// A session repeats its 200 until the ACK (13.3.1.4).
    Repeat200,
    /// A session repeats its 180, so that no proxy loses patience (13.3.1.1).
    Repeat180,
    /// A session that is over is forgotten.
    Forget,
    /// REGISTER is due: a refresh or another try.
    Register,
    /// A NAT's binding is kept open.
    KeepAlive,
    /// Closing takes too long.
    Close,
}

/// Retransmission with an interval that doubles from T1, up to `cap` where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Resend {
    /// When the next one is due.
    pub at: Instant,
    interval: Duration,
    cap: Duration,
}

impl Resend {
    /// Something was just sent for the first time.
    pub fn start(now: Instant, cap: Duration) -> Self {
        Self { at: now + T1, interval: T1, cap }
    }

    /// Whether it is due; the next one is then planned.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = now >= self.at;
        if due {
            self.interval = (self.interval * 2).min(self.cap);
            self.at = now + self.interval;
        }
        due
    }

    /// From now on at the longest interval (17.1.2.2: a provisional response came).
    pub fn slow_down(&mut self) {
        self.interval = self.cap;
    }
}
