//! Calls over SIP: what only they have. Codes, `sip_call_state_changed`, re-INVITEs, registration, `sip_state`.

use serde_json::{Value, json};

use super::core::Switch;
use super::io::Output;
use super::live::{LiveCall, On, OnSip, Stage};
use crate::base::{CallId, Now};
use crate::call::events::call_event;
use crate::call::leg::{LegEnd, LegEvent, LineAudio, SipStatus};
use crate::call::session::Phase;

impl Switch {
    pub(super) fn leg_event(&mut self, now: Now, event: LegEvent) {
        match event {
            LegEvent::Incoming { call, remote } => {
                self.incoming(now, call, On::Sip(OnSip::new(None)), remote);
            }
            LegEvent::Progress { call, code } => self.sip_progress(now, call, code),
            LegEvent::Audio { call, line } => self.line_is_up(now, call, line),
            LegEvent::Ended { call, end, code, detail } => self.leg_ended(now, call, end, code, &detail),
            LegEvent::Status(status) => self.sip_status(status),
            LegEvent::Closed => self.sip_closed(),
        }
    }

    fn on_sip(&mut self, call: CallId) -> Option<&mut OnSip> {
        match &mut self.calls.get_mut(&call)?.on {
            On::Sip(sip) => Some(sip),
            On::Phone(_) => None,
        }
    }

    /// A provisional response came.
    fn sip_progress(&mut self, now: Now, call: CallId, code: u16) {
        let Some(sip) = self.on_sip(call) else { return };
        sip.code = Some(code);
        if self.calls.get(&call).is_some_and(|live| live.stage == Stage::Dialing) {
            self.progress(now, call, code >= 180);
            self.sip_state(now, call, if code >= 180 { "early" } else { "calling" });
        }
    }

    /// Both sides hear each other, or the audio changed (hold, another address).
    fn line_is_up(&mut self, now: Now, call: CallId, line: LineAudio) {
        let Some(live) = self.calls.get(&call).filter(|live| live.is_live()) else { return };
        let was_active = live.stage == Stage::Active;
        let Some(sip) = self.on_sip(call) else { return };
        sip.line = Some(line);
        self.outputs.push_back(Output::MediaStart { call, line });
        if was_active {
            self.phase(now, call, if line.send { Phase::Active } else { Phase::Held });
            return;
        }
        if let Some(sip) = self.on_sip(call) {
            sip.code = Some(200);
        }
        self.answered(now, call);
        self.sip_state(now, call, "confirmed");
        self.phase(now, call, Phase::Active);
    }

    fn leg_ended(&mut self, now: Now, call: CallId, end: LegEnd, code: Option<u16>, detail: &str) {
        let Some(sip) = self.on_sip(call) else { return };
        sip.code = code.or(sip.code);
        self.sip_state(now, call, "disconnected");
        let detail = code.map_or_else(|| detail.to_owned(), |code| format!("{code} {detail}"));
        self.carrier_ended(now, call, end.into(), detail);
    }

    /// The SIP side's own state changed: told with the last status code.
    pub(super) fn sip_state(&mut self, now: Now, call: CallId, state: &'static str) {
        let Some(sip) = self.on_sip(call) else { return };
        let (before, code) = (std::mem::replace(&mut sip.state, state), sip.code);
        let uri = self.calls.get(&call).and_then(|live| live.remote.uri.as_ref()).map(|uri| uri.0.clone());
        let members =
            json!({ "previous_state": before, "state": state, "status_code": code, "remote_uri": uri });
        self.note(now, call, call_event::SIP_CALL_STATE_CHANGED, members);
    }

    /// The SIP line reports how it is. In the log a refusal is its code: a server's own words may name a number.
    fn sip_status(&mut self, status: SipStatus) {
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

    pub(super) fn sip_is_healthy(&self) -> bool {
        self.config.sip_fault().is_none()
            && self.sip.started
            && (self.config.sip_username.is_none() || self.sip.registered)
    }

    /// What keeps SIP from making a call, in a sentence.
    /// A number goes through the server, a URI goes where it says.
    pub(super) fn sip_fault(&self, by_number: bool) -> Option<String> {
        if let Some(fault) = self.config.sip_fault() {
            return Some(fault.into());
        }
        if !self.sip.started {
            let why =
                self.sip.last_error.clone().unwrap_or_else(|| "the server's name is being resolved".into());
            return Some(format!("SIP is not ready: {why}"));
        }
        let needs_registration = by_number && self.config.sip_username.is_some();
        if needs_registration && !self.sip.registered {
            let why = match (
                &self.sip.registration_status_code,
                &self.sip.registration_status_text,
                &self.sip.last_error,
            ) {
                (Some(code), Some(text), _) => format!("{code} {text}"),
                (_, _, Some(error)) => error.clone(),
                _ => "no answer yet".into(),
            };
            return Some(format!("not registered at the SIP server: {why}"));
        }
        None
    }

    /// The same for those who need no token: no server's own words, which may name a number.
    pub(super) fn sip_unready(&self) -> String {
        match self.config.sip_fault() {
            Some(fault) => fault.into(),
            None if !self.sip.started => "SIP is not ready: see sip_state in /v1/status".to_owned(),
            None => match self.sip.registration_status_code {
                Some(code) => {
                    format!("the SIP server answered {code} to the registration: see sip_state in /v1/status")
                }
                None => "the SIP server has not answered the registration: check sip_server and the network"
                    .to_owned(),
            },
        }
    }

    /// `sip_state` of the contract: empty while SIP is not in play.
    pub(super) fn sip_object(&self) -> Value {
        let in_play = self.config.sip_server.is_some() || self.config.telephony_backend.as_str() == "sip";
        if !in_play {
            return json!({});
        }
        let live = self.current.and_then(|call| self.calls.get(&call)).and_then(|live| match &live.on {
            On::Sip(sip) => Some((live, sip)),
            On::Phone(_) => None,
        });
        let call = |of: fn(&LiveCall) -> Value| live.map(|(live, _)| of(live));
        json!({
            "configured": self.config.sip_account().is_some(),
            "available": self.sip_is_healthy(),
            "started": self.sip.started,
            "registered": self.sip.registered,
            "registration_status_code": self.sip.registration_status_code,
            "registration_status_text": self.sip.registration_status_text,
            "state": live.map(|(_, sip)| sip.state),
            "direction": call(|live| json!(live.meta.direction)),
            "remote_uri": call(|live| json!(live.remote.uri.as_ref().map(|uri| &uri.0))),
            "remote_number": call(|live| json!(live.meta.incoming_number)),
            "session_id": call(|live| json!(live.meta.id)),
            "server": self.config.sip_server,
            "transport": self.config.sip_transport.as_str(),
            "port": self.config.sip_port,
            "local": self.sip.local.map(|local| local.to_string()),
            "audio_mode": self.config.sip_audio_mode.as_str(),
            "capture_device": self.config.sip_capture_device,
            "playback_device": self.config.sip_playback_device,
            "routed_sink_input_id": null,
            "routed_source_output_id": null,
            "last_status_code": live.and_then(|(_, sip)| sip.code),
            "last_error": self.sip.last_error,
        })
    }
}
