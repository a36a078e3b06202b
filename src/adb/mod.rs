//! Floor 1: the Android Debug Bridge, as a core without sockets or clocks.
//!
//! For: the words between a client and the adb server, the phones plugged in there, what an Android phone tells of its
//! calls, the few commands that act on them; and the server's side of it all, for simulated phones.
//! Not for: audio, making a call of its own (it annotates and commands a phone's call), starting the adb server.
//!
//! ```text
//!  bytes ──▶ wire ──▶ query ──▶ bridge ─▶ Event (phone, call, number, address, command)
//!                       │          │
//!            lines ──▶ registry  phone: look ─▶ act ─▶ see the effect
//!                      telecom
//!                      address
//! ```
//!
//! Each question is one connection to the server: `host:transport:SERIAL`, then `shell:…` until it ends. One more stays
//! open (`host:track-devices`), on which the server tells who was plugged in. A phone is asked again and again only
//! while a call is expected or under way.

pub mod address;
pub mod bridge;

pub mod device;
pub mod fuzz;
mod lines;
pub mod query;
pub mod registry;
pub mod shell;
pub mod sim;
pub mod telecom;
pub mod wire;

pub use address::BluetoothAddress;
pub use bridge::{
    Bridge, Command, Counters, Event, Failure, Input, LinkId, Output, PhoneStatus, Settings, Status, Task,
    Why,
};
pub use device::{DeviceState, Serial};
pub use registry::CallState;
