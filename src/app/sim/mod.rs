//! Simulated peers, for everyone who writes a program on top: a phone that is called or calls, and plays and
//! records WAV files; an agent service that follows a script. Each tells what happened as one line of JSON.

pub mod agent;
mod over_sip;
mod phone;
mod voice;

pub use over_sip::over_sip;
pub use phone::{Input, Phone, PhoneOptions, Role, run};
pub use voice::VoiceEvent;

#[cfg(test)]
mod tests;
