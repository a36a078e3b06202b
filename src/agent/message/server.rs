//! What the service sends. The payload of each type sits under a key of its own.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::field::{self, BASE64, MessageError, OTHER_BYTES_MAX, flag, integer, name, required, text, whole};

/// A message of the service, as far as a telephone call needs it.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Names the conversation and both audio formats; an absent format is `None`.
    Metadata { conversation_id: String, output_format: Option<String>, input_format: Option<String> },
    /// The agent's voice; may be empty on a final marker.
    Audio { event_id: u64, audio: Vec<u8> },
    /// The caller talks over the agent: audio up to this number is void.
    Interruption { event_id: u64, reason: Option<String> },
    /// To be answered at once with its number.
    Ping { event_id: u64, ping_ms: Option<u64> },
    /// Final words of the caller.
    UserTranscript { text: String },
    /// Words of a reply; a reply may bring several.
    AgentResponse { text: String, event_id: Option<u64> },
    /// What was really said of a reply; `payload` is the whole object as it came.
    AgentResponseCorrection { original: String, corrected: String, event_id: Option<u64>, payload: Value },
    /// The reply and its tools are done.
    AgentResponseComplete { event_id: Option<u64> },
    /// A tool that the client should run.
    ClientToolCall { tool_name: String, tool_call_id: String, parameters: Value },
    /// A tool of the service begins.
    ToolRequest { tool_name: String, tool_call_id: String, payload: Value },
    /// It ended.
    ToolResponse { tool_name: String, tool_call_id: String, is_error: bool, payload: Value },
    /// An MCP tool: `state` is `loading`, `awaiting_approval`, `success` or `failure`.
    McpToolCall { tool_name: String, tool_call_id: String, state: String, payload: Value },
    /// The concurrency queue: `waiting`, `admitted` or `timed_out`.
    QueueStatus { status: String },
    /// Something is wrong; a close usually follows.
    Error { code: Option<u64>, kind: Option<String>, message: String },
    /// A known type that means nothing on a telephone.
    Ignored,
    /// A type that is not in the reference.
    Unknown { kind: String },
}

/// Types that are known and passed over.
const IGNORED: [&str; 16] = [
    "tentative_user_transcript",
    "agent_response_metadata",
    "agent_chat_response_part",
    "agent_reasoning_response_part",
    "mcp_connection_status",
    "vad_score",
    "context_usage",
    "asr_initiation_metadata",
    "guardrail_triggered",
    "agent_typing",
    "external_agent_connected",
    "external_agent_disconnected",
    "rich_content",
    "internal_turn_probability",
    "internal_tentative_agent_response",
    "dtmf_request",
];

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Audio is read without a tree of values, since it may be megabytes.
#[derive(Deserialize)]
struct AudioMessage {
    audio_event: AudioEvent,
}

#[derive(Deserialize)]
struct AudioEvent {
    #[serde(default)]
    audio_base_64: Option<String>,
    event_id: Value,
}

impl ServerMessage {
    /// Reads one message; the caller has bounded its size (16 MiB).
    pub fn parse(message: &str) -> Result<Self, MessageError> {
        let kind: Kind = serde_json::from_str(message).map_err(|_| MessageError::Json)?;
        let kind = required(kind.kind, "type")?;
        if kind == "audio" {
            return audio(message);
        }
        if message.len() > OTHER_BYTES_MAX {
            return Err(MessageError::TooLarge);
        }
        if IGNORED.contains(&kind.as_str()) {
            return Ok(Self::Ignored);
        }
        let whole_message: Value = serde_json::from_str(message).map_err(|_| MessageError::Json)?;
        other(&kind, &whole_message)
    }

