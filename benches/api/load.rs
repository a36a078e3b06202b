//! The clock of a call while a crowd asks: how late its packets leave, beside packets of a bare thread with the same
//! beat and the same priority in the same seconds. Arrivals are stamped by the kernel, in the sender's own call.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use callscoot::sys::{realtime, wait::wait};
use serde_json::json;

use super::ms;
use super::support::agent::Agent;
use super::support::crowd::Crowd;
use super::support::http::Api;
use super::support::peer::{BEAT, Heard, Peer};
use super::support::service::{Service, line_to};
use super::table::{Aim, Row, quantile};

/// How long the call is looked at, first quiet, then under load.
const WINDOW: Duration = Duration::from_secs(15);
/// The caller says something so often, and everybody is told.
const SAYING_EVERY: Duration = Duration::from_millis(50);
/// A packet so late is one that the load must not make.
const LATE_MS: f64 = 5.0;

/// All rows, with the priority that the machine gives and, where that is a real-time one, without it.
pub fn rows() -> (Vec<Row>, &'static str) {
    let with = Words {
        quiet: "packets of a quiet call behind their beat",
        loaded: "packets of a call behind their beat, under load",
        late: "of 1000 packets, more than 5 ms late under load",
        health: "GET /v1/health under load",
        memory: "memory before, in (p95) and after the load",
    };
    let without = Words {
        quiet: "the same at normal priority: quiet call",
        loaded: "the same at normal priority: under load",
        late: "the same at normal priority: of 1000 packets, late",
        health: "the same at normal priority: health",
        memory: "the same at normal priority: memory",
    };
    let (mut rows, is_realtime) = measure(&with, &[]);
    if !is_realtime {
        return (rows, "Real-time priority is refused here: the call ran at normal priority.");
    }
    rows.extend(measure(&without, &["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"]).0);
    (rows, "The call, and its control, ran at real-time priority but where it says otherwise.")
}

struct Words {
    quiet: &'static str,
    loaded: &'static str,
    late: &'static str,
    health: &'static str,
    memory: &'static str,
}

fn measure(words: &Words, under: &[&str]) -> (Vec<Row>, bool) {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let mut service =
        Service::start_under(under, &line_to(peer.sip_port()), Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    let id = service.call("5550100");
    peer.begin_to_talk();
    let mut conversation = agent.conversation();
    service.phase(&id, "active");
    // Known once a media thread has asked for it.
    let is_realtime = service.api.get("/v1/status").1["realtime"] == true;
    let bare_peer = Peer::new();
    let over = Arc::new(AtomicBool::new(false));
    let control = beat_alone(bare_peer.media_port(), is_realtime, Arc::clone(&over));

    let before = service.process().settled_rss_kb();
    thread::sleep(WINDOW);
    let (quiet, bare_quiet) = (late(&peer.heard()), late(&bare_peer.heard()));
    let from = (peer.heard().len(), bare_peer.heard().len());
    let crowd = Crowd::join(service.api.port(), &id);
    let health = Mutex::new(Vec::new());
    let mut memory = Vec::new();
    thread::scope(|scope| {
        for client in 0..4 {
            let (api, over) = (service.api.clone(), &over);
            scope.spawn(move || hammer(&api, client, over));
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                assert_eq!(service.api.get("/v1/health").0, 200);
                health.lock().unwrap().push(ms(begin.elapsed()));
                thread::sleep(BEAT);
            }
        });
        let end = Instant::now() + WINDOW;
        while Instant::now() < end {
            conversation.understood("Yes, tomorrow at ten would suit me well.");
            memory.push(rss_kb(service.id()));
            thread::sleep(SAYING_EVERY);
        }
        over.store(true, Ordering::Relaxed);
    });
    let (loaded, bare_loaded) = (late(&peer.heard()[from.0..]), late(&bare_peer.heard()[from.1..]));
    control.join().unwrap();
    service.hang_up(&id);
    drop(crowd);
    let after = service.process().settled_rss_kb();

    let share = |values: &[f64]| {
        vec![values.iter().filter(|ms| **ms > LATE_MS).count() as f64 * 1000.0 / values.len() as f64]
    };
    let late = (share(&loaded), share(&bare_loaded));
    let row = |what, unit, (values, control), aim| Row { what, unit, values, control, aim };
    let memory = [before as f64, quantile(&memory, 0.95), after as f64].map(|kb| kb / 1024.0).to_vec();
    let rows = vec![
        row(words.quiet, "ms", (quiet, bare_quiet), Aim::AddedAtMostP99(5.0)),
        row(words.loaded, "ms", (loaded, bare_loaded), Aim::AddedAtMostP99(5.0)),
        row(words.late, "", late, Aim::AtMostControl),
        row(words.health, "ms", (health.into_inner().unwrap(), Vec::new()), Aim::AtMost(10.0)),
        row(words.memory, "MB", (memory, Vec::new()), Aim::AtMost(40.0)),
    ];
    (rows, is_realtime)
}

fn hammer(api: &Api, client: u32, over: &AtomicBool) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let status = if client.is_multiple_of(2) {
            api.get("/v1/status").0
        } else {
            api.patch("/v1/config", &json!({"latency_msec": 40 + number % 50})).0
        };
        assert_eq!(status, 200);
    }
}

/// A bare thread that sends a packet on each beat, waiting as a media thread waits.
fn beat_alone(port: u16, at_realtime: bool, over: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        if at_realtime {
            realtime::request().unwrap();
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = Instant::now();
        let mut number = 0u32;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            wait(&mut [], Some(origin + BEAT * number)).unwrap();
            let mut packet = [0x10; 172];
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
            let _ = socket.send_to(&packet, (Ipv4Addr::LOCALHOST, port));
        }
    })
}

/// How far behind its beat each packet came: the earliest of all gives the beat.
fn late(packets: &[Heard]) -> Vec<f64> {
    let Some(first) = packets.first() else { return Vec::new() };
    let behind = |packet: &Heard| {
        let beats = f64::from(packet.number.wrapping_sub(first.number));
        ms(packet.stamped.saturating_sub(first.stamped)) - beats * ms(BEAT)
    };
    let earliest = packets.iter().map(behind).fold(f64::INFINITY, f64::min);
    packets.iter().map(|packet| behind(packet) - earliest).collect()
}

fn rss_kb(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
