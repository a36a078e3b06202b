//! Everything the contract says about a session, as one object.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::SessionId;
use crate::base::time::rfc3339_seconds;
use crate::call::pending::PendingRequest;

/// Which side began the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Someone called us.
    Inbound,
    /// We called.
    Outbound,
}

impl Direction {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// The fine state of a call, in PipeWire's and oFono's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Outbound, nothing heard yet.
    Dialing,
    /// Outbound, it rings there.
    Alerting,
    /// Inbound, it rings here.
    Incoming,
    /// Inbound while another call is up on the same phone.
    Waiting,
    /// Both sides hear each other.
    Active,
    /// On hold.
    Held,
    /// Over.
    Disconnected,
}

impl Phase {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dialing => "dialing",
            Self::Alerting => "alerting",
            Self::Incoming => "incoming",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Held => "held",
            Self::Disconnected => "disconnected",
        }
    }

    /// The coarse `state` of the contract: `calling`, `ringing`, `offhook` or `idle`.
    pub fn state(self) -> &'static str {
        match self {
            Self::Dialing => "calling",
            Self::Alerting | Self::Incoming | Self::Waiting => "ringing",
            Self::Active | Self::Held => "offhook",
            Self::Disconnected => "idle",
        }
    }
}

/// Why a session ended: the contract's closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The other party hung up.
    RemoteHangup,
    /// A client of the API hung up.
    LocalHangup,
    /// The agent ended the conversation.
    AgentHangup,
    /// Given up before the answer.
    Cancelled,
    /// Nobody answered in time.
    NoAnswer,
    /// The callee, or our own line, is busy.
    Busy,
    /// Refused by the callee or its network, or by us.
    Rejected,
    /// Refused by the configured policy.
    PolicyDenied,
    /// `max_call_duration_sec` was reached.
    MaxDuration,
    /// Nobody spoke.
    Silence,
    /// No audio packets came any more.
    MediaTimeout,
    /// The agent service failed.
    AgentError,
    /// The network or the server failed.
    NetworkError,
    /// The phone went away.
    PhoneLost,
    /// A machine answered.
    Voicemail,
    /// Handed to someone else.
    Transferred,
    /// Anything else.
    Failed,
    /// The service was stopped.
    Shutdown,
    /// The service died; found open at the next start.
    RecoveredAfterCrash,
}

impl EndReason {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RemoteHangup => "remote_hangup",
            Self::LocalHangup => "local_hangup",
            Self::AgentHangup => "agent_hangup",
            Self::Cancelled => "cancelled",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::PolicyDenied => "policy_denied",
            Self::MaxDuration => "max_duration",
            Self::Silence => "silence",
            Self::MediaTimeout => "media_timeout",
            Self::AgentError => "agent_error",
            Self::NetworkError => "network_error",
            Self::PhoneLost => "phone_lost",
            Self::Voicemail => "voicemail",
            Self::Transferred => "transferred",
            Self::Failed => "failed",
            Self::Shutdown => "shutdown",
            Self::RecoveredAfterCrash => "recovered_after_crash",
        }
    }
}

/// The members of `SessionMeta::to_json` that every session has.
const MEMBERS: [&str; 23] = [
    "id",
    "started_at",
    "started_at_ms",
    "ended_at",
    "ended_at_ms",
    "state",
    "phase",
    "incoming_number",
    "direction",
    "telephony_backend",
    "offhook_started_at",
    "offhook_started_at_ms",
    "adb_serial",
    "target_mac",
    "target_name",
    "policy",
    "policy_action",
    "policy_reason",
    "client_request",
    "summary",
    "agent_id",
    "end_reason",
    "end_detail",
];

/// Everything the contract says about a session. Times are Unix milliseconds inside, whole seconds outside.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionMeta {
    /// The session's name.
    pub id: SessionId,
    /// When it began.
    pub started_unix_ms: i64,
    /// When it ended; `None` while it lives.
    pub ended_unix_ms: Option<i64>,
    /// When it was answered.
    pub offhook_unix_ms: Option<i64>,
    /// Fine state.
    pub phase: Phase,
    /// Which side began.
    pub direction: Direction,
    /// The other party's number in both directions (or the `sip:` URI as sent), if known.
    pub incoming_number: Option<String>,
    /// `sip`, `hfp` or `adb`.
    pub telephony_backend: &'static str,
    /// The phone's serial number at the Android Debug Bridge, where it is reached there.
    pub adb_serial: Option<String>,
    /// The phone's address.
    pub target_mac: Option<String>,
    /// Its name.
    pub target_name: Option<String>,
    /// A snapshot of the policy settings.
    pub policy: Value,
    /// `answer`, `ignore` or `reject`, once decided.
    pub policy_action: Option<String>,
    /// Why.
    pub policy_reason: Option<String>,
    /// The request that this session claimed.
    pub client_request: Option<PendingRequest>,
    /// Written at the end.
    pub summary: Option<String>,
    /// The agent that talks, or would have.
    pub agent_id: Option<String>,
    /// `None` while it lives.
    pub end_reason: Option<EndReason>,
    /// SIP code and text, or a sentence.
    pub end_detail: Option<String>,
    /// Members that only this version knows (measurements, conversation id); merged at the top level.
    pub extra: Map<String, Value>,
}

