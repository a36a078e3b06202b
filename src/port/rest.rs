//! REST towards the agent service: the signed URL of a private agent. Blocks, so only the resolver's threads call it.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::agent::endpoint::{Endpoint, EndpointError};
use crate::base::Secret;
use crate::base::text::bounded;
use crate::call::conversation::AgentService;

/// From the name to the last byte of the answer: within the time that a phone rings.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A stuck connection attempt leaves time for the rest.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer at most; a longer one is an error.
const BODY_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a refusal's own words that are passed on; the rest is cut off.
const MESSAGE_BYTES_MAX: usize = 300;

/// Why there is no signed URL. Each sentence says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestError {
    /// The configured base is no URL of a service.
    #[error("{0}; check ELEVENLABS_BASE_URL")]
    Base(#[from] EndpointError),
    /// 401 or 403.
    #[error("the agent service refused the API key ({status}: {message}); check ELEVENLABS_API_KEY")]
    Key {
        /// The HTTP status.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// 404 or 422.
    #[error("the agent service does not know this agent ({status}: {message}); check ELEVENLABS_AGENT_ID")]
    Agent {
        /// The HTTP status.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// 429.
    #[error("the agent service is busy (429: {message}); try again later or raise the plan's limit")]
    Busy {
        /// The service's own words.
        message: String,
    },
    /// Any other status.
    #[error("the agent service failed ({status}: {message}); try again later")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// No answer: name, connection, TLS, time-out.
    #[error("the agent service cannot be reached ({0}); check the network")]
    Unreachable(String),
    /// An answer without a usable signed URL.
    #[error("the agent service sent no signed URL; check ELEVENLABS_BASE_URL")]
    Answer,
    /// Too many requests wait for the resolver already.
    #[error("too many requests to the agent service are waiting; try again later")]
    Overloaded,
}

impl RestError {
    /// Whether the same request may succeed within the time that a phone rings.
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Status { .. } | Self::Unreachable(_) | Self::Overloaded => true,
            Self::Base(_) | Self::Key { .. } | Self::Agent { .. } | Self::Answer => false,
        }
    }
}

/// Whether a service answers at all, whatever it says: name, connection and TLS are fine.
pub fn reach(base_url: &str) -> Result<(), RestError> {
    Endpoint::parse(base_url)?;
    client().get(base_url).call().map(drop).map_err(|error| RestError::Unreachable(words(&error.to_string())))
}

fn client() -> ureq::Agent {
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(RootCerts::WebPki).build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(REQUEST_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .build()
        .new_agent()
}

/// Fetches a signed URL for one conversation; it is valid for 15 minutes and is a credential.
pub fn signed_url(service: &AgentService) -> Result<Secret, RestError> {
    let url = Endpoint::signed_url(&service.base_url, &service.agent_id)?.http_url();
    let key = service.api_key.as_ref().map_or("", Secret::expose);
    let mut response = client()
        .get(&url)
        .header("xi-api-key", key)
        .call()
        .map_err(|error| RestError::Unreachable(words(&error.to_string())))?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(BODY_BYTES_MAX).lossy_utf8(true).read_to_string();
    let body = text.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or(Value::Null);
    if !status.is_success() {
        return Err(refusal(status.as_u16(), &body, status.canonical_reason().unwrap_or("no reason given")));
    }
    match body.get("signed_url").and_then(Value::as_str) {
        Some(signed) if Endpoint::parse(signed).is_ok() => Ok(Secret::new(signed)),
        Some(_) | None => Err(RestError::Answer),
    }
}

/// `detail` may be an object with a `message`, a text, or a list of objects with a `msg`; no shape is required.
fn refusal(status: u16, body: &Value, reason: &str) -> RestError {
    let detail = &body["detail"];
    let said = detail["message"].as_str().or_else(|| detail.as_str()).or_else(|| detail[0]["msg"].as_str());
    let message = words(said.unwrap_or(reason));
    match status {
        401 | 403 => RestError::Key { status, message },
        404 | 422 => RestError::Agent { status, message },
        429 => RestError::Busy { message },
        _ => RestError::Status { status, message },
    }
}

/// One bounded line of a stranger's text.
fn words(text: &str) -> String {
    bounded(text, MESSAGE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    /// A service that answers one request with `response` and returns what it was asked.
    fn ask(response: String, key: &str) -> (Result<Secret, RestError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = AgentService {
            base_url: format!("http://{}", listener.local_addr().unwrap()),
            agent_id: "agent_7".into(),
            api_key: Some(Secret::new(key)),
        };
        std::thread::scope(|scope| {
            let answered = std::thread::Builder::new()
                .spawn_scoped(scope, move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        head.push(byte[0]);
                    }
                    stream.write_all(response.as_bytes()).unwrap();
                    String::from_utf8(head).unwrap()
                })
                .unwrap();
            (signed_url(&service), answered.join().unwrap())
        })
    }

    fn http(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_signed_url_is_asked_for_with_the_key() {
        let body = json!({"signed_url": "ws://127.0.0.1:1/v1/convai/conversation?agent_id=a&conversation_signature=s"});
        let (answer, head) = ask(http("200 OK", &body.to_string()), "key1");
        assert_eq!(answer.unwrap().expose(), body["signed_url"].as_str().unwrap());
        assert!(head.starts_with("GET /v1/convai/conversation/get-signed-url?agent_id=agent_7 HTTP/1.1\r\n"));
        assert!(head.contains("xi-api-key: key1\r\n"), "{head}");
    }

    #[test]
    fn every_shape_of_a_refusal_gives_a_sentence() {
        let cases = [
            ("401 Unauthorized", r#"{"detail":{"status":"invalid_api_key","message":"bad key"}}"#, "bad key"),
            ("403 Forbidden", r#"{"detail":"not yours"}"#, "not yours"),
            (
                "422 Unprocessable",
                r#"{"detail":[{"loc":["query"],"msg":"field required"}]}"#,
                "field required",
            ),
            ("404 Not Found", "<html>", "404: Not Found"),
            ("429 Too Many Requests", r#"{"detail":7}"#, "429: Too Many Requests"),
            ("503 Service Unavailable", "", "503: Service Unavailable"),
        ];
        for (status, body, said) in cases {
            let (answer, _) = ask(http(status, body), "k");
            let error = answer.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.is_worth_a_retry(), status.starts_with("429") || status.starts_with('5'));
        }
    }

    #[test]
    fn whoever_answers_anything_is_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(reach(&base), Err(RestError::Unreachable(_))));
        assert!(matches!(reach("http://agents.example.com"), Err(RestError::Base(_))));
    }

    #[test]
    fn an_answer_without_a_usable_url_or_no_http_at_all_is_an_error() {
        for body in ["", "[]", r#"{"signed_url":7}"#, r#"{"signed_url":"ws://evil.example/"}"#] {
            assert_eq!(ask(http("200 OK", body), "k").0.unwrap_err(), RestError::Answer, "{body}");
        }
        let endless = http("200 OK", &"x".repeat(100_000));
        assert_eq!(ask(endless, "k").0.unwrap_err(), RestError::Answer);
        let (answer, _) = ask("hello\r\n\r\n".into(), "k");
        assert!(matches!(answer, Err(RestError::Unreachable(_))), "{answer:?}");
    }
}
