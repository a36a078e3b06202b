//! The service level connection (HFP 4.2), seen from the hands-free unit: set up, then used until the link is lost.
//!
//! ```text
//!  Setup: BRSF ─▶ BAC ─▶ CIND=? ─▶ CIND? ─▶ CMER ─▶ CHLD=? ─▶ BIND ─▶ Up ─▶ CMEE CLIP CCWA COPS CNUM CLCC
//!    └── refused, or silent twice ──▶ Down
//! ```
//!
//! One command is outstanding; only `AT+BCS` does not wait for its turn longer than half a second. What the phone says
//! between a command and its end is heard at once. After a command without an end `AT+CIND?` brings the two in step
//! again: its own line tells a late end from the one that is waited for.

mod ask;
mod audio;
mod core;
mod input;
mod report;
mod setup;
#[cfg(test)]
mod tests;

pub use self::core::{Command, Event, Output, Slc, Why};
pub use self::report::{Counters, Fault, Phone, Refusal};
