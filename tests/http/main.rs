//! The HTTP API over real sockets on loopback, with a real store and a switch that the test plays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

mod api;
mod fixture;
mod hostile;
mod scarce;
mod shapes;
mod streams;
