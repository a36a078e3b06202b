//! `callscoot sim phone --hfp`: a phone behind Bluetooth, without Bluetooth. It plays bluetoothd on a bus of its own,
//! the phone's side of the hands-free profile, and the voice links in a folder.
//!
//! ```text
//!  callscoot serve ◀─ D-Bus ──▶ port::bluez_host ◀──┐
//!                  ◀─ RFCOMM ─▶ hfp::ag ◀──────── Handset ◀── lines on standard input (a person, a test)
//!                  ◀─ SCO ────▶ Voice ◀────────────┤  └──▶ JSON lines
//!                  ◀─ ADB ────▶ adb::sim ◀──────────┘
//! ```

mod adb;
mod audio;
mod bus;
mod calls;
mod links;
mod order;
mod phone;
mod run;
mod voice;

pub use order::HELP;
pub use phone::Options;
pub use run::{Mail, run};
pub use voice::VoiceEvent;

pub(super) use run::listen;
