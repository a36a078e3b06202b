//! The Bluetooth host: `org.bluez` over D-Bus, and nothing else of D-Bus.
//!
//! For: adapters, devices, the pairing agent and the hands-free profile of bluetoothd, as the values of `hfp::host`;
//! RFCOMM descriptors as they come.
//! Not for: what is said over them, audio, or which phone is wanted.
//!
//! ```text
//!  no bus ──connect, Hello──▶ no bluetoothd ──it takes its name──▶ asked ──its objects──▶ up
//!    ▲  └── backoff ──┘            ▲                                                    │
//!    └────────── bus lost ─────────┴───────────── it goes, or does not answer ──────────┘
//! ```
//!
//! Nothing here waits: every call is sent, and its answer taken when it comes or given up when it is late.

mod client;
mod incoming;
mod objects;
mod owner;
mod pairing;
mod reply;
mod value;

pub use client::{Bluez, Counters, Event};
