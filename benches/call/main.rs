//! `make bench`: what callscoot adds to a call, in milliseconds, megabytes and processor time, each beside a control
//! in the same run. A table for people; nothing here passes or fails by a figure.
//!
//! ```text
//!  Peer (SIP, RTP, stop-watch) ◀──▶ callscoot serve ◀──▶ Agent (WebSocket, stop-watch)
//!  Peer                        ◀──▶ Control         ◀──▶ its agent: two bare threads, the same messages, the same beat
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot be taken ends the program")]
#![allow(unreachable_pub, reason = "nothing is reached from outside a program")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod control;
#[path = "../shared/table.rs"]
mod table;

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use control::Control;
use serde_json::json;
use support::agent::{Agent, Conversation};
use support::baresip::{Baresip, Phone};
use support::frames::{self, Frame};
use support::peer::{BEAT, FRAME, NUMBERS, Peer};
use support::ports::Lease;
use support::process::Process;
use support::service::{CALLSCOOT, Service, line_to};
use support::sipp::{Scenario, Sipp};
use support::sound::Sound;
use table::{Aim, Row};

const STARTS: usize = 15;
const TURNS: usize = 100;
/// Audio packets whose way to the agent is timed.
const PACKETS: usize = 1000;
const CPU_WINDOW: Duration = Duration::from_secs(30);
/// The agent speaks so long before it is interrupted, and is silent so long; then up to a beat longer, by chance, so
/// that the turns meet the beat in every phase.
const SPEECH: Duration = Duration::from_millis(80);
const SILENCE: Duration = Duration::from_millis(200);
/// Frames of a reply: more than is heard before the interruption, which so has something to cut.
const REPLY_FRAMES: usize = 20;

