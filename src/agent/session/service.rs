//! What the service says, message by message.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contract::{Event, Output};
use super::conversation::{METADATA_TIMEOUT, Session, State};
use super::ending::{self, End};
use crate::agent::format::AudioFormat;
use crate::agent::message::{ClientMessage, ServerMessage};

/// From each sign that the service's queue holds the conversation back to the metadata.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
/// From an error message to the close that should follow it.
const ERROR_TIMEOUT: Duration = Duration::from_secs(5);

impl Session {
    pub(super) fn message(&mut self, now: Instant, text: &str) {
        if matches!(self.state, State::Idle | State::Draining { .. }) {
            return;
        }
        match ServerMessage::parse(text) {
            Ok(message) => self.understood(now, message),
            Err(error) => self.fault(format!("a message of the agent service was dropped: {error}")),
        }
    }

    fn understood(&mut self, now: Instant, message: ServerMessage) {
        match message {
            ServerMessage::Ping { event_id, .. } => {
                self.outputs.push_front(Output::Transmit(ClientMessage::Pong { event_id }.to_json()));
            }
            ServerMessage::Audio { event_id, audio } => self.agent_audio(now, event_id, &audio),
            ServerMessage::Metadata { conversation_id, output_format, input_format } => {
                self.accepted(conversation_id, input_format, output_format);
            }
            ServerMessage::Interruption { event_id, reason } => self.interrupted(now, event_id, reason),
            ServerMessage::UserTranscript { text } => {
                self.replies.end_turn();
                self.event(Event::UserTranscript { text });
            }
            ServerMessage::AgentResponse { text, event_id } => self.agent_words(event_id, &text),
            ServerMessage::AgentResponseCorrection { original, corrected, event_id, payload } => {
                let reply = self.reply(event_id);
                self.replies.correct(reply, &corrected);
                self.event(Event::Correction { reply, original, corrected, payload });
            }
            ServerMessage::AgentResponseComplete { .. } => self.replies.end_turn(),
            ServerMessage::ClientToolCall { tool_name, tool_call_id, parameters } => {
                self.client_tool(tool_name, tool_call_id, parameters);
            }
            ServerMessage::ToolRequest { tool_name, tool_call_id, payload } => {
                if self.tools.starts(&tool_call_id) {
                    self.event(Event::ToolCallStarted { tool_name, parameters: payload });
                }
            }
            ServerMessage::ToolResponse { tool_name, tool_call_id, is_error, payload } => {
                self.saying_farewell |= tool_name == "end_call" && !is_error;
                if self.tools.finishes(&tool_call_id) {
                    self.event(Event::ToolCallFinished { tool_name, result: payload });
                }
                self.line_moved(now);
            }
            ServerMessage::McpToolCall { tool_name, tool_call_id, state, payload } => {
                self.mcp_tool(tool_name, tool_call_id, &state, payload);
            }
            ServerMessage::QueueStatus { status } => {
                if let State::Initiated { deadline } = &mut self.state {
                    *deadline = now + if status == "waiting" { QUEUE_TIMEOUT } else { METADATA_TIMEOUT };
                }
            }
            ServerMessage::Error { code, kind, message } => {
                let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
                let kind = kind.map(|kind| format!("{kind} ")).unwrap_or_default();
                let error = ending::one_line(&format!("{kind}{message}{code}"));
                self.fault(format!("the agent service reported an error: {error}"));
                self.error = Some(error);
                self.error_deadline.get_or_insert(now + ERROR_TIMEOUT);
            }
            ServerMessage::Ignored => {}
            ServerMessage::Unknown { kind } => {
                if self.faults.is_new_kind(&kind) {
                    self.event(Event::Unhandled { kind });
                }
            }
        }
    }

