//! The audio of one leg, driven by whatever carries it: RTP, or a Bluetooth voice link.
//!
//! For: from the line's octets to blocks for whoever talks, and back; losses, silence, levels.
//! Not for: packets and their order (`rtp`), rings, sockets, the clock of the beat.
//!
//! ```text
//!  payload in order ─▶ Uplink: decode ─▶ conceal ─▶ 16 kHz (or mu-law untouched) ─▶ blocks, as they come
//!  block each 20 ms ─▶ Downlink: 8 kHz ─▶ encode (or mu-law untouched) ─▶ one payload each beat
//!  packet ⇄ VoiceLink: the same for mSBC and CVSD, on the clock of the link (`voice_link`)
//! ```
//! None of them allocates after construction.

mod downlink;
mod loudness;
mod uplink;
pub mod voice_link;

pub use downlink::{BEAT_OCTETS, Downlink};
pub use loudness::Loudness;
pub use uplink::{Payload, Uplink};
pub use voice_link::{Steady, VoiceLink};

#[cfg(test)]
mod tests;
