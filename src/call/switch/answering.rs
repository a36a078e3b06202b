//! Answering, and what follows from a line that is up: phases, duration, packets that stop coming.

use std::time::Duration;

use serde_json::json;

use super::core::Switch;
use super::io::{Output, Why};
use super::live::{LiveCall, On, Part, Stage};
use crate::base::time::rfc3339_seconds;
use crate::base::{CallId, Now};
use crate::call::conversation::AgentCommand;
use crate::call::events::call_event;
use crate::call::journal::Record;
use crate::call::phones::Place;
use crate::call::session::{EndReason, Phase};

/// How often a call is asked whether packets still come.
const MEDIA_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Without any packet for so long (and not on hold) the call is over.
const MEDIA_SILENT_MS_MAX: u64 = 30_000;

impl Switch {
    /// An incoming call will be answered: it claims its request, and the agent gets ready while it still rings.
    pub(super) fn prepare(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.media != Part::None {
            return;
        }
        if live.meta.client_request.is_none() {
            let claimed = self.pending.claim_for_inbound(
                live.meta.incoming_number.as_deref(),
                self.config.country_code.as_deref(),
                now.unix_ms,
                &live.meta.id,
            );
            if let Some(claimed) = claimed {
                self.records.push(Record::Pending(Box::new(claimed.clone())));
                live.meta.client_request = Some(claimed);
            }
        }
        let (request, number) = (live.meta.client_request.clone(), live.meta.incoming_number.clone());
        if let Err(sentence) = self.agent_for(request.as_ref(), number.as_deref()) {
            self.agent_fault = Some((sentence.clone(), now.mono));
            self.end(now, call, EndReason::AgentError, Some(sentence));
            return;
        }
        let agent_id = self.agent_id_for(request.as_ref(), number.as_deref());
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.meta.agent_id = agent_id;
        live.media = Part::Wanted;
        let carrier = live.on.carrier();
        self.outputs.push_back(Output::MediaOpen { call, carrier });
        self.changed(call);
    }

    /// Takes the incoming call, as soon as its media is open.
    pub(super) fn answer(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.stage != Stage::Ringing {
            return;
        }
        live.answer_wanted = true;
        live.deadlines.remove(&Why::AutoAnswer);
        match live.media {
            Part::Open(path) => {
                live.stage = Stage::Answering;
                self.take_call(call, path);
            }
            Part::None | Part::Wanted | Part::Leaving | Part::Gone => self.prepare(now, call),
        }
    }

    /// The other end of a call that we make is heard of: `alerting` when it rings there.
    pub(super) fn progress(&mut self, now: Now, call: CallId, alerting: bool) {
        if alerting && self.calls.get(&call).is_some_and(|live| live.stage == Stage::Dialing) {
            self.phase(now, call, Phase::Alerting);
        }
    }

    /// Both sides hear each other from now on; the phase is told by who knows it.
    pub(super) fn answered(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.stage = Stage::Active;
        live.answered_at = Some(now.mono);
        let rang = now.mono.saturating_duration_since(live.opened_at);
        self.metrics.call_ring.observe([live.meta.direction.as_str()], rang);
        live.meta.offhook_unix_ms = Some(now.unix_ms);
        live.deadlines.remove(&Why::RingTimeout);
        live.deadlines.insert(Why::MediaLook, now.mono + MEDIA_LOOK_EVERY);
        if self.config.max_call_duration_sec > 0 {
            let longest = Duration::from_secs(u64::from(self.config.max_call_duration_sec));
            live.deadlines.insert(Why::MaxDuration, now.mono + longest);
        }
        self.outputs.push_back(Output::Agent { call, command: AgentCommand::Activate });
    }

    /// The call's phase changed: told, and stored with the session.
    pub(super) fn phase(&mut self, now: Now, call: CallId, phase: Phase) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        let before = live.meta.phase;
        if before == phase {
            return;
        }
        live.meta.phase = phase;
        // The last one is told with its reason.
        if phase != Phase::Disconnected {
            self.log(call, phase.as_str());
        }
        let Some(live) = self.calls.get(&call) else { return };
        let object = live.meta.to_json();
        let members = json!({
            "previous_state": before.state(), "state": phase.state(), "phase": phase, "call": object,
        });
        self.note(now, call, call_event::CALL_STATE_CHANGED, members);
        self.changed(call);
    }

    pub(super) fn ring_timeout(&mut self, now: Now, call: CallId) {
        let sentence = format!("not answered within {} s", self.config.ring_timeout_sec);
        self.end(now, call, EndReason::NoAnswer, Some(sentence));
    }

    pub(super) fn max_duration(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get(&call) else { return };
        let limit_sec = self.config.max_call_duration_sec;
        let since = live.meta.offhook_unix_ms.map(rfc3339_seconds);
        let members = json!({ "limit_sec": limit_sec, "offhook_started_at": since });
        self.note(now, call, call_event::MAX_CALL_DURATION_REACHED, members);
        self.end(now, call, EndReason::MaxDuration, Some(format!("{limit_sec} s are over")));
    }

    pub(super) fn media_look(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call).filter(|live| live.stage == Stage::Active) else { return };
        live.deadlines.insert(Why::MediaLook, now.mono + MEDIA_LOOK_EVERY);
        let carrier = live.on.carrier();
        self.outputs.push_back(Output::MediaLook { call, carrier });
    }

    pub(super) fn media_seen(&mut self, now: Now, call: CallId, silent_ms: u64) {
        let Some(live) = self.calls.get(&call) else { return };
        let silent_ms = silent_ms.min(expected_ms(live, now));
        if live.stage == Stage::Active && silent_ms > MEDIA_SILENT_MS_MAX {
            let sentence = format!("no audio packet for {} s", silent_ms / 1000);
            self.end(now, call, EndReason::MediaTimeout, Some(sentence));
        }
    }
}

/// For how long packets could have come, in milliseconds: none are expected on hold, or while the owner speaks.
fn expected_ms(live: &LiveCall, now: Now) -> u64 {
    match &live.on {
        On::Sip(sip) => match sip.line {
            Some(line) if line.receive => u64::MAX,
            Some(_) | None => 0,
        },
        On::Phone(phone) if phone.held || phone.audio_at == Place::Handset => 0,
        On::Phone(phone) => {
            phone.here_since.map_or(0, |since| now.mono.saturating_duration_since(since).as_millis() as u64)
        }
    }
}
