//! The HTTP server: a gate in front, tiny_http behind it.
//!
//! tiny_http must not face clients alone: one failed `accept` ends it, an announced petabyte aborts the process,
//! heads are unbounded, there is no read time-out, and a thread is taken by each connection.
//!
//! ```text
//!  clients ═TCP═▶ gate ─▶ exchange (one a connection, pure) ─▶ private Unix socket ─▶ server (tiny_http)
//!                 one thread, poll   head · chunks               one request a connection
//! ```
//!
//! The gate takes a request in whole and within its limits, and only then passes it on, rewritten in one plain
//! form; so tiny_http never waits for a client and never reads a byte that the gate did not write. The socket
//! between them lies in a directory that only this user can enter.
//!
//! For: sockets, limits of size and time, framing. Not for: what a request means (`call::api`).

mod chunks;
mod exchange;
pub mod fuzz;
mod gate;
mod head;
mod private;
mod server;

pub use gate::{CONNECTIONS_MAX, Gate, Stop};
pub use server::{EventWriter, Incoming, Server};
