//! One request, as it is stored and as clients see it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::conversation::Overrides;
use crate::call::session::SessionId;

/// One request, as it was accepted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PendingRequest {
    /// A UUID.
    pub request_id: String,
    /// Normalised number, or a `sip:` URI, or none: any call.
    pub target_number: Option<String>,
    /// For the agent.
    pub dynamic_variables: Map<String, Value>,
    /// For the client: kept, never read.
    pub metadata: Map<String, Value>,
    /// Unix milliseconds.
    pub created_unix_ms: i64,
    /// Unix milliseconds: from then on it is as if it had never been.
    pub expires_unix_ms: i64,
    /// A session has claimed it.
    pub consumed: bool,
    /// When, in Unix milliseconds.
    pub claimed_unix_ms: Option<i64>,
    /// By which session.
    pub claimed_session_id: Option<String>,
    /// Another agent than the configured one.
    pub agent_id: Option<String>,
    /// Overrides of the agent's settings.
    pub overrides: Overrides,
}

impl PendingRequest {
    /// This request as a session claims it.
    pub fn claimed_by(&self, session: &SessionId, now_unix_ms: i64) -> Self {
        Self {
            consumed: true,
            claimed_unix_ms: Some(now_unix_ms),
            claimed_session_id: Some(session.as_str().to_owned()),
            ..self.clone()
        }
    }

    /// This request as it was before any session claimed it.
    pub(super) fn unclaimed(self) -> Self {
        Self { consumed: false, claimed_unix_ms: None, claimed_session_id: None, ..self }
    }

    /// The object that clients see.
    pub fn to_json(&self) -> Value {
        let seconds = |unix_ms: i64| unix_ms as f64 / 1000.0;
        let mut object = json!({
            "request_id": self.request_id,
            "target_number": self.target_number,
            "dynamic_variables": self.dynamic_variables,
            "metadata": self.metadata,
            "created_at": seconds(self.created_unix_ms),
            "expires_at": seconds(self.expires_unix_ms),
            "consumed": self.consumed,
            "agent_id": self.agent_id,
            "overrides": self.overrides,
        });
        if let (Some(object), Some(at)) = (object.as_object_mut(), self.claimed_unix_ms) {
            object.insert("claimed_at".into(), json!(seconds(at)));
            object.insert("claimed_session_id".into(), json!(self.claimed_session_id));
        }
        object
    }
}
