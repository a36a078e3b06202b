//! Floor 1: the Hands-Free Profile 1.8, as cores without sockets or clocks.
//!
//! For: AT lines, the service level connection of a hands-free unit with one phone, that phone's calls and indicators,
//! the negotiation of the audio link's codec; and the phone's side of it all, for simulated phones.
//! Not for: RFCOMM, SCO, D-Bus, samples, or what a call is good for. `host` has the Bluetooth host's words, as values.
//!
//! ```text
//!            bytes ──▶ at ──▶ slc ──▶ Event (calls, indicators, codec, audio)
//!  RFCOMM ──┤                  │ └──▶ audio (is the SCO link where it should be?)
//!            bytes ◀───────────┘                       ag: the same from the phone's end
//! ```

pub mod ag;
pub mod at;
pub mod call;
pub mod feature;
pub mod fuzz;
pub mod host;
pub mod indicator;
pub mod slc;

pub use call::{Call, CallState, Change};
pub use feature::{AgFeatures, Codec, HfFeatures};
