//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a string in quotes, or the same without them.

use super::body::Fields;
use super::request::Request;
use super::response::Response;
use crate::call::idempotency::{Fingerprint, Keyed, REQUEST_BYTES_MAX};

/// Characters of a key, each of one byte.
const KEY_BYTES_MAX: usize = 255;

/// The key of a request and what is asked under it; `None` without one.
pub(super) fn keyed(
    request: &Request<'_>,
    endpoint: &str,
    fields: &Fields,
) -> Result<Option<Keyed>, Response> {
    let Some(header) = request.headers.idempotency_key else { return Ok(None) };
    let key = key(header).ok_or_else(|| {
        Response::problem(
            400,
            "Idempotency-Key must be 1 to 255 visible ASCII characters, in quotes or without",
        )
    })?;
    let body = fields.canonical();
    if body.len() > REQUEST_BYTES_MAX {
        return Err(Response::problem(
            413,
            "with an Idempotency-Key the body may be 64 KiB at most: the answer repeats it and is kept for a day",
        ));
    }
    Ok(Some(Keyed {
        key: Fingerprint::of(&[key.as_bytes()]),
        request: Fingerprint::of(&[endpoint.as_bytes(), body.as_bytes()]),
    }))
}

fn key(header: &str) -> Option<String> {
    let header = header.trim();
    let key = match header.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None => header.to_owned(),
    };
    let is_fine = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_fine.then_some(key)
}

/// What stands before the closing quote, which is the last character; `\"` and `\\` are the only escapes
/// (RFC 9651 3.3.3).
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut left = rest.chars();
    loop {
        match left.next()? {
            '"' => return left.next().is_none().then_some(text),
            '\\' => text.push(left.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::api::{Access, Action, Headers, route};
    use crate::call::command::Command;

    #[test]
    fn a_key_in_quotes_and_without_is_the_same_key() {
        for (header, meant) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (" a ", "a"),
            (r#""a\"\\b""#, r#"a"\b"#),
            (r"a\b", r"a\b"),
            ("a\"b", "a\"b"),
            ("+49;x=\"1\",~", "+49;x=\"1\",~"),
        ] {
            assert_eq!(key(header).as_deref(), Some(meant), "{header}");
        }
        let longest = "k".repeat(255);
        assert_eq!(key(&longest), Some(longest.clone()));
        assert_eq!(key(&format!("\"{longest}\"")), Some(longest));
    }

    #[test]
    fn anything_else_is_no_key() {
        let long = "k".repeat(256);
        let headers = ["", " ", "\"\"", "\"", "\"a", "\"a\"b", "\"a\";p=1", "a b", "\"a b\"", "a\tb", "ä"];
        for header in headers.into_iter().chain([r#""a\n""#, r#""a\""#, long.as_str()]) {
            assert_eq!(key(header), None, "{header}");
        }
    }

    fn asked(target: &str, header: Option<&str>, body: &str) -> Result<Option<Keyed>, u16> {
        let headers = Headers { host: Some("localhost"), idempotency_key: header, ..Headers::default() };
        let request = Request { method: "POST", target, http10: false, headers, body: body.as_bytes() };
        let access = Access { token: None, machine_name: "", allowed_hosts: &[], allowed_origins: &[] };
        match route(&request, &access).action {
            Action::Ask(Command::Dial(request) | Command::CreatePending(request)) => Ok(request.keyed),
            Action::Respond(response) => Err(response.status),
            other @ (Action::Ask(_) | Action::Read(_) | Action::Stream(_) | Action::Metrics) => {
                panic!("{other:?}")
            }
        }
    }

    #[test]
    fn only_another_endpoint_or_another_body_is_another_request() {
        let dial = |body| asked("/v1/outbound-calls", Some("k"), body).unwrap().unwrap();
        let first = dial(r#"{"number":"1","metadata":{"a":1,"b":[2]}}"#);
        assert_eq!(first, dial("{ \"metadata\": {\"b\": [2], \"a\": 1}, \"number\": \"1\" }\n"));
        for body in [
            r#"{"number":"2","metadata":{"a":1,"b":[2]}}"#,
            r#"{"number":"1","metadata":{"a":1,"b":[2.5]}}"#,
            r#"{"number":"1"}"#,
        ] {
            let other = dial(body);
            assert!(other.key == first.key && other.request != first.request, "{body}");
        }
        let pending = |body| asked("/v1/pending-call-requests", Some("\"k\""), body).unwrap().unwrap();
        let elsewhere = pending(r#"{"number":"1","metadata":{"a":1,"b":[2]}}"#);
        assert!(elsewhere.key == first.key && elsewhere.request != first.request);
        assert_eq!(pending("{}"), pending(""));
        assert_ne!(asked("/v1/pending-call-requests", Some("K"), "").unwrap().unwrap().key, first.key);
    }

    #[test]
    fn without_a_key_nothing_is_remembered_and_a_bad_one_is_400() {
        for target in ["/v1/outbound-calls", "/v1/pending-call-requests"] {
            assert_eq!(asked(target, None, r#"{"number":"1"}"#), Ok(None));
            assert_eq!(asked(target, Some(""), r#"{"number":"1"}"#), Err(400));
        }
    }

    #[test]
    fn under_a_key_the_body_is_bounded_without_one_it_is_not() {
        let body = |bytes: usize| {
            let frame = r#"{"metadata":{"a":""},"number":"1"}"#;
            frame.replace(r#""""#, &format!(r#""{}""#, "x".repeat(bytes - frame.len())))
        };
        for target in ["/v1/outbound-calls", "/v1/pending-call-requests"] {
            assert!(asked(target, Some("k"), &body(REQUEST_BYTES_MAX)).unwrap().is_some());
            assert_eq!(asked(target, Some("k"), &body(REQUEST_BYTES_MAX + 1)), Err(413));
            assert_eq!(asked(target, None, &body(REQUEST_BYTES_MAX + 1)), Ok(None));
        }
    }
}
