//! The service's messages: one JSON object each, as text. Both sides read and write, so that the simulated
//! service speaks by the same words as the client.
//!
//! Tolerant where the reference asks for it: unknown types and members are passed over, numbers may come as
//! texts, and only what a message cannot do without is required. Strict about size.

pub mod client;
mod field;
pub mod server;

pub use client::ClientMessage;
pub use field::{MessageError, OTHER_BYTES_MAX, TEXT_BYTES_MAX};
pub use server::ServerMessage;
