//! The switch in virtual time, against a world that answers at once, or not, as a test wants.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod world;

mod endings;
mod inbound;
mod once;
mod outbound;
mod phone_desk;
mod phone_news;
mod phones;
mod promises;
