//! Floor 3: the operating system, and the only place that asks it for time, threads and waiting.
//!
//! For: clock, threads with a supervisor, mailboxes that `poll` can see, one wait for many things, signals,
//! real-time priority, heaps, the log, the terminal of a command.
//! Not for: sockets, files or devices (floor 4), or any word of telephony.

pub mod clock;
pub mod log;
pub mod mailbox;
pub mod memory;
pub mod process;
pub mod realtime;
pub mod signal;
pub mod terminal;
pub mod thread;
pub mod wait;
