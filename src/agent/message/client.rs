//! What a client sends. Audio is the only message without a `type`.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::field::{self, BASE64, MessageError, OTHER_BYTES_MAX, required};

/// A message to the service.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The first message: the members beside `type`.
    Initiation(Map<String, Value>),
    /// The caller's voice, in the format that the metadata named.
    Audio(Vec<u8>),
    /// The answer to a ping, with its number.
    Pong { event_id: u64 },
    /// The answer to a client tool call.
    ToolResult { tool_call_id: String, result: String, is_error: bool },
    /// Whether an MCP tool may run.
    ToolApproval { tool_call_id: String, is_approved: bool },
    /// Background, starts no turn.
    ContextualUpdate { text: String },
    /// Counts as the caller's words.
    UserMessage { text: String },
    /// Somebody is active: the agent shall not speak for a moment.
    UserActivity,
    /// A type that this program never sends; the simulated service passes over it.
    Other { kind: String },
}

impl ClientMessage {
    /// The message as one line of JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Audio(bytes) => {
                let mut text = String::with_capacity(bytes.len() * 4 / 3 + 32);
                text.push_str(r#"{"user_audio_chunk":""#);
                BASE64.encode_string(bytes, &mut text);
                text.push_str("\"}");
                text
            }
            Self::Initiation(members) => {
                let mut object = Map::new();
                object.insert("type".into(), "conversation_initiation_client_data".into());
                object.extend(members.clone());
                Value::Object(object).to_string()
            }
            Self::Pong { event_id } => json!({"type": "pong", "event_id": event_id}).to_string(),
            Self::ToolResult { tool_call_id, result, is_error } => json!({
                "type": "client_tool_result", "tool_call_id": tool_call_id, "result": result, "is_error": is_error,
            })
            .to_string(),
            Self::ToolApproval { tool_call_id, is_approved } => json!({
                "type": "mcp_tool_approval_result", "tool_call_id": tool_call_id, "is_approved": is_approved,
            })
            .to_string(),
            Self::ContextualUpdate { text } => {
                json!({"type": "contextual_update", "text": text}).to_string()
            }
            Self::UserMessage { text } => json!({"type": "user_message", "text": text}).to_string(),
            Self::UserActivity => json!({"type": "user_activity"}).to_string(),
            Self::Other { kind } => json!({"type": kind}).to_string(),
        }
    }

    /// Reads a client's message, as a service does.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        if text.len() > OTHER_BYTES_MAX {
            return Err(MessageError::TooLarge);
        }
        let Ok(Value::Object(mut object)) = serde_json::from_str(text) else {
            return Err(MessageError::Json);
        };
        if let Some(Value::String(chunk)) = object.get("user_audio_chunk") {
            let audio = BASE64.decode(chunk).map_err(|_| MessageError::Missing("user_audio_chunk"))?;
            return Ok(Self::Audio(audio));
        }
        let Some(Value::String(kind)) = object.remove("type") else {
            return Err(MessageError::Missing("type"));
        };
        if kind == "conversation_initiation_client_data" {
            return Ok(Self::Initiation(object));
        }
        let object = Value::Object(object);
        let words = || required(field::text(&object, "text"), "text");
        let call = || required(field::name(&object, "tool_call_id"), "tool_call_id");
        Ok(match kind.as_str() {
            "pong" => Self::Pong { event_id: required(field::integer(&object, "event_id"), "event_id")? },
            "client_tool_result" => Self::ToolResult {
                tool_call_id: call()?,
                result: field::text(&object, "result")
                    .or_else(|| object.get("result").map(Value::to_string))
                    .unwrap_or_default(),
                is_error: field::flag(&object, "is_error"),
            },
            "mcp_tool_approval_result" => {
                Self::ToolApproval { tool_call_id: call()?, is_approved: field::flag(&object, "is_approved") }
            }
            "contextual_update" => Self::ContextualUpdate { text: words()? },
            "user_message" => Self::UserMessage { text: words()? },
            "user_activity" => Self::UserActivity,
            _ => Self::Other { kind: field::cut(&kind, 64) },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn audio_has_no_type_and_is_standard_base64() {
        assert_eq!(ClientMessage::Audio(vec![0xff; 4]).to_json(), r#"{"user_audio_chunk":"/////w=="}"#);
    }

    #[test]
    fn what_no_client_may_send_is_an_error() {
        for (text, error) in [
            ("", MessageError::Json),
            ("[]", MessageError::Json),
            ("{}", MessageError::Missing("type")),
            (r#"{"type":7}"#, MessageError::Missing("type")),
            (r#"{"user_audio_chunk":"?"}"#, MessageError::Missing("user_audio_chunk")),
            (r#"{"type":"pong"}"#, MessageError::Missing("event_id")),
        ] {
            assert_eq!(ClientMessage::parse(text), Err(error), "{text}");
        }
    }

    fn message() -> impl Strategy<Value = ClientMessage> {
        let words = ".{0,40}";
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400).prop_map(ClientMessage::Audio),
            any::<u64>().prop_map(|event_id| ClientMessage::Pong { event_id }),
            (words, words, any::<bool>()).prop_map(|(tool_call_id, result, is_error)| {
                ClientMessage::ToolResult { tool_call_id, result, is_error }
            }),
            (words, any::<bool>()).prop_map(|(tool_call_id, is_approved)| {
                ClientMessage::ToolApproval { tool_call_id, is_approved }
            }),
            words.prop_map(|text| ClientMessage::ContextualUpdate { text }),
            words.prop_map(|text| ClientMessage::UserMessage { text }),
            Just(ClientMessage::UserActivity),
            prop::collection::btree_map("[a-z]{1,8}", words.prop_map(Value::from), 0..4).prop_map(
                |members| {
                    ClientMessage::Initiation(
                        members.into_iter().filter(|(name, _)| name != "type").collect(),
                    )
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(message in message()) {
            prop_assert_eq!(ClientMessage::parse(&message.to_json()), Ok(message));
        }
    }
}
