//! Floor 5: one file is one thread: wait, one input, drain.
//!
//! For: the loops that join a core with its ports, and the links between threads.
//! Not for: decisions (floors 1 and 2) or system calls (floors 3 and 4).

pub mod adb;
pub mod agent;
pub mod bus;
mod counted;
pub mod echo;
pub mod hands_free;
pub mod http;
pub mod link;
pub mod media;
pub mod resolver;
#[cfg(test)]
mod scarce;
pub mod sip;
mod sse;
pub mod store;
pub mod switch;
pub mod voice;
