//! Simulated peers, for everyone who writes a program on top: a phone that is called or calls, and plays and
//! records WAV files; an agent service that follows a script. Each tells what happened as one line of JSON.

pub mod agent;
pub mod command;
#[cfg(feature = "bluez")]
pub mod handset;
#[cfg(feature = "bluez")]
mod handset_args;
mod over_sip;
pub mod phone;
pub mod voice;

pub use over_sip::over_sip;
pub use phone::{Input, Phone, PhoneOptions, Role};

#[cfg(test)]
mod tests;
