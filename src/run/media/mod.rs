//! The media threads: one per core, at most four, started when needed. Each carries the calls given to it for
//! life, on one beat of 20 ms.
//!
//! ```text
//!  switch: MediaPool ──orders ring──▶ thread ──retire ring──▶ MediaPool (frees)
//!                    ◀──atomics─────  thread ⇄ RTP and RTCP sockets
//!                                     thread ⇄ run::link rings of whoever talks
//! ```
//! Between the rings nothing locks, allocates, logs or touches a channel.

mod beat;
mod pool;
mod report;
mod session;
mod thread;
mod totals;

#[cfg(test)]
mod tests;

pub use pool::MediaPool;
pub use report::MediaReport;
pub use totals::Totals;
