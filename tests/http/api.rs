//! The contract's rules as a client meets them on the wire.

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use callscoot::base::{Metrics, Secret};
use callscoot::call::command::{Command, SessionRef};
use callscoot::run::bus::Bus;
use callscoot::run::http::{Allowed, AllowedNames, AskError, HttpOptions, spawn};
use callscoot::sys::thread::Spawner;
use serde_json::json;

use super::fixture::{Api, answer};

#[test]
fn answers_and_errors_are_json_with_their_media_type_and_the_connection_closes() {
    let api = Api::start();
    for (method, target, body, status) in [
        ("GET", "/health", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/readyz", "", 200),
        ("GET", "/v1/status", "", 200),
        ("GET", "/v1/config", "", 200),
        ("PATCH", "/v1/config", r#"{"latency_msec":70}"#, 200),
        ("POST", "/v1/outbound-calls", r#"{"number":"1"}"#, 429),
        ("POST", "/v1/outbound-calls", "{}", 400),
        ("GET", "/v1/pending-call-requests", "", 200),
        ("GET", "/v1/pending-call-requests/x", "", 404),
        ("DELETE", "/v1/pending-call-requests/x", "", 404),
        ("GET", "/v1/current-call", "", 200),
        ("GET", "/v1/calls?limit=abc", "", 400),
        ("POST", "/v1/current-call/hangup", "", 202),
        ("POST", "/v1/current-call/answer", "", 409),
        ("POST", "/v1/calls/current/user-message", r#"{"text":"hi"}"#, 202),
        ("POST", "/v1/current-call/user-message", "{\"text\":\"\u{0}\"}", 400),
        ("GET", "/nothing", "", 404),
        ("BREW", "/v1/status", "", 405),
    ] {
        let answered = api.request(method, target, body);
        assert_eq!(answered.status, status, "{method} {target}: {}", answered.body);
        assert_eq!(answered.field("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(answered.field("connection"), Some("close"));
        assert_eq!(answered.field("server"), Some("callscoot"));
        assert!(answered.field("date").is_some());
        assert_eq!(answered.field("content-length"), Some(answered.body.len().to_string().as_str()));
        assert_eq!(answered.json().get("error").is_some(), status >= 400);
    }
    assert_eq!(
        api.request("POST", "/v1/outbound-calls", r#"{"number":"1"}"#).field("retry-after"),
        Some("9")
    );
    let asked = std::mem::take(&mut api.switch.lock().unwrap().asked);
    assert!(asked.contains(&Command::UserMessage(SessionRef::Current, "hi".into())));
    assert_eq!(api.request("PUT", "/v1/config", "").field("allow"), Some("GET, HEAD, PATCH"));
}

#[test]
fn head_is_get_without_a_body() {
    let api = Api::start();
    for target in
        ["/v1/health", "/healthz", "/readyz", "/v1/status", "/v1/calls", "/v1/calls/none", "/nothing"]
    {
        let (get, head) = (api.get(target), api.request("HEAD", target, ""));
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{target}");
        assert_eq!(head.field("content-length"), get.field("content-length"));
    }
    assert_eq!(api.request("HEAD", "/v1/events/stream", "").field("allow"), Some("GET"));
}

#[test]
fn versions_hosts_and_framings_are_taken_as_they_come() {
    let api = Api::start();
    let status = |text: &str| api.raw(text.as_bytes()).status;
    assert_eq!(status("GET /v1/status HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(status("GET /v1/status HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
    assert_eq!(status("GET /v1/status HTTP/1.1\nHost: 127.0.0.1\n\n"), 200);
    assert_eq!(status("GET http://localhost:1/v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 200);
    assert_eq!(status("GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"), 421);
    let chunked = "PATCH /v1/config HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                   7;x=y\r\n{\"echo_\r\nE\r\ncancel\":false}\r\n0\r\nTrailer: x\r\n\r\n";
    let saved = api.raw(chunked.as_bytes());
    assert_eq!(saved.json(), json!({"saved": true, "config": {"echo_cancel": false}}));
}

#[test]
fn a_client_that_waits_for_continue_is_told_rfc9110_10_1_1() {
    let api = Api::start();
    let mut client = api.connect();
    client
        .write_all(
            b"POST /v1/current-call/user-message HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
              Content-Length: 13\r\n\r\n",
        )
        .unwrap();
    let mut told = [0; 25];
    client.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(br#"{"text":"hi"}"#).unwrap();
    assert_eq!(answer(client).json()["command"]["payload"]["text"], "hi");
}

#[test]
fn the_token_and_the_allowed_names_are_asked_at_each_request() {
    let api = Api::with_token(Some("s3cret"));
    let with = |fields: &str| api.raw(format!("GET /v1/status HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
    assert_eq!(with("Host: localhost").status, 401);
    assert_eq!(
        with("Host: localhost\r\nAuthorization: Bearer wrong").field("www-authenticate"),
        Some("Bearer")
    );
    assert_eq!(with("Host: localhost\r\nAuthorization: Bearer s3cret").status, 200);
    assert_eq!(api.get("/v1/health").status, 200);
    let page = "Host: phone.example\r\nAuthorization: Bearer s3cret\r\nOrigin: https://app.example";
    assert_eq!(with(page).status, 421);
    api.allowed.set(AllowedNames { hosts: vec!["phone.example".into()], origins: Vec::new() });
    assert_eq!(with(page).status, 403);
    api.allowed.set(AllowedNames {
        hosts: vec!["phone.example".into()],
        origins: vec!["https://app.example".into()],
    });
    assert_eq!(with(page).field("access-control-allow-origin"), Some("https://app.example"));
    let leave = api.raw(
        b"OPTIONS /v1/calls HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n\
          Access-Control-Request-Method: POST\r\n\r\n",
    );
    assert_eq!((leave.status, leave.body.as_str(), leave.field("content-length")), (204, "", None));
    assert!(leave.field("date").is_some(), "RFC 9110 6.6.1: {}", leave.head);
    let too_large = api.raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n");
    assert_eq!((too_large.status, too_large.field("server")), (413, Some("callscoot")));
    assert!(too_large.field("date").is_some());
}

#[test]
fn sessions_are_read_from_the_store() {
    let api = Api::start();
    let id = "20261122-085107-+4930";
    api.open_session("20261122-085106-unknown");
    api.open_session(id);
    api.emit(id, "call_started", 5..6, "grüß");
    let calls = api.get("/v1/calls").json();
    assert_eq!(calls["calls"].as_array().unwrap().len(), 2);
    assert_eq!(calls["calls"][0]["id"], id);
    assert_eq!(api.get("/v1/calls?limit=0").json(), json!({"calls": []}));
    for target in ["/v1/calls/20261122-085107-+4930", "/v1/calls/20261122-085107-%2B4930"] {
        let call = api.get(target).json();
        assert_eq!(
            (&call["meta"]["id"], &call["events"], &call["transcript"]),
            (&json!(id), &json!([]), &json!([]))
        );
        let events = api.get(&format!("{target}/events")).json();
        assert_eq!(
            (&events["session_id"], &events["events"][0]["payload"]["text"]),
            (&json!(id), &json!("grüß"))
        );
    }
    assert_eq!(api.get("/v1/calls/current").json()["error"], "session not found");
    api.switch.lock().unwrap().current = Some(json!({"id": id}));
    assert_eq!(api.get("/v1/calls/current").json()["meta"]["id"], id);
    assert_eq!(api.get("/v1/calls/current/events").json()["session_id"], id);
    for target in ["/v1/calls/none", "/v1/calls/none/events", "/v1/calls/a%27%20OR%201=1"] {
        let answered = api.get(target);
        assert_eq!(
            (answered.status, &answered.json()["error"]),
            (404, &json!("session not found")),
            "{target}"
        );
    }
    let long = format!("/v1/calls/{}", "a".repeat(10_000));
    for target in ["/v1/calls/..", "/v1/calls/%2e%2e", "/v1/calls/%2e%2e%2fcalls", "/v1/calls/a%00", &long] {
        assert_eq!(api.get(target).status, 404, "{target}");
    }
}

#[test]
fn a_command_for_an_unknown_session_is_404_and_for_an_ended_one_409() {
    let api = Api::start();
    api.open_session("20261122-085107-+4930");
    let table = [("20261122-085107-+4930", 409, "nothing to answer"), ("none", 404, "session not found")];
    for (id, status, error) in table {
        let answered = api.request("POST", &format!("/v1/calls/{id}/answer"), "");
        assert_eq!((answered.status, &answered.json()["error"]), (status, &json!(error)), "{id}");
    }
    assert_eq!(api.request("POST", "/v1/calls/none/user-message", "{}").json()["error"], "text is required");
}

#[test]
fn a_switch_that_does_not_answer_is_503_and_health_still_answers() {
    let api = Api::start();
    api.switch.lock().unwrap().stuck = true;
    for target in ["/healthz", "/readyz", "/v1/status", "/v1/calls/current", "/v1/events/stream"] {
        let busy = api.get(target);
        assert_eq!((busy.status, busy.field("retry-after")), (503, Some("1")), "{target}");
    }
    api.check_health();
}

#[test]
fn what_is_not_ready_is_named_in_a_problem_of_rfc9457() {
    let api = Api::with_token(Some("t"));
    let ready = api.get("/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    let storage = Some("the disk is full".to_owned());
    api.switch.lock().unwrap().readiness.storage = storage;
    let not_ready = api.get("/readyz");
    let body = not_ready.json();
    assert_eq!((not_ready.status, &body["status"], &body["ready"]), (503, &json!(503), &json!(false)));
    assert_eq!(
        (&body["error"], &body["detail"]),
        (&json!("not ready: storage: the disk is full"), &body["error"])
    );
    assert_eq!(
        body["checks"],
        json!({"telephony": {"ok": true}, "agent": {"ok": true}, "api": {"ok": true},
            "storage": {"ok": false, "detail": "the disk is full"}})
    );
}

#[test]
fn metrics_need_the_token_and_a_flood_of_odd_paths_adds_no_label() {
    let api = Api::with_token(Some("t"));
    assert_eq!(api.get("/metrics").status, 401);
    let ask = |method: &str| {
        let head =
            format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n");
        api.raw(head.as_bytes())
    };
    let flood = |rounds: std::ops::Range<usize>| {
        for round in rounds {
            api.get(&format!("/v1/calls/+4930{round}/x{round}"));
            api.request(&format!("M{round}"), &format!("/{round}?q={round}"), "");
            api.raw(format!("GET /v1/calls/{round} HTTP/1.1\r\nHost: h{round}.example\r\n\r\n").as_bytes());
        }
    };
    flood(0..1);
    ask("HEAD");
    let first = ask("GET");
    flood(1..100);
    let then = ask("GET");
    assert_eq!(first.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let names = |text: &str| -> Vec<String> {
        let samples = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned());
        samples.filter(|name| !name.starts_with('#') && name.contains("callscoot_")).collect()
    };
    // The first scrape could not count itself.
    let own = |name: &String| !name.contains("method=\"GET\"") || !name.contains("endpoint=\"/metrics\"");
    let (first, then_names) = (names(&first.body), names(&then.body));
    assert_eq!(
        first.iter().filter(|name| own(name)).collect::<Vec<_>>(),
        then_names.iter().filter(|name| own(name)).collect::<Vec<_>>()
    );
    let odd = "callscoot_http_requests_total{endpoint=\"none\",method=\"other\",status=\"4xx\"} 100";
    assert!(then.body.lines().any(|line| line == odd), "{}", then.body);
}

#[test]
fn what_the_gate_refuses_by_itself_is_counted_by_reason() {
    let api = Api::start();
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n".to_owned(), 413),
    ] {
        assert_eq!(api.raw(request.as_bytes()).status, status);
    }
    let counted = |reason: &str| format!("callscoot_http_refused_connections_total{{reason=\"{reason}\"}}");
    super::fixture::eventually("each is counted", || {
        let text = api.get("/metrics").body;
        let is = |reason, count| text.contains(&format!("{} {count}\n", counted(reason)));
        is("malformed", 1) && is("too_large", 2) && is("busy", 0) && is("stalled", 0)
    });
}

#[test]
fn beyond_loopback_a_token_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let open = |listen, token: Option<&str>| {
        let options = HttpOptions {
            listen,
            token: token.map(Secret::new),
            state_dir: dir.path().to_owned(),
            socket_dir: dir.path().join("http"),
            allowed: Allowed::default(),
            metrics: Metrics::new().unwrap(),
        };
        let (_writer, _) =
            callscoot::port::store::Writer::open(dir.path(), callscoot::sys::clock::now()).unwrap();
        let spawner = Spawner::new(crossbeam_channel::unbounded().0);
        spawn(&spawner, options, Arc::new(|_| Err(AskError::Stopping)), Bus::default())
    };
    for token in [None, Some("")] {
        let refused = open((Ipv4Addr::UNSPECIFIED, 0).into(), token).unwrap_err();
        assert!(refused.to_string().contains("CALLSCOOT_API_TOKEN"), "{refused}");
    }
    for (listen, token) in [(Ipv4Addr::UNSPECIFIED, Some("t")), (Ipv4Addr::LOCALHOST, None)] {
        open((listen, 0).into(), token).unwrap().stop();
    }
}
