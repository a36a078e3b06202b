//! The running service's own API, asked by the command line and the demonstration. Blocks.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::base::Secret;

/// From the name to the last byte of the answer; streams have none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// A stream says something every five seconds; after this without a word it is dead.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(30);
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
    },
    /// An answer that is no JSON.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct ApiClient {
    base: String,
    token: Option<Secret>,
    agent: ureq::Agent,
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
        Self { base: base.into(), token, agent }
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = self.authorised(request).config().timeout_global(Some(REQUEST_TIMEOUT)).build();
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

    /// The events of a session, from its first, until the stream ends.
    pub fn events(&self, session_id: &str) -> Result<impl Iterator<Item = Value> + use<>, ApiError> {
        let request =
            self.agent.get(format!("{}/v1/events/stream", self.base)).query("session_id", session_id);
        let request = self
            .authorised(request)
            .config()
            .timeout_recv_body(None)
            .timeout_recv_response(Some(STREAM_SILENCE_MAX))
            .build();
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.answer(Ok(response)).err().unwrap_or(ApiError::Answer("no stream".into())));
        }
        let mut lines = BufReader::new(response.into_body().into_reader());
        Ok(std::iter::from_fn(move || {
            loop {
                let mut line = Vec::new();
                let read =
                    std::io::Read::take(&mut lines, LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
                if read == 0 {
                    return None;
                }
                let data = line.strip_prefix(b"data:").and_then(|data| serde_json::from_slice(data).ok());
                if data.is_some() {
                    return data;
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
        self.answer(request.config().timeout_global(Some(REQUEST_TIMEOUT)).build().send(body.to_string()))
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
        let text = response
            .body_mut()
            .with_config()
            .limit(BODY_BYTES_MAX)
            .read_to_string()
            .map_err(|error| ApiError::Answer(error.to_string()))?;
        let body: Value = serde_json::from_str(&text).map_err(|error| ApiError::Answer(error.to_string()))?;
        if status.is_success() {
            return Ok(body);
        }
        let message =
            body.get("error").and_then(Value::as_str).unwrap_or("refused without a reason").to_owned();
        Err(ApiError::Refused { status: status.as_u16(), message })
    }
}
