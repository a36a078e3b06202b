//! The rules of the contract, valid beside invalid.

use serde_json::{Value, json};

use super::super::request::{Headers, Request};
use super::super::route::{Action, Read, Selection, Selector, route};
use super::super::{Access, Response};
use crate::base::{Number, Pii, Secret};
use crate::call::command::{CallRequest, Command, SessionRef, Target};
use crate::call::session::SessionId;

const ACCESS: Access<'static> =
    Access { token: None, machine_name: "pi", allowed_hosts: &[], allowed_origins: &[] };
const LOCAL: Headers<'static> = Headers {
    host: Some("localhost:8788"),
    origin: None,
    authorization: None,
    content_type: Some("application/json"),
    sec_fetch_site: None,
    last_event_id: None,
    idempotency_key: None,
};

fn request<'a>(method: &'a str, target: &'a str, body: &'a [u8]) -> Request<'a> {
    Request { method, target, http10: false, headers: LOCAL, body }
}

pub(super) fn action(method: &str, target: &str, body: &[u8]) -> Action {
    route(&request(method, target, body), &ACCESS).action
}

pub(super) fn refused(action: Action) -> (u16, String) {
    let Action::Respond(response) = action else { panic!("not refused: {action:?}") };
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body["status"], response.status);
    (response.status, body["error"].as_str().unwrap().to_owned())
}

pub(super) fn asked(action: Action) -> Command {
    let Action::Ask(command) = action else { panic!("not asked: {action:?}") };
    command
}

pub(super) fn id(text: &str) -> SessionRef {
    SessionRef::Id(SessionId::new(text))
}

#[test]
fn checks_come_in_the_order_host_origin_token_path_method_type_fields() {
    let token = Secret::new("t");
    let access = Access { token: Some(&token), ..ACCESS };
    let mut headers = Headers {
        host: Some("evil"),
        origin: Some("http://evil.example"),
        content_type: Some("text/plain"),
        ..LOCAL
    };
    let expect = |headers: &Headers<'_>, method, target, status| {
        let request = Request { method, target, http10: false, headers: *headers, body: b"[" };
        assert_eq!(refused(route(&request, &access).action).0, status, "{method} {target}");
    };
    expect(&headers, "GET", "/none", 421);
    headers.host = Some("localhost");
    expect(&headers, "GET", "/none", 403);
    headers.origin = Some("http://localhost");
    expect(&headers, "GET", "/none", 401);
    headers.authorization = Some("Bearer t");
    expect(&headers, "GET", "/none", 404);
    expect(&headers, "GET", "/v1/outbound-calls", 405);
    expect(&headers, "POST", "/v1/outbound-calls", 415);
    headers.content_type = Some("application/json");
    expect(&headers, "POST", "/v1/outbound-calls", 400);
}

#[test]
fn health_is_open_and_everything_else_needs_the_token() {
    let token = Secret::new("t");
    let access = Access { token: Some(&token), ..ACCESS };
    for target in ["/health", "/v1/health"] {
        let Action::Respond(health) = route(&request("GET", target, b""), &access).action else { panic!() };
        assert_eq!(health.status, 200);
    }
    for (target, command) in [("/healthz", Command::Health), ("/readyz", Command::Readiness)] {
        assert_eq!(asked(route(&request("GET", target, b""), &access).action), command);
    }
    for target in [
        "/v1/status",
        "/none",
        "/metrics",
        "/healthz/x",
        "/v1/readyz",
        "/v1/health/x",
        "/v1/events/stream",
        "/v1/calls/%ff",
    ] {
        let answer = refused(route(&request("GET", target, b""), &access).action);
        assert_eq!(answer, (401, "unauthorized".into()), "{target}");
    }
}