fn main() {
    // `cargo test --benches` asks for a list of tests; there are none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    println!("call: measuring for about two minutes; other work on this machine shows in every figure");
    let mut rows = vec![starts()];
    rows.extend(ways());
    rows.extend(consumption());
    println!("\n{}", table::text(&rows));
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// From the start of the process to its first answer, beside that of a program that does nothing.
fn starts() -> Row {
    let mut row = Row {
        what: "start to first health answer",
        unit: "ms",
        values: Vec::new(),
        control: Vec::new(),
        aim: Aim::AddedAtMost(50.0),
    };
    for _ in 0..STARTS {
        let ports = Lease::new();
        let folder = tempfile::TempDir::new().unwrap();
        let mut command = Command::new(CALLSCOOT);
        command.arg("serve").env("HOME", folder.path()).env("CALLSCOOT_API_PORT", ports.at(0).to_string());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        let begin = Instant::now();
        let mut process = Process::start("callscoot serve", &command);
        while !healthy(ports.at(0)) {
            thread::sleep(Duration::from_micros(200));
        }
        row.values.push(ms(begin.elapsed()));
        process.terminate();
        let begin = Instant::now();
        Process::start("true", &Command::new("true")).ended();
        row.control.push(ms(begin.elapsed()));
    }
    row
}

fn healthy(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut start = [0; 12];
    socket.write_all(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
        && socket.read_exact(&mut start).is_ok()
        && start.ends_with(b" 200")
}

/// Both ways of the audio and the interruption, through callscoot and through the control at the same time.
fn ways() -> Vec<Row> {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let service = Service::start_with(&line_to(peer.sip_port()), Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    let id = service.call("5550100");
    let bare_peer = Peer::new();
    let mut bare = Control::new(bare_peer.media_port());
    bare_peer.talk_to(bare.media());
    let bare_arrivals = arrivals_at(bare.agent());
    peer.begin_to_talk();
    bare_peer.begin_to_talk();
    let mut conversation = agent.conversation();
    service.phase(&id, "active");

    let (mut speech, mut silence) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut chance = callscoot::base::Rng::from_u64(1);
    let mut wait = |span: Duration| thread::sleep(span + BEAT * chance.below(1000) / 1000);
    for turn in 0..TURNS as u64 {
        wait(SILENCE);
        let begin = Instant::now();
        say(&mut conversation, turn + 1);
        speech.0.push(ms(peer.first_after(begin, false) - begin));
        wait(Duration::ZERO);
        let begin = Instant::now();
        bare.send(&spoken(turn + 1));
        speech.1.push(ms(bare_peer.first_after(begin, false) - begin));

        wait(SPEECH);
        let begin = Instant::now();
        conversation.interrupt(turn + 1);
        silence.0.push(ms(peer.first_after(begin, true) - begin));
        wait(Duration::ZERO);
        let begin = Instant::now();
        bare.send("{\"type\":\"interruption\"}");
        silence.1.push(ms(bare_peer.first_after(begin, true) - begin));
    }
    support::wait::until("enough packets", || (peer.sent().len() > PACKETS).then_some(()));
    let caller = latencies(&peer.sent(), &conversation.audio_arrivals());
    let bare_caller = latencies(&bare_peer.sent(), &bare_arrivals.lock().unwrap());
    service.hang_up(&id);

    let row = |what, (values, control), aim| Row { what, unit: "ms", values, control, aim };
    vec![
        row("caller to agent: packet in, samples out", (caller, bare_caller), Aim::AddedAtMost(2.0)),
        row("agent to caller: message in, first packet out", speech, Aim::AtMost(12.0)),
        row("interruption in, first silent packet out", silence, Aim::AtMost(12.0)),
    ]
}

fn spoken(event_id: u64) -> String {
    let samples = vec![0x10; FRAME * REPLY_FRAMES];
    json!({"type": "audio", "audio_event": {"audio_base_64": BASE64.encode(samples), "event_id": event_id}})
        .to_string()
}

fn say(conversation: &mut Conversation, event_id: u64) {
    conversation.send_text(&spoken(event_id));
}

type Arrivals = Vec<(Instant, Vec<u8>)>;

/// What the control's agent receives.
fn arrivals_at(mut socket: TcpStream) -> Arc<Mutex<Arrivals>> {
    let arrivals: Arc<Mutex<Arrivals>> = Arc::default();
    let kept = Arc::clone(&arrivals);
    thread::spawn(move || {
        while let Ok(Frame::Text(text)) = frames::read(&mut socket) {
            let at = Instant::now();
            let message: serde_json::Value = serde_json::from_str(&text).unwrap();
            let audio = BASE64.decode(message["user_audio_chunk"].as_str().unwrap()).unwrap();
            kept.lock().unwrap().push((at, audio));
        }
    });
    arrivals
}

/// From each numbered packet's leaving to the arrival of its last sample. Packets that were never whole are left out.
fn latencies(sent: &[Instant], arrivals: &Arrivals) -> Vec<f64> {
    let mut found = Vec::new();
    let (mut value, mut run) = (0xff, 0);
    let mut number = 0;
    for (at, samples) in arrivals {
        for sample in samples {
            run = if *sample == value { run + 1 } else { 1 };
            value = *sample;
            if run != FRAME || usize::from(value) >= NUMBERS {
                continue;
            }
            // The first packet with this value that is not before the last one found.
            number += (usize::from(value) + NUMBERS - number % NUMBERS) % NUMBERS;
            if let Some(left) = sent.get(number) {
                found.push(ms(at.saturating_duration_since(*left)));
            }
        }
    }
    found
}

/// Memory and processor time of one call, beside baresip's in the same seconds.
fn consumption() -> Vec<Row> {
    let (peer, agent) = (Peer::new(), Agent::public("ulaw_8000"));
    let mut service =
        Service::start_with(&line_to(peer.sip_port()), Some(&agent), &[("CALLSCOOT_LOG", "info")]);
    let tone = Sound::tone(8000, 440.0, 60_000);
    let phone = Baresip::start(Phone { says: tone.clone(), ..Phone::default() });
    let (idle, phone_idle) = (service.process().settled_rss_kb(), phone.process().settled_rss_kb());
    let id = service.call("5550100");
    peer.begin_to_talk();
    let mut conversation = agent.conversation();
    let sipp = Sipp::start(&Scenario {
        name: "uac_call",
        calls: Some(phone.port()),
        callee: "bob",
        sound: Some(tone.clone()),
        pause_ms: CPU_WINDOW.as_millis() as u32 + 3000,
        ..Scenario::default()
    });
    phone.event("CALL_ESTABLISHED");
    service.phase(&id, "active");
    conversation.say(1, "A story as long as the measurement.", &tone);
    let before = (service.process().cpu(), phone.process().cpu());
    let begin = Instant::now();
    thread::sleep(CPU_WINDOW);
    let after = (service.process().cpu(), phone.process().cpu());
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    let (busy, phone_busy) = (service.process().rss_kb(), phone.process().rss_kb());
    service.hang_up(&id);
    sipp.succeeds();

    let megabytes = |kb: u64| vec![kb as f64 / 1024.0];
    let per_minute =
        |before: Duration, after: Duration| vec![after.saturating_sub(before).as_secs_f64() / minutes];
    let row = |what, unit, values, control, aim| Row { what, unit, values, control, aim };
    vec![
        row(
            "resident memory, idle (control: baresip)",
            "MB",
            megabytes(idle),
            megabytes(phone_idle),
            Aim::AtMost(10.0),
        ),
        row("resident memory, one call", "MB", megabytes(busy), megabytes(phone_busy), Aim::AtMost(10.0)),
        row(
            "processor time for a minute of a call",
            "s",
            per_minute(before.0, after.0),
            per_minute(before.1, after.1),
            Aim::AtMostControl,
        ),
    ]
}
