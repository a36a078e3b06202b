//! Every clause of claiming, in virtual time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::{LIVE_REQUESTS_MAX, Pending, PendingRequest, TooManyRequests};
use crate::call::conversation::Overrides;
use crate::call::session::SessionId;

const TTL_MS: i64 = 300_000;

fn request(id: &str, target: Option<&str>, created: i64) -> PendingRequest {
    PendingRequest {
        request_id: id.into(),
        target_number: target.map(str::to_owned),
        dynamic_variables: Map::new(),
        metadata: Map::new(),
        created_unix_ms: created,
        expires_unix_ms: created + TTL_MS,
        consumed: false,
        claimed_unix_ms: None,
        claimed_session_id: None,
        agent_id: None,
        overrides: Overrides::default(),
    }
}

fn with_variables(request: PendingRequest) -> PendingRequest {
    let dynamic_variables = json!({"name": "Efe"}).as_object().unwrap().clone();
    PendingRequest { dynamic_variables, ..request }
}

fn session() -> SessionId {
    SessionId::new("20261122-085107-+4930")
}

/// Requests in order: `a`, `b`, …
fn pending(targets: &[Option<&str>]) -> Pending {
    let requests = targets.iter().zip('a'..).map(|(target, id)| request(&id.to_string(), *target, 0));
    Pending::new(requests.collect())
}

fn inbound(pending: &mut Pending, caller: Option<&str>) -> Option<String> {
    pending.claim_for_inbound(caller, None, 1, &session()).map(|request| request.request_id)
}

#[test]
fn a_request_is_live_until_it_expires_and_then_as_if_it_had_never_been() {
    let mut pending = pending(&[Some("+4930")]);
    assert_eq!(pending.next_expiry_unix_ms(), Some(TTL_MS));
    assert!(pending.get("a", TTL_MS - 1).is_some());
    assert!(pending.sweep(TTL_MS - 1).is_empty());
    assert!(pending.get("a", TTL_MS).is_none());
    assert_eq!(pending.live(TTL_MS).count(), 0);
    assert!(pending.remove("a", TTL_MS).is_none());
    assert!(pending.claim_for_inbound(Some("+4930"), None, TTL_MS, &session()).is_none());
    assert_eq!(pending.sweep(TTL_MS), ["a"]);
    assert!(pending.sweep(TTL_MS).is_empty());
    assert_eq!(pending.next_expiry_unix_ms(), None);
}

