//! A telephone line over SIP: `sip::Ua` joined with `sdp`, speaking the seam of `call::leg`.
//!
//! For: accounts and their names, offers and answers, the words for how a call ended.
//! Not for: SIP itself, sockets, name resolution (asked for by `Output::Resolve`).
//!
//! ```text
//!  LegCommand ──▶ SipLine ──▶ sip::Ua ──▶ Transmit
//!  LegEvent   ◀──    │    ◀──         ◀── Datagram
//!                   sdp
//! ```

mod account;
mod calls;
mod core;
#[cfg(test)]
mod tests;
mod words;

pub use self::core::{Input, OpenLine, Output, Route, SipLine, Why};
