//! The live requests: neither expired nor consumed. Each is claimed at most once.

use std::collections::{BTreeMap, BTreeSet};

use super::PendingRequest;
use crate::base::Number;
use crate::call::conversation::Overrides;
use crate::call::session::SessionId;

/// Requests that may wait at the same time; another one is refused.
pub const LIVE_REQUESTS_MAX: usize = 10_000;

/// There is no room for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{LIVE_REQUESTS_MAX} call requests are pending already")]
pub struct TooManyRequests;

/// What an outbound session claimed.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The request, with `claimed_at` and `claimed_session_id`.
    pub request: PendingRequest,
    /// Id of the session's own request, which is gone because an older one was claimed.
    pub withdrawn: Option<String>,
}

/// Place in the queue: when it was created (Unix ms), then the order of arrival.
type Place = (i64, u64);

#[derive(Clone, Debug)]
struct Waiting {
    request: PendingRequest,
    /// An outbound session exists for it: no other may take it.
    is_bound: bool,
}

/// Every request that waits, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    waiting: BTreeMap<Place, Waiting>,
    places: BTreeMap<String, Place>,
    expiries: BTreeSet<(i64, Place)>,
    arrivals: u64,
}

impl Pending {
    /// The requests that the last run left, oldest first. What exceeds the limit is dropped: it was never accepted.
    pub fn new(recovered: Vec<PendingRequest>) -> Self {
        let mut pending = Self::default();
        for request in recovered {
            let _ = pending.insert(request);
        }
        pending
    }

    /// Adds a request that any fitting session may claim. One with the same id is replaced.
    pub fn insert(&mut self, request: PendingRequest) -> Result<(), TooManyRequests> {
        self.add(request, false)
    }

    /// Adds the request of an outbound session: it is listed, but only `claim_for_outbound` can claim it.
    pub fn insert_bound(&mut self, request: PendingRequest) -> Result<(), TooManyRequests> {
        self.add(request, true)
    }

    fn add(&mut self, request: PendingRequest, is_bound: bool) -> Result<(), TooManyRequests> {
        if self.waiting.len() >= LIVE_REQUESTS_MAX {
            return Err(TooManyRequests);
        }
        self.put(request, is_bound);
        Ok(())
    }

    /// Takes back a request whose session claimed it in vain (the call was never answered): it is unclaimed, and in
    /// its old place. It was accepted once, so a full list makes room; there are no more of them than live calls.
    pub fn give_back(&mut self, claimed: PendingRequest) -> PendingRequest {
        let request = claimed.unclaimed();
        self.put(request.clone(), false);
        request
    }

    fn put(&mut self, request: PendingRequest, is_bound: bool) {
        if let Some(place) = self.places.get(&request.request_id).copied() {
            self.take(place);
        }
        let place = (request.created_unix_ms, self.arrivals);
        self.arrivals += 1;
        self.places.insert(request.request_id.clone(), place);
        self.expiries.insert((request.expires_unix_ms, place));
        self.waiting.insert(place, Waiting { request, is_bound });
    }

    /// The live request of this id.
    pub fn get(&self, request_id: &str, now_unix_ms: i64) -> Option<&PendingRequest> {
        let waiting = self.waiting.get(self.places.get(request_id)?)?;
        Some(&waiting.request).filter(|request| is_live(request, now_unix_ms))
    }

    /// Takes the live request of this id away. An expired one is left to `sweep`.
    pub fn remove(&mut self, request_id: &str, now_unix_ms: i64) -> Option<PendingRequest> {
        self.get(request_id, now_unix_ms)?;
        let place = *self.places.get(request_id)?;
        self.take(place).map(|waiting| waiting.request)
    }

    /// All live requests, oldest first.
    pub fn live(&self, now_unix_ms: i64) -> impl Iterator<Item = &PendingRequest> {
        self.waiting
            .values()
            .map(|waiting| &waiting.request)
            .filter(move |request| is_live(request, now_unix_ms))
    }

