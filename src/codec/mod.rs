//! Floor 1: codecs of the line. Octets in, 16-bit samples out, and back; no state, no allocation.

pub mod g711;

pub use g711::Law;
