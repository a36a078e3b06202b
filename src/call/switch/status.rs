//! `GET /v1/status`: what works, what is missing, and the state of everything.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::core::Switch;
use super::phone_list;
use crate::base::Now;
use crate::call::config::Backend;
use crate::call::journal::Record;
use crate::call::pending::PendingRequest;
use crate::call::readiness::Readiness;

/// A conversation that failed says so long that the agent cannot be reached. Only another call shows whether it still
/// cannot, and who asks whether to send one must not be told no for ever.
const AGENT_FAULT_COUNTS: Duration = Duration::from_secs(300);

impl Switch {
    pub(super) fn status(&self, now: Now) -> Value {
        let missing = self.missing();
        let current = self.current.and_then(|call| self.calls.get(&call)).map(|live| live.meta.to_json());
        let pending: Vec<Value> = self.pending.live(now.unix_ms).map(PendingRequest::to_json).collect();
        json!({
            "services": {
                "callscoot-daemon": self.line_is_healthy(),
                "callscoot-agent": self.agent_is_healthy(now),
                "callscoot-api": true,
            },
            "missing": missing,
            "config": self.config.to_masked_json(),
            "telephony_backend": {
                "configured": self.config.telephony_backend.as_str(),
                "selected": self.config.selected_backend().as_str(),
            },
            "sip_state": self.sip_object(),
            "phones": phone_list::object(&self.phones, now),
            "current_call": current,
            "live_calls": self.calls.len(),
            "pending_call_requests": pending,
            "agent": {
                "configured": self.agent.agent_id.is_some(),
                "signed": self.agent.api_key.is_some(),
                "base_url": self.agent.base_url,
                "last_error": self.agent_fault.as_ref().map(|(sentence, _)| sentence),
            },
        })
    }

    /// The truth of `services` for machines that only want to know whether to send calls here. Who asks needs no
    /// token, so no server's own words are in it: they may name a number.
    pub(super) fn readiness(&mut self, now: Now) -> Readiness {
        if std::mem::take(&mut self.store_refused) {
            // What was refused is tried by nobody. This is, until it succeeds: so the store learns that it works.
            self.records.push(Record::SeqReserved(self.reserved_seq));
        }
        let telephony = (!self.line_is_healthy()).then(|| match self.config.selected_backend() {
            Backend::Sip => self.sip_unready(),
            Backend::Hfp | Backend::Adb => self.phones_unready(),
        });
        let agent = (!self.agent_is_healthy(now)).then(|| match self.agent.agent_id {
            None => "no agent is configured: set ELEVENLABS_AGENT_ID in elevenagents.env".to_owned(),
            Some(_) => "the last conversation failed: see agent in /v1/status".to_owned(),
        });
        let api = self.is_stopping().then(|| "the service is stopping".to_owned());
        Readiness { telephony, agent, api, storage: None }
    }

    fn agent_is_healthy(&self, now: Now) -> bool {
        let has_failed = |(_, at): &(String, Instant)| now.mono < *at + AGENT_FAULT_COUNTS;
        self.agent.agent_id.is_some() && !self.agent_fault.as_ref().is_some_and(has_failed)
    }

    fn line_is_healthy(&self) -> bool {
        match self.config.selected_backend() {
            Backend::Sip => self.sip_is_healthy(),
            Backend::Hfp | Backend::Adb => self.phones_are_healthy(),
        }
    }

    /// What a person still has to do before calls work, as sentences.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if let Err(sentence) = self.agent_for(None, None) {
            missing.push(sentence);
        }
        missing.extend(self.line_fault(true));
        missing
    }
}
