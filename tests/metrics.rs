//! `/metrics` and `/readyz` of a running service, before, in and after a call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::float_cmp, reason = "counts are whole numbers")]

mod support;

use serde_json::json;
use support::agent::Agent;
use support::baresip::{Baresip, Phone};
use support::metrics::Scrape;
use support::service::{Service, line_to, with};
use support::sound::Sound;
use support::wait::until;

const NUMBER: &str = "5550100";
const HERTZ: f64 = 880.0;

#[test]
fn a_call_moves_what_it_should_by_what_it_should_and_leaves_no_name() {
    let phone =
        Baresip::start(Phone { user: NUMBER, says: Sound::tone(8000, HERTZ, 60_000), ..Phone::default() });
    let agent = Agent::public("pcm_16000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let scrape = || Scrape::parse(&service.api.metrics());
    let ready = service.api.get("/readyz");
    assert_eq!((ready.0, &ready.1["ready"]), (200, &json!(true)));
    assert_eq!(service.api.get("/healthz").0, 200);

    assert_eq!(service.api.post("/v1/outbound-calls", &json!({"number": "112"})).0, 409);
    let body = json!({"number": NUMBER, "dynamic_variables": {"contact_name": "Efe"}});
    let (status, reply) = service.api.post("/v1/outbound-calls", &body);
    assert_eq!(status, 202, "{reply}");
    let id = reply["session_id"].as_str().unwrap();
    let mut stream = service.api.events(id);
    let mut conversation = agent.conversation();
    conversation.say(1, "Good morning.", &Sound::tone(conversation.rate(), 440.0, 10_000));
    conversation.hears(HERTZ, 500);

    // While they talk somebody asks all the time.
    let mut before = 0.0;
    for _ in 0..200 {
        let text = service.api.metrics();
        let sent = text.lines().find_map(|line| line.strip_prefix("callscoot_rtp_sent_packets_total "));
        let sent: f64 = sent.unwrap().parse().unwrap();
        assert!(sent >= before, "a total that goes back");
        before = sent;
    }
    let during = scrape();
    assert_eq!((during.sum("calls_live", &[]), during.sum("sse_streams_open", &[])), (1.0, 1.0));
    conversation.interrupt(1);
    stream.wait_for("interruption");
    // The silence is at the next beat: a hang-up before that would leave nothing to measure.
    let silent = "callscoot_agent_interruption_silence_seconds_count 1\n";
    until("the silence after it", || service.api.metrics().contains(silent).then_some(()));
    service.hang_up(id);
    let streamed = stream.rest();
    assert_eq!(streamed.last().unwrap().name(), "call_ended");
    let after = until("the end of the stream's thread", || {
        Some(scrape()).filter(|scrape| scrape.sum("sse_streams_open", &[]) == 0.0)
    });

    let outbound = [("direction", "outbound"), ("backend", "sip")];
    let hung_up = [outbound[0], outbound[1], ("end_reason", "local_hangup")];
    let post = [("endpoint", "/v1/outbound-calls"), ("method", "POST")];
    for (name, labels, expected) in [
        ("calls_started_total", &outbound[..], 1.0),
        ("calls_started_total", &[], 1.0),
        ("calls_ended_total", &hung_up, 1.0),
        ("calls_ended_total", &[], 1.0),
        ("calls_live", &[], 0.0),
        ("call_duration_seconds_count", &[("direction", "outbound")], 1.0),
        ("call_ring_seconds_count", &[("direction", "outbound")], 1.0),
        ("outbound_refused_total", &[("reason", "emergency")], 1.0),
        ("outbound_refused_total", &[], 1.0),
        ("agent_sessions_total", &[], 1.0),
        ("agent_connect_seconds_count", &[], 1.0),
        ("agent_first_audio_seconds_count", &[], 1.0),
        ("agent_interruption_silence_seconds_count", &[], 1.0),
        ("agent_errors_total", &[], 0.0),
        ("http_requests_total", &[post[0], post[1], ("status", "2xx")], 1.0),
        ("http_requests_total", &[post[0], post[1], ("status", "4xx")], 1.0),
        ("http_requests_total", &[("endpoint", "/v1/events/stream")], 1.0),
        ("sse_streams_total", &[], 1.0),
        ("store_lost_changes_total", &[], 0.0),
        ("store_commits_total", &[("result", "failed")], 0.0),
    ] {
        assert!(
            (after.sum(name, labels) - expected).abs() < 1e-9,
            "{name} {labels:?}: {}",
            after.sum(name, labels)
        );
    }
    // A phone that is slow to answer gets them again.
    let sent = |kind| after.sum("sip_messages_total", &[("direction", "sent"), ("kind", kind)]);
    let (invites, byes, again) = (sent("INVITE"), sent("BYE"), after.sum("sip_retransmissions_total", &[]));
    assert!(invites >= 1.0 && byes >= 1.0 && invites + byes <= 2.0 + again, "{invites} {byes} {again}");
    assert!(after.sum("sip_messages_total", &[("direction", "received"), ("kind", "2xx")]) >= 2.0);
    assert!(after.sum("store_commits_total", &[("result", "stored")]) > 0.0);
    let (_, listed) = service.api.get(&format!("/v1/calls/{id}/events"));
    assert_eq!(after.sum("sse_events_total", &[]), listed["events"].as_array().unwrap().len() as f64);
    assert_eq!(after.sum("bus_events_total", &[]), after.sum("sse_events_total", &[]));

    // The session's own figures are the sums of all calls, for there was one.
    let audio = service.session(id)["meta"]["audio"].clone();
    for (name, member) in [("sent", "packets_sent"), ("received", "packets_received"), ("lost", "lost")] {
        let (total, own) =
            (after.sum(&format!("rtp_{name}_packets_total"), &[]), audio[member].as_f64().unwrap());
        assert!(total >= own && total <= own + 10.0, "{name}: {total}, and {own} when the call was closed");
    }
    assert!(after.sum("rtp_sent_bytes_total", &[]) >= 160.0 * audio["packets_sent"].as_f64().unwrap());
    assert_eq!(after.sum("rtp_jitter_seconds_count", &[]), 1.0);
    let process = ["resident_memory_bytes", "open_fds", "threads", "start_time_seconds", "cpu_seconds_total"];
    for name in process {
        assert!(after.sum(&format!("process_{name}"), &[]) > 0.0, "{name}");
    }

    let labels = after.samples().flat_map(|(_, labels, _)| labels.as_object().unwrap().clone());
    for (label, value) in labels.filter(|(label, _)| label != "le" && label != "version") {
        let value = value.as_str().unwrap();
        let digits = value.bytes().filter(u8::is_ascii_digit).count();
        assert!(digits <= 1 && !value.contains("Efe") && !value.contains(id), "{label}={value}");
    }
}

#[test]
fn without_an_agent_it_lives_and_is_not_ready() {
    let line = line_to(9);
    let service = Service::start(&with(line, json!({})), None);
    assert_eq!(service.api.get("/healthz").0, 200);
    let (status, body) = service.api.get("/readyz");
    assert_eq!((status, &body["checks"]["agent"]["ok"]), (503, &json!(false)), "{body}");
    let (_, told) = service.api.get("/v1/status");
    assert_eq!(told["services"]["callscoot-agent"], json!(false));
    assert_eq!(told["services"]["callscoot-daemon"], body["checks"]["telephony"]["ok"]);
}
