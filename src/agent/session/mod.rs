//! One conversation with the service, from the open socket to the last word on the line.
//!
//! ```text
//!  Idle ─Opened▶ Open ─Begin▶ Initiated ─metadata▶ Talking ─server closed▶ Draining ─played▶ Ended
//!   ▲             │               │                    │
//!   └─ Lost ──────┴─ not begun ───┘                    └─ Close, or no way on ─────────────▶ Ended
//! ```
//!
//! For: the order of messages, what is played, what is void, how it ends. Not for: sockets, addresses, resampling,
//! back-off between attempts.

mod contract;
mod conversation;
mod ending;
mod faults;
mod hold;
mod initiation;
mod replies;
mod service;
mod tools;

pub use contract::{Event, Input, Output, Status, Why};
pub use conversation::Session;
pub use ending::End;
pub use initiation::{INITIATION_BYTES_MAX, Initiation};

#[cfg(test)]
mod tests;
