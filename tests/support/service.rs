//! `callscoot serve` as a stranger starts it: folders and environment of its own, nothing from the person who tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent::{AGENT_ID, API_KEY, Agent};
use super::http::Api;
use super::process::Process;
use super::wait::until_is;

/// The program under test.
pub const CALLSCOOT: &str = env!("CARGO_BIN_EXE_callscoot");

/// A service, running or stopped; its folders stay until it is dropped.
#[derive(Debug)]
pub struct Service {
    process: Option<Process>,
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// A program, and its arguments, that starts it.
    under: Vec<String>,
    /// A client of its API.
    pub api: Api,
}

impl Service {
    /// Starts it with this `config.json` and this agent, and waits until it answers.
    pub fn start(config: &Value, agent: Option<&Agent>) -> Self {
        Self::start_with(config, agent, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(config: &Value, agent: Option<&Agent>, more: &[(&str, &str)]) -> Self {
        Self::start_under(&[], config, agent, more)
    }

    /// The same, started by another program, which takes limits or rights from it.
    pub fn start_under(under: &[&str], config: &Value, agent: Option<&Agent>, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let config_folder = folder.path().join("config/callscoot");
        fs::create_dir_all(&config_folder).unwrap();
        fs::write(config_folder.join("config.json"), config.to_string()).unwrap();
        let mut environment = vec![("CALLSCOOT_LOG".into(), "debug".into())];
        if let Some(agent) = agent {
            environment.push(("ELEVENLABS_BASE_URL".into(), agent.base_url()));
            environment.push(("ELEVENLABS_AGENT_ID".into(), AGENT_ID.into()));
        }
        environment.extend(more.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        let under = under.iter().map(|word| (*word).to_owned()).collect();
        let mut service = Self { process: None, folder, environment, under, api: Api::new(0) };
        service.run();
        service
    }

    /// Starts it again on the same folders.
    pub fn run(&mut self) {
        let folder = self.folder.path();
        let words: Vec<&str> = self.under.iter().map(String::as_str).chain([CALLSCOOT, "serve"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("HOME", folder).env("CALLSCOOT_API_PORT", "0");
        command.env("XDG_CONFIG_HOME", folder.join("config")).env("XDG_STATE_HOME", folder.join("state"));
        command.env("PATH", std::env::var_os("PATH").unwrap());
        // The Bluetooth of this machine is nobody's to play with.
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/callscoot-test");
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        let mut process = Process::start("callscoot serve", &command);
        let port = process.err_line("the line that says where its API is", |line| {
            line.split_once("http://127.0.0.1:")?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        self.api = Api::new(port);
        let api = self.api.clone();
        process.until("its first answer", || api.answers().then_some(()));
        process.until("its SIP socket", || {
            let state = api.get("/v1/status").1["sip_state"].clone();
            (state["configured"] != true || state["started"] == true).then_some(())
        });
        self.process = Some(process);
    }

    /// The running program.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the service runs")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("the service runs").id()
    }

    /// A file below its state folder.
    pub fn state(&self, path: &str) -> PathBuf {
        self.folder.path().join("state/callscoot").join(path)
    }

    /// Its `config.json`.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config/callscoot/config.json")
    }

    /// Asks for a call; the session id. Fails the test when it is refused.
    pub fn call(&self, number: &str) -> String {
        self.call_with(&json!({"number": number}))
    }

    /// The same, with a body of one's own.
    pub fn call_with(&self, body: &Value) -> String {
        let (status, reply) = self.api.post("/v1/outbound-calls", body);
        assert_eq!(status, 202, "{reply}");
        assert_eq!((&reply["queued"], &reply["dialing"]), (&json!(true), &json!(true)), "{reply}");
        reply["session_id"].as_str().expect("a session id").to_owned()
    }

    /// The session as the API tells it.
    pub fn session(&self, id: &str) -> Value {
        let (status, session) = self.api.get(&format!("/v1/calls/{id}"));
        assert_eq!(status, 200, "{session}");
        session
    }

    /// Waits until the session is in this phase.
    pub fn phase(&self, id: &str, phase: &str) {
        until_is(
            &format!("phase {phase}"),
            || self.session(id)["meta"]["phase"].clone(),
            |found| found == phase,
        );
    }

    /// Waits until the session has ended; all of it.
    pub fn ended(&self, id: &str) -> Value {
        let ended = |session: &Value| !session["meta"]["end_reason"].is_null();
        until_is("the end of the call", || self.session(id), ended)
    }

    /// The current call's meta, once there is one.
    pub fn current_call(&self) -> Value {
        let current = || self.api.get("/v1/current-call").1["current_call"].clone();
        until_is("a current call", current, |call| !call.is_null())
    }

    /// Hangs up and waits for the end.
    pub fn hang_up(&self, id: &str) -> Value {
        let (status, reply) = self.api.post(&format!("/v1/calls/{id}/hangup"), &Value::Null);
        assert_eq!(status, 202, "{reply}");
        self.ended(id)
    }
}

/// Key and value of the environment for an agent that wants a signed URL.
pub fn with_api_key() -> [(&'static str, &'static str); 1] {
    [("ELEVENLABS_API_KEY", API_KEY)]
}

/// A configuration without registration: calls go straight to this port.
pub fn line_to(port: u16) -> Value {
    json!({"telephony_backend": "sip", "sip_server": "127.0.0.1", "sip_port": port})
}

/// The same with more members.
pub fn with(mut config: Value, more: Value) -> Value {
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}
