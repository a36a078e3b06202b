//! The running service's own API, asked by the command line and the demonstration. Blocks.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;

use crate::base::Secret;
use crate::call::api::{ALIVE, LIVE};
use crate::call::command::Conflict;

/// From the name to the last byte of the answer; streams have none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// A stream says something every five seconds; after this without a word it is dead.
pub const STREAM_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer at most: the longest call's transcript and events fit.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one line of a stream at most.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// The service did not do what was asked.
#[derive(Debug, Error)]
pub enum ApiError {
    /// No answer at all.
    #[error("the service at {base} cannot be reached ({why}); is it running? `callscoot serve` starts it")]
    Unreachable {
        /// Where it was looked for.
        base: String,
        /// What went wrong.
        why: String,
    },
    /// An answer that says no, with its sentence.
    #[error("{message} ({status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The member `error`.
        message: String,
        /// The member `reason`: which conflict it is.
        reason: Option<Conflict>,
        /// `Retry-After`: when to ask again.
        retry_after: Option<Duration>,
    },
    /// An answer that is no JSON, or a refusal without a sentence: something else sits at that port.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

impl ApiError {
    /// Whether the same question may well be answered later: the service is gone, slow, full or ill.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Answer(_) => false,
        }
    }
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct ApiClient {
    base: String,
    token: Option<Secret>,
    agent: ureq::Agent,
    timeout: Duration,
}

/// What a stream says.
#[derive(Clone, Debug, PartialEq)]
pub enum Streamed {
    /// An event, and its number to resume after.
    Event {
        /// The last `id:` line.
        id: Option<u64>,
        /// The `data:` line.
        event: Value,
    },
    /// A comment that only says that the service is there.
    Alive,
    /// A comment that is only sent when what was before has all come.
    Live,
}

/// An id as one segment of a path.
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

impl ApiClient {
    /// A client of the service at `base`, such as `http://127.0.0.1:8788`.
    pub fn new(base: impl Into<String>, token: Option<Secret>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        Self { base: base.into(), token, agent, timeout: REQUEST_TIMEOUT }
    }

    /// The same, for a question whose answer is not worth waiting for.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Where the service is looked for.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = self.authorised(request).config().timeout_global(Some(self.timeout)).build();
        self.answer(request.call())
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Result<Value, ApiError> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        let request = self.authorised(request).config().timeout_global(Some(self.timeout)).build();
        self.answer(request.call())
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(self.agent.post(format!("{}{path}", self.base)), body)
    }

    /// `PATCH path` with a JSON body.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.send(self.agent.patch(format!("{}{path}", self.base)), body)
    }

    /// The events of a session (or of `all`) after the event of number `after`, until the stream ends.
    pub fn events(
        &self,
        session_id: &str,
        after: Option<u64>,
    ) -> Result<impl Iterator<Item = Streamed> + use<>, ApiError> {
        let mut request =
            self.agent.get(format!("{}/v1/events/stream", self.base)).query("session_id", session_id);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let request = self
            .authorised(request)
            .config()
            .timeout_connect(Some(self.timeout))
            .timeout_recv_body(None)
            .timeout_recv_response(Some(STREAM_SILENCE_MAX))
            .build();
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.answer(Ok(response)).err().unwrap_or(ApiError::Answer("no stream".into())));
        }
        let mut lines = BufReader::new(response.into_body().into_reader());
        let mut id = None;
        Ok(std::iter::from_fn(move || {
            loop {
                let mut line = Vec::new();
                let read =
                    std::io::Read::take(&mut lines, LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
                if read == 0 {
                    return None;
                }
                if let Some(comment) = line.strip_prefix(b":") {
                    // A service of before `live` says `alive` alone.
                    let is_live = [LIVE, ALIVE].iter().any(|live| comment.trim_ascii() == live.as_bytes());
                    return Some(if is_live { Streamed::Live } else { Streamed::Alive });
                }
                if let Some(number) = line.strip_prefix(b"id:") {
                    id = std::str::from_utf8(number).ok().and_then(|number| number.trim().parse().ok());
                }
                let data = line.strip_prefix(b"data:").and_then(|data| serde_json::from_slice(data).ok());
                if let Some(event) = data {
                    return Some(Streamed::Event { id, event });
                }
            }
        }))
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let request = self.authorised(request).header("Content-Type", "application/json");
        self.answer(request.config().timeout_global(Some(self.timeout)).build().send(body.to_string()))
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {}", token.expose())),
            None => request,
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> ApiError {
        ApiError::Unreachable { base: self.base.clone(), why: error.to_string() }
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, ApiError> {
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let retry_after = response.headers().get("Retry-After").and_then(|field| field.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse::<u32>().ok());
        let text = response
            .body_mut()
            .with_config()
            .limit(BODY_BYTES_MAX)
            .read_to_string()
            .map_err(|error| ApiError::Answer(error.to_string()))?;
        let body = serde_json::from_str::<Value>(&text);
        if status.is_success() {
            return body.map_err(|error| ApiError::Answer(error.to_string()));
        }
        let body = body.unwrap_or_default();
        let Some(message) = body.get("error").and_then(Value::as_str) else {
            return Err(ApiError::Answer(format!(
                "{status} without a reason; is it callscoot at {}?",
                self.base
            )));
        };
        let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        Err(ApiError::Refused {
            status: status.as_u16(),
            message: message.to_owned(),
            reason: body.get("reason").and_then(Value::as_str).and_then(Conflict::read),
            retry_after,
        })
    }
}
