//! `callscoot doctor`: everything that a call needs, checked, and the command that mends what fails.
//!
//! For: one file for each place where a fault can be: the service itself, its files, the line, the agent, the machine.
//! Not for: mending. A person runs the commands.
//!
//! What the service knows it is asked for; what only this machine shows is looked at here, and left out when the
//! service runs on another. Without a service, what can be checked is checked all the same.

mod agent;
mod check;
mod examine;
mod files;
mod line;
mod machine;
mod phones;
mod service;

pub(super) use examine::{Options, run};
