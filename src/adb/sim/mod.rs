//! The other end: an adb server with Android phones, for tests and simulated phones. Without sockets, like the rest.

mod phone;
mod server;

pub use phone::{Android, Model, Phone};
pub use server::{ConnectionId, Output, Server};
