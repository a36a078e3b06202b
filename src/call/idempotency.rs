//! What makes a repeated request harmless: keys of clients, each with the request that it came with and whether
//! that one has been answered.
//!
//! ```text
//!  new key ── begin ──▶ running ── answered ──▶ answered ── a day ──▶ gone
//!                          └── free (an error) ──▶ gone
//! ```
//!
//! For: who may go on, who gets the first answer again, who is refused. Not for: the answers themselves, which may
//! be long (the store has them), or how a key is written in a header (`api`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::base::Now;

/// So long a key is known.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys known at once, one every four seconds all day. Beyond that a request with a new key is refused until the
/// oldest is a day old: to forget one early could dial twice.
pub const KEYS_MAX: usize = 20_000;
/// Bytes of one request under a key, as compact JSON: its answer tells it again, and is kept for all that time. A long
/// prompt fits; what is longer is refused at once, and only that.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Bytes of all their answers in the database. Beyond that as with the keys. Ordinary answers, of one or two KiB, reach
/// `KEYS_MAX` before; of the longest there may be one every twenty seconds all day. Room for `KEYS_MAX` of those would
/// be 1.2 GiB, too much of a small SD card.
pub const ANSWERS_BYTES_MAX: usize = 256 << 20;

/// SHA-256 of something: of a fixed size however long that is, and with no word of it inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of these parts; where one ends and the next begins counts.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// A key and what was asked under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Of the key.
    pub key: Fingerprint,
    /// Of the request: its endpoint and its body.
    pub request: Fingerprint,
}

/// A key whose request was answered, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which key, which request.
    pub keyed: Keyed,
    /// Until then.
    pub expires_unix_ms: i64,
    /// Bytes of the answer.
    pub answer_bytes: usize,
}

/// What a request under a key comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is the first one: do it, then say `kept` and `answered`, or `free`.
    First,
    /// It was answered before: give that answer again.
    Again,
}

/// Why a request under a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// The key was used with another body, or for another endpoint.
    #[error("this Idempotency-Key was used for another request")]
    OtherRequest,
    /// The first request is not answered yet.
    #[error("the first request with this Idempotency-Key is still running")]
    Running,
    /// There is no room; the oldest key goes after so many seconds.
    #[error("too many Idempotency-Keys were used in the last day")]
    Full {
        /// When it is worth trying again.
        retry_after_sec: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    request: Fingerprint,
    expires: Instant,
    /// Not while the first request is running.
    is_answered: bool,
    answer_bytes: usize,
}

/// Every key of the last day. A day is counted on the monotonic clock while the process lives.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Fingerprint, Entry>,
    expiries: BTreeSet<(Instant, Fingerprint)>,
    answers_bytes: usize,
}

impl Ledger {
    /// The keys that the last run left.
    pub fn new(now: Now, recovered: Vec<Answered>) -> Self {
        let mut ledger = Self::default();
        for Answered { keyed, expires_unix_ms, answer_bytes } in recovered {
            let left = Duration::from_millis(expires_unix_ms.saturating_sub(now.unix_ms).max(0) as u64);
            // A clock that was wrong then, or is now, does not make a key live for longer than it should.
            ledger.insert(keyed, now.mono + left.min(VALID));
            ledger.kept(keyed.key, answer_bytes);
            ledger.answered(keyed.key);
        }
        ledger
    }

    /// A request came under this key. Call `sweep` before, so that what has expired is not in the way.
    pub fn begin(&mut self, now: Now, keyed: Keyed) -> Result<Turn, KeyRefused> {
        match self.entries.get(&keyed.key) {
            Some(entry) if entry.request != keyed.request => Err(KeyRefused::OtherRequest),
            Some(entry) if entry.is_answered => Ok(Turn::Again),
            Some(_) => Err(KeyRefused::Running),
            None if self.entries.len() >= KEYS_MAX || self.answers_bytes >= ANSWERS_BYTES_MAX => {
                let oldest = self.next_expiry().unwrap_or(now.mono);
                let wait = oldest.saturating_duration_since(now.mono);
                Err(KeyRefused::Full { retry_after_sec: wait.as_secs() + 1 })
            }
            None => {
                self.insert(keyed, now.mono + VALID);
                Ok(Turn::First)
            }
        }
    }

    /// The store is given an answer of so many bytes for the first request under this key.
    pub fn kept(&mut self, key: Fingerprint, answer_bytes: usize) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.answers_bytes += answer_bytes;
            self.answers_bytes -= std::mem::replace(&mut entry.answer_bytes, answer_bytes);
        }
    }

    /// That request is answered: from now on it is only answered again.
    pub fn answered(&mut self, key: Fingerprint) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.is_answered = true;
        }
    }

    /// The request under this key failed: it may be tried again.
    pub fn free(&mut self, key: Fingerprint) {
        if let Some(entry) = self.entries.remove(&key) {
            self.expiries.remove(&(entry.expires, key));
            self.answers_bytes -= entry.answer_bytes;
        }
    }

    /// Forgets what is a day old and says which, so that the store forgets it too.
    pub fn sweep(&mut self, now: Now) -> Vec<Fingerprint> {
        let mut gone = Vec::new();
        while let Some(&(expires, key)) = self.expiries.first() {
            if expires > now.mono {
                break;
            }
            self.expiries.remove(&(expires, key));
            self.free(key);
            gone.push(key);
        }
        gone
    }

    /// When `sweep` has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    fn insert(&mut self, keyed: Keyed, expires: Instant) {
        self.free(keyed.key);
        self.expiries.insert((expires, keyed.key));
        let entry = Entry { request: keyed.request, expires, is_answered: false, answer_bytes: 0 };
        self.entries.insert(keyed.key, entry);
    }
}

