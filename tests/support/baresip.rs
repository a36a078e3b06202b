//! baresip: a SIP telephone of another make. It plays a WAV, records both directions and is driven over its own
//! control port, whose events are the facts that tests wait for.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::kamailio::PASSWORD;
use super::ports::Lease;
use super::process::Process;
use super::sound::Sound;
use super::wait::until;

/// How the telephone is set up.
#[derive(Clone, Debug)]
pub struct Phone {
    /// User part of its address.
    pub user: &'static str,
    /// `auto` answers at once, `manual` rings.
    pub answers: &'static str,
    /// Codecs in the order it wants them.
    pub codecs: &'static str,
    /// What it says; 8000 samples a second. It falls silent at the end, so make it long enough.
    pub says: Sound,
    /// Port of a registrar on 127.0.0.1; the password is kamailio's.
    pub registrar: Option<u16>,
}

impl Default for Phone {
    fn default() -> Self {
        Self {
            user: "bob",
            answers: "auto",
            codecs: "PCMU,PCMA",
            says: Sound::silence(8000, 30_000),
            registrar: None,
        }
    }
}

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    control: TcpStream,
    heard: Arc<Mutex<Vec<Value>>>,
    user: &'static str,
    ports: Lease,
    folder: TempDir,
}

impl Baresip {
    /// Starts it and waits until it takes commands and, where it has a registrar, is registered.
    pub fn start(phone: Phone) -> Self {
        let ports = Lease::new();
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("recorded")).unwrap();
        phone.says.write_wav(&folder.path().join("says.wav"));
        fs::write(folder.path().join("config"), config(&folder, &ports)).unwrap();
        let (at, register_every_s) = phone.registrar.map_or((ports.at(0), 0), |registrar| (registrar, 60));
        let mut account =
            format!("<sip:{0}@127.0.0.1:{at}>;auth_user={0};regint={register_every_s}", phone.user);
        writeln!(account, ";auth_pass={PASSWORD};answermode={};audio_codecs={}", phone.answers, phone.codecs)
            .unwrap();
        fs::write(folder.path().join("accounts"), account).unwrap();
        fs::write(folder.path().join("contacts"), "").unwrap();

        let mut command = Command::new("baresip");
        command.arg("-4").arg("-s").arg("-f").arg(folder.path()).current_dir(folder.path());
        let mut process = Process::start(format!("baresip {}", phone.user), &command);
        let control =
            process.until("its control port", || TcpStream::connect((Ipv4Addr::LOCALHOST, ports.at(2))).ok());
        let heard = read_events(control.try_clone().unwrap());
        let baresip = Self { process, control, heard, user: phone.user, ports, folder };
        if phone.registrar.is_some() {
            // It may have registered before the control port was open: so it is asked, too.
            until("baresip's registration", || {
                let told = baresip.events("REGISTER_OK").first().cloned();
                told.or_else(|| {
                    baresip.process.out().iter().any(|l| l.contains("200 OK")).then_some(Value::Null)
                })
            });
        }
        baresip
    }

    /// The port on which it speaks SIP.
    pub fn port(&self) -> u16 {
        self.ports.at(0)
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.user, self.port())
    }

    /// The process, to measure it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Calls someone.
    pub fn dial(&mut self, uri: &str) {
        self.command("dial", uri);
    }

    /// Takes the call that rings.
    pub fn accept(&mut self) {
        self.command("accept", "");
    }

    /// Ends the call.
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Presses a key during the call.
    pub fn press(&mut self, key: char) {
        self.command("sndcode", &key.to_string());
    }

    /// Waits for an event of this type (`CALL_RINGING`, `CALL_ESTABLISHED`, `CALL_CLOSED` …).
    pub fn event(&self, kind: &str) -> Value {
        until(&format!("{kind} at baresip {}", self.user), || self.events(kind).first().cloned())
    }

    /// All events of this type so far.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        self.heard.lock().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
    }

    /// What it heard from the other side. Only after the end of the call.
    pub fn recorded_heard(&self) -> Sound {
        Sound::read_wav(&self.recording("-dec.wav"), 0)
    }

    /// What it sent to the other side. Only after the end of the call.
    pub fn recorded_said(&self) -> Sound {
        Sound::read_wav(&self.recording("-enc.wav"), 0)
    }

    fn recording(&self, ending: &str) -> PathBuf {
        until(&format!("baresip's recording {ending}"), || {
            let files = fs::read_dir(self.folder.path().join("recorded")).unwrap();
            let mut paths = files.map(|entry| entry.unwrap().path());
            paths.find(|path| {
                path.to_str().unwrap().ends_with(ending) && fs::metadata(path).unwrap().len() > 44
            })
        })
    }

    /// A netstring of JSON, as its module ctrl_tcp wants it: in one piece, and one at a time.
    fn command(&mut self, command: &str, parameters: &str) {
        let answers = self.heard.lock().unwrap().iter().filter(|event| event["response"] == true).count();
        let text = json!({"command": command, "params": parameters}).to_string();
        self.control.write_all(format!("{}:{text},", text.len()).as_bytes()).unwrap();
        until(&format!("baresip's answer to {command}"), || {
            let heard = self.heard.lock().unwrap();
            heard.iter().filter(|event| event["response"] == true).nth(answers).map(|_| ())
        });
    }
}

fn read_events(mut from: TcpStream) -> Arc<Mutex<Vec<Value>>> {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        let mut buffer = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            buffer.extend_from_slice(&piece[..length]);
            while let Some(colon) = buffer.iter().position(|byte| *byte == b':') {
                let size: usize = String::from_utf8_lossy(&buffer[..colon]).parse().unwrap();
                let end = colon + 1 + size;
                if buffer.len() <= end {
                    break;
                }
                kept.lock().unwrap().push(serde_json::from_slice(&buffer[colon + 1..end]).unwrap());
                buffer.drain(..=end);
            }
        }
    });
    heard
}

fn config(folder: &TempDir, ports: &Lease) -> String {
    let folder = folder.path().display();
    let modules = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];
    let modules = modules.into_iter().find(|path| fs::metadata(path).is_ok()).expect("baresip's modules");
    format!(
        include_str!("../sip/baresip.config"),
        modules = modules,
        folder = folder,
        sip = ports.at(0),
        control = ports.at(2),
        rtp_first = ports.at(4),
        rtp_last = ports.at(18),
    )
}