impl SessionMeta {
    /// A session as it begins; what else is known of it is filled in.
    pub fn new(id: SessionId, direction: Direction, started_unix_ms: i64) -> Self {
        Self {
            id,
            started_unix_ms,
            ended_unix_ms: None,
            offhook_unix_ms: None,
            phase: match direction {
                Direction::Inbound => Phase::Incoming,
                Direction::Outbound => Phase::Dialing,
            },
            direction,
            incoming_number: None,
            telephony_backend: "sip",
            adb_serial: None,
            target_mac: None,
            target_name: None,
            policy: json!({}),
            policy_action: None,
            policy_reason: None,
            client_request: None,
            summary: None,
            agent_id: None,
            end_reason: None,
            end_detail: None,
            extra: Map::new(),
        }
    }

    /// The names of the members that every session has; what else a stored object holds belongs to `extra`.
    pub fn members() -> &'static [&'static str] {
        &MEMBERS
    }

    /// The object that clients see, and that is stored.
    pub fn to_json(&self) -> Value {
        let seconds = |at: Option<i64>| at.map_or(Value::Null, |at| rfc3339_seconds(at).into());
        let mut object = json!({
            "id": self.id,
            "started_at": rfc3339_seconds(self.started_unix_ms),
            "started_at_ms": self.started_unix_ms,
            "ended_at": seconds(self.ended_unix_ms),
            "ended_at_ms": self.ended_unix_ms,
            "state": self.phase.state(),
            "phase": self.phase,
            "incoming_number": self.incoming_number,
            "direction": self.direction,
            "telephony_backend": self.telephony_backend,
            "offhook_started_at": seconds(self.offhook_unix_ms),
            "offhook_started_at_ms": self.offhook_unix_ms,
            "adb_serial": self.adb_serial,
            "target_mac": self.target_mac,
            "target_name": self.target_name,
            "policy": self.policy,
            "policy_action": self.policy_action,
            "policy_reason": self.policy_reason,
            "client_request": self.client_request.as_ref().map(PendingRequest::to_json),
            "summary": self.summary,
            "agent_id": self.agent_id,
            "end_reason": self.end_reason,
            "end_detail": self.end_detail,
        });
        if let Some(object) = object.as_object_mut() {
            object.extend(self.extra.clone());
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::session::SessionId;

    fn meta() -> SessionMeta {
        SessionMeta {
            phase: Phase::Alerting,
            incoming_number: Some("+4930".into()),
            end_reason: Some(EndReason::RecoveredAfterCrash),
            ..SessionMeta::new(
                SessionId::new("20261122-085107-+4930"),
                Direction::Outbound,
                1_795_337_467_250,
            )
        }
    }

    #[test]
    fn a_word_is_the_same_wherever_it_is_said() {
        for reason in [
            EndReason::RemoteHangup,
            EndReason::LocalHangup,
            EndReason::AgentHangup,
            EndReason::Cancelled,
            EndReason::NoAnswer,
            EndReason::Busy,
            EndReason::Rejected,
            EndReason::PolicyDenied,
            EndReason::MaxDuration,
            EndReason::Silence,
            EndReason::MediaTimeout,
            EndReason::AgentError,
            EndReason::NetworkError,
            EndReason::PhoneLost,
            EndReason::Voicemail,
            EndReason::Transferred,
            EndReason::Failed,
            EndReason::Shutdown,
            EndReason::RecoveredAfterCrash,
        ] {
            assert_eq!(json!(reason), reason.as_str());
        }
        for direction in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(json!(direction), direction.as_str());
        }
    }

    #[test]
    fn the_object_has_exactly_the_listed_members_beside_the_extra_ones() {
        let extra = json!({"conversation_id": "conv_1"}).as_object().unwrap().clone();
        let object = SessionMeta { extra, ..meta() }.to_json();
        let mut members: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        members.retain(|member| *member != "conversation_id");
        let mut listed = SessionMeta::members().to_vec();
        listed.sort_unstable();
        assert_eq!(members, listed);
    }

    /// The words of an enum, as serde tells them to whoever sends another.
    fn words<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let told = serde_json::from_value::<T>(json!("no such word")).unwrap_err().to_string();
        let (_, told) = told.split_once("expected ").unwrap();
        told.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn members_and_words_are_those_of_the_description() {
        use crate::call::api::document::{lists, schema};
        lists("EndReason", words::<EndReason>());
        lists("Direction", words::<Direction>());
        lists("Phase", words::<Phase>());
        let phases = words::<Phase>().into_iter().map(|phase| serde_json::from_value(phase.into()).unwrap());
        let states: std::collections::BTreeSet<&str> = phases.map(Phase::state).collect();
        lists("State", states);
        let mut listed = SessionMeta::members().to_vec();
        listed.sort_unstable();
        let mut required: Vec<String> = serde_json::from_value(schema("Session")["required"].take()).unwrap();
        required.sort_unstable();
        assert_eq!(required, listed);
    }

    #[test]
    fn states_reasons_and_times_are_the_words_of_the_contract() {
        let object = meta().to_json();
        assert_eq!((&object["state"], &object["phase"]), (&json!("ringing"), &json!("alerting")));
        assert_eq!(
            (&object["direction"], &object["end_reason"]),
            (&json!("outbound"), &json!("recovered_after_crash"))
        );
        assert_eq!(
            (&object["started_at"], &object["ended_at"]),
            (&json!("2026-11-22T08:51:07Z"), &json!(null))
        );
    }
}