    /// The message as one line of JSON, as the service writes it.
    pub fn to_json(&self) -> String {
        let payload = match self {
            Self::Metadata { conversation_id, output_format, input_format } => json!({
                "conversation_id": conversation_id,
                "agent_output_audio_format": output_format,
                "user_input_audio_format": input_format,
            }),
            Self::Audio { event_id, audio } => {
                json!({"audio_base_64": BASE64.encode(audio), "event_id": event_id})
            }
            Self::Interruption { event_id, reason } => match reason {
                Some(reason) => json!({"event_id": event_id, "reason": reason}),
                None => json!({"event_id": event_id}),
            },
            Self::Ping { event_id, ping_ms } => json!({"event_id": event_id, "ping_ms": ping_ms}),
            Self::UserTranscript { text } => json!({"user_transcript": text}),
            Self::AgentResponse { text, event_id } => {
                json!({"agent_response": text, "event_id": event_id})
            }
            Self::AgentResponseComplete { event_id } => json!({"event_id": event_id}),
            Self::ClientToolCall { tool_name, tool_call_id, parameters } => json!({
                "tool_name": tool_name, "tool_call_id": tool_call_id, "parameters": parameters,
            }),
            Self::AgentResponseCorrection { payload, .. }
            | Self::ToolRequest { payload, .. }
            | Self::ToolResponse { payload, .. }
            | Self::McpToolCall { payload, .. } => payload.clone(),
            Self::QueueStatus { status } => json!({"status": status}),
            Self::Error { code, kind, message } => {
                json!({"code": code, "error_type": kind, "message": message})
            }
            Self::Ignored => Value::Null,
            Self::Unknown { kind } => return json!({"type": kind}).to_string(),
        };
        let (kind, key) = self.names();
        json!({"type": kind, key: payload}).to_string()
    }

    /// A correction with the payload that belongs to it.
    pub fn correction(event_id: u64, original: &str, corrected: &str) -> Self {
        let payload = json!({
            "event_id": event_id, "original_agent_response": original, "corrected_agent_response": corrected,
        });
        Self::AgentResponseCorrection {
            original: original.to_owned(),
            corrected: corrected.to_owned(),
            event_id: Some(event_id),
            payload,
        }
    }

    /// The end of a system tool such as `end_call`, with the payload that belongs to it.
    pub fn system_tool_response(tool_name: &str, tool_call_id: &str) -> Self {
        let payload = json!({
            "tool_name": tool_name, "tool_call_id": tool_call_id, "tool_type": "system",
            "is_error": false, "is_called": true,
        });
        Self::ToolResponse {
            tool_name: tool_name.to_owned(),
            tool_call_id: tool_call_id.to_owned(),
            is_error: false,
            payload,
        }
    }

    /// Type, and key of the payload.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Metadata { .. } => {
                ("conversation_initiation_metadata", "conversation_initiation_metadata_event")
            }
            Self::Audio { .. } => ("audio", "audio_event"),
            Self::Interruption { .. } => ("interruption", "interruption_event"),
            Self::Ping { .. } => ("ping", "ping_event"),
            Self::UserTranscript { .. } => ("user_transcript", "user_transcription_event"),
            Self::AgentResponse { .. } => ("agent_response", "agent_response_event"),
            Self::AgentResponseCorrection { .. } => {
                ("agent_response_correction", "agent_response_correction_event")
            }
            Self::AgentResponseComplete { .. } => {
                ("agent_response_complete", "agent_response_complete_event")
            }
            Self::ClientToolCall { .. } => ("client_tool_call", "client_tool_call"),
            Self::ToolRequest { .. } => ("agent_tool_request", "agent_tool_request"),
            Self::ToolResponse { .. } => ("agent_tool_response", "agent_tool_response"),
            Self::McpToolCall { .. } => ("mcp_tool_call", "mcp_tool_call"),
            Self::QueueStatus { .. } => ("queue_status", "queue_status_event"),
            Self::Error { .. } => ("error", "error_event"),
            Self::Ignored => ("vad_score", "vad_score_event"),
            Self::Unknown { .. } => ("unknown", "unknown_event"),
        }
    }
}

fn audio(message: &str) -> Result<ServerMessage, MessageError> {
    let read: AudioMessage =
        serde_json::from_str(message).map_err(|_| MessageError::Missing("audio_event"))?;
    let event_id = required(whole(&read.audio_event.event_id), "event_id")?;
    let audio = BASE64
        .decode(read.audio_event.audio_base_64.unwrap_or_default())
        .map_err(|_| MessageError::Missing("audio_base_64"))?;
    Ok(ServerMessage::Audio { event_id, audio })
}

