//! The audio of one Bluetooth voice link (SCO, eSCO): its packets to blocks for whoever talks, and back.
//!
//! For: the bytes of both codecs, losses, levels, the link's clock against ours, whether mSBC is of any use.
//! Not for: sockets, the negotiation of the codec (`hfp`), or which call is on the link.
//!
//! ```text
//!  packet ─▶ Hearing: mSBC (H2) or PCM at 8 kHz ─▶ conceal ─▶ 16 kHz ─▶ blocks of 7.5 ms, as they come
//!  packet ◀─ Speaking: rest of a block ◀─ 16 kHz or mu-law blocks, asked for when they are needed
//! ```
//! The link is the clock: each packet that comes is answered by one of the same size. Nothing allocates after
//! construction.

mod drift;
mod health;
mod hearing;
mod link;
mod speaking;
mod steady;

pub use link::{Counts, PACKET_BYTES_MAX, VoiceLink};
pub use steady::Steady;

#[cfg(test)]
mod tests;
