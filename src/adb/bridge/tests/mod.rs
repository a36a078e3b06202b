//! The bridge against the simulated server, in virtual time.

mod calls;
mod server;
mod world;
