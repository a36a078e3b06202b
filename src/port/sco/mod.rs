//! Voice links: the kernel's SCO sockets (`net/bluetooth/sco.c`), or Unix sockets in a folder for machines without
//! Bluetooth. Both keep the borders of packets.
//!
//! For: listening, accepting with the right air coding, connecting, packets in and out. Not for: the audio in them
//! (`call::leg_audio`), or knowing when (`run::voice`, `run::hands_free`).
//!
//! ```text
//!  Listener ── accept ──▶ Incoming ── admit(codec) ──▶ Link ── writable ──▶ finish ──▶ descriptor
//!  connect(codec) ───────────────────────────────────▶ Link ── writable ──▶ finish ──▶ descriptor
//! ```

mod kernel;
mod link;
mod packet;

pub use link::{Incoming, Link, Listener, Sco};
pub use packet::{Received, Sent, ask_for_states, receive, send};