#[test]
fn a_listed_page_asks_before_it_asks_and_may_read_errors_too() {
    let listed = ["https://app.example".to_owned()];
    let token = Secret::new("t");
    let access = Access { token: Some(&token), allowed_origins: &listed, ..ACCESS };
    let headers = Headers { origin: Some("https://app.example"), ..LOCAL };
    let preflight = route(&Request { headers, ..request("OPTIONS", "/v1/calls", b"") }, &access);
    let Action::Respond(leave) = preflight.action else { panic!() };
    assert_eq!((leave.status, leave.body.as_str()), (204, ""));
    assert!(leave.headers.iter().any(|(name, value)| *name == "Access-Control-Allow-Headers"
        && value.contains("Authorization")
        && value.contains("Idempotency-Key")));
    let unauthorised = route(&Request { headers, ..request("GET", "/v1/calls", b"") }, &access);
    assert_eq!(unauthorised.origin.as_deref(), Some("https://app.example"));
    let shown = super::super::Routed::allow_origin(
        unauthorised.origin.as_deref(),
        Response::problem(401, "unauthorized"),
    );
    assert!(shown.headers.contains(&("Access-Control-Allow-Origin", "https://app.example".into())));
    assert!(shown.headers.contains(&("Vary", "Origin".into())));
    assert!(shown.headers.iter().any(
        |(name, value)| *name == "Access-Control-Expose-Headers" && value.contains("Idempotent-Replayed")
    ));
    let own = Headers { origin: Some("http://localhost:8788"), authorization: Some("Bearer t"), ..LOCAL };
    assert_eq!(route(&Request { headers: own, ..request("GET", "/v1/calls", b"") }, &access).origin, None);
}

#[test]
fn a_body_is_json_unless_no_browser_can_be_behind_it() {
    let with = |content_type, origin, sec_fetch_site, body: &[u8]| {
        let headers = Headers { origin, content_type, sec_fetch_site, ..LOCAL };
        match route(&Request { headers, ..request("POST", "/v1/current-call/hangup", body) }, &ACCESS).action
        {
            Action::Ask(_) => 202,
            other @ (Action::Respond(_) | Action::Read(_) | Action::Stream(_) | Action::Metrics) => {
                refused(other).0
            }
        }
    };
    let own = Some("http://localhost:8788");
    let form = Some("application/x-www-form-urlencoded");
    assert_eq!(with(Some("application/json"), own, None, b"{}"), 202);
    assert_eq!(with(Some("Application/JSON ; charset=utf-8"), own, Some("same-origin"), b"{}"), 202);
    assert_eq!((with(form, None, None, b"{}"), with(None, None, None, b"{}")), (202, 202));
    assert_eq!((with(form, own, None, b"{}"), with(None, None, Some("none"), b"{}")), (415, 415));
    assert_eq!((with(form, own, None, b""), with(None, own, None, b"")), (202, 202));
    let headers = Headers { origin: own, content_type: form, ..LOCAL };
    let delete = Request { headers, ..request("DELETE", "/v1/pending-call-requests/r", b"{}") };
    assert_eq!(refused(route(&delete, &ACCESS).action).0, 415);
}

#[test]
fn what_is_not_a_json_object_is_400() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let nested = [br#"{"dynamic_variables":"#.to_vec(), vec![b'['; 5000]].concat();
    for body in [
        &b"{"[..],
        b"{]",
        b"nonsense",
        b"{\"text\":\"\xff\"}",
        br#"{"text":"\ud800"}"#,
        br#"{"text":"\udc00x"}"#,
        b" ",
        b"{} {}",
        b"{\"a\":1,}",
        b"\0",
        &deep,
        &nested,
        br#"{"text": 1e999}"#,
    ] {
        let answer = refused(action("POST", "/v1/current-call/user-message", body));
        assert_eq!(answer, (400, "invalid json".into()));
    }
    for body in [&b"[]"[..], b"null", b"1", b"\"x\"", b"true", b"[{\"text\":\"x\"}]"] {
        let (status, error) = refused(action("PATCH", "/v1/config", body));
        assert_eq!((status, error.as_str()), (400, "the body must be a JSON object"));
    }
}

