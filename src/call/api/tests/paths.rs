//! Paths and methods, each at its place.

use serde_json::Value;

use super::super::route::{Action, Read};
use super::rules::{action, asked, id, refused};
use crate::call::command::{Command, PhoneAsk, PhoneTask, SessionRef};
use crate::call::phones::Place;

#[test]
fn every_endpoint_is_found_by_its_path_and_method() {
    let text = br#"{"text":"x"}"#;
    let x = || "x".to_owned();
    for (method, target, body, command) in [
        ("GET", "/healthz", &b""[..], Command::Health),
        ("HEAD", "/readyz", b"", Command::Readiness),
        ("GET", "/v1/status", b"", Command::Status),
        ("HEAD", "/v1/status?x=y", b"", Command::Status),
        ("GET", "/v1/config", b"", Command::Config),
        ("PATCH", "/v1/config", b"", Command::PatchConfig(serde_json::Map::new())),
        ("GET", "/v1/pending-call-requests", b"", Command::ListPending),
        ("GET", "/v1/pending-call-requests/r%2D1", b"", Command::Pending("r-1".into())),
        ("DELETE", "/v1/pending-call-requests/r-1", b"", Command::DeletePending("r-1".into())),
        ("GET", "/v1/current-call", b"", Command::CurrentCall),
        (
            "POST",
            "/v1/current-call/contextual-update",
            text,
            Command::ContextualUpdate(SessionRef::Current, x()),
        ),
        ("POST", "/v1/calls/a+b/contextual-update", text, Command::ContextualUpdate(id("a+b"), x())),
        ("POST", "/v1/current-call/user-message", text, Command::UserMessage(SessionRef::Current, x())),
        ("POST", "/v1/calls/a%2Bb/user-message", text, Command::UserMessage(id("a+b"), x())),
        ("POST", "/v1/current-call/answer", b"", Command::Answer(SessionRef::Current)),
        ("POST", "/v1/calls/current/answer", b"{}", Command::Answer(SessionRef::Current)),
        ("POST", "/v1/current-call/hangup", b"", Command::Hangup(SessionRef::Current)),
        ("POST", "/v1/calls/a/hangup", b"", Command::Hangup(id("a"))),
        (
            "POST",
            "/v1/current-call/handover",
            br#"{"to":"handset"}"#,
            Command::HandOver(SessionRef::Current, Place::Handset),
        ),
        ("POST", "/v1/calls/a/handover", br#"{"to":"agent"}"#, Command::HandOver(id("a"), Place::Agent)),
    ] {
        assert_eq!(asked(action(method, target, body)), command, "{method} {target}");
    }
    for (target, read) in [
        ("/v1/calls", Read::Sessions(20)),
        ("/v1/calls/20261122-085107-+49", Read::Session(id("20261122-085107-+49"))),
        ("/v1/calls/current", Read::Session(SessionRef::Current)),
        ("/v1/calls/a/events", Read::AgentEvents(id("a"))),
    ] {
        assert_eq!(action("GET", target, b""), Action::Read(read.clone()), "{target}");
        assert_eq!(action("HEAD", target, b""), Action::Read(read), "{target}");
    }
    for target in ["/health", "/v1/health"] {
        let Action::Respond(health) = action("GET", target, b"") else { panic!() };
        assert_eq!(health.status, 200);
        assert_eq!(serde_json::from_str::<Value>(&health.body).unwrap()["ok"], true);
    }
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_is_405_with_allow() {
    let long = format!("/v1/calls/{}", "a".repeat(5000));
    for target in [
        "/",
        "*",
        "",
        "/v1",
        "/v1/",
        "/v2/status",
        "/v1/status/",
        "/V1/status",
        "/v1/calls//events",
        "/v1/calls/..",
        "/v1/calls/%2e%2e",
        "/v1/calls/%2e%2e%2fx",
        "/v1/calls/a%00b",
        "/v1/calls/%ff",
        "/v1/calls/a/b",
        &long,
        "/v1/current-call/dance",
        "/v1/pending-call-requests/",
        "/v1/calls/a/events/b",
        "/v1/phones/x/dance",
    ] {
        assert_eq!(refused(action("GET", target, b"")), (404, "not found".into()), "{target}");
    }
    for (method, target, allow) in [
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("get", "/v1/status", "GET, HEAD"),
        ("PUT", "/v1/config", "GET, HEAD, PATCH"),
        ("GET", "/v1/outbound-calls", "POST"),
        ("PATCH", "/v1/pending-call-requests", "GET, HEAD, POST"),
        ("POST", "/v1/pending-call-requests/r", "GET, HEAD, DELETE"),
        ("HEAD", "/v1/events/stream", "GET"),
        ("GET", "/v1/current-call/hangup", "POST"),
        ("OPTIONS", "/v1/calls", "GET, HEAD"),
        ("GET", "/v1/phones/pairing-window", "POST, DELETE"),
        ("GET", "/v1/phones/x", "DELETE"),
        ("DELETE", "/v1/phones/x/trust", "POST"),
    ] {
        let Action::Respond(response) = action(method, target, b"") else { panic!("{method} {target}") };
        assert_eq!(
            (response.status, response.headers),
            (405, vec![("Allow", allow.to_owned())]),
            "{method} {target}"
        );
        assert!(response.body.contains("method not allowed"));
    }
}

#[test]
fn phones_are_asked_by_their_address_in_every_spelling() {
    let phone = "00:1A:7D:DA:71:13".parse().unwrap();
    let with = |task| Command::Phones(PhoneAsk::Do { task, phone });
    for (method, target, body, command) in [
        ("GET", "/v1/phones", "", Command::Phones(PhoneAsk::List)),
        ("HEAD", "/v1/phones", "", Command::Phones(PhoneAsk::List)),
        ("DELETE", "/v1/phones/00%3A1a%3A7d%3Ada%3A71%3A13", "", with(PhoneTask::Remove)),
        ("POST", "/v1/phones/00:1A:7D:DA:71:13/connect", "", with(PhoneTask::Connect)),
        ("POST", "/v1/phones/00-1a-7d-da-71-13/disconnect", "{}", with(PhoneTask::Disconnect)),
        ("POST", "/v1/phones/00_1A_7D_DA_71_13/trust", "", with(PhoneTask::Trust)),
        ("POST", "/v1/phones/00:1A:7D:DA:71:13/untrust", "", with(PhoneTask::Untrust)),
    ] {
        assert_eq!(asked(action(method, target, body.as_bytes())), command, "{method} {target}");
    }
    for target in
        ["/v1/phones/Ada/connect", "/v1/phones/00:1A:7D:DA:71/connect", "/v1/phones/pairing-window/trust"]
    {
        assert_eq!(refused(action("POST", target, b"")), (404, "phone not found".into()), "{target}");
    }
    assert_eq!(refused(action("POST", "/v1/phones/00:1A:7D:DA:71:13/connect", b"[]")).0, 400);
}

#[test]
fn pairing_says_for_how_long_and_yes_or_no() {
    let window = |body: &str| action("POST", "/v1/phones/pairing-window", body.as_bytes());
    for (body, timeout_sec) in [
        ("", None),
        ("{}", None),
        (r#"{"timeout_sec":null}"#, None),
        (r#"{"timeout_sec":0}"#, None),
        (r#"{"timeout_sec":60}"#, Some(60)),
        (r#"{"timeout_sec":"86400"}"#, Some(86_400)),
    ] {
        assert_eq!(asked(window(body)), Command::Phones(PhoneAsk::OpenWindow { timeout_sec }), "{body}");
    }
    for body in ["-1", "1.5", "86401", "true", r#""x""#, "[]", "99999999999999999999"] {
        let (status, error) = refused(window(&format!(r#"{{"timeout_sec":{body}}}"#)));
        assert_eq!((status, error.starts_with("timeout_sec must be")), (400, true), "{body}: {error}");
    }
    let close = asked(action("DELETE", "/v1/phones/pairing-window", b""));
    assert_eq!(close, Command::Phones(PhoneAsk::CloseWindow));
    let answer = |body: &str| action("POST", "/v1/phones/pairing-answer", body.as_bytes());
    for accept in [true, false] {
        let command = asked(answer(&format!(r#"{{"accept":{accept}}}"#)));
        let expected = PhoneAsk::AnswerPairing { accept, phone: None, number: None };
        assert_eq!(command, Command::Phones(expected));
    }
    let named = r#"{"accept":true,"address":"00-1a-7d-da-71-13","passkey":"001234"}"#;
    let phone = "00:1A:7D:DA:71:13".parse().ok();
    let expected = PhoneAsk::AnswerPairing { accept: true, phone, number: Some(1234) };
    assert_eq!(asked(answer(named)), Command::Phones(expected));
    for (member, value) in [
        ("address", r#""x""#),
        ("address", "7"),
        ("passkey", r#""1234""#),
        ("passkey", r#""+12345""#),
        ("passkey", "1"),
    ] {
        let (status, error) = refused(answer(&format!(r#"{{"accept":true,"{member}":{value}}}"#)));
        assert_eq!((status, error.starts_with(member)), (400, true), "{member} {value}: {error}");
    }
    for body in ["", "{}", r#"{"accept":null}"#, r#"{"accept":"yes"}"#, r#"{"accept":1}"#] {
        assert_eq!(refused(answer(body)), (400, "accept must be true or false".into()), "{body}");
    }
}

#[test]
fn a_call_is_handed_to_one_of_two_places() {
    for body in ["", "{}", r#"{"to":"car"}"#, r#"{"to":null}"#, r#"{"to":1}"#, r#"{"to":"Handset"}"#] {
        let (status, error) = refused(action("POST", "/v1/current-call/handover", body.as_bytes()));
        assert!(status == 400 && error.starts_with("to must be"), "{body}: {error}");
    }
}
