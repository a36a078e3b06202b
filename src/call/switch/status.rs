//! `GET /v1/status`: what works, what is missing, and the state of everything.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::core::Switch;
use crate::base::Now;
use crate::call::journal::Record;
use crate::call::leg::SipStatus;
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

    /// The SIP line reports how it is. In the log a refusal is its code: a server's own words may name a number.
    pub(super) fn sip_status(&mut self, status: SipStatus) {
        if status.registered && !self.sip.registered {
            log::info!("SIP: registered");
        }
        if let Some(error) = status.last_error.as_ref().filter(|_| status.last_error != self.sip.last_error) {
            match status.registration_status_code {
                Some(code) => log::warn!("SIP: not registered, the server answered {code}"),
                None => log::warn!("SIP: {error}"),
            }
        }
        self.metrics.sip_registered.set(status.registered.into());
        self.sip = status;
    }

    /// The truth of `services` for machines that only want to know whether to send calls here. Who asks needs no
    /// token, so no server's own words are in it: they may name a number.
    pub(super) fn readiness(&mut self, now: Now) -> Readiness {
        if std::mem::take(&mut self.store_refused) {
            // What was refused is tried by nobody. This is, until it succeeds: so the store learns that it works.
            self.records.push(Record::SeqReserved(self.reserved_seq));
        }
        let telephony = (!self.line_is_healthy()).then(|| match self.config.line_fault() {
            Some(fault) => fault.into(),
            None if !self.sip.started => "SIP is not ready: see sip_state in /v1/status".to_owned(),
            None => match self.sip.registration_status_code {
                Some(code) => {
                    format!("the SIP server answered {code} to the registration: see sip_state in /v1/status")
                }
                None => "the SIP server has not answered the registration: check sip_server and the network"
                    .to_owned(),
            },
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
        self.config.line_fault().is_none()
            && self.sip.started
            && (self.config.sip_username.is_none() || self.sip.registered)
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

    /// `sip_state` of the contract: empty while SIP is not in play.
    fn sip_object(&self) -> Value {
        let in_play = self.config.sip_server.is_some() || self.config.telephony_backend.as_str() == "sip";
        if !in_play {
            return json!({});
        }
        let live = self.current.and_then(|call| self.calls.get(&call));
        json!({
            "configured": self.config.sip_account().is_some(),
            "available": self.line_is_healthy(),
            "started": self.sip.started,
            "registered": self.sip.registered,
            "registration_status_code": self.sip.registration_status_code,
            "registration_status_text": self.sip.registration_status_text,
            "state": live.map(|live| live.sip_state),
            "direction": live.map(|live| live.meta.direction),
            "remote_uri": live.and_then(|live| live.remote.uri.as_ref()).map(|uri| uri.0.clone()),
            "remote_number": live.and_then(|live| live.meta.incoming_number.clone()),
            "session_id": live.map(|live| live.meta.id.clone()),
            "server": self.config.sip_server,
            "transport": self.config.sip_transport.as_str(),
            "port": self.config.sip_port,
            "local": self.sip.local.map(|local| local.to_string()),
            "audio_mode": self.config.sip_audio_mode.as_str(),
            "capture_device": self.config.sip_capture_device,
            "playback_device": self.config.sip_playback_device,
            "routed_sink_input_id": null,
            "routed_source_output_id": null,
            "last_status_code": live.and_then(|live| live.sip_code),
            "last_error": self.sip.last_error,
        })
    }
}