    fn accepted(&mut self, conversation_id: String, input: Option<String>, output: Option<String>) {
        if matches!(self.state, State::Talking) {
            self.fault(
                "the agent service named a second conversation on one socket; it was passed over".into(),
            );
            return;
        }
        let format = |name: Option<String>| match name {
            None => Ok(AudioFormat::Pcm16000),
            Some(name) => AudioFormat::parse(&name).ok_or(name),
        };
        match (format(input), format(output)) {
            (Ok(input), Ok(output)) => {
                self.metadata = Some((conversation_id, input, output));
                self.start();
            }
            (Err(name), _) | (_, Err(name)) => {
                let name = ending::one_line(&name);
                let error =
                    format!("the agent uses the audio format {name}; set both of its formats to ulaw_8000");
                self.end(End::Failed { error });
            }
        }
    }

    fn agent_audio(&mut self, now: Instant, event_id: u64, audio: &[u8]) {
        if !matches!(self.state, State::Talking) || self.cut.is_some_and(|cut| event_id <= cut) {
            self.stale_bytes += audio.len() as u64;
            return;
        }
        if audio.is_empty() {
            return;
        }
        self.last_event_id = self.last_event_id.max(Some(event_id));
        let reply = self.reply(Some(event_id));
        let dropped_ms = self.playout.push(reply, audio);
        if self.held.is_some() {
            self.hush(now);
            return;
        }
        self.is_audible = true;
        self.farewell_deadline = None;
        if dropped_ms > 0 && !std::mem::replace(&mut self.overflow_told, true) {
            self.fault(
                "the agent service sent more audio than two minutes ahead; the rest was dropped".into(),
            );
        }
    }

    fn agent_words(&mut self, event_id: Option<u64>, words: &str) {
        let reply = self.reply(event_id);
        let text = self.replies.append(reply, words);
        self.event(Event::Response { reply, text });
    }

    fn reply(&mut self, event_id: Option<u64>) -> u64 {
        let place = match event_id {
            Some(event_id) => self.replies.place(event_id),
            None => self.replies.place_unnumbered(),
        };
        if place.is_new {
            self.event(Event::ResponseStarted { reply: place.reply });
        }
        place.reply
    }

    fn interrupted(&mut self, now: Instant, event_id: u64, reason: Option<String>) {
        self.cut = Some(self.cut.map_or(event_id, |cut| cut.max(event_id)));
        self.replies.end_turn();
        self.playout.flush();
        self.outputs.push_back(Output::Flush);
        let reason = reason.map_or_else(|| "the caller spoke".into(), |reason| ending::one_line(&reason));
        self.event(Event::Interrupted { reason });
        self.line_moved(now);
    }

    fn client_tool(&mut self, tool_name: String, tool_call_id: String, parameters: Value) {
        if self.tools.starts(&tool_call_id) {
            self.event(Event::ToolCallStarted { tool_name: tool_name.clone(), parameters });
        }
        if self.tools.wants_answer(&tool_call_id) {
            let result = format!("there is no client tool named {tool_name} on this telephone line");
            self.tools.finishes(&tool_call_id);
            self.event(Event::ToolCallFinished {
                tool_name,
                result: json!({"is_error": true, "result": result}),
            });
            self.transmit(&ClientMessage::ToolResult { tool_call_id, result, is_error: true });
        }
    }

    /// Nobody is there to approve a tool, so approval is declined.
    fn mcp_tool(&mut self, tool_name: String, tool_call_id: String, state: &str, payload: Value) {
        let is_over = matches!(state, "success" | "failure");
        if !is_over && self.tools.starts(&tool_call_id) {
            self.event(Event::ToolCallStarted { tool_name: tool_name.clone(), parameters: payload.clone() });
        }
        if is_over && self.tools.finishes(&tool_call_id) {
            self.event(Event::ToolCallFinished { tool_name, result: payload });
        }
        if state == "awaiting_approval" && self.tools.wants_answer(&tool_call_id) {
            self.transmit(&ClientMessage::ToolApproval { tool_call_id, is_approved: false });
        }
    }
}