/// When a key that is first used now is forgotten, on the wall clock: for the store.
pub fn expires_unix_ms(now: Now) -> i64 {
    now.plus(VALID).unix_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
    fn now() -> Now {
        Now { mono: Instant::now(), unix_ms: 1_795_337_467_000 }
    }

    fn keyed(key: &str, request: &str) -> Keyed {
        Keyed { key: Fingerprint::of(&[key.as_bytes()]), request: Fingerprint::of(&[request.as_bytes()]) }
    }

    #[test]
    fn the_first_goes_on_the_next_waits_and_all_later_ones_get_its_answer() {
        let (mut ledger, now) = (Ledger::default(), now());
        assert_eq!(ledger.begin(now, keyed("k", "a")), Ok(Turn::First));
        assert_eq!(ledger.begin(now, keyed("k", "a")), Err(KeyRefused::Running));
        assert_eq!(ledger.begin(now, keyed("k", "b")), Err(KeyRefused::OtherRequest));
        assert_eq!(ledger.begin(now, keyed("other", "a")), Ok(Turn::First));
        ledger.kept(keyed("k", "a").key, 10);
        assert_eq!(ledger.begin(now, keyed("k", "a")), Err(KeyRefused::Running), "kept is not yet given");
        ledger.answered(keyed("k", "a").key);
        for _ in 0..2 {
            assert_eq!(ledger.begin(now, keyed("k", "a")), Ok(Turn::Again));
            assert_eq!(ledger.begin(now, keyed("k", "b")), Err(KeyRefused::OtherRequest));
        }
    }

    #[test]
    fn after_an_error_the_key_may_try_again_even_with_another_body() {
        let (mut ledger, now) = (Ledger::default(), now());
        ledger.begin(now, keyed("k", "a")).unwrap();
        ledger.free(keyed("k", "a").key);
        assert_eq!(ledger.next_expiry(), None);
        assert_eq!(ledger.begin(now, keyed("k", "b")), Ok(Turn::First));
    }

    #[test]
    fn a_key_is_forgotten_after_a_day_and_not_before() {
        let (mut ledger, now) = (Ledger::default(), now());
        let (one, two) = (keyed("1", ""), keyed("2", ""));
        ledger.begin(now, one).unwrap();
        ledger.kept(one.key, 7);
        ledger.answered(one.key);
        let later = now.plus(Duration::from_secs(1));
        ledger.begin(later, two).unwrap();
        let eve = now.plus(Duration::from_millis(86_399_999));
        assert_eq!(ledger.sweep(eve), []);
        assert_eq!(ledger.begin(eve, one), Ok(Turn::Again));
        assert_eq!(ledger.next_expiry(), Some(now.plus(VALID).mono));
        assert_eq!(ledger.sweep(now.plus(VALID)), [one.key]);
        assert_eq!((ledger.answers_bytes, ledger.next_expiry()), (0, Some(later.plus(VALID).mono)));
        assert_eq!(ledger.begin(now.plus(VALID), one), Ok(Turn::First));
        assert_eq!(expires_unix_ms(now), now.unix_ms + 86_400_000);
    }

    #[test]
    fn a_full_ledger_refuses_new_keys_and_forgets_none() {
        let (mut ledger, now) = (Ledger::default(), now());
        for number in 0..KEYS_MAX {
            let keyed = keyed(&number.to_string(), "");
            assert_eq!(ledger.begin(now, keyed), Ok(Turn::First));
            ledger.answered(keyed.key);
        }
        let later = now.plus(Duration::from_secs(400));
        assert_eq!(ledger.begin(later, keyed("new", "")), Err(KeyRefused::Full { retry_after_sec: 86_001 }));
        assert_eq!(ledger.begin(later, keyed("0", "")), Ok(Turn::Again));
        ledger.free(keyed("0", "").key);
        assert_eq!(ledger.begin(later, keyed("new", "")), Ok(Turn::First));
    }

    #[test]
    fn long_answers_fill_it_too() {
        let (mut ledger, now) = (Ledger::default(), now());
        ledger.begin(now, keyed("long", "")).unwrap();
        ledger.kept(keyed("long", "").key, ANSWERS_BYTES_MAX);
        assert!(matches!(ledger.begin(now, keyed("new", "")), Err(KeyRefused::Full { .. })));
        ledger.kept(keyed("long", "").key, ANSWERS_BYTES_MAX - 1);
        assert_eq!(ledger.begin(now, keyed("new", "")), Ok(Turn::First));
    }

    #[test]
    fn what_the_last_run_left_counts_down_and_a_wrong_clock_adds_nothing() {
        let now = now();
        let stored = |key: &str, left_ms: i64| Answered {
            keyed: keyed(key, "a"),
            expires_unix_ms: now.unix_ms + left_ms,
            answer_bytes: 3,
        };
        let recovered = vec![stored("soon", 1000), stored("never", i64::MAX - now.unix_ms)];
        let mut ledger = Ledger::new(now, recovered);
        assert_eq!(ledger.answers_bytes, 6);
        assert_eq!(ledger.begin(now, keyed("soon", "a")), Ok(Turn::Again));
        assert_eq!(ledger.begin(now, keyed("soon", "b")), Err(KeyRefused::OtherRequest));
        assert_eq!(ledger.sweep(now.plus(Duration::from_secs(1))), [keyed("soon", "").key]);
        assert_eq!(ledger.sweep(now.plus(VALID)), [keyed("never", "").key]);
    }

    #[test]
    fn a_fingerprint_is_sha_256_and_knows_where_its_parts_end() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
        let Fingerprint(nothing) = Fingerprint::of(&[]);
        assert_eq!(nothing[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }
}
