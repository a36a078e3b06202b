//! Floor 6: the program: command line, environment, wiring, supervision, exit codes, simulated peers.

pub mod sim;
