//! The agent: configured, and its service reached, with a key that is accepted.

use serde_json::Value;

use super::check::Check;
use super::examine::Places;
use crate::app::cli::text::clean;
use crate::app::cli::view::text;
use crate::app::environment::Environment;
use crate::call::conversation::AgentService;
use crate::call::switch::AgentSettings;
use crate::port::rest::{self, RestError};

const NAME: &str = "agent service";

pub(super) fn check(
    environment: &Environment,
    places: &Places,
    status: Option<&Value>,
    checks: &mut Vec<Check>,
) {
    let own = &environment.agent;
    let told = status.map(|status| &status["agent"]);
    let configured = told.map_or(own.agent_id.is_some(), |agent| agent["configured"] == true);
    let signed = told.map_or(own.api_key.is_some(), |agent| agent["signed"] == true);
    let env = places.env_file.display();
    if configured {
        let key = if signed { "with a key" } else { "without a key: a public agent" };
        checks.push(Check::pass("agent", format!("configured, {key}")));
    } else {
        let restart = if status.is_some() { ", and restart the service" } else { "" };
        checks.push(Check::fail(
            "agent",
            format!("ELEVENLABS_AGENT_ID is not set{restart}"),
            format!("(umask 077; mkdir -p $(dirname {env}); echo ELEVENLABS_AGENT_ID=AGENT >> {env})"),
        ));
    }
    let base_url = told.and_then(|agent| agent["base_url"].as_str()).unwrap_or(&own.base_url);
    checks.push(match answered(own, base_url, signed) {
        Ok(how) => Check::pass(NAME, format!("{} {how}", clean(base_url))),
        Err(error) => refused(base_url, &error, &env.to_string()),
    });
    if let Some(error) = told.and_then(|agent| agent["last_error"].as_str()) {
        let found = format!("the last conversation failed: {}", text(&error.into()));
        checks.push(Check::warn("conversation", found, "callscoot events all"));
    }
}

/// The key is tried where it is known here: the service's own may be hidden from whoever asks.
fn answered(own: &AgentSettings, base_url: &str, signed: bool) -> Result<&'static str, RestError> {
    match (&own.agent_id, &own.api_key) {
        (Some(agent_id), Some(key)) if base_url == own.base_url => {
            let service = AgentService {
                base_url: base_url.to_owned(),
                agent_id: agent_id.clone(),
                api_key: Some(key.clone()),
            };
            // The signed URL is a credential: only that there is one matters.
            rest::signed_url(&service).map(|_| "answers, takes the key and knows the agent")
        }
        _ if signed => {
            rest::reach(base_url).map(|()| "answers; the key is the service's own, and was not tried")
        }
        _ => rest::reach(base_url).map(|()| "answers"),
    }
}

fn refused(base_url: &str, error: &RestError, env: &str) -> Check {
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    let mend = match error {
        RestError::Key { .. } | RestError::Agent { .. } | RestError::Base(_) | RestError::Answer => {
            format!("nano {env}")
        }
        RestError::Unreachable(why) if why.contains("host not found") || why.contains("lookup") => {
            format!("getent hosts {host}; ip route")
        }
        RestError::Unreachable(_) => format!("curl -sSI {base_url}"),
        RestError::Busy { .. } | RestError::Status { .. } | RestError::Overloaded => {
            return Check::warn(NAME, error.to_string(), "callscoot doctor");
        }
    };
    Check::fail(NAME, error.to_string(), mend)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn each_way_of_not_reaching_the_agent_has_its_command() {
        let mend = |error: RestError| {
            let check = refused("https://api.example.com/x", &error, "/e.env");
            (check.state, check.mend.unwrap())
        };
        let message = || "no".to_owned();
        assert_eq!(
            mend(RestError::Key { status: 401, message: message() }),
            (State::Fail, "nano /e.env".into())
        );
        assert_eq!(
            mend(RestError::Unreachable("host not found".into())).1,
            "getent hosts api.example.com; ip route"
        );
        assert_eq!(mend(RestError::Unreachable("timeout".into())).1, "curl -sSI https://api.example.com/x");
        assert_eq!(mend(RestError::Busy { message: message() }).0, State::Warn);
    }
}
