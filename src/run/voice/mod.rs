//! The voice thread: every open Bluetooth voice link and the calls whose audio goes over them, in one thread that is
//! started when first needed.
//!
//! ```text
//!  hands-free: VoicePool ──orders ring──▶ thread ──retire ring──▶ VoicePool (closes, frees)
//!                        ◀─events ring──  thread ⇄ port::sco, a link for each device
//!                        ◀───atomics────  thread ⇄ run::link rings of whoever talks
//! ```
//! A link's own clock is the beat: each packet that comes is answered by one of its size. A call without a link, or
//! with one that is silent, makes silence for its talker every 20 ms; what is to be said waits. Links and calls live
//! apart: `route` says whose audio goes over a device's link, now or as soon as it has one.
//! Between the rings nothing locks, allocates, logs or touches a channel.

mod call;
mod event;
mod pool;
mod report;
mod thread;
mod totals;
mod wire;

#[cfg(test)]
mod tests;

pub use event::VoiceEvent;
pub use pool::{CALLS_MAX, LINKS_MAX, VoicePool};
pub use report::VoiceReport;
pub use totals::Totals;
