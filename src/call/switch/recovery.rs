//! Sessions that the last run left open: closed at the start, with what is known of them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::core::Switch;
use crate::base::Now;
use crate::call::events::{EventWriter, Source};
use crate::call::journal::{OpenSession, Record};
use crate::call::pending::PendingRequest;
use crate::call::session::{Direction, EndReason, Phase, SessionMeta};
use crate::call::transcript::Transcript;

const DETAIL: &str = "the service ended while the call was open";

impl Switch {
    /// Closes one session as `recovered_after_crash`: summary from the stored transcript, then `call_ended`.
    pub(super) fn close_recovered(&mut self, now: Now, open: OpenSession) {
        let mut meta = stored_meta(&open);
        // Claimed for an answer that never came: it waits for the next call, as after any call that was not answered.
        let in_vain = meta.direction == Direction::Inbound && meta.offhook_unix_ms.is_none();
        if let Some(claimed) = meta.client_request.take_if(|_| in_vain) {
            let request = self.pending.give_back(claimed);
            self.records.push(Record::Pending(Box::new(request)));
        }
        let transcript = Transcript::from_stored(&open.transcript);
        // How long it lasted is not known: the last stored words are all there is.
        let duration = meta.offhook_unix_ms.map(|from| {
            let to = transcript.last_unix_ms().unwrap_or(from);
            Duration::from_millis(to.saturating_sub(from).max(0) as u64)
        });
        let reason = EndReason::RecoveredAfterCrash;
        let summary = transcript.summary(meta.direction, duration, reason);
        let before = meta.phase.state();
        meta.phase = Phase::Disconnected;
        meta.ended_unix_ms = Some(now.unix_ms);
        meta.end_reason = Some(reason);
        meta.end_detail = Some(DETAIL.into());
        meta.summary = Some(summary.clone());
        let mut events = EventWriter::new(meta.id.clone(), meta.incoming_number.clone());
        let object = meta.to_json();
        let told = [
            ("call_state_changed", json!({ "previous_state": before, "state": "idle", "call": object })),
            ("assistant_summary", json!({ "summary": summary })),
            ("session_finished", json!({ "meta": object })),
        ];
        self.records.push(Record::SessionChanged(Box::new(meta)));
        for (name, members) in told {
            let seq = self.seq();
            let members = members.as_object().cloned().unwrap_or_default();
            self.records.push(Record::Event(events.call_event(seq, now, name, members).into()));
        }
        let seq = self.seq();
        let ended = json!({ "end_reason": reason, "end_detail": DETAIL });
        let event = events.agent_event(seq, now, &mut self.rng, "call_ended", Source::System, ended);
        self.records.push(Record::Event(event.into()));
    }
}

/// The meta as it was stored; what cannot be read is what a session is born with.
fn stored_meta(open: &OpenSession) -> SessionMeta {
    let mut extra = open.meta.clone();
    let known = SessionMeta::members();
    extra.retain(|name, _| !known.contains(&name.as_str()));
    let text = |name: &str| open.meta.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| open.meta.get(name).and_then(Value::as_i64);
    let read = |name: &str| open.meta.get(name).cloned().unwrap_or(Value::Null);
    SessionMeta {
        id: open.id.clone(),
        started_unix_ms: time("started_at_ms").unwrap_or(0),
        ended_unix_ms: None,
        offhook_unix_ms: time("offhook_started_at_ms"),
        phase: serde_json::from_value(read("phase")).unwrap_or(Phase::Disconnected),
        direction: serde_json::from_value(read("direction")).unwrap_or(Direction::Inbound),
        incoming_number: text("incoming_number"),
        telephony_backend: match text("telephony_backend").as_deref() {
            Some("hfp") => "hfp",
            Some("adb") => "adb",
            _ => "sip",
        },
        adb_serial: text("adb_serial"),
        target_mac: text("target_mac"),
        target_name: text("target_name"),
        policy: read("policy"),
        policy_action: text("policy_action"),
        policy_reason: text("policy_reason"),
        client_request: open.meta.get("client_request").and_then(Value::as_object).and_then(stored_request),
        summary: None,
        agent_id: text("agent_id"),
        end_reason: None,
        end_detail: None,
        extra,
    }
}

/// A request as `PendingRequest::to_json` wrote it.
fn stored_request(object: &Map<String, Value>) -> Option<PendingRequest> {
    let millis = |name: &str| {
        object.get(name).and_then(Value::as_f64).map(|seconds| (seconds * 1000.0).round() as i64)
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let map = |name: &str| object.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    Some(PendingRequest {
        request_id: text("request_id")?,
        target_number: text("target_number"),
        dynamic_variables: map("dynamic_variables"),
        metadata: map("metadata"),
        created_unix_ms: millis("created_at")?,
        expires_unix_ms: millis("expires_at")?,
        consumed: object.get("consumed").and_then(Value::as_bool).unwrap_or(true),
        claimed_unix_ms: millis("claimed_at"),
        claimed_session_id: text("claimed_session_id"),
        agent_id: text("agent_id"),
        overrides: object
            .get("overrides")
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default(),
    })
}
