//! What goes wrong without ending the conversation: told while it is news, counted always, so that a service that
//! sends nothing but garbage cannot fill a disk with events.

use std::collections::BTreeSet;

/// Faults that are told in one conversation; later ones are counted only.
const TOLD_MAX: u64 = 16;
/// Unknown message types that are told, each once.
const KINDS_MAX: usize = 32;

/// Counters for status and log.
#[derive(Debug, Default)]
pub(super) struct Faults {
    total: u64,
    kinds: BTreeSet<String>,
}

impl Faults {
    /// Counts a fault; whether it should be told.
    pub(super) fn count(&mut self) -> bool {
        self.total += 1;
        self.total <= TOLD_MAX
    }

    /// Whether this unknown type is news.
    pub(super) fn is_new_kind(&mut self, kind: &str) -> bool {
        self.kinds.len() < KINDS_MAX && self.kinds.insert(kind.to_owned())
    }

    /// Faults so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_faults_and_each_kind_once_are_told() {
        let mut faults = Faults::default();
        assert_eq!((0..100).filter(|_| faults.count()).count(), 16);
        assert_eq!(faults.total(), 100);
        assert!(faults.is_new_kind("a") && !faults.is_new_kind("a"));
        assert_eq!((0..100).filter(|n| faults.is_new_kind(&n.to_string())).count(), KINDS_MAX - 1);
    }
}
