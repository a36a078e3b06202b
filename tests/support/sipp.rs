//! SIPp: plays one exact exchange of messages from tests/sip/NAME.xml and says whether the other side kept to it.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::ports::Lease;
use super::process::Process;
use super::sound::Sound;

/// What a scenario plays, with what.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// File in tests/sip, without its ending.
    pub name: &'static str,
    /// The SIP port of the other side; `None` waits for calls.
    pub calls: Option<u16>,
    /// User part of the callee.
    pub callee: &'static str,
    /// Sent as mu-law in a loop where the scenario says `SOUND`.
    pub sound: Option<Sound>,
    /// Each audio packet that comes is sent back.
    pub echoes: bool,
    /// Milliseconds that its `<pause/>` lasts.
    pub pause_ms: u32,
}

/// A running SIPp.
#[derive(Debug)]
pub struct Sipp {
    process: Process,
    ports: Lease,
    folder: TempDir,
}

impl Sipp {
    /// Starts it for one call.
    pub fn start(scenario: &Scenario) -> Self {
        let ports = Lease::new();
        let folder = TempDir::new().unwrap();
        let sound = folder.path().join("sound.ulaw");
        if let Some(heard) = &scenario.sound {
            heard.write_ulaw(&sound);
        }
        let source = format!("{}/tests/sip/{}.xml", env!("CARGO_MANIFEST_DIR"), scenario.name);
        let text = fs::read_to_string(&source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let file = folder.path().join("scenario.xml");
        fs::write(&file, text.replace("SOUND", sound.to_str().unwrap())).unwrap();

        let mut command = Command::new("sipp");
        if let Some(port) = scenario.calls {
            command.arg(format!("127.0.0.1:{port}"));
        }
        command.arg("-sf").arg(&file).current_dir(folder.path());
        command.args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-m", "1", "-nostdin"]);
        command.args(["-p", &ports.at(0).to_string(), "-mp", &ports.at(4).to_string()]);
        command.args(["-s", if scenario.callee.is_empty() { "service" } else { scenario.callee }]);
        command.args(["-d", &scenario.pause_ms.to_string()]);
        let timeout_s = 30 + scenario.pause_ms / 1000;
        command.args(["-timeout", &format!("{timeout_s}s"), "-timeout_error"]);
        command.args(["-trace_err", "-error_file"]).arg(folder.path().join("errors"));
        command.args(["-trace_msg", "-message_file"]).arg(folder.path().join("messages"));
        if scenario.echoes {
            command.arg("-rtp_echo");
        }
        let process = Process::start(format!("sipp {}", scenario.name), &command);
        Self { process, ports, folder }
    }

    /// The port on which it speaks SIP.
    pub fn port(&self) -> u16 {
        self.ports.at(0)
    }

    /// Waits for its end; fails the test unless the whole exchange took place as written.
    pub fn succeeds(mut self) -> String {
        let status = self.process.ended();
        let messages = self.file("messages");
        assert!(status.success(), "SIPp: {status}\n{}\nmessages:\n{messages}", self.file("errors"));
        messages
    }

    /// Waits for its end; fails the test when the exchange went as written. What it complained of.
    pub fn fails(mut self) -> String {
        let status = self.process.ended();
        assert!(!status.success(), "the exchange went well");
        self.file("errors")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}
