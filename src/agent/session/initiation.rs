//! The first message: what the agent is told about the call before it says a word.

use serde_json::{Map, Value, json};

use crate::agent::message::ClientMessage;

/// The service's limits are not documented; 64 KiB is the reference's advice. Variables that do not fit are left
/// out, the largest first, and reported.
pub const INITIATION_BYTES_MAX: usize = 64 << 10;

/// Names that the service fills itself and refuses from a client.
const RESERVED_PREFIX: &str = "system__";

/// What is known about the conversation before it begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Initiation {
    /// Any JSON; flattened here, because the service takes texts, numbers and booleans only.
    pub dynamic_variables: Map<String, Value>,
    /// Replaces the agent's first words. Absent overrides are not sent: an agent may forbid them.
    pub first_message: Option<String>,
    /// Replaces its language.
    pub language: Option<String>,
    /// Replaces its prompt.
    pub prompt: Option<String>,
    /// Replaces its voice.
    pub voice_id: Option<String>,
}

/// The message and the names that could not be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Built {
    pub(super) message: ClientMessage,
    /// Reserved names.
    pub(super) reserved: Vec<String>,
    /// Variables for which there was no room.
    pub(super) too_large: Vec<String>,
}

impl Initiation {
    /// Builds the message; `None` when the overrides alone are larger than 64 KiB.
    pub(super) fn build(&self) -> Option<Built> {
        let mut reserved = Vec::new();
        let mut variables = Map::new();
        for (name, value) in &self.dynamic_variables {
            if name.starts_with(RESERVED_PREFIX) {
                reserved.push(name.clone());
            } else {
                variables.insert(name.clone(), flat(value));
            }
        }
        let mut members = Map::new();
        let overrides = self.overrides();
        if !overrides.is_empty() {
            members.insert("conversation_config_override".into(), Value::Object(overrides));
        }
        let mut too_large = Vec::new();
        loop {
            if variables.is_empty() {
                members.remove("dynamic_variables");
            } else {
                members.insert("dynamic_variables".into(), Value::Object(variables.clone()));
            }
            let message = ClientMessage::Initiation(members.clone());
            if message.to_json().len() <= INITIATION_BYTES_MAX {
                return Some(Built { message, reserved, too_large });
            }
            let largest = variables.iter().max_by_key(|(name, value)| size(name, value))?.0.clone();
            variables.remove(&largest);
            too_large.push(largest);
        }
    }

    fn overrides(&self) -> Map<String, Value> {
        let mut agent = Map::new();
        if let Some(prompt) = &self.prompt {
            agent.insert("prompt".into(), json!({"prompt": prompt}));
        }
        if let Some(first_message) = &self.first_message {
            agent.insert("first_message".into(), json!(first_message));
        }
        if let Some(language) = &self.language {
            agent.insert("language".into(), json!(language));
        }
        let mut all = Map::new();
        if !agent.is_empty() {
            all.insert("agent".into(), Value::Object(agent));
        }
        if let Some(voice_id) = &self.voice_id {
            all.insert("tts".into(), json!({"voice_id": voice_id}));
        }
        all
    }
}

/// Objects and lists become JSON text. Null becomes the empty text: a variable that the agent uses and that is
/// not sent would end the conversation.
fn flat(value: &Value) -> Value {
    match value {
        Value::Null => Value::String(String::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        Value::Array(_) | Value::Object(_) => Value::String(value.to_string()),
    }
}

fn size(name: &str, value: &Value) -> usize {
    name.len() + value.as_str().map_or(8, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(variables: Value, prompt: Option<String>) -> Option<Built> {
        let Value::Object(dynamic_variables) = variables else { panic!("not an object") };
        Initiation { dynamic_variables, prompt, ..Initiation::default() }.build()
    }

    #[test]
    fn variables_are_flattened_and_reserved_names_left_out() {
        let built = built(
            json!({"a": "x", "b": 1.5, "c": true, "d": {"k": [1]}, "e": null, "system__time": 1}),
            None,
        );
        let built = built.unwrap();
        assert_eq!(built.reserved, ["system__time"]);
        let text = built.message.to_json();
        let sent: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            sent["dynamic_variables"],
            json!({"a": "x", "b": 1.5, "c": true, "d": "{\"k\":[1]}", "e": ""})
        );
        assert_eq!(sent["type"], "conversation_initiation_client_data");
    }

    #[test]
    fn only_given_overrides_are_sent() {
        assert_eq!(
            Initiation::default().build().unwrap().message.to_json(),
            r#"{"type":"conversation_initiation_client_data"}"#
        );
        let all = Initiation {
            first_message: Some(String::new()),
            language: Some("de".into()),
            prompt: Some("p".into()),
            voice_id: Some("v".into()),
            ..Initiation::default()
        };
        let sent: Value = serde_json::from_str(&all.build().unwrap().message.to_json()).unwrap();
        assert_eq!(
            sent["conversation_config_override"],
            json!({"agent": {"prompt": {"prompt": "p"}, "first_message": "", "language": "de"},
                   "tts": {"voice_id": "v"}})
        );
    }

    #[test]
    fn what_does_not_fit_into_64_kib_is_left_out_the_largest_first() {
        let fits = built(json!({"small": "s", "big": "b".repeat(70_000), "mid": "m".repeat(30_000)}), None);
        let fits = fits.unwrap();
        assert_eq!(fits.too_large, ["big"]);
        assert!(fits.message.to_json().len() <= INITIATION_BYTES_MAX);
        assert_eq!(built(json!({"small": "s"}), Some("p".repeat(70_000))), None);
    }
}
