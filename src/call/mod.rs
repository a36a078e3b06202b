//! Floor 2: the heart. What a call is, who may have one, what is said about it.
//!
//! For: the switch and its states, policy, guard, pending requests, configuration, the journal, the API's
//! shapes, and the pure cores that join two protocols (SIP with SDP, a leg's audio with its beat).
//! Not for: sockets, threads, clocks, files.

pub mod api;
pub mod audio;
pub mod command;
pub mod config;
pub mod conversation;
pub mod events;
pub mod guard;
pub mod idempotency;
pub mod journal;
pub mod leg;
pub mod leg_audio;
pub mod pending;
pub mod phone_line;
pub mod phones;
pub mod policy;
pub mod readiness;
pub mod session;
pub mod sip_line;
pub mod switch;
pub mod transcript;
pub mod variables;