#[test]
fn lists_are_oldest_first_and_a_removed_request_is_gone() {
    let mut pending = pending(&[None, Some("+4930"), None]);
    assert_eq!(pending.remove("b", 1).map(|request| request.request_id).as_deref(), Some("b"));
    assert!(pending.remove("b", 1).is_none() && pending.get("b", 1).is_none());
    let ids: Vec<&str> = pending.live(1).map(|request| request.request_id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
}

#[test]
fn an_inbound_session_takes_the_oldest_request_with_its_number() {
    let mut pending = pending(&[None, Some("+4931"), Some("+4930"), Some("+4930")]);
    assert_eq!(inbound(&mut pending, Some("+4930")).as_deref(), Some("c"));
    assert_eq!(inbound(&mut pending, Some("+4930")).as_deref(), Some("d"));
    assert_eq!(inbound(&mut pending, Some("+4930")).as_deref(), Some("a"));
    assert_eq!(inbound(&mut pending, Some("+4930")), None);
}

#[test]
fn of_requests_without_a_number_only_a_single_one_is_taken() {
    let mut two = pending(&[None, None]);
    assert_eq!(inbound(&mut two, Some("+4930")), None);
    assert_eq!(inbound(&mut two, None), None);
    two.remove("a", 1);
    assert_eq!(inbound(&mut two, None).as_deref(), Some("b"));
    let mut other = pending(&[Some("+4931")]);
    assert_eq!(inbound(&mut other, None), None);
    assert_eq!(inbound(&mut other, Some("+4930")), None);
}

#[test]
fn numbers_are_compared_as_lines_and_uris_as_texts() {
    let claim = |target: &str, caller: &str, country: Option<&str>| {
        let mut pending = pending(&[Some(target)]);
        pending.claim_for_inbound(Some(caller), country, 1, &session()).is_some()
    };
    assert!(claim("05551112233", "+905551112233", Some("90")));
    assert!(!claim("05551112233", "+905551112233", None));
    assert!(claim("sip:alice@example.com", "sip:alice@example.com", None));
    assert!(!claim("sip:alice@example.com", "sip:bob@example.com", Some("90")));
}

#[test]
fn the_claimed_request_says_by_whom_and_when() {
    let mut pending = pending(&[None]);
    let claimed = pending.claim_for_inbound(None, None, 1500, &session()).unwrap();
    let object = claimed.to_json();
    assert_eq!((&object["consumed"], &object["claimed_at"]), (&json!(true), &json!(1.5)));
    assert_eq!(object["claimed_session_id"], session().as_str());
}

#[test]
fn an_outbound_session_claims_its_own_request_and_nobody_else_can() {
    let mut pending = pending(&[None]);
    pending.insert_bound(with_variables(request("own", Some("+4930"), 0))).unwrap();
    assert_eq!(pending.live(1).count(), 2);
    assert_eq!(inbound(&mut pending, Some("+4930")).as_deref(), Some("a"));
    assert_eq!(inbound(&mut pending, Some("+4930")), None);
    let claimed = pending.claim_for_outbound("own", None, 1, &session()).unwrap();
    assert_eq!((claimed.request.request_id.as_str(), claimed.withdrawn), ("own", None));
    assert!(pending.claim_for_outbound("own", None, 1, &session()).is_none());
}

#[test]
fn an_outbound_request_that_says_nothing_gives_way_to_the_oldest_with_its_number() {
    let mut pending = pending(&[None, Some("+4931"), Some("+4930"), Some("+4930")]);
    pending.insert_bound(request("own", Some("+4930"), 0)).unwrap();
    let claimed = pending.claim_for_outbound("own", None, 1, &session()).unwrap();
    assert_eq!((claimed.request.request_id.as_str(), claimed.withdrawn.as_deref()), ("c", Some("own")));
    assert!(pending.get("own", 1).is_none() && pending.get("d", 1).is_some());
}

#[test]
fn an_outbound_request_keeps_its_own_when_it_says_something_or_the_other_is_younger_bound_or_expired() {
    let says_something = [
        with_variables(request("own", Some("+4930"), 0)),
        PendingRequest {
            metadata: with_variables(request("", None, 0)).dynamic_variables,
            ..request("own", Some("+4930"), 0)
        },
        PendingRequest { agent_id: Some("agent_1".into()), ..request("own", Some("+4930"), 0) },
    ];
    for own in says_something {
        let mut pending = pending(&[Some("+4930")]);
        pending.insert_bound(own).unwrap();
        let claimed = pending.claim_for_outbound("own", None, 1, &session()).unwrap();
        assert_eq!((claimed.request.request_id.as_str(), claimed.withdrawn), ("own", None));
    }
    let mut pending =
        Pending::new(vec![PendingRequest { expires_unix_ms: 1, ..request("old", Some("+4930"), 0) }]);
    pending.insert_bound(request("other", Some("+4930"), 0)).unwrap();
    pending.insert_bound(request("own", Some("+4930"), 0)).unwrap();
    pending.insert(request("younger", Some("+4930"), 0)).unwrap();
    let claimed = pending.claim_for_outbound("own", None, 1, &session()).unwrap();
    assert_eq!((claimed.request.request_id.as_str(), claimed.withdrawn), ("own", None));
}

#[test]
fn an_outbound_session_claims_its_own_request_even_past_its_time() {
    let mut pending = pending(&[]);
    pending.insert_bound(request("own", Some("+4930"), 0)).unwrap();
    assert!(pending.claim_for_outbound("own", None, TTL_MS, &session()).is_some());
}

#[test]
fn a_request_given_back_is_unclaimed_and_has_its_old_place() {
    let mut pending = Pending::new(vec![request("a", Some("+4930"), 1), request("b", Some("+4930"), 2)]);
    let claimed = pending.claim_for_inbound(Some("+4930"), None, 3, &session()).unwrap();
    let given_back = pending.give_back(claimed);
    assert_eq!(given_back, request("a", Some("+4930"), 1));
    assert_eq!(inbound(&mut pending, Some("+4930")).as_deref(), Some("a"));
}

#[test]
fn a_full_list_refuses_the_next_request_until_one_is_gone() {
    let mut pending = pending(&[]);
    for number in 0..LIVE_REQUESTS_MAX {
        pending.insert(request(&number.to_string(), None, 0)).unwrap();
    }
    assert_eq!(pending.insert(request("more", None, 0)), Err(TooManyRequests));
    assert_eq!(pending.insert_bound(request("more", None, 0)), Err(TooManyRequests));
    pending.remove("17", 1);
    assert_eq!(pending.insert(request("more", None, 0)), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Insert { target: u8, bound: bool, ttl: i64, variables: bool },
    Remove(u8),
    Sweep,
    Inbound(u8),
    Outbound(u8),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u8, any::<bool>(), 1..100_i64, any::<bool>())
            .prop_map(|(target, bound, ttl, variables)| Step::Insert { target, bound, ttl, variables }),
        1 => (0..30_u8).prop_map(Step::Remove),
        1 => Just(Step::Sweep),
        2 => (0..4_u8).prop_map(Step::Inbound),
        2 => (0..30_u8).prop_map(Step::Outbound),
        1 => (0..50_i64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_request_leaves_the_list_exactly_once(steps in prop::collection::vec(step(), 1..60)) {
        let number = |target: u8| (target > 0).then(|| format!("+4930{target}"));
        let mut pending = Pending::default();
        let (mut now, mut next, mut inside, mut gone) = (0, 0, BTreeSet::new(), BTreeSet::new());
        for step in steps {
            let mut left = Vec::new();
            match step {
                Step::Insert { target, bound, ttl, variables } => {
                    let id = next.to_string();
                    next += 1;
                    inside.insert(id.clone());
                    let new = request(&id, number(target).as_deref(), now);
                    let new = PendingRequest { expires_unix_ms: now + ttl, ..new };
                    let new = if variables { with_variables(new) } else { new };
                    if bound { pending.insert_bound(new).unwrap() } else { pending.insert(new).unwrap() }
                }
                Step::Remove(id) => left.extend(pending.remove(&id.to_string(), now).map(|request| request.request_id)),
                Step::Sweep => left.extend(pending.sweep(now)),
                Step::Inbound(target) => {
                    let claimed = pending.claim_for_inbound(number(target).as_deref(), None, now, &session());
                    if let Some(request) = claimed {
                        prop_assert!(request.expires_unix_ms > now);
                        left.push(request.request_id);
                    }
                }
                Step::Outbound(id) => {
                    if let Some(claimed) = pending.claim_for_outbound(&id.to_string(), None, now, &session()) {
                        left.push(claimed.request.request_id);
                        left.extend(claimed.withdrawn);
                    }
                }
                Step::Wait(by) => now += by,
            }
            for id in left {
                prop_assert!(inside.remove(&id), "{} was not inside", id);
                prop_assert!(gone.insert(id));
            }
            for request in pending.live(now) {
                prop_assert!(inside.contains(&request.request_id) && request.expires_unix_ms > now);
            }
        }
        pending.sweep(i64::MAX).into_iter().for_each(|id| assert!(inside.remove(&id)));
        prop_assert!(inside.is_empty());
        prop_assert_eq!(pending.next_expiry_unix_ms(), None);
    }
}
