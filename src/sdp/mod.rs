//! Floor 1: SDP offer and answer for one audio stream (RFC 3264, RFC 8866).
//!
//! For: writing our offer, answering the peer's, reading the peer's answer. G.711 and telephone-event.
//! Not for: SIP, sockets, dynamic codecs, secure or bundled media (refused as "no usable audio").
//!
//! ```text
//!  we call:   offer ──▶ peer ──▶ read_answer ──▶ Agreed
//!  they call: answer(their offer) ──▶ (our answer, Agreed)
//! ```

mod answer;
mod audio;
pub mod fuzz;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use answer::{answer, read_answer};
pub use audio::{Agreed, Codec, LocalMedia};
pub use read::{BODY_BYTES_MAX, MEDIA_LINES_MAX, SdpError};
pub use write::{OFFERED_TELEPHONE_EVENT, offer};