fn other(kind: &str, message: &Value) -> Result<ServerMessage, MessageError> {
    let event = |key: &str| message.get(key).unwrap_or(&Value::Null);
    let id = |event: &Value| required(integer(event, "event_id"), "event_id");
    Ok(match kind {
        "conversation_initiation_metadata" => {
            let event = event("conversation_initiation_metadata_event");
            ServerMessage::Metadata {
                conversation_id: required(name(event, "conversation_id"), "conversation_id")?,
                output_format: name(event, "agent_output_audio_format"),
                input_format: name(event, "user_input_audio_format"),
            }
        }
        "interruption" => {
            let event = event("interruption_event");
            ServerMessage::Interruption { event_id: id(event)?, reason: text(event, "reason") }
        }
        "ping" => {
            let event = event("ping_event");
            ServerMessage::Ping { event_id: id(event)?, ping_ms: integer(event, "ping_ms") }
        }
        "user_transcript" => ServerMessage::UserTranscript {
            text: text(event("user_transcription_event"), "user_transcript").unwrap_or_default(),
        },
        "agent_response" => {
            let event = event("agent_response_event");
            ServerMessage::AgentResponse {
                text: text(event, "agent_response").unwrap_or_default(),
                event_id: integer(event, "event_id"),
            }
        }
        "agent_response_correction" => {
            let event = event("agent_response_correction_event");
            ServerMessage::AgentResponseCorrection {
                original: text(event, "original_agent_response").unwrap_or_default(),
                corrected: text(event, "corrected_agent_response").unwrap_or_default(),
                event_id: integer(event, "event_id"),
                payload: event.clone(),
            }
        }
        "agent_response_complete" => ServerMessage::AgentResponseComplete {
            event_id: integer(event("agent_response_complete_event"), "event_id"),
        },
        "client_tool_call" => {
            let call = event("client_tool_call");
            ServerMessage::ClientToolCall {
                tool_name: required(name(call, "tool_name"), "tool_name")?,
                tool_call_id: required(name(call, "tool_call_id"), "tool_call_id")?,
                parameters: call.get("parameters").cloned().unwrap_or_default(),
            }
        }
        "agent_tool_request" => {
            let payload = event("agent_tool_request");
            let (tool_name, tool_call_id) = tool(payload);
            ServerMessage::ToolRequest { tool_name, tool_call_id, payload: payload.clone() }
        }
        "agent_tool_response" | "agent_tool_response_full_payload" => {
            let payload = event(kind);
            let (tool_name, tool_call_id) = tool(payload);
            let is_error = flag(payload, "is_error");
            ServerMessage::ToolResponse { tool_name, tool_call_id, is_error, payload: payload.clone() }
        }
        "mcp_tool_call" => {
            let payload = event("mcp_tool_call");
            let (tool_name, tool_call_id) = tool(payload);
            let state = name(payload, "state").unwrap_or_default();
            ServerMessage::McpToolCall { tool_name, tool_call_id, state, payload: payload.clone() }
        }
        "queue_status" => ServerMessage::QueueStatus {
            status: name(event("queue_status_event"), "status").unwrap_or_default(),
        },
        "error" | "client_error" => error(message),
        _ => ServerMessage::Unknown { kind: field::cut(kind, 64) },
    })
}

fn tool(payload: &Value) -> (String, String) {
    (name(payload, "tool_name").unwrap_or_default(), name(payload, "tool_call_id").unwrap_or_default())
}

/// Two shapes exist: the members below `error_event`, and beside `type`.
fn error(message: &Value) -> ServerMessage {
    let event = message.get("error_event").filter(|event| event.is_object()).unwrap_or(message);
    ServerMessage::Error {
        code: integer(event, "code"),
        kind: name(event, "error_type").or_else(|| name(event, "error_name")),
        message: text(event, "message").or_else(|| text(event, "reason")).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
