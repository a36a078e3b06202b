//! Session ids: minted once, never changed, good as names of folders and in paths of URLs.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// Ids that are remembered; the oldest are forgotten first. Two sessions get the same id only within one second,
/// or when the clock was set back: the store refuses what is still the same after that.
const REMEMBERED_IDS_MAX: usize = 10_000;
/// Characters of the other party in an id; the rest is cut off, `incoming_number` has it whole.
const PARTY_CHARS_MAX: usize = 64;

/// `YYYYMMDD-HHMMSS-NUMBER`: minted once, unique, holds the phone number, so it never reaches a log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// Takes the text as it is: from the minting, or from disk.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for API and disk only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(***)")
    }
}

/// Mints session ids and remembers the newest, so that none is minted twice.
#[derive(Clone, Debug, Default)]
pub struct SessionIds {
    taken: BTreeSet<SessionId>,
    oldest_first: VecDeque<SessionId>,
}

impl SessionIds {
    /// `recent` are ids that exist already, in any order.
    pub fn new(recent: Vec<SessionId>) -> Self {
        let mut ids = Self::default();
        for id in recent {
            ids.remember(id);
        }
        ids
    }

    /// A new id for a session that begins at this local time with this number or URI.
    pub fn mint(&mut self, local: DateTime, party: Option<&str>) -> SessionId {
        let stem = format!(
            "{:04}{:02}{:02}-{:02}{:02}{:02}-{}",
            local.year().max(0),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second(),
            party.map(path_safe).filter(|name| !name.is_empty()).as_deref().unwrap_or("unknown"),
        );
        let mut id = SessionId::new(stem.as_str());
        let mut count = 1;
        while self.taken.contains(&id) {
            count += 1;
            id = SessionId::new(format!("{stem}-{count}"));
        }
        self.remember(id.clone());
        id
    }

    fn remember(&mut self, id: SessionId) {
        if self.taken.insert(id.clone()) {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > REMEMBERED_IDS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.taken.remove(&oldest);
        }
    }
}

/// A number as it is; a URI without its scheme, and `_` for what a path or a shell could read otherwise.
fn path_safe(party: &str) -> String {
    let (scheme, rest) = party.split_once(':').unwrap_or(("", party));
    let is_scheme = ["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let name = if is_scheme { rest } else { party };
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-') { c } else { '_' };
    name.chars().take(PARTY_CHARS_MAX).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn at() -> DateTime {
        date(2026, 11, 22).at(8, 51, 7, 999_000_000)
    }

    #[test]
    fn an_id_is_local_time_and_number() {
        let mut ids = SessionIds::default();
        assert_eq!(ids.mint(at(), Some("+905551112233")).as_str(), "20261122-085107-+905551112233");
        assert_eq!(ids.mint(at(), None).as_str(), "20261122-085107-unknown");
        assert_eq!(ids.mint(at(), Some("")).as_str(), "20261122-085107-unknown-2");
        let uri = ids.mint(at(), Some("sip:alice@example.com;x=../../etc"));
        assert_eq!(uri.as_str(), "20261122-085107-alice_example.com_x_.._.._etc");
    }

    #[test]
    fn the_same_second_and_number_get_a_suffix_also_after_a_restart() {
        let mut ids = SessionIds::new(vec![SessionId::new("20261122-085107-+4930")]);
        assert_eq!(ids.mint(at(), Some("+4930")).as_str(), "20261122-085107-+4930-2");
        assert_eq!(ids.mint(at(), Some("+4930")).as_str(), "20261122-085107-+4930-3");
        let recent: Vec<SessionId> = ids.oldest_first.iter().cloned().collect();
        assert_eq!(SessionIds::new(recent).mint(at(), Some("+4930")).as_str(), "20261122-085107-+4930-4");
    }

    #[test]
    fn the_memory_of_ids_is_bounded_and_forgets_the_oldest() {
        let mut ids = SessionIds::default();
        let first = ids.mint(at(), None);
        for number in 0..REMEMBERED_IDS_MAX {
            ids.mint(at(), Some(&number.to_string()));
        }
        assert_eq!((ids.taken.len(), ids.oldest_first.len()), (REMEMBERED_IDS_MAX, REMEMBERED_IDS_MAX));
        assert!(!ids.taken.contains(&first));
    }

    #[test]
    fn debug_shows_no_number() {
        assert_eq!(format!("{:?}", SessionId::new("20261122-085107-+4930")), "SessionId(***)");
    }

    proptest! {
        #[test]
        fn whatever_the_party_the_id_is_new_and_safe_in_paths(parties in prop::collection::vec(".{0,80}", 1..8)) {
            let mut ids = SessionIds::default();
            let mut seen = BTreeSet::new();
            for party in &parties {
                let id = ids.mint(at(), Some(party));
                prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-_".contains(&b)));
                prop_assert!(id.as_str().starts_with("20261122-085107-") && id.as_str().len() <= 90);
                prop_assert!(seen.insert(id));
            }
        }
    }
}
