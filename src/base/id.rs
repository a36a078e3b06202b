//! The number by which a call is known inside the process, in every channel and log line.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One call, from its first message to its last. Never leaves the process and never reaches a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call#{}", self.0)
    }
}

/// Hands out call ids. Clones share the counter, so whoever sees a call first (the switch when it
/// dials, a leg when it is called) may name it.
#[derive(Clone, Debug, Default)]
pub struct CallIds(Arc<AtomicU64>);

impl CallIds {
    /// The next id; the first is 1.
    pub fn mint(&self) -> CallId {
        CallId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_never_hand_out_the_same_id() {
        let ids = CallIds::default();
        let other = ids.clone();
        assert_eq!([ids.mint(), other.mint(), ids.mint()], [CallId(1), CallId(2), CallId(3)]);
    }
}
