//! A service with nothing to do does nothing: no thread wakes, no memory, descriptor or thread is added.
//!
//! `make long` looks for an hour (`CALLSCOOT_IDLE_SECONDS`), with one event stream open, which has its comments.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "what must not happen is waited for")]

mod support;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use support::agent::Agent;
use support::measurements;
use support::peer::Peer;
use support::service::{Service, line_to};
use support::wait::{stays_away, until_is};

/// In `make test`.
const IDLE: Duration = Duration::from_secs(3);
/// Longer than the timers that the end of a call or a client leaves: SIP's T4, a stream's comment, tiny_http's threads.
const TIMERS: Duration = Duration::from_millis(5500);
/// A stream's comment wakes its writer, the gate (twice: bytes in, bytes out) and a reader of the clock.
const WAKES_OF_A_COMMENT_MAX: u64 = 6;
/// A stream says so often that it lives.
const COMMENT_EVERY_S: u64 = 5;

/// A service that has had a call: whatever that started must be at rest afterwards, too.
fn after_a_call() -> Service {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let service = Service::start_with(&line_to(peer.sip_port()), Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    let id = service.call("5550100");
    agent.conversation();
    service.hang_up(&id);
    service
}

/// Waits until all threads sleep, and no timer of a few seconds is left to wake one: how often each was woken so far.
fn at_rest(service: &mut Service) -> BTreeMap<u32, (String, u64)> {
    let process = service.process();
    let look = || {
        let before = process.wakes();
        thread::sleep(TIMERS);
        (before, process.wakes())
    };
    until_is("all threads to sleep", look, |(before, now)| before == now).1
}

/// Without the thread that looks for a message bus, which the tests keep away from it: twice a minute in the end.
fn but_for_the_bus(mut wakes: BTreeMap<u32, (String, u64)>) -> BTreeMap<u32, (String, u64)> {
    wakes.retain(|_, (name, _)| name != "hands-free");
    wakes
}

#[test]
fn an_idle_service_wakes_for_nothing_and_does_not_grow() {
    let mut service = after_a_call();
    let stream = service.api.events("all");
    drop(stream);
    let before = but_for_the_bus(at_rest(&mut service));
    let (memory_kb, descriptors) = (service.process().rss_kb(), service.process().descriptors());
    let process = service.process();
    stays_away("a thread woke, came or went", IDLE, || {
        let now = but_for_the_bus(process.wakes());
        (now != before).then(|| (before.clone(), now))
    });
    assert_eq!(process.descriptors(), descriptors);
    assert!(process.rss_kb() <= memory_kb, "{memory_kb} kB before, {} kB now", process.rss_kb());
}

#[test]
#[ignore = "takes an hour: make long"]
fn an_hour_with_one_silent_stream_has_its_comments_and_nothing_else() {
    let seconds: u64 = std::env::var("CALLSCOOT_IDLE_SECONDS").map_or(3600, |text| text.parse().unwrap());
    let mut service = after_a_call();
    let mut stream = service.api.events("all");
    while stream.next().unwrap().name() != "call_ended" {}
    let memory_kb = service.process().settled_rss_kb();
    let before = service.process().wakes();
    let descriptors = service.process().descriptors();
    stream.stays_silent(Duration::from_secs(1));
    thread::sleep(Duration::from_secs(seconds));
    let after = service.process().wakes();
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "the same threads");
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (thread, (name, wakes)) in &after {
        *by_name.entry(name).or_default() += wakes - before[thread].1;
    }
    let grown_kb = service.process().rss_kb().saturating_sub(memory_kb);
    let figures = format!(
        "{seconds} s idle with one event stream: {grown_kb} kB more than {memory_kb} kB, {} descriptors as before; \
         times that threads woke: {by_name:?}",
        service.process().descriptors(),
    );
    println!("{figures}");
    assert_eq!(service.process().descriptors(), descriptors);
    let comments = (seconds + 1) / COMMENT_EVERY_S + 1;
    assert!(by_name.values().sum::<u64>() <= comments * WAKES_OF_A_COMMENT_MAX, "{by_name:?}");
    assert!(grown_kb < 256, "{figures}");
    measurements::record("idle", &figures);
}
