//! The other side of `bluez`: a process that plays bluetoothd on a private bus, for simulated phones.
//!
//! For: adapter, devices, pairing and profiles as BlueZ 5.87 shows them, with its error names; RFCOMM as one end of a
//! socket pair. Not for: what is said over it, audio, or any other profile.
//!
//! ```text
//!  client ── RegisterProfile, RegisterAgent ──▶ │      │ ◀── pair, connect, vanish ── phone
//!         ◀─ RequestConfirmation, NewConnection │ Host │ ── Event (its end of the stream) ──▶
//!  client ── ConnectProfile, Disconnect ──────▶ │      │
//! ```
//!
//! What the bus is told of objects is the difference between what they were and what they are: no change is forgotten.

mod adapter;
mod calls;
mod device;
mod host;
mod introspect;
mod links;
mod pairing;
mod refusal;
mod registry;
mod value;

pub use device::Phone;
pub use host::{Event, Host, HostError};
