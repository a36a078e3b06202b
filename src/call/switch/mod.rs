//! The switch: every call, from its first message to its last record. Pure: it is told what happens, and says
//! what shall be done.
//!
//! For: the states of a call, who may have a line, what is stored and told, answers to clients.
//! Not for: how a leg signals, how audio flows, how an agent talks, how a row is written, what HTTP looks like.
//!
//! ```text
//!   dial ──▶ Opening ── on disk ──▶ Dialing ──────────────── audio ──▶ Active
//!   call ──▶ Opening ── on disk ──▶ Ringing ──▶ Answering ── audio ──▶ Active
//!
//!   Active, on a phone:   agent speaks ◀── audio moves ──▶ owner speaks (the agent neither hears nor speaks)
//!
//!   from anywhere ── first reason wins ──▶ Ending    leg, agent and media report that they are done (2 s at most)
//!                                            │
//!                                            ▼
//!                                          Closing   transcript, summary, `call_ended` go to disk; then it is gone
//! ```
//!
//! SIP and phones carry calls alike: what only one of them has is in `sip` and `phones`, the rest knows neither.
//! A line is taken from `Opening` to `Ending`. `current_call` is the oldest session that took one and is not yet gone.

mod answering;
mod carrier;
mod commands;
mod core;
mod ending;
mod incoming;
mod io;
mod journaling;
mod live;
mod once;
mod outgoing;
mod patching;
mod phone_desk;
mod phone_list;
mod phone_metrics;
mod phone_news;
mod phones;
mod recovery;
mod sip;
mod status;
mod talking;
#[cfg(test)]
mod tests;

pub use core::Switch;
pub use io::{AgentSettings, AskId, AudioPath, Carrier, Input, Output, Setup, Why, Zones};
