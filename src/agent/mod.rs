//! Floor 1: the agent protocol (ElevenLabs Agents over WebSocket), as a core without sockets or clocks.
//!
//! For: addresses of the service, its messages and audio formats, one conversation and its playout queue.
//! Not for: sockets and TLS (floor 4), resampling (`dsp`), calls and their events (floor 2).

pub mod endpoint;
pub mod format;
pub mod fuzz;
pub mod message;
pub mod playout;
pub mod session;

pub use format::AudioFormat;
