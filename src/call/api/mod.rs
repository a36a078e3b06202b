//! The local HTTP API without HTTP's wire: a request value in; a command for the switch, a read of the store, a
//! stream, or a finished response out.
//!
//! ```text
//!  Request ─▶ Host ─▶ Origin ─▶ token ─▶ path ─▶ method ─▶ media type, fields ─▶ Action
//!              421      403      401     404      405          415, 400
//!  Action::Ask ─▶ (the switch) ─▶ Answer or Refusal ─▶ Response       404 and 409 are found there
//! ```
//!
//! For: routes, checks and their order, types of fields, bodies and status codes of every answer.
//! Not for: sockets, limits of size and time, heads and chunks (`port::http`), or what a command does.

mod access;
mod body;
mod endpoint;
mod key;
mod openapi;
mod path;
mod request;
mod response;
mod route;
mod sse;

#[cfg(test)]
mod tests;

pub use access::Access;
#[cfg(test)]
pub(crate) use openapi::document;
pub use request::{Headers, Request};
pub use response::{MEDIA_TYPE_JSON, MEDIA_TYPE_METRICS, Response, reason};
pub use route::{Action, CALLS_LIMIT_MAX, Read, Routed, Selection, Selector, route};
pub use sse::{ALIVE, Gap, LIVE, comment, event, gap};
