//! Calls that come in: the session, the ringing, the policy.

use std::time::Duration;

use serde_json::json;

use super::core::Switch;
use super::io::{Carrier, Why};
use super::journaling::CommitFor;
use super::live::{LiveCall, On, Part, Stage};
use crate::base::{CallId, Now};
use crate::call::config::Backend;
use crate::call::events::{EventWriter, call_event};
use crate::call::journal::Record;
use crate::call::leg::RemoteParty;
use crate::call::policy::{self, Action};
use crate::call::session::{Direction, EndReason, SessionMeta};
use crate::call::transcript::Transcript;
use crate::call::variables;

impl Switch {
    /// Someone calls: a session in any case, a line only if one is free.
    pub(super) fn incoming(&mut self, now: Now, call: CallId, on: On, remote: RemoteParty) {
        if self.is_stopping() {
            self.refuse_unrecorded(call, &on);
            return;
        }
        let shown = remote.number.as_ref().map(|number| number.as_str().to_owned());
        let without_line = self.lines_are_taken();
        let mut live = self.new_live(now, call, Direction::Inbound, on, remote, shown);
        live.leg = Part::Open(());
        live.without_line = without_line;
        live.meta.agent_id = self.agent_id_for(None, live.meta.incoming_number.as_deref());
        let variables = variables::dynamic(live.meta.incoming_number.as_deref(), None);
        self.records.push(Record::SessionOpened(Box::new(live.meta.clone())));
        self.calls.insert(call, live);
        self.session_events(now, call, variables);
        self.commit(CommitFor::Open(call));
    }

    /// The session is stored: it rings.
    pub(super) fn ring(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.without_line {
            self.end(now, call, EndReason::Busy, Some("486 no line is free".into()));
            return;
        }
        let ring = Duration::from_secs(u64::from(self.config.ring_timeout_sec));
        live.deadlines.insert(Why::RingTimeout, now.mono + ring);
        self.tell_ringing(call);
        self.sip_state(now, call, "incoming");
        if self.config.auto_answer {
            self.apply_policy(now, call);
        }
    }

    pub(super) fn apply_policy(&mut self, now: Now, call: CallId) {
        let local = self.local_time(now);
        let Some(live) = self.calls.get_mut(&call) else { return };
        let decision = policy::decide(&self.config, live.number.as_ref(), local);
        live.meta.policy_action = Some(decision.action.as_str().into());
        live.meta.policy_reason = Some(decision.reason.into());
        let call_object = live.meta.to_json();
        self.note(
            now,
            call,
            call_event::CALL_POLICY,
            json!({ "decision": decision.to_json(), "call": call_object }),
        );
        match decision.action {
            Action::Answer => {
                let delay = Duration::from_secs(u64::from(self.config.auto_answer_delay_sec));
                let Some(live) = self.calls.get_mut(&call) else { return };
                live.deadlines.entry(Why::AutoAnswer).or_insert(now.mono + delay);
                // A phone may tell the number with its next ring: the agent shall know it from the beginning.
                let number_may_come = live.number.is_none() && live.on.carrier() == Carrier::Phone;
                if !number_may_come {
                    self.prepare(now, call);
                }
            }
            Action::Ignore => {
                if let Some(live) = self.calls.get_mut(&call) {
                    live.deadlines.remove(&Why::AutoAnswer);
                }
            }
            Action::Reject => {
                self.end(now, call, EndReason::PolicyDenied, Some(format!("603 {}", decision.reason)));
            }
        }
        self.changed(call);
    }

    /// Local wall-clock time, for opening hours and session ids.
    pub(super) fn local_time(&self, now: Now) -> jiff::civil::DateTime {
        jiff::Timestamp::from_millisecond(now.unix_ms)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(self.zone.clone())
            .datetime()
    }

    pub(super) fn new_live(
        &mut self,
        now: Now,
        call: CallId,
        direction: Direction,
        on: On,
        remote: RemoteParty,
        shown: Option<String>,
    ) -> LiveCall {
        let id = self.session_ids.mint(self.local_time(now), shown.as_deref());
        let (telephony_backend, phone) = match &on {
            On::Sip(_) => (Backend::Sip.as_str(), None),
            On::Phone(phone) => (self.phone_backend(), phone.name.as_ref()),
        };
        let meta = SessionMeta {
            incoming_number: shown.clone(),
            telephony_backend,
            adb_serial: phone.and_then(|phone| self.adb_serial_of(phone)),
            target_mac: phone.map(|phone| phone.address.to_string()),
            target_name: phone.map(|phone| phone.name.0.clone()),
            policy: self.config.policy_snapshot(),
            ..SessionMeta::new(id.clone(), direction, now.unix_ms)
        };
        LiveCall {
            call,
            stage: Stage::Opening,
            meta,
            events: EventWriter::new(id, shown),
            transcript: Transcript::default(),
            opened_at: now.mono,
            on,
            ask: None,
            asked: None,
            key: None,
            number: remote.number.clone(),
            remote,
            leg: Part::None,
            agent: Part::None,
            media: Part::None,
            echo: false,
            answer_wanted: false,
            early_messages: Vec::new(),
            early_count: 0,
            conversation_id: None,
            end: None,
            without_line: false,
            answered_at: None,
            deadlines: std::collections::BTreeMap::new(),
        }
    }
}
