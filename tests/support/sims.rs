//! The simulated peers as programs of their own, and the service between them: what an application is built against.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::ports::Lease;
use super::process::Process;
use super::service::{CALLSCOOT, Service, line_to, with};

/// A number that the simulated phone answers; it answers them all.
pub const NUMBER: &str = "+15550100";
/// For a service that wants one.
pub const TOKEN: &str = "token_of_the_tests";

/// `callscoot sim ARGUMENTS`.
pub fn sim(name: &'static str, arguments: &[&str]) -> Process {
    let mut command = Command::new(CALLSCOOT);
    command.arg("sim").args(arguments);
    Process::start(name, &command)
}

/// The port in a simulator's first line.
pub fn port_of(line: &Value) -> u16 {
    let of_address = |address: &str| address.rsplit(':').next()?.parse().ok();
    let port = line["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    port.or_else(|| line["local"].as_str().and_then(of_address)).unwrap()
}

/// A service whose line leads to a simulated phone that answers, with a simulated agent that greets and then listens.
/// Its ports stay the same when it is started again.
#[derive(Debug)]
pub struct Line {
    /// The service.
    pub service: Service,
    /// The phone.
    pub phone: Process,
    /// The agent.
    pub agent: Process,
    api_port: u16,
    _ports: Lease,
    _folder: TempDir,
}

impl Line {
    /// `phone` are more arguments of the phone, `config` more of the service's configuration.
    pub fn start(phone: &[&str], config: Value, token: Option<&str>) -> Self {
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("agent.json");
        let greeting = json!({"steps": [{"say": {"tone_hz": 440, "ms": 300}, "text": "Good morning."}]});
        fs::write(&script, greeting.to_string()).unwrap();
        let mut agent = sim("the simulated agent", &["agent", "--script", script.to_str().unwrap()]);
        let base = port_of(&agent.event("its port", |line| line["event"] == "listening"));
        let mut phone = sim("the simulated phone", &[&["phone", "--ring-ms", "0"], phone].concat());
        let line = line_to(port_of(&phone.event("its port", |line| line["event"] == "status")));
        let ports = Lease::new();
        let (base, api_port) = (format!("http://127.0.0.1:{base}"), ports.at(1));
        let environment = [
            ("ELEVENLABS_AGENT_ID", "agent_7"),
            ("ELEVENLABS_BASE_URL", &base),
            ("CALLSCOOT_API_PORT", &api_port.to_string()),
            ("CALLSCOOT_API_TOKEN", token.unwrap_or_default()),
        ];
        let line = with(with(line, json!({"sip_local_port": ports.at(0)})), config);
        let service = Service::start_with(&line, None, &environment);
        Self { service, phone, agent, api_port, _ports: ports, _folder: folder }
    }

    /// How many calls have reached the phone.
    pub fn calls(&self) -> usize {
        self.phone.events().iter().filter(|event| event["event"] == "incoming").count()
    }

    /// For `CALLSCOOT_API_BASE`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// A Python program below the repository's root that finds the service in its environment.
    pub fn python(&self, program: &str) -> Command {
        let mut command = python();
        command.arg(program).env("CALLSCOOT_API_BASE", self.base_url());
        command
    }
}

/// The Python of the tests (from target/pyenv, where `tests/setup` puts it), in the repository's root.
pub fn python() -> Command {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = format!("{root}/target/pyenv/bin/python");
    assert!(fs::exists(&python).unwrap(), "{python} is missing: run `make setup`");
    let mut command = Command::new(python);
    command.current_dir(root).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    command
}
