//! The dynamic variables with which an agent begins: the built-in ones, overridden by those of the claimed request.

use serde_json::{Map, Value, json};

use super::pending::PendingRequest;

/// All variables for a conversation with this party (number or URI). Every built-in one is always there, because an
/// agent whose prompt names a variable that is missing refuses the conversation; of a caller without a profile the
/// name, notes and memories are empty.
pub fn dynamic(caller: Option<&str>, request: Option<&PendingRequest>) -> Map<String, Value> {
    let built_in = [
        ("caller_id", json!(caller.unwrap_or("unknown"))),
        ("caller_name", json!("")),
        ("caller_tier", json!("standard")),
        ("caller_notes", json!("")),
        ("caller_memory_summary", json!("")),
    ];
    let mut variables: Map<String, Value> =
        built_in.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(request) = request {
        variables.extend(request.dynamic_variables.clone());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::conversation::Overrides;

    fn request(dynamic_variables: Value) -> PendingRequest {
        PendingRequest {
            request_id: "a".into(),
            target_number: None,
            dynamic_variables: dynamic_variables.as_object().unwrap().clone(),
            metadata: json!({"caller_name": "never read"}).as_object().unwrap().clone(),
            created_unix_ms: 0,
            expires_unix_ms: 1,
            consumed: true,
            claimed_unix_ms: None,
            claimed_session_id: None,
            agent_id: None,
            overrides: Overrides::default(),
        }
    }

    #[test]
    fn an_unknown_caller_has_every_built_in_variable() {
        let expected = json!({"caller_id": "unknown", "caller_name": "", "caller_tier": "standard",
            "caller_notes": "", "caller_memory_summary": ""});
        assert_eq!(Value::from(dynamic(None, None)), expected);
    }

    #[test]
    fn the_request_overrides_and_adds_and_its_metadata_stay_out() {
        let request = request(json!({"caller_tier": "gold", "company": {"name": "Acme"}}));
        let variables = dynamic(Some("+4930"), Some(&request));
        assert_eq!(variables["caller_id"], "+4930");
        assert_eq!(variables["caller_tier"], "gold");
        assert_eq!(variables["company"], json!({"name": "Acme"}));
        assert_eq!((variables.len(), &variables["caller_name"]), (6, &json!("")));
    }
}
