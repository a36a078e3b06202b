//! SIP messages as values (RFC 3261 section 7): what came off the wire, tolerantly, and what goes on it.
//!
//! For: start lines, header lists (rsip's), bodies; reading and printing; what is wrong with a request (8.2).
//! Not for: what a header's value means (`sip::field`, `sip::uri`), who answers (`sip::ua`).

mod check;
mod header;
mod kind;
mod message;
mod read;

pub use check::{ALLOWED, Refusal, check};
pub use header::{Headers, Name};
pub use kind::kind;
pub use message::{Message, Method, Request, Response, reason};
pub use read::{Fault, HEADERS_MAX, MESSAGE_BYTES_MAX, Received, Unreadable, read};
