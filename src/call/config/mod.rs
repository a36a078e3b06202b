//! Configuration: every key with its default and its rule, and what follows from the keys together.
//!
//! For: `config.json` from disk, `PATCH /v1/config`, the masked object that clients see.
//! Not for: reading or writing files, resolving names or time zones, acting on a change.
//!
//! `keys` is the one table: a key is added there, with its type, default and rule, and nowhere else.

mod derived;
#[cfg(test)]
mod described;
mod form;
mod hours;
mod keys;
mod setting;
#[cfg(test)]
mod tests;
mod word;

pub use derived::Backend;
pub use hours::BusinessHours;
pub use keys::{Config, Key};
pub use setting::Kind;
pub use word::{CallPolicyMode, SipAudioMode, SipTransport, TelephonyBackend, UnknownCallers, Weekday};
