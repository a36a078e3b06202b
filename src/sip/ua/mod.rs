//! The user agent: transactions, sessions and the registration joined to one core.
//!
//! For: `handle_input`, `handle_timeout`, `poll_output`; who may call; limits on strangers; counters.
//! Not for: sockets, names, SDP.

mod command;
mod core;
mod request;
#[cfg(test)]
mod tests;

pub use self::core::{Command, Counters, Input, Options, Output, SESSIONS_MAX, UNANSWERED_MAX, Ua};
