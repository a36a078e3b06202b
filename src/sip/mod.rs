//! Floor 1: SIP (RFC 3261), as a core without sockets or clocks.
//!
//! For: messages, transactions, dialogs, the INVITE session, registration, digest.
//! Not for: what a body means (it is carried as bytes), name resolution, sockets.

pub mod digest;
pub mod field;
pub mod msg;
pub mod timer;
pub mod tx;
pub mod uri;
#[cfg(test)]
mod virtual_time;
