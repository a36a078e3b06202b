//! Floor 1: arithmetic on samples. Allocates at construction only.
//!
//! For: changing the rate, concealing losses, levels, tones.
//! Not for: codecs, packets, clocks.

pub mod conceal;
pub mod halfband;
pub mod level;
pub mod resample;
pub mod tone;

pub use conceal::Concealment;
pub use halfband::{Down2, Up2};
pub use level::{Meter, SILENCE_DBFS};
pub use resample::{RateError, Resampler};
pub use tone::{Tone, level_at};
