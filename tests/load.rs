//! A call, and beside it a hundred event streams, ten of them never read, and clients that ask and change settings
//! as fast as they can: everybody is told everything once, and afterwards nothing is left of it.
//!
//! What it does to the clock of the call is measured by `make bench`, beside a control.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "clients are threads")]
#![allow(clippy::print_stdout, reason = "the figures stand beside a failed test")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use support::agent::Agent;
use support::crowd::{Crowd, DEAF, READERS};
use support::peer::Peer;
use support::service::{Service, line_to};
use support::wait::{until, until_is};

/// Things that the caller says, and bytes of each: together more than all buffers on the way to a client hold.
const SAYINGS: usize = 400;
const SAYING_BYTES: usize = 2000;
/// More memory than before, while all clients are there. Each may have its thread's stack and pages, 64 KiB in the
/// gate, and the 256 events of its place on the bus, which are shared.
const GROWTH_KB_MAX: u64 = 48 << 10;
/// Each reading connection opens the database's log when it is first used: three workers', and the streams'.
const FIRST_READS: usize = 4;
/// What may stay when they have gone: pages that the allocator keeps for the next ones.
const REST_KB_MAX: u64 = 24 << 10;

#[test]
fn a_hundred_streams_and_hasty_clients_beside_a_call_miss_nothing_and_leave_nothing() {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let mut service =
        Service::start_with(&line_to(peer.sip_port()), Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    // Each kind of client once, so that what is made at the first use is there before.
    let id = service.call("5550100");
    agent.conversation();
    service.hang_up(&id);
    let idle = (service.process().threads(), service.process().descriptors());
    Crowd::join(service.api.port(), &id).everything();
    assert_eq!(service.api.patch("/v1/config", &json!({"latency_msec": 61})).0, 200);
    at_rest(&mut service, idle);
    let before_kb = service.process().settled_rss_kb();

    // Two in a row: what the first leaves is there for the second.
    for _ in 0..2 {
        let most_kb = crowd_beside_a_call(&mut service, &agent, &peer);
        at_rest(&mut service, idle);
        let after_kb = service.process().settled_rss_kb();
        println!("{before_kb} kB before, {most_kb} kB at most, {after_kb} kB afterwards");
        assert!(most_kb < before_kb + GROWTH_KB_MAX, "{before_kb} kB before, {most_kb} kB in between");
        assert!(after_kb < before_kb + REST_KB_MAX, "{before_kb} kB before, {after_kb} kB after");
    }
}

/// A call, everybody's events of it, and the most memory that was in use; the crowd is gone afterwards.
fn crowd_beside_a_call(service: &mut Service, agent: &Agent, peer: &Peer) -> u64 {
    let id = service.call("5550100");
    let mut conversation = agent.conversation();
    service.phase(&id, "active");
    let mut crowd = Crowd::join(service.api.port(), &id);
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (patched, stalled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let most_kb = thread::scope(|scope| {
        for client in 0..4 {
            let (over, asked, api) = (&over, &asked, service.api.clone());
            let (patched, stalled) = (&patched, &stalled);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if client % 2 == 0 {
                        assert_eq!(api.get("/v1/status").0, 200);
                        asked.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let latency = 40 + patched.load(Ordering::Relaxed) % 50;
                    let counter = match api.patch("/v1/config", &json!({"latency_msec": latency})).0 {
                        200 => patched,
                        // A disk that stalls for seconds.
                        503 => stalled,
                        status => panic!("{status}"),
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let text = "word ".repeat(SAYING_BYTES / 5);
        let mut most_kb = 0;
        for saying in 0..SAYINGS {
            conversation.understood(&format!("{saying} {text}"));
            if saying % 50 == 0 {
                assert_eq!(service.api.get("/v1/health").0, 200);
                most_kb = most_kb.max(service.process().rss_kb());
            }
        }
        until("everything said to be stored", || {
            let transcript = service.session(&id)["transcript"].as_array().unwrap().len();
            (transcript == SAYINGS).then_some(())
        });
        most_kb = most_kb.max(service.process().rss_kb());
        over.store(true, Ordering::Relaxed);
        most_kb
    });
    let heard_before_the_end = peer.heard().len();
    until("audio to go on", || (peer.heard().len() > heard_before_the_end + 10).then_some(()));
    service.hang_up(&id);

    let told: Vec<String> = service.api.get(&format!("/v1/calls/{id}/events")).1["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(told.len() > SAYINGS, "{} events", told.len());
    let heard = crowd.everything();
    assert_eq!(heard.len(), READERS);
    for (reader, events) in heard.iter().enumerate() {
        assert_eq!(events, &told, "reader {reader}");
    }
    println!(
        "{READERS} readers heard {} events each; {DEAF} read nothing; {asked:?} questions, {patched:?} changes, \
         {stalled:?} of 503",
        told.len(),
    );
    assert!(patched.into_inner() > 10 * stalled.into_inner(), "most changes are made");
    most_kb
}

/// Waits until there are no more threads and descriptors than before.
fn at_rest(service: &mut Service, idle: (usize, usize)) {
    let process = service.process();
    until_is(
        &format!("no more threads and descriptors than {idle:?}"),
        || (process.threads(), process.descriptors()),
        |now| now.0 <= idle.0 && now.1 <= idle.1 + FIRST_READS,
    );
}
