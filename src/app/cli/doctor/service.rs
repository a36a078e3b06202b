//! Is the service there, does it let us in, is it this version?

use std::net::TcpListener;

use serde_json::Value;

use super::check::Check;
use super::examine::host_of;
use crate::app::cli::view::text;
use crate::app::environment::Environment;
use crate::port::machine;
use crate::port::rest_local::{ApiClient, ApiError};

/// Asks for the status; without one, says why.
pub(super) fn reached(
    client: &ApiClient,
    environment: &Environment,
    here: bool,
    checks: &mut Vec<Check>,
) -> Option<Value> {
    let health = client.get("/v1/health");
    let is_ours = health.as_ref().is_ok_and(|body| body["ok"] == true);
    if !is_ours {
        checks.push(match &health {
            Err(ApiError::Unreachable { .. }) if here => not_running(client, environment),
            Err(ApiError::Unreachable { base, why }) => Check::fail(
                "service",
                format!("nothing answers at {base} ({why})"),
                format!("curl -v {base}/v1/health"),
            ),
            // Full, stopping, or asked for by a name that it does not know: no sign that it is something else.
            Err(error @ ApiError::Refused { status: 421 | 503, .. }) => refusing(client.base(), error),
            Ok(_) | Err(_) => something_else(client.base(), environment.api.port(), here),
        });
        return None;
    }
    match client.get("/v1/status") {
        Ok(status) => {
            checks.push(running(client.base(), &status));
            Some(status)
        }
        Err(ApiError::Refused { status: 401, .. }) => {
            let has = if environment.api_token.is_some() {
                "another CALLSCOOT_API_TOKEN than ours"
            } else {
                "a CALLSCOOT_API_TOKEN"
            };
            let file = environment.env_file.display();
            let mend = format!("(umask 077; echo CALLSCOOT_API_TOKEN=TOKEN >> {file})");
            checks.push(Check::fail(
                "service",
                format!("it runs at {} and wants {has}", client.base()),
                mend,
            ));
            None
        }
        Err(error) => {
            checks.push(Check::fail(
                "service",
                error.to_string(),
                format!("curl -v {}/v1/status", client.base()),
            ));
            None
        }
    }
}

fn running(base: &str, status: &Value) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    match status["service"]["version"].as_str() {
        Some(version) if version == own => Check::pass("service", format!("version {own} answers at {base}")),
        Some(version) => Check::warn(
            "service",
            format!("version {version} answers at {base}, and this command is {own}: restart it"),
            status["service"]["pid"]
                .as_u64()
                .map_or_else(|| "callscoot serve".into(), |pid| format!("kill {pid} && callscoot serve")),
        ),
        None => Check::warn("service", format!("an older version answers at {base}"), "callscoot serve"),
    }
}

fn not_running(client: &ApiClient, environment: &Environment) -> Check {
    let base = client.base();
    match TcpListener::bind(environment.api) {
        Ok(_) => Check::fail(
            "service",
            format!("not running: nothing answers at {base}, the port is free"),
            "callscoot serve",
        ),
        Err(error) => match machine::listener_of(environment.api.port()) {
            Some((pid, name)) => Check::fail(
                "service",
                format!("{name} (process {pid}) holds port {} and does not answer", environment.api.port()),
                format!("kill {pid} && callscoot serve"),
            ),
            None => Check::fail(
                "service",
                format!("not running, and {} cannot be listened on: {error}", environment.api),
                format!("sudo ss -ltnp 'sport = :{}'", environment.api.port()),
            ),
        },
    }
}

fn refusing(base: &str, error: &ApiError) -> Check {
    let mend = match error {
        ApiError::Refused { status: 421, .. } => {
            format!("callscoot configure allowed_hosts+={}", host_of(base))
        }
        ApiError::Refused { .. } | ApiError::Unreachable { .. } | ApiError::Answer(_) => {
            format!("curl -v {base}/v1/health")
        }
    };
    Check::fail(
        "service",
        format!("what answers at {base} refuses: {}", text(&error.to_string().into())),
        mend,
    )
}

fn something_else(base: &str, port: u16, here: bool) -> Check {
    let holder = machine::listener_of(port).filter(|_| here);
    let who = holder.as_ref().map(|(pid, name)| format!("{name} (process {pid})"));
    let who = who.unwrap_or_else(|| "something else".into());
    Check::fail(
        "service",
        format!("what answers at {base} is no callscoot but {}", text(&who.into())),
        format!("CALLSCOOT_API_PORT={} callscoot serve", port.checked_add(1).unwrap_or(8789)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_refuses_for_now_or_by_name_is_not_taken_for_something_else() {
        for (status, message, mend) in [
            (421, "host not allowed", "callscoot configure allowed_hosts+=pi.lan"),
            (503, "too many connections", "curl -v http://pi.lan:8788/v1/health"),
        ] {
            let error =
                ApiError::Refused { status, message: message.into(), reason: None, retry_after: None };
            let check = refusing("http://pi.lan:8788", &error);
            assert!(check.found.contains(message), "{}", check.found);
            assert_eq!(check.mend.as_deref(), Some(mend));
        }
    }
}
