//! The user agent in virtual time: against a scripted peer, and two of them over a bad network.

mod inbound;
mod network;
mod outbound;
mod pair;
mod register;
mod script;