    /// How many wait; also those that have expired since the last `sweep`.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets what has expired and says which, so that the store forgets it too.
    pub fn sweep(&mut self, now_unix_ms: i64) -> Vec<String> {
        let mut gone = Vec::new();
        while let Some(&(expires, place)) = self.expiries.first() {
            if expires > now_unix_ms {
                break;
            }
            match self.take(place) {
                Some(waiting) => gone.push(waiting.request.request_id),
                None => {
                    self.expiries.remove(&(expires, place));
                }
            }
        }
        gone
    }

    /// When `sweep` has something to do.
    pub fn next_expiry_unix_ms(&self) -> Option<i64> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    /// The claim of an outbound session: its own request, even if that has expired meanwhile. Only if that one says
    /// nothing (no variables, no metadata, no agent, no overrides) and an older live one has the same number, the
    /// oldest such is claimed and the own one is withdrawn. `None` when the own one is gone.
    pub fn claim_for_outbound(
        &mut self,
        own_id: &str,
        country_code: Option<&str>,
        now_unix_ms: i64,
        session: &SessionId,
    ) -> Option<Claimed> {
        let own_place = *self.places.get(own_id)?;
        let own = &self.waiting.get(&own_place)?.request;
        let older = match own.target_number.as_deref().filter(|_| says_nothing(own)) {
            Some(target) => self.oldest(now_unix_ms, |place, request| {
                place < own_place && is_for(request, target, country_code)
            }),
            None => None,
        };
        let own = self.take(own_place)?.request;
        match older.and_then(|place| self.take(place)) {
            Some(older) => Some(Claimed {
                request: older.request.claimed_by(session, now_unix_ms),
                withdrawn: Some(own.request_id),
            }),
            None => Some(Claimed { request: own.claimed_by(session, now_unix_ms), withdrawn: None }),
        }
    }

    /// The claim of an inbound session that is being answered: the oldest live request for the caller; else, only if
    /// exactly one live request is for nobody in particular, that one.
    pub fn claim_for_inbound(
        &mut self,
        caller: Option<&str>,
        country_code: Option<&str>,
        now_unix_ms: i64,
        session: &SessionId,
    ) -> Option<PendingRequest> {
        let for_caller = caller
            .and_then(|caller| self.oldest(now_unix_ms, |_, request| is_for(request, caller, country_code)));
        let place = for_caller.or_else(|| {
            let mut for_anyone =
                self.claimable(now_unix_ms).filter(|(_, request)| request.target_number.is_none());
            let (place, _) = for_anyone.next()?;
            for_anyone.next().is_none().then_some(place)
        })?;
        Some(self.take(place)?.request.claimed_by(session, now_unix_ms))
    }

    fn claimable(&self, now_unix_ms: i64) -> impl Iterator<Item = (Place, &PendingRequest)> {
        self.waiting
            .iter()
            .filter(move |(_, waiting)| !waiting.is_bound && is_live(&waiting.request, now_unix_ms))
            .map(|(place, waiting)| (*place, &waiting.request))
    }

    fn oldest(&self, now_unix_ms: i64, fits: impl Fn(Place, &PendingRequest) -> bool) -> Option<Place> {
        self.claimable(now_unix_ms).find(|(place, request)| fits(*place, request)).map(|(place, _)| place)
    }

    fn take(&mut self, place: Place) -> Option<Waiting> {
        let waiting = self.waiting.remove(&place)?;
        self.places.remove(&waiting.request.request_id);
        self.expiries.remove(&(waiting.request.expires_unix_ms, place));
        Some(waiting)
    }
}

fn is_live(request: &PendingRequest, now_unix_ms: i64) -> bool {
    now_unix_ms < request.expires_unix_ms
}

fn says_nothing(request: &PendingRequest) -> bool {
    request.dynamic_variables.is_empty()
        && request.metadata.is_empty()
        && request.agent_id.is_none()
        && request.overrides == Overrides::default()
}

/// Whether a request is for this number or URI: the same line, or the same text where either is not a number.
fn is_for(request: &PendingRequest, party: &str, country_code: Option<&str>) -> bool {
    request.target_number.as_deref().is_some_and(|target| {
        target == party
            || match (Number::parse(target), Number::parse(party)) {
                (Ok(target), Ok(party)) => target.same_line(&party, country_code),
                (Ok(_) | Err(_), _) => false,
            }
    })
}
