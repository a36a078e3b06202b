//! `--var NAME=VALUE` and the other things that both a call and a waiting request are given.

use serde_json::{Map, Value};

/// What goes with a call.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// A dynamic variable for the agent; may be given often.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Something that your own records need; may be given often.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Seconds until it expires if no call takes it.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// Another agent than the configured one.
    #[arg(long, value_name = "AGENT-ID")]
    agent: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err("NAME=VALUE is needed".into()),
    }
}

impl Given {
    /// The body of both creating POSTs.
    pub(super) fn body(&self, number: Option<&str>) -> Value {
        let mut body = Map::new();
        if let Some(number) = number {
            body.insert("number".into(), number.into());
        }
        for (name, pairs) in [("dynamic_variables", &self.variables), ("metadata", &self.metadata)] {
            if !pairs.is_empty() {
                body.insert(
                    name.into(),
                    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect(),
                );
            }
        }
        if let Some(ttl) = self.ttl {
            body.insert("ttl_sec".into(), ttl.into());
        }
        if let Some(agent) = &self.agent {
            body.insert("agent_id".into(), agent.as_str().into());
        }
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_becomes_the_body_and_nothing_else_does() {
        let given = Given {
            variables: vec![pair("name=Efe=1").unwrap(), pair("empty=").unwrap()],
            metadata: vec![],
            ttl: Some(60),
            agent: None,
        };
        assert_eq!(
            given.body(Some("+49")),
            json!({"number": "+49", "dynamic_variables": {"name": "Efe=1", "empty": ""}, "ttl_sec": 60})
        );
        assert!(pair("novalue").is_err() && pair("=x").is_err());
    }
}
