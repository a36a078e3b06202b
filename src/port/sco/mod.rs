//! Voice links: the kernel's SCO sockets (`net/bluetooth/sco.c`), or Unix sockets in a folder for machines without
//! Bluetooth. Both keep the borders of packets.
//!
//! For: listening, accepting with the right air coding, connecting. Not for: reading or writing audio (`run::voice`),
//! or knowing when (`run::hands_free`).
//!
//! ```text
//!  Listener ── accept ──▶ Incoming ── admit(codec) ──▶ Link ── writable ──▶ finish ──▶ descriptor
//!  connect(codec) ───────────────────────────────────▶ Link ── writable ──▶ finish ──▶ descriptor
//! ```

mod kernel;
mod link;

pub use link::{Incoming, Link, Listener, Sco};
