//! What the conversation of a call reports: told as events, kept as transcript.

use serde_json::{Value, json};

use super::core::Switch;
use super::live::{Part, Stage};
use crate::base::{CallId, Now};
use crate::call::conversation::{AgentEnd, AgentEvent};
use crate::call::events::{Source, agent_event, call_event};
use crate::call::journal::Record;
use crate::call::session::EndReason;

impl Switch {
    pub(super) fn agent_event(&mut self, now: Now, call: CallId, event: AgentEvent) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.stage == Stage::Closing {
            return;
        }
        match event {
            AgentEvent::Connected => {
                self.note(now, call, call_event::ELEVENAGENTS_CONNECTED, json!({}));
                self.tell(now, call, agent_event::WS_CONNECTED, Source::System, json!({}));
            }
            AgentEvent::Reconnecting { count } => {
                self.metrics.agent_reconnects.inc();
                self.note(now, call, call_event::ELEVENAGENTS_RECONNECT, json!({ "count": count }));
                self.tell(now, call, agent_event::WS_RECONNECT, Source::System, json!({ "count": count }));
            }
            AgentEvent::Started { conversation_id } => {
                self.metrics.agent_sessions.inc();
                live.conversation_id = Some(conversation_id.clone());
                live.meta.extra.insert("conversation_id".into(), json!(conversation_id));
                self.agent_fault = None;
                let payload = json!({ "conversation_id": conversation_id });
                self.note(now, call, call_event::ELEVENAGENTS_SESSION_STARTED, payload.clone());
                self.tell(now, call, agent_event::CONVERSATION_STARTED, Source::System, payload);
                self.changed(call);
            }
            AgentEvent::UserTranscript { text } => {
                let entry = live.transcript.caller(now, &text);
                self.keep(call, entry);
                self.tell(now, call, agent_event::TRANSCRIPT_FINAL, Source::User, json!({ "text": text }));
            }
            AgentEvent::ResponseStarted { reply: _ } => {
                self.tell(now, call, agent_event::AGENT_RESPONSE_STARTED, Source::Agent, json!({}));
            }
            AgentEvent::Response { reply, text } => {
                let entry = live.transcript.assistant(now, reply, &text);
                self.keep(call, entry);
                self.tell(
                    now,
                    call,
                    agent_event::AGENT_RESPONSE_FINISHED,
                    Source::Agent,
                    json!({ "text": text }),
                );
            }
            AgentEvent::Correction { reply, original, corrected, vendor } => {
                let entry = live.transcript.corrected(now, reply, &original, &corrected);
                self.keep(call, entry);
                self.tell(now, call, agent_event::AGENT_RESPONSE_CORRECTION, Source::Agent, vendor);
            }
            AgentEvent::Interrupted { reason } => {
                self.note(now, call, call_event::ELEVENAGENTS_INTERRUPTION, json!({ "reason": reason }));
                self.tell(now, call, agent_event::INTERRUPTION, Source::System, json!({ "reason": reason }));
            }
            AgentEvent::CutOff { reply, played_ms } => {
                let entry = live.transcript.cut_off(reply, played_ms);
                self.keep(call, entry);
            }
            AgentEvent::ToolCallStarted { tool_name, parameters } => {
                let payload = json!({ "tool_name": tool_name, "parameters": parameters });
                self.tell(now, call, agent_event::TOOL_CALL_STARTED, Source::System, payload);
            }
            AgentEvent::ToolCallFinished { tool_name, result } => {
                let payload = json!({ "tool_name": tool_name, "result": result });
                self.tell(now, call, agent_event::TOOL_CALL_FINISHED, Source::System, payload);
            }
            AgentEvent::Listening => live.events.listening(),
            AgentEvent::Fault { error } => {
                self.metrics.agent_errors.inc(["fault"]);
                self.agent_fault_told(now, call, &error);
            }
            AgentEvent::Unhandled { kind } => {
                self.tell(now, call, agent_event::UNHANDLED_EVENT, Source::System, json!({ "type": kind }));
            }
            AgentEvent::Ended(end) => {
                live.agent = Part::Gone;
                self.agent_ended(now, call, end);
            }
        }
    }

    fn agent_ended(&mut self, now: Now, call: CallId, end: AgentEnd) {
        match end {
            AgentEnd::Closed => self.close_if_done(now, call),
            AgentEnd::Finished => self.agent_ends(now, call, EndReason::AgentHangup, None),
            AgentEnd::Failed { error } => {
                self.metrics.agent_errors.inc(["failure"]);
                log::warn!(target: "callscoot::call", "{call}: {error}");
                self.agent_fault_told(now, call, &error);
                self.agent_fault = Some((error.clone(), now.mono));
                self.agent_ends(now, call, EndReason::AgentError, Some(error));
            }
        }
    }

    /// Without the conversation the call is over, unless the phone's owner speaks now.
    fn agent_ends(&mut self, now: Now, call: CallId, reason: EndReason, detail: Option<String>) {
        if !self.agent_left_the_owner(call, reason, detail.as_ref()) {
            self.end(now, call, reason, detail);
        }
    }

    fn agent_fault_told(&mut self, now: Now, call: CallId, error: &str) {
        self.note(now, call, call_event::ELEVENAGENTS_ERROR, json!({ "error": error }));
        self.tell(now, call, agent_event::CLIENT_ERROR, Source::System, json!({ "error": error }));
    }

    fn keep(&mut self, call: CallId, entry: Option<(u32, Value)>) {
        let (Some((index, entry)), Some(live)) = (entry, self.calls.get(&call)) else { return };
        let session = live.meta.id.clone();
        self.records.push(Record::Transcript { session, index, entry });
    }
}
