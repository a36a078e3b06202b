//! Floor 6: the program: command line, environment, wiring, supervision, exit codes, simulated peers.

pub mod cli;
pub mod demo;
pub mod echo;
pub mod environment;
pub mod fault;
mod metrics;
pub mod out;
mod phones;
pub mod serve;
pub mod sim;
