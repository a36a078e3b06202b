//! Responses: status, JSON body, the few header fields that differ. Errors carry a sentence in `error` and the
//! members of RFC 9457 beside it.

use serde_json::{Map, Value, json};

use crate::call::command::{Answer, Refusal, RefusalKind};

/// The media type of every JSON body.
pub const MEDIA_TYPE_JSON: &str = "application/json; charset=utf-8";

/// The media type of what was counted (Prometheus' text format).
pub const MEDIA_TYPE_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds that a client is asked to wait when what is full is likely to have room again soon.
const RETRY_AFTER_SEC: u64 = 1;

/// A finished response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields besides `Content-Type`, `Content-Length`, `Date` and `Connection`.
    pub headers: Vec<(&'static str, String)>,
    /// JSON unless `media_type` says otherwise, or empty (204).
    pub body: String,
    /// What the body is.
    pub media_type: &'static str,
}

impl Response {
    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// A body that is JSON already.
    pub fn text(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body, media_type: MEDIA_TYPE_JSON }
    }

    /// What was counted.
    pub fn metrics(text: String) -> Self {
        Self { media_type: MEDIA_TYPE_METRICS, ..Self::text(200, text) }
    }

    /// An error (RFC 9457): `error` and `detail` hold the same sentence.
    pub fn problem(status: u16, error: &str) -> Self {
        Self::problem_with(status, error, Map::new())
    }

    fn problem_with(status: u16, error: &str, more: Map<String, Value>) -> Self {
        let mut body = json!({
            "error": error,
            "type": "about:blank",
            "title": reason(status),
            "status": status,
            "detail": error,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(more);
        }
        Self::json(status, &body)
    }

    /// 503 for what is full or busy now and will hardly be so in a second.
    pub fn busy(error: &str) -> Self {
        Self::problem(503, error).with_header("Retry-After", RETRY_AFTER_SEC.to_string())
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first answer to a request that came again under its `Idempotency-Key`.
    pub fn replayed(status: u16, body: String) -> Self {
        Self::text(status, body).with_header("Idempotent-Replayed", "true")
    }

    /// What the switch answered.
    pub fn of(reply: crate::call::command::Reply) -> Self {
        reply.map_or_else(refused, answered)
    }
}

/// The body of a health check that is passed.
pub(super) fn alive() -> Value {
    json!({"ok": true, "version": env!("CARGO_PKG_VERSION")})
}

fn answered(answer: Answer) -> Response {
    let (status, body) = match answer {
        Answer::Alive => (200, alive()),
        Answer::Readiness(readiness) => match readiness.fault() {
            None => (200, readiness.members().into()),
            Some(fault) => return Response::problem_with(503, &fault, readiness.members()),
        },
        Answer::Status(status) => (200, status),
        Answer::Config(config) => (200, json!({"config": config})),
        Answer::ConfigSaved(config) => (200, json!({"saved": true, "config": config})),
        Answer::Dialing { request, backend, number, uri, session } => {
            let mut body = json!({
                "queued": true,
                "dialing": true,
                "request": request.to_json(),
                "via": backend,
                "backend": backend,
                "number": number,
                "session_id": session,
            });
            if let (Some(body), Some(uri)) = (body.as_object_mut(), uri) {
                body.insert("uri".into(), uri.into());
            }
            (202, body)
        }
        Answer::Queued(request) => {
            (202, json!({"queued": true, "dialing": false, "request": request.to_json()}))
        }
        // Who reads the store gives the first answer; here it could not be read.
        Answer::Again(_) => return Response::busy("storage cannot be read"),
        Answer::PendingList(requests) => {
            let requests: Vec<Value> =
                requests.iter().map(crate::call::pending::PendingRequest::to_json).collect();
            (200, json!({"pending_call_requests": requests}))
        }
        Answer::Pending(request) => (200, json!({"request": request.to_json()})),
        Answer::Deleted(request_id) => (200, json!({"deleted": true, "request_id": request_id})),
        Answer::CurrentCall(meta) => (200, json!({"current_call": meta})),
        Answer::MessageQueued(command) => (202, json!({"queued": true, "command": command})),
        Answer::Answering { backend, session } => (
            202,
            json!({
                "via": backend, "backend": backend, "queued": true, "answering": true, "session_id": session,
            }),
        ),
        Answer::Phones(phones) => (200, phones),
        Answer::PhonesAsked => (202, json!({"queued": true})),
        Answer::PhoneAsked(phone) => (202, json!({"queued": true, "phone": phone})),
        Answer::PairingWindow { timeout_sec } => (202, json!({"queued": true, "timeout_sec": timeout_sec})),
        Answer::HandingOver { backend, session, to } => (
            202,
            json!({
                "via": backend, "backend": backend, "queued": true, "to": to.as_str(), "session_id": session,
            }),
        ),
        Answer::HangingUp { backend, session } => {
            (202, json!({"via": backend, "backend": backend, "queued": true, "session_id": session}))
        }
    };
    Response::json(status, &body)
}

fn refused(refusal: Refusal) -> Response {
    let status = match refusal.kind {
        RefusalKind::Invalid => 400,
        RefusalKind::NotFound => 404,
        RefusalKind::Conflict(_) => 409,
        RefusalKind::Budget => 429,
        RefusalKind::Unavailable => 502,
        RefusalKind::Storage => 503,
    };
    let mut more = Map::new();
    if let RefusalKind::Conflict(which) = refusal.kind {
        more.insert("reason".into(), which.as_str().into());
    }
    more.extend(refusal.request.map(|request| ("request".to_owned(), request.to_json())));
    let response = Response::problem_with(status, &refusal.message, more);
    match (refusal.retry_after_sec, refusal.kind) {
        (Some(seconds), _) => response.with_header("Retry-After", seconds.to_string()),
        (None, RefusalKind::Storage) => response.with_header("Retry-After", RETRY_AFTER_SEC.to_string()),
        (None, _) => response,
    }
}

/// The reason phrase of the status codes that this service sends (RFC 9110 15).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::command::Conflict;
    use crate::call::conversation::Overrides;
    use crate::call::pending::PendingRequest;
    use crate::call::phones::Place;
    use crate::call::session::SessionId;
    use serde_json::Map;

    fn body(response: &Response) -> Value {
        serde_json::from_str(&response.body).unwrap()
    }

    fn request() -> Box<PendingRequest> {
        Box::new(PendingRequest {
            request_id: "r-1".into(),
            target_number: Some("+49".into()),
            dynamic_variables: Map::new(),
            metadata: Map::new(),
            created_unix_ms: 1500,
            expires_unix_ms: 301_500,
            consumed: false,
            claimed_unix_ms: None,
            claimed_session_id: None,
            agent_id: None,
            overrides: Overrides::default(),
        })
    }

    #[test]
    fn every_answer_has_the_shape_of_the_contract() {
        let session = SessionId::new("20261122-085107-+49");
        let dialing = |uri: Option<&str>| Answer::Dialing {
            request: request(),
            backend: "sip",
            number: "+49".into(),
            uri: uri.map(Into::into),
            session: session.clone(),
        };
        let table = [
            (Answer::Status(json!({"services": {}})), 200, json!({"services": {}})),
            (Answer::Config(json!({"a": 1})), 200, json!({"config": {"a": 1}})),
            (Answer::ConfigSaved(json!({"a": 1})), 200, json!({"saved": true, "config": {"a": 1}})),
            (
                dialing(Some("sip:+49@pbx")),
                202,
                json!({
                    "queued": true, "dialing": true, "request": request().to_json(), "via": "sip",
                    "backend": "sip", "number": "+49", "session_id": session, "uri": "sip:+49@pbx",
                }),
            ),
            (
                Answer::Queued(request()),
                202,
                json!({"queued": true, "dialing": false, "request": request().to_json()}),
            ),
            (
                Answer::PendingList(vec![*request()]),
                200,
                json!({"pending_call_requests": [request().to_json()]}),
            ),
            (Answer::Pending(request()), 200, json!({"request": request().to_json()})),
            (Answer::Deleted("r-1".into()), 200, json!({"deleted": true, "request_id": "r-1"})),
            (Answer::CurrentCall(None), 200, json!({"current_call": null})),
            (Answer::CurrentCall(Some(json!({"id": "x"}))), 200, json!({"current_call": {"id": "x"}})),
            (
                Answer::MessageQueued(json!({"type": "user_message"})),
                202,
                json!({"queued": true, "command": {"type": "user_message"}}),
            ),
            (
                Answer::Answering { backend: "sip", session: session.clone() },
                202,
                json!({
                    "via": "sip", "backend": "sip", "queued": true, "answering": true, "session_id": session,
                }),
            ),
            (Answer::Phones(json!({"phones": []})), 200, json!({"phones": []})),
            (Answer::PhonesAsked, 202, json!({"queued": true})),
            (
                Answer::PhoneAsked(json!({"address": "x"})),
                202,
                json!({"queued": true, "phone": {"address": "x"}}),
            ),
            (Answer::PairingWindow { timeout_sec: 9 }, 202, json!({"queued": true, "timeout_sec": 9})),
            (
                Answer::HandingOver { backend: "hfp", session: session.clone(), to: Place::Handset },
                202,
                json!({
                    "via": "hfp", "backend": "hfp", "queued": true, "to": "handset", "session_id": session,
                }),
            ),
            (
                Answer::HangingUp { backend: "hfp", session: session.clone() },
                202,
                json!({"via": "hfp", "backend": "hfp", "queued": true, "session_id": session}),
            ),
        ];
        for (answer, status, expected) in table {
            let response = Response::of(Ok(answer));
            assert_eq!((response.status, body(&response)), (status, expected));
        }
        let over_the_phone = Response::of(Ok(dialing(None)));
        assert!(body(&over_the_phone).get("uri").is_none());
    }

    #[test]
    fn every_refusal_has_its_status_and_the_members_of_rfc9457() {
        for (kind, status, retries) in [
            (RefusalKind::Invalid, 400, false),
            (RefusalKind::NotFound, 404, false),
            (RefusalKind::Conflict(Conflict::NoLine), 409, false),
            (RefusalKind::Budget, 429, false),
            (RefusalKind::Unavailable, 502, false),
            (RefusalKind::Storage, 503, true),
        ] {
            let response = Response::of(Err(Refusal::new(kind, "why")));
            assert_eq!(response.status, status);
            let body = body(&response);
            assert_eq!(
                (&body["error"], &body["detail"], &body["status"]),
                (&json!("why"), &json!("why"), &json!(status))
            );
            assert_eq!((&body["type"], body["title"] != "Unknown"), (&json!("about:blank"), true));
            assert_eq!(body.get("reason"), (status == 409).then(|| json!("no_line")).as_ref());
            assert_eq!(response.headers.iter().any(|(name, _)| *name == "Retry-After"), retries);
        }
        let spent = Refusal { retry_after_sec: Some(40), ..Refusal::new(RefusalKind::Budget, "spent") };
        assert_eq!(Response::of(Err(spent)).headers, [("Retry-After", "40".to_owned())]);
        let down = Refusal { request: Some(request()), ..Refusal::new(RefusalKind::Unavailable, "no agent") };
        assert_eq!(body(&Response::of(Err(down)))["request"], request().to_json());
    }
}
