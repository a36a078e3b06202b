//! Floor 1: SIP (RFC 3261), as a core without sockets or clocks.
//!
//! For: messages, transactions, dialogs, the INVITE session, registration, digest.
//! Not for: what a body means (it is carried as bytes), name resolution, sockets.
//!
//! ```text
//!  datagram ──▶ msg ──▶ tx ──▶ ua ──▶ session ──▶ Event
//!               field          │      dialog
//!               uri            └────▶ register (digest)
//! ```

pub mod dialog;
pub mod digest;
pub mod field;
pub mod fuzz;
pub mod msg;
pub mod register;
pub mod session;
pub mod timer;
pub mod tx;
pub mod ua;
pub mod uri;

pub use register::{Account, RegistrationStatus};
pub use session::{Cause, Event};
pub use tx::Transmit;
pub use ua::{Command, Counters, Input, Options, Output, Ua};
