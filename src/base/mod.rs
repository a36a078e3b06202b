//! Floor 0: the small words that every other floor speaks.
//!
//! For: call ids, given time, given chance, redaction, phone numbers, texts of strangers, JSON's integers, what is
//! counted.
//! Not for: anything that knows a protocol, a file, a socket or a thread.

pub mod backoff;
pub mod id;
pub mod integer;
pub mod metrics;
pub mod number;
pub mod pii;
pub mod rng;
pub mod text;
pub mod time;

pub use backoff::Backoff;
pub use id::{CallId, CallIds};
pub use metrics::{Metrics, MetricsError};
pub use number::{Number, NumberError};
pub use pii::{Pii, Secret};
pub use rng::Rng;
pub use time::Now;
