//! WebSockets, and the only place that names tungstenite: a non-blocking client over TCP or TLS, and the server
//! side that the simulated service needs.
//!
//! ```text
//!  Client: Connecting ─▶ Upgrading (TLS and HTTP together) ─▶ Open ─▶ gone
//! ```
//!
//! TLS and tungstenite keep read data in their own buffers, where `poll` cannot see it: after each wake `receive`
//! is called until it answers `Nothing`. `interest` asks for writability only while a write is pending.

mod client;
mod server;
mod socket;
mod stream;

pub use client::Client;
pub use server::{Request, read_request, respond, upgrade};
pub use socket::{Received, Socket};

#[cfg(test)]
mod tests;
