//! Requests in shapes that two readers might understand differently, ids that want to be something else, and bodies
//! whose types are nearly right: each has one answer, and only one.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use callscoot::call::command::{Command, SessionRef};
use serde_json::json;

use super::fixture::Api;

const ID: &str = "20261122-085107-+4930";

/// Sends these bytes, says that there are no more, and reads to the end.
fn everything(api: &Api, bytes: &[u8]) -> String {
    let mut client = api.connect();
    // It may be answered, and closed, before all of it was sent.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got);
    String::from_utf8(got).unwrap()
}

fn statuses(told: &str) -> Vec<&str> {
    let begins = told.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3));
    begins.filter(|status| status.starts_with(|digit: char| digit.is_ascii_digit())).collect()
}

#[test]
fn a_request_hidden_in_another_is_never_seen_rfc9112_11_2() {
    let api = Api::start();
    let hidden = "POST /v1/current-call/hangup HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = hidden.len();
    let chunk = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let head = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n";
    for (what, bytes, status) in [
        ("pipelined", format!("{head}\r\n{hidden}"), "200"),
        ("behind a body", format!("{head}Content-Length: 2\r\n\r\n{{}}{hidden}"), "200"),
        ("behind chunks", format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"), "200"),
        ("within a length", format!("{head}Content-Length: {length}\r\n\r\n{hidden}"), "200"),
        ("within a chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}"), "200"),
        (
            "CL.TE",
            format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
            "400",
        ),
        ("TE.CL", format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunk}"), "400"),
        ("TE.TE", format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{chunk}"), "501"),
        ("TE in a list", format!("{head}Transfer-Encoding: x, chunked\r\n\r\n{chunk}"), "501"),
        (
            "TE with a tab",
            format!("{head}Transfer-Encoding:\tchunked\r\nContent-Length: 3\r\n\r\n{chunk}"),
            "400",
        ),
        ("TE with a space", format!("{head}Transfer-Encoding : chunked\r\n\r\n{chunk}"), "400"),
        (
            "two lengths",
            format!("{head}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
            "400",
        ),
        ("two equal lengths", format!("{head}Content-Length: 0\r\nContent-Length: 0\r\n\r\n{hidden}"), "400"),
        ("a list of lengths", format!("{head}Content-Length: 0, {length}\r\n\r\n{hidden}"), "400"),
        ("a signed length", format!("{head}Content-Length: +0\r\n\r\n{hidden}"), "400"),
        ("a folded length", format!("{head}Content-Length:\r\n 0\r\n\r\n{hidden}"), "400"),
        ("a folded field", format!("{head}X: a\r\n b\r\n\r\n{hidden}"), "400"),
        ("a bare CR", format!("{head}X: a\rContent-Length: {length}\r\n\r\n{hidden}"), "400"),
        ("a NUL", format!("{head}X: a\0b\r\n\r\n{hidden}"), "400"),
        ("a bare LF in chunks", format!("{head}Transfer-Encoding: chunked\r\n\r\n0\n\n{hidden}"), "400"),
        (
            "a chunk that is too long",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
            "400",
        ),
        ("a chunk of minus one", format!("{head}Transfer-Encoding: chunked\r\n\r\n-1\r\n{hidden}"), "400"),
        ("half a chunk", format!("{head}Transfer-Encoding: chunked\r\n\r\nff\r\n{hidden}"), "400"),
        ("half a body", format!("{head}Content-Length: 900\r\n\r\n{hidden}"), "400"),
        ("half a head", head.to_owned(), "400"),
        ("an authority", format!("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}"), "400"),
        (
            "another scheme",
            "GET ftp://localhost/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "somebody in the host",
            "GET http://a@localhost/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "400",
        ),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
        ("HTTP/0.9", "GET /v1/health\r\n\r\n".to_owned(), "400"),
        (
            "a trailer that would be a field",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil.example\r\n\r\n"),
            "200",
        ),
    ] {
        let told = everything(&api, bytes.as_bytes());
        assert_eq!(statuses(&told), [status], "{what}: {told}");
    }
    // Bare line feeds end lines (RFC 9112 2.2), and the end of the request is where they say.
    assert_eq!(statuses(&everything(&api, b"GET /v1/health HTTP/1.1\nHost: localhost\n\nGET /")), ["200"]);
    let asked = std::mem::take(&mut api.switch.lock().unwrap().asked);
    assert!(!asked.iter().any(|command| matches!(command, Command::Hangup(_))), "{asked:?}");
    api.check_health();
}

#[test]
fn an_id_in_a_path_is_an_id_whatever_it_looks_like() {
    let api = Api::start();
    api.open_session(ID);
    let long = "a".repeat(100_000);
    let quoted = "%41".repeat(4000);
    for id in [
        "..",
        ".",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..",
        "%00",
        "a%00b",
        "%2f",
        "%5c",
        "%0d%0aX:y",
        "%c0%ae%c0%ae",
        "%e0%80%af",
        "%ff",
        "%ed%a0%80",
        "%",
        "%zz",
        "%2",
        "~",
        "$(id)",
        "';--",
        "%F0%9F%92%A9",
        "20261122-085107-+493",
        "20261122-085107-+4930%00",
        "%2532",
        &quoted,
        &long,
    ] {
        for (method, target) in [
            ("GET", format!("/v1/calls/{id}")),
            ("GET", format!("/v1/calls/{id}/events")),
            ("GET", format!("/v1/events/stream?session_id={id}")),
            ("GET", format!("/v1/pending-call-requests/{id}")),
            ("DELETE", format!("/v1/pending-call-requests/{id}")),
            ("POST", format!("/v1/calls/{id}/answer")),
        ] {
            let answered = api.request(method, &target, "");
            let shown = &target[..target.len().min(80)];
            // What is longer than a head may be is not even looked at.
            let too_long = target.len() > 16_000;
            let expected = if too_long { &[431][..] } else { &[404, 400][..] };
            assert!(expected.contains(&answered.status), "{shown}: {} {}", answered.status, answered.body);
            assert!(answered.json()["error"].is_string(), "{shown}");
        }
    }
    for path in
        ["//v1/health", "/v1//health", "/v1/health/", "/v1/../v1/health", "/v1/./health", "/V1/health"]
    {
        assert_eq!(api.get(path).status, 404, "{path}");
    }
    assert_eq!(api.get("/v1/%68ealth").status, 200, "an encoded letter is that letter (RFC 3986 2.3)");
    assert_eq!(api.get(&format!("/v1/calls/{ID}")).status, 200);
    api.check_health();
}

#[test]
fn bodies_that_are_nearly_right_are_refused_by_name_or_understood() {
    let api = Api::start();
    let status = |method: &str, target: &str, body: &str| {
        let answered = api.request(method, target, body);
        (answered.status, answered.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    let calls = "/v1/outbound-calls";
    for (body, named) in [
        (r#"{"number":["1"]}"#, "number"),
        (r#"{"number":true}"#, "number"),
        (r#"{"number":1.5}"#, "number"),
        (r#"{"number":-1}"#, "number"),
        (r#"{"number":1e400}"#, "invalid json"),
        (r#"{"number":"1","ttl_sec":"abc"}"#, "ttl_sec"),
        (r#"{"number":"1","ttl_sec":"1.5"}"#, "ttl_sec"),
        (r#"{"number":"1","ttl_sec":" 5"}"#, "ttl_sec"),
        (r#"{"number":"1","ttl_sec":-1}"#, "ttl_sec"),
        (r#"{"number":"1","ttl_sec":99999999999999999999}"#, "ttl_sec"),
        (r#"{"number":"1","metadata":[]}"#, "metadata"),
        (r#"{"number":"1","dynamic_variables":"{}"}"#, "dynamic_variables"),
        (r#"{"number":"1""#, "invalid json"),
        (r#"{"number":"1"}}"#, "invalid json"),
        (r#"{"number":"1",}"#, "invalid json"),
        (r"{'number':'1'}", "invalid json"),
        (r#"{"number":NaN}"#, "invalid json"),
        ("\u{feff}{\"number\":\"1\"}", "invalid json"),
        (r#"{"number":"\u0000"}"#, "number"),
        (r#""number""#, "object"),
    ] {
        let (found, error) = status("POST", calls, body);
        assert!(found == 400 && error.contains(named), "{body}: {found} {error}");
    }
    // As Python's `json` and most others do: of two members with one name the last one counts (RFC 8259 4).
    for (body, text) in [
        (r#"{"text":"first","text":"last"}"#, "last"),
        (r#"{"text":7,"text":"last"}"#, "last"),
        (r#" {"\u0074ext" : "escaped"} "#, "escaped"),
    ] {
        assert_eq!(api.request("POST", "/v1/calls/current/user-message", body).status, 202, "{body}");
        let asked = api.switch.lock().unwrap().asked.pop().unwrap();
        assert_eq!(asked, Command::UserMessage(SessionRef::Current, text.into()), "{body}");
    }
    let nested = |depth: usize| {
        format!(r#"{{"number":"1","metadata":{}{}}}"#, r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth))
    };
    assert_eq!(status("POST", calls, &nested(20)).0, 429, "as any other call");
    for depth in [127, 1000, 100_000] {
        assert_eq!(status("POST", calls, &nested(depth)).0, 400, "{depth}");
    }
    let wide = json!({"number": "1", "metadata": {"list": vec![0; 400_000]}}).to_string();
    assert_eq!(status("POST", calls, &wide).0, 429);
    for (limit, expected) in [
        ("0x10", 400),
        ("1e1", 400),
        ("-1", 400),
        ("%31", 200),
        ("+1", 400),
        ("99999999999999999999", 200),
        ("1001", 200),
    ] {
        assert_eq!(api.get(&format!("/v1/calls?limit={limit}")).status, expected, "{limit}");
    }
    api.check_health();
}
