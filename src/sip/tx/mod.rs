//! Transactions (RFC 3261 section 17, RFC 6026): one request, its retransmissions, its responses.
//!
//! For: the four state machines, matching messages to them, the timers A to M.
//! Not for: what a request asks (`sip::ua`) or what belongs together beyond one request (`sip::dialog`).
//!
//! ```text
//!  INVITE client   Calling ─1xx▶ Proceeding ─2xx▶ Accepted (M)      other client   Trying ─1xx▶ Proceeding
//!                     └──────────────┴──3xx+▶ Completed (D)                           └──final──┴▶ Completed (K)
//!
//!  INVITE server   Proceeding ─2xx▶ Accepted (L)                    other server   Trying ▶ Proceeding ▶ Completed (J)
//!                     └─3xx+▶ Completed (G, H) ─ACK▶ Confirmed (I)
//! ```

mod client;
mod invite_client;
mod invite_server;
mod layer;
mod matching;
mod server;
#[cfg(test)]
mod tests;

pub use layer::{CLIENTS_MAX, Owner, Repetitions, SERVERS_MAX, Seen, Transactions, Transmit};
pub use matching::{ServerKey, mark_via, reply_address};
