//! The phone's side of a service level connection (the audio gateway, HFP 4.2), for simulated phones: it answers the
//! hands-free unit, and tells it what happens on the handset and in the network.
//!
//! For: whole behaviour of an ordinary phone, and the habits of odd ones as options.
//! Not for: RFCOMM, SCO, and what real phones do beyond the profile.

mod answer;
mod core;

pub use self::core::{Ag, Event, Happening, Options, Output};
