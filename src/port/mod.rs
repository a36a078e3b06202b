//! Floor 4: one file, or folder, is one outside thing, and the only place that knows it.
//!
//! For: sockets, TLS, files, the database, the HTTP server.
//! Not for: loops (floor 5) or decisions (floors 1 and 2).

pub mod adb;
#[cfg(feature = "bluez")]
pub mod bluez;
#[cfg(feature = "bluez")]
mod bluez_bus;
#[cfg(feature = "bluez")]
pub mod bluez_host;
pub mod config_file;
pub mod env_file;
pub mod hci;
pub mod http;
mod kernel_socket;
pub mod machine;
pub mod rest;
pub mod rest_local;
pub mod rfcomm;
pub mod rtp_socket;
pub mod sco;
pub mod session_files;
pub mod store;
pub mod udp;
pub mod wav;
pub mod websocket;
pub mod whole_file;
pub mod wifi;
