//! Strangers and mistakes while a call is on: each is answered, counted or dropped, and the call does not stutter.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::process::Resource;
use serde_json::{Value, json};
use support::agent::{Agent, Conversation};
use support::baresip::{Baresip, Phone};
use support::ports::Lease;
use support::service::{Service, line_to, with};
use support::sound::Sound;
use support::wait::{PATIENCE, until};

const NUMBER: &str = "5550100";
const PERSON_HERTZ: f64 = 880.0;
const AGENT_HERTZ: f64 = 440.0;
const SPOKEN_MS: usize = 3000;

/// A call during which the agent speaks for `SPOKEN_MS` and `disturb` does its worst; the agent must be heard whole.
fn undisturbed(disturb: impl FnOnce(&mut Service, u16, &mut Conversation)) {
    let ports = Lease::new();
    let says = Sound::tone(8000, PERSON_HERTZ, 60_000);
    let phone = Baresip::start(Phone { user: NUMBER, says, ..Phone::default() });
    let agent = Agent::public("ulaw_8000");
    let line = with(line_to(phone.port()), json!({"sip_local_port": ports.at(0)}));
    let mut service = Service::start(&line, Some(&agent));
    let id = service.call(NUMBER);
    let mut conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 200);
    conversation.say(1, "A sentence of three seconds.", &Sound::tone(8000, AGENT_HERTZ, SPOKEN_MS));
    disturb(&mut service, ports.at(0), &mut conversation);
    conversation.hears(PERSON_HERTZ, SPOKEN_MS + 1000);
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
    phone.event("CALL_CLOSED");
    let heard = phone.recorded_heard().tone_ms(AGENT_HERTZ);
    assert!((SPOKEN_MS - 100..=SPOKEN_MS + 40).contains(&heard), "{heard} ms of {SPOKEN_MS} were heard");
}

#[test]
fn garbage_and_a_64_kib_message_at_the_sip_port() {
    undisturbed(|_, port, _| {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut state = 7u32;
        for length in (0..1500).step_by(7) {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            stranger.send_to(&bytes, (Ipv4Addr::LOCALHOST, port)).unwrap();
        }
        let mut huge = format!(
            "OPTIONS sip:x@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        );
        while huge.len() < 65_000 {
            huge += "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKvvvvvvvvvvvvvvvv\r\n";
        }
        stranger.send_to(huge.as_bytes(), (Ipv4Addr::LOCALHOST, port)).unwrap();
        // The socket's buffer may have overflown, and SIP asks again.
        let answer = until("an answer", || support::sip::ask("OPTIONS", port));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    });
}

#[test]
fn an_agent_that_sends_what_is_no_json_half_a_sample_and_unknown_things() {
    undisturbed(|_, _, conversation| {
        conversation.send_text("this is no JSON");
        conversation.send_text("[1, 2]");
        conversation.send(&json!({"type": "never_heard_of", "x": {"y": 1}}));
        conversation
            .send(&json!({"type": "audio", "audio_event": {"audio_base_64": "not base64!", "event_id": 1}}));
        conversation.send(&json!({"type": "audio", "audio_event": {"event_id": 1}}));
        conversation.send(&json!({"type": "interruption"}));
    });
}

#[test]
fn ten_megabytes_of_audio_at_once_are_bounded_and_the_call_goes_on() {
    let says = Sound::tone(8000, PERSON_HERTZ, 60_000);
    let phone = Baresip::start(Phone { user: NUMBER, says, ..Phone::default() });
    let agent = Agent::public("ulaw_8000");
    let mut service = Service::start(&line_to(phone.port()), Some(&agent));
    let id = service.call(NUMBER);
    let mut conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 200);
    let before = service.process().rss_kb();
    for _ in 0..20 {
        conversation.send_audio(1, &vec![8000; 500_000]);
    }
    conversation.hears(PERSON_HERTZ, 1500);
    let grown = service.process().rss_kb().saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} kB more");
    conversation.interrupt(1);
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
}

#[test]
fn clients_that_announce_a_petabyte_dawdle_or_send_the_wrong_types() {
    undisturbed(|service, _, _| {
        let mut idle: Vec<TcpStream> = (0..8).map(|_| connect(service)).collect();
        for socket in &mut idle {
            socket.write_all(b"POST /v1/outbound-calls HTTP/1.1\r\nHost: loc").unwrap();
        }
        let head =
            "POST /v1/outbound-calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000000\r\n\r\n";
        assert_eq!(status(service, head), 413);
        for body in
            ["[]", "7", "{\"number\": true}", "{\"number\": \"5\", \"dynamic_variables\": 1}", "{", "\u{0}"]
        {
            let length = body.len();
            let head =
                "POST /v1/outbound-calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
            assert_eq!(
                status(service, &format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")),
                400,
                "{body}"
            );
        }
        assert_eq!(status(service, "GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
        assert_eq!(service.api.get("/v1/calls?limit=abc").0, 400);
        assert_eq!(service.api.post("/v1/current-call/contextual-update", &Value::Null).0, 400);
    });
}

#[test]
fn when_no_descriptor_is_left_the_call_goes_on_and_the_api_comes_back() {
    undisturbed(|service, _, _| {
        let open = service.process().descriptors();
        // From none left to a few: each step of taking a request meets the end once.
        for left in [0, 1, 2, 3, 5, 8] {
            // Numbers below the limit may be free; then a client or two is still served.
            let limit = service.process().limit(Resource::Nofile, Some((open + left) as u64));
            let mut clients: Vec<TcpStream> = (0..20).map(|_| connect(service)).collect();
            for client in &mut clients {
                client.write_all(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                let _ = client.read(&mut [0; 500]);
            }
            service.process().limit(Resource::Nofile, limit);
            drop(clients);
            until("the API", || service.api.answers().then_some(()));
        }
        let process = service.process();
        until("descriptors as before", || (process.descriptors() <= open).then_some(()));
    });
}

fn connect(service: &Service) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, service.api.port())).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends these bytes; the status of the answer.
fn status(service: &Service, request: &str) -> u16 {
    let mut socket = connect(service);
    socket.write_all(request.as_bytes()).unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

#[test]
fn audio_of_a_stranger_is_not_heard_and_does_not_take_the_call_over() {
    // What this media port is, only the telephone knows; so every port that the service has open is tried.
    undisturbed(|service, sip, _| {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = open_udp_ports(service).into_iter().filter(|port| *port != sip);
        let mut packet = [0x10; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9]);
        let mut tried = 0;
        for port in ports {
            for number in 0..50u8 {
                packet[3] = number;
                stranger.send_to(&packet, (Ipv4Addr::LOCALHOST, port)).unwrap();
            }
            tried += 1;
        }
        assert!(tried >= 1, "no media port was found");
        stranger.set_nonblocking(true).unwrap();
        assert!(stranger.recv(&mut packet).is_err(), "the stranger was answered");
    });
}

/// UDP ports of the service, from the kernel's list of sockets.
fn open_udp_ports(service: &Service) -> Vec<u16> {
    let id = service.id();
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{id}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok())
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["udp", "udp6"]
        .map(|table| std::fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let owned = fields.filter(|fields| own.iter().any(|inode| fields.get(9) == Some(&inode.as_str())));
    owned.map(|fields| u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap()).collect()
}