#[test]
fn a_message_needs_text() {
    let text = |body: &[u8]| action("POST", "/v1/current-call/user-message", body);
    for body in [&b""[..], b"{}", br#"{"text":null}"#, br#"{"text":""}"#, br#"{"text":" \n"}"#] {
        assert_eq!(refused(text(body)), (400, "text is required".into()));
    }
    for body in [&br#"{"text":1}"#[..], br#"{"text":["x"]}"#, br#"{"text":{}}"#, br#"{"text":false}"#] {
        assert_eq!(refused(text(body)), (400, "text must be a string".into()));
    }
    let said = asked(text("{\"text\":\" grüß \\ud83d\\ude00 \",\"other\":[]}".as_bytes()));
    assert_eq!(said, Command::UserMessage(SessionRef::Current, " grüß 😀 ".into()));
    assert_eq!(
        asked(text(br#"{"text":"a","text":"b"}"#)),
        Command::UserMessage(SessionRef::Current, "b".into()),
        "of two members with one name the last counts, as in Python"
    );
}

fn dialled(body: &Value) -> Result<CallRequest, String> {
    match action("POST", "/v1/outbound-calls", body.to_string().as_bytes()) {
        Action::Ask(Command::Dial(request)) => Ok(*request),
        other @ (Action::Respond(_)
        | Action::Ask(_)
        | Action::Read(_)
        | Action::Stream(_)
        | Action::Metrics) => {
            let (status, error) = refused(other);
            assert_eq!(status, 400);
            Err(error)
        }
    }
}

#[test]
fn numbers_are_normalised_and_never_guessed() {
    let number = |text: &str| Some(Target::Number(Number::parse(text).unwrap()));
    for (body, target) in [
        (json!({"number": "+49 (30) 12-3"}), number("+4930123")),
        (json!({"target_number": "112233"}), number("112233")),
        (json!({"number": "1", "target_number": "2"}), number("1")),
        (json!({"number": null, "target_number": "2"}), number("2")),
        (json!({"number": 905_551_112_233_u64}), number("905551112233")),
        (json!({"number": 905_551_112_233.0}), number("905551112233")),
        (
            json!({"number": "sip:bob@pbx.example;transport=udp"}),
            Some(Target::Uri(Pii("sip:bob@pbx.example;transport=udp".into()))),
        ),
        (json!({"number": "SIP:1001@[::1]:5070"}), Some(Target::Uri(Pii("SIP:1001@[::1]:5070".into())))),
    ] {
        assert_eq!(dialled(&body).map(|request| request.target), Ok(target), "{body}");
    }
    for body in [json!({}), json!({"number": null}), json!({"number": ""})] {
        assert_eq!(dialled(&body), Err("number is required".into()), "{body}");
    }
    for number in
        [json!(1.5), json!(-49), json!(true), json!(["1"]), json!({"a": 1}), json!(1e30), json!(u64::MAX)]
    {
        let error = dialled(&json!({"number": number})).unwrap_err();
        assert!(error.starts_with("number must be"), "{error}");
        let error = dialled(&json!({"number": "1", "target_number": number})).unwrap_err();
        assert!(error.starts_with("target_number must be"), "{error}");
    }
    for number in ["*21#", "1,2", "abc", "+", " ", "1\u{0}", "tel:+49", "sips:a@b", "sıp:a@b", "😀😀😀😀😀"]
    {
        assert!(dialled(&json!({"number": number})).is_err(), "{number}");
    }
    let long = format!("sip:{}@b", "a".repeat(300));
    for uri in [
        "sip:",
        "sip:@b",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a@b?Replaces=x",
        "sip:a@b\r\nVia: x",
        "sip:<a@b>",
        "sip:a\u{0}@b",
        "sip:ä@b",
        "sip:;x",
        &long,
    ] {
        assert!(dialled(&json!({"number": uri})).is_err(), "{uri}");
    }
}

#[test]
fn a_request_without_a_number_is_for_any_call() {
    let pending = |body: &str| action("POST", "/v1/pending-call-requests", body.as_bytes());
    let Command::CreatePending(any) = asked(pending("")) else { panic!() };
    assert_eq!(*any, CallRequest { ttl_sec: 300, ..CallRequest::default() });
    let full = r#"{"target_number":"7","dynamic_variables":{"a":[1,{"b":null}]},"metadata":{"m":1},"ttl_sec":"60",
        "agent_id":"agent_1","overrides":{"first_message":"Hi","language":null,"unknown":1},"unknown":[1]}"#;
    let Command::CreatePending(full) = asked(pending(full)) else { panic!() };
    assert_eq!(full.target, Some(Target::Number(Number::parse("7").unwrap())));
    assert_eq!(Value::Object(full.dynamic_variables), json!({"a": [1, {"b": null}]}));
    assert_eq!((Value::Object(full.metadata), full.ttl_sec), (json!({"m": 1}), 60));
    assert_eq!(
        (full.agent_id.as_deref(), full.overrides.first_message.as_deref()),
        (Some("agent_1"), Some("Hi"))
    );
    assert_eq!((full.overrides.language, full.echo), (None, false));
    for (body, error) in [
        (r#"{"target_number":""}"#, "number is required"),
        (r#"{"dynamic_variables":[]}"#, "dynamic_variables must be an object"),
        (r#"{"metadata":"x"}"#, "metadata must be an object"),
        (r#"{"agent_id":7}"#, "agent_id must be a string"),
        (r#"{"overrides":"x"}"#, "overrides must be an object"),
        (r#"{"overrides":{"prompt":1}}"#, "overrides.prompt must be a string"),
    ] {
        assert_eq!(refused(pending(body)), (400, error.into()), "{body}");
    }
}

#[test]
fn only_an_outbound_call_can_be_an_echo() {
    assert!(dialled(&json!({"number": "1", "echo": true})).unwrap().echo);
    assert!(!dialled(&json!({"number": "1", "echo": null})).unwrap().echo);
    assert_eq!(dialled(&json!({"number": "1", "echo": "false"})), Err("echo must be true or false".into()));
}

#[test]
fn a_time_to_live_is_whole_seconds_up_to_a_day() {
    for (ttl, seconds) in [
        (json!(null), 300),
        (json!(0), 300),
        (json!("0"), 300),
        (json!(1), 1),
        (json!("086"), 86),
        (json!(86_400), 86_400),
        (json!(60.0), 60),
        (json!("86400"), 86_400),
    ] {
        assert_eq!(
            dialled(&json!({"number": "1", "ttl_sec": ttl})).map(|request| request.ttl_sec),
            Ok(seconds),
            "{ttl}"
        );
    }
    for ttl in [
        json!(-1),
        json!(1.5),
        json!(86_401),
        json!("86401"),
        json!("abc"),
        json!(""),
        json!("-1"),
        json!(" 5"),
        json!("+5"),
        json!(true),
        json!([]),
        json!({}),
        json!(1e300),
        json!(-0.5),
        json!("99999999999999999999999"),
        json!(u64::MAX),
        json!(4_294_967_296_u64),
    ] {
        let error = dialled(&json!({"number": "1", "ttl_sec": ttl})).unwrap_err();
        assert!(error.starts_with("ttl_sec must be"), "{ttl}: {error}");
    }
}

#[test]
fn a_limit_is_a_whole_number_cut_to_1000() {
    for (query, limit) in [
        ("", 20),
        ("?limit=", 20),
        ("?limit", 20),
        ("?x=1", 20),
        ("?limit=0", 0),
        ("?limit=7&limit=9", 7),
        ("?limit=1000", 1000),
        ("?limit=1001", 1000),
        ("?limit=99999999999999999999999999", 1000),
        ("?limit=%37", 7),
    ] {
        assert_eq!(
            action("GET", &format!("/v1/calls{query}"), b""),
            Action::Read(Read::Sessions(limit)),
            "{query}"
        );
    }
    for query in
        ["?limit=abc", "?limit=-1", "?limit=1.5", "?limit=+5", "?limit=%205", "?limit=%ff", "?limit=٣"]
    {
        assert_eq!(refused(action("GET", &format!("/v1/calls{query}"), b"")).0, 400, "{query}");
    }
}

#[test]
fn a_stream_names_a_session_and_where_it_resumes() {
    let stream = |query: &str, last_event_id| {
        let headers = Headers { last_event_id, ..LOCAL };
        let target = format!("/v1/events/stream{query}");
        match route(&Request { headers, ..request("GET", &target, b"") }, &ACCESS).action {
            Action::Stream(selection) => Ok((selection.selector, selection.after)),
            other @ (Action::Respond(_) | Action::Ask(_) | Action::Read(_) | Action::Metrics) => {
                Err(refused(other))
            }
        }
    };
    let current = || Selector::Session(SessionRef::Current);
    let plus = || Selector::Session(id("2026-+49"));
    for (query, last, selector, after) in [
        ("", None, current(), None),
        ("?session_id=", None, current(), None),
        ("?session_id=current", None, current(), None),
        ("?session_id=all", None, Selector::All, None),
        ("?session_id=2026-+49", None, plus(), None),
        ("?session_id=2026-%2B49", None, plus(), None),
        ("?session_id=2026-%2049", None, plus(), None),
        ("?after=7", None, current(), Some("7")),
        ("?after=7", Some("9"), current(), Some("9")),
        ("?session_id=all", Some("nonsense"), Selector::All, Some("nonsense")),
    ] {
        assert_eq!(stream(query, last), Ok((selector, after.map(ToOwned::to_owned))), "{query}");
    }
    assert_eq!(stream("?session_id=..", None), Err((404, "no active session".into())));
    assert_eq!(stream("?session_id=%ff", None).unwrap_err().0, 400);
    let Action::Stream(Selection { .. }) = action("GET", "/v1/events/stream?session_id=a%2Fb", b"") else {
        return;
    };
    panic!("an id with a slash names nothing");
}
