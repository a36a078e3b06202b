//! `callscoot demo`: one whole call through the real service on loopback, shown as it happens, measured, and kept as
//! a stereo WAV. It starts three programs of its own kind (service, simulated phone, simulated agent), and leaves none
//! running.
//!
//! ```text
//!  demo ──HTTP──▶ serve ──SIP/RTP──▶ sim phone   plays the caller, records both sides
//!       ◀──SSE──       ──WebSocket─▶ sim agent   greets, is interrupted, answers, hangs up
//! ```

mod child;
mod play;
mod story;
mod voices;

pub use play::{Options, run};
