//! Pending call requests: what a client wants said in a call that does not exist yet, and who may claim it.

mod live;
mod request;
#[cfg(test)]
mod tests;

pub use live::{Claimed, LIVE_REQUESTS_MAX, Pending, TooManyRequests};
pub use request::PendingRequest;
