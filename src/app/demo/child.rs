//! A program started for the demonstration: its JSON lines as values, and its end when we end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use serde_json::Value;

use crate::app::fault::Fault;
use crate::sys::clock;
use crate::sys::thread::{Role, Spawner};

/// How long an orderly end may take before it is a kill.
const END_MAX: Duration = Duration::from_secs(4);

/// One running program.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    lines: Receiver<Value>,
}

impl Program {
    /// Starts this very program with other arguments. What it prints as JSON lines can be waited for; what it logs
    /// goes to `log`.
    pub(super) fn start(
        spawner: &Spawner,
        name: &'static str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self, Fault> {
        let log = std::fs::File::create(log).map_err(Fault::refused("a log file"))?;
        let mut command = Command::new(std::env::current_exe().map_err(Fault::refused("its own path"))?);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        for variable in
            ["CALLSCOOT_API_TOKEN", "ELEVENLABS_API_KEY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY"]
        {
            command.env_remove(variable);
        }
        let mut child =
            command.envs(environment.iter().copied()).spawn().map_err(Fault::refused("a process"))?;
        let (tell, lines) = unbounded();
        if let Some(out) = child.stdout.take() {
            let read = move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let told =
                        serde_json::from_str(&line).map_or(true, |value: Value| tell.send(value).is_ok());
                    if !told {
                        break;
                    }
                }
            };
            spawner.spawn(Role::Sim, read).map_err(Fault::refused("a thread"))?;
        }
        Ok(Self { name, child, lines })
    }

    /// The next line whose `event` is `wanted`.
    pub(super) fn wait_for(&self, wanted: &str, within: Duration) -> Result<Value, Fault> {
        let until = clock::mono() + within;
        loop {
            match self.lines.recv_deadline(until) {
                Ok(line) if line["event"] == wanted => return Ok(line),
                Ok(_) => {}
                Err(_) => return Err(Fault::Failed(format!("the {} did not get to: {wanted}", self.name))),
            }
        }
    }

    /// Asks it to end, and waits; its exit code must be 0.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.ask_to_end();
        let until = clock::mono() + END_MAX;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(Fault::Failed(format!("the {} ended with {status}", self.name)));
                }
                Ok(None) if clock::mono() < until => clock::pause(Duration::from_millis(20)),
                Ok(None) | Err(_) => return Err(Fault::Failed(format!("the {} did not end", self.name))),
            }
        }
    }

    fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed());
        if let Some(pid) = pid {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
