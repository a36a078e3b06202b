//! The HTTP API over real sockets on loopback, with a real store and a switch that the test plays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

mod api;
mod fixture;
mod hostile;
#[path = "../support/own_process.rs"]
mod own_process;
mod scarce;
mod shapes;
mod streams;
