//! The bridge: which phones are at the server, how their calls stand, and what is done with a call.
//!
//! ```text
//!  server   Off ─▶ Asking (version, track) ─▶ Up ──lost──▶ Down ──back-off──▶ Asking
//!
//!  command  waits ─▶ look at the phone ─▶ act, if the call is as the command needs it ─▶ look until the effect is seen
//! ```
//!
//! The keys of a phone mean other things in another state (the answer key holds a call that is under way), so nothing
//! is pressed without a look, and nothing counts as done before its effect was seen.

mod links;
mod listen;
mod phone;
#[cfg(test)]
mod tests;
mod words;

pub use links::Bridge;
pub use words::{
    Command, Counters, Event, Failure, Input, LinkId, Output, PhoneStatus, Settings, Status, Task, Why,
};
