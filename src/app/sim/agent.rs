//! `callscoot sim agent`: the agent service on loopback, for whoever has no account, no network, or a test to write.
//!
//! REST gives signed URLs, the socket speaks the service's protocol, a script says what the agent does. Each thing
//! that happens is one line of JSON on standard output.

mod conversation;
pub mod script;
mod voice;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use crate::port::websocket::{Request, read_request, respond, upgrade};
use crate::sys::clock;
use crate::sys::thread::{Role, Spawner};

pub use script::Script;

/// A signed URL starts a conversation for so long.
const SIGNATURE_LIFE: Duration = Duration::from_secs(15 * 60);
/// Signed URLs that are valid at the same time at most; the oldest is forgotten.
const SIGNATURES_MAX: usize = 256;

/// The command's arguments.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// TCP port on loopback; 0 lets the system choose (the first line of output names it)
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// What the agent does, a JSON file; without it the agent greets, listens, answers and closes
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Demand this key, and a signed URL for each conversation
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Keep what was heard (of the latest conversation) as a WAV file
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Why the simulated agent cannot run.
#[derive(Debug, Error)]
pub enum SimError {
    /// The script cannot be read.
    #[error("script {0}: {1}")]
    Script(PathBuf, String),
    /// The socket cannot be opened, or standard output is closed.
    #[error("simulated agent: {0}")]
    Io(#[from] io::Error),
}

/// Runs until the process ends. The first line is `{"event":"listening","port":…}`.
pub fn run(options: &Options, spawner: &Spawner) -> Result<(), SimError> {
    let script = match &options.script {
        Some(path) => read_script(path)?,
        None => Script::default(),
    };
    let report: Report = Arc::new(|line: Value| {
        let mut out = io::stdout().lock();
        // Nobody reads any more: the conversation goes on.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
    let server = Server::bind(options, script, report)?;
    server.accept_all(spawner);
    Ok(())
}

fn read_script(path: &PathBuf) -> Result<Script, SimError> {
    let fault = |error: &dyn std::fmt::Display| SimError::Script(path.clone(), error.to_string());
    let length = std::fs::metadata(path).map_err(|error| fault(&error))?.len();
    if length > script::SCRIPT_BYTES_MAX {
        return Err(fault(&"larger than 1 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    let mut script: Script = serde_json::from_str(&text).map_err(|error| fault(&error))?;
    script.resolve_paths(path.parent());
    Ok(script)
}

/// Takes one line for each thing that happens.
pub type Report = Arc<dyn Fn(Value) + Send + Sync>;

/// The listening service.
pub struct Server {
    listener: TcpListener,
    house: Arc<House>,
}

/// What all connections share.
struct House {
    port: u16,
    script: Script,
    api_key: Option<String>,
    record: Option<PathBuf>,
    report: Report,
    signatures: Mutex<BTreeMap<String, Instant>>,
    /// Sockets that were closed before their initiation, by the script's wish.
    closed_early: Mutex<u32>,
}

impl Server {
    /// Listens on loopback.
    pub fn bind(options: &Options, script: Script, report: Report) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        let port = listener.local_addr()?.port();
        report(json!({"event": "listening", "port": port}));
        let house = House {
            port,
            script,
            api_key: options.api_key.clone(),
            record: options.record.clone(),
            report,
            signatures: Mutex::default(),
            closed_early: Mutex::default(),
        };
        Ok(Self { listener, house: Arc::new(house) })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.house.port
    }

    /// Serves each connection on a thread of its own, for ever.
    pub fn accept_all(self, spawner: &Spawner) {
        for tcp in self.listener.incoming().flatten() {
            let house = self.house.clone();
            if let Err(error) = spawner.spawn(Role::Sim, move || house.serve(tcp)) {
                log::warn!("simulated agent: no thread for a connection: {error}");
            }
        }
    }
}

impl House {
    fn tell(&self, line: Value) {
        (self.report)(line);
    }

    fn serve(&self, mut tcp: TcpStream) {
        let Ok((request, rest)) = read_request(&mut tcp) else {
            let _ = respond(&mut tcp, "400 Bad Request", r#"{"detail":"bad request"}"#);
            return;
        };
        match request.path.as_str() {
            "/v1/convai/conversation/get-signed-url" | "/v1/convai/conversation/get_signed_url" => {
                self.signed_url(&mut tcp, &request);
            }
            "/v1/convai/conversation" => self.conversation(tcp, &request, rest),
            _ => {
                let _ = respond(&mut tcp, "404 Not Found", r#"{"detail":"Not Found"}"#);
            }
        }
    }

    fn signed_url(&self, tcp: &mut TcpStream, request: &Request) {
        let (status, body) = if self.api_key.is_some()
            && request.header("xi-api-key") != self.api_key.as_deref()
        {
            let detail = json!({"status": "invalid_api_key", "message": "Invalid API key"});
            ("401 Unauthorized", json!({"detail": detail}))
        } else if let Some(agent_id) = request.parameter("agent_id") {
            let signature = self.sign();
            let host =
                request.header("host").map_or_else(|| format!("127.0.0.1:{}", self.port), str::to_owned);
            let agent_id =
                percent_encoding::utf8_percent_encode(agent_id, percent_encoding::NON_ALPHANUMERIC);
            let url = format!(
                "ws://{host}/v1/convai/conversation?agent_id={agent_id}&conversation_signature={signature}"
            );
            ("200 OK", json!({"signed_url": url}))
        } else {
            let missing = json!({"loc": ["query", "agent_id"], "msg": "Field required", "type": "missing"});
            ("422 Unprocessable Entity", json!({"detail": [missing]}))
        };
        self.tell(json!({"event": "signed_url_asked", "status": status}));
        let _ = respond(tcp, status, &body.to_string());
    }

    fn sign(&self) -> String {
        let signature = clock::rng().map(|mut rng| format!("cvtkn_{}", rng.hex(32))).unwrap_or_default();
        let mut signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::mono();
        signatures.retain(|_, until| *until > now);
        if signatures.len() >= SIGNATURES_MAX {
            signatures.pop_first();
        }
        signatures.insert(signature.clone(), now + SIGNATURE_LIFE);
        signature
    }

    fn is_signed(&self, request: &Request) -> bool {
        let signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        request
            .parameter("conversation_signature")
            .and_then(|signature| signatures.get(signature))
            .is_some_and(|until| *until > clock::mono())
    }

    fn conversation(&self, tcp: TcpStream, request: &Request, rest: Vec<u8>) {
        let signed = self.is_signed(request);
        let agent_id = request.parameter("agent_id").map(str::to_owned);
        let Ok(mut socket) = upgrade(tcp, request, rest) else {
            self.tell(json!({"event": "refused", "reason": "no WebSocket upgrade"}));
            return;
        };
        let refusal = match &agent_id {
            None => Some("agent_id is missing"),
            Some(_) if !signed && request.parameter("conversation_signature").is_some() => {
                Some("the signature is unknown or too old")
            }
            Some(_) if self.api_key.is_some() && !signed => Some("this agent needs a signed URL"),
            Some(_) => None,
        };
        if let Some(reason) = refusal {
            self.tell(json!({"event": "refused", "reason": reason, "code": 1008}));
            conversation::close(&mut socket, 1008, reason);
            return;
        }
        self.tell(json!({"event": "connected", "agent_id": agent_id, "signed": signed}));
        conversation::run(self, socket);
    }
}
