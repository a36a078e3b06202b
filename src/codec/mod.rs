//! Floor 1: codecs of the line. Octets in, 16-bit samples out, and back; no allocation after construction.
//!
//! For: G.711, mSBC, and the H2 framing that mSBC has in the byte stream of a Bluetooth voice link.
//! Not for: rates, concealment (`dsp`), packets of a network (`rtp`), sockets.

pub mod fuzz;
pub mod g711;
pub mod h2;
mod libsbc;
pub mod msbc;

pub use g711::Law;
pub use msbc::{MsbcDecoder, MsbcEncoder};
