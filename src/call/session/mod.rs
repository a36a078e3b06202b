//! A session: one call as clients and disks know it. Field names are the contract's.

mod id;
mod meta;

pub use id::{SessionId, SessionIds};
pub use meta::{Direction, EndReason, Phase, SessionMeta};
