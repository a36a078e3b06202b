//! The vendor's Python SDK (from target/pyenv, where `tests/setup` puts it) as the client of an agent service.

use std::path::Path;
use std::process::Command;

use super::process::Process;

/// Starts one conversation; its JSON lines are the events.
pub fn start(base_url: &str, agent_id: &str, api_key: Option<&str>) -> Process {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = format!("{root}/target/pyenv/bin/python");
    assert!(Path::new(&python).exists(), "{python} is missing: run `make setup`");
    let mut command = Command::new(python);
    command.arg(format!("{root}/tests/sdk_client.py")).args([base_url, agent_id]).args(api_key);
    Process::start("the vendor's SDK", &command)
}
