//! The examination: what is looked at, in which order, and the exit code.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::check::{Check, State, count, render, to_json};
use super::{agent, files, line, machine, service};
use crate::app::cli::desk::Output;
use crate::app::cli::view::show;
use crate::app::environment::Environment;
use crate::app::fault::Fault;
use crate::port::rest_local::ApiClient;

/// How strict.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 nothing fails, 1 something fails, 2 with --strict only warnings.")]
pub(in crate::app::cli) struct Options {
    /// Let warnings be told by exit code 2.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: Output,
}

/// Where the service keeps things: as it says itself, else as its environment would have it.
pub(super) struct Places {
    pub(super) config_file: PathBuf,
    pub(super) env_file: PathBuf,
    pub(super) state_dir: PathBuf,
}

pub(in crate::app::cli) fn run(options: &Options) -> Result<(), Fault> {
    let checks = match Environment::read() {
        Ok(environment) => examine(&environment),
        Err(fault) => vec![files::environment(&fault)],
    };
    let shown = show(&to_json(&checks), options.output.json, |_, view| render(&checks, view));
    // The code must be true even if nobody reads the words.
    verdict(&checks, options.strict).and(shown)
}

fn verdict(checks: &[Check], strict: bool) -> Result<(), Fault> {
    match (count(checks, State::Fail), count(checks, State::Warn)) {
        (0, 0) => Ok(()),
        (0, _) if strict => Err(Fault::Told(2)),
        (0, _) => Ok(()),
        _ => Err(Fault::Told(1)),
    }
}

fn examine(environment: &Environment) -> Vec<Check> {
    let client = ApiClient::new(environment.client_base(), environment.api_token.clone());
    let here = is_here(client.base());
    let mut checks = Vec::new();
    let status = service::reached(&client, environment, here, &mut checks);
    let places = places(environment, status.as_ref());
    if here {
        files::check(&places, status.is_some(), &mut checks);
    }
    files::disk(&places, status.as_ref(), here, &mut checks);
    if let Some(status) = &status {
        line::check(status, &client, here, &mut checks);
    }
    agent::check(environment, &places, status.as_ref(), &mut checks);
    machine::check(status.as_ref(), here, &mut checks);
    checks
}

fn places(environment: &Environment, status: Option<&Value>) -> Places {
    let told = |name: &str| status.and_then(|status| status["service"][name].as_str()).map(PathBuf::from);
    Places {
        config_file: told("config_file").unwrap_or_else(|| environment.config_file()),
        env_file: told("env_file").unwrap_or_else(|| environment.env_file.clone()),
        state_dir: told("state_dir").unwrap_or_else(|| environment.state_dir.clone()),
    }
}

/// Whether the service is on this machine.
fn is_here(base: &str) -> bool {
    let host = host_of(base);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The host of an address, without brackets.
pub(super) fn host_of(base: &str) -> &str {
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_told_by_the_code() {
        let (good, odd) = (Check::pass("a", ""), Check::warn("b", "", ""));
        assert!(verdict(&[good], true).is_ok());
        assert!(verdict(std::slice::from_ref(&odd), false).is_ok());
        assert_eq!(verdict(std::slice::from_ref(&odd), true).unwrap_err().code(), 2);
        assert_eq!(verdict(&[odd, Check::fail("c", "", "")], false).unwrap_err().code(), 1);
    }

    #[test]
    fn a_service_on_loopback_is_here() {
        for base in
            ["http://127.0.0.1:8788", "http://localhost:1", "http://[::1]:8788", "https://127.9.0.1/x"]
        {
            assert!(is_here(base), "{base}");
        }
        for base in [
            "http://pi.local:8788",
            "http://192.168.1.7:8788",
            "http://[fd00::1]:8788",
            "https://localhost.example.com",
        ] {
            assert!(!is_here(base), "{base}");
        }
    }
}
