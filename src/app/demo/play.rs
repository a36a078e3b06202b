//! The demonstration itself: start everything, call, tell, check, end everything.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::unbounded;
use serde_json::{Value, json};

use super::child::Program;
use super::{story, voices};
use crate::app::fault::Fault;
use crate::app::out::say;
use crate::port::rest_local::{ApiClient, Streamed};
use crate::port::wav;
use crate::sys::clock;
use crate::sys::thread::Spawner;

/// The number that is called; the simulated phone answers whatever it is asked for.
const NUMBER: &str = "+15550100";
/// How long a program may take to be there.
const START_MAX: Duration = Duration::from_secs(10);
/// Louder than this is speech.
const SPEECH_DBFS: f64 = -45.0;
/// The whole conversation takes longer.
const RECORDED_SECONDS_MIN: usize = 8;

/// Where the demonstration leaves what it made.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder for the recording, the logs and the service's own files; those of the last demonstration are replaced.
    #[arg(long, value_name = "FOLDER", default_value = "callscoot-demo")]
    out: PathBuf,
}

/// One whole call. `Ok` only if every step really happened.
pub fn run(options: &Options) -> Result<(), Fault> {
    let folder = prepare(&options.out)?;
    let (died, _deaths) = unbounded();
    let spawner = Spawner::new(died);

    say("starting a simulated phone, a simulated agent and the service");
    let path = |name: &str| folder.join(name);
    let text = |name: &str| path(name).display().to_string();
    let (script, caller, recording) = (text("agent.json"), text("caller.wav"), text("call.wav"));
    let agent_arguments = ["sim", "agent", "--script", script.as_str()];
    let mut agent = Program::start(&spawner, "simulated agent", &agent_arguments, &[], &path("agent.log"))?;
    let phone_arguments = ["sim", "phone", "--play", &caller, "--record", &recording, "--stereo", "--once"];
    let mut phone = Program::start(&spawner, "simulated phone", &phone_arguments, &[], &path("phone.log"))?;
    let agent_port = port_of(&agent.wait_for("listening", START_MAX)?["port"]);
    let phone_port = port_of(&phone.wait_for("status", START_MAX)?["local"]);

    let (config, state, base) = (text("config"), text("state"), format!("http://127.0.0.1:{agent_port}"));
    let environment = [
        ("XDG_CONFIG_HOME", config.as_str()),
        ("XDG_STATE_HOME", state.as_str()),
        // No phone of this house takes part.
        ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/callscoot-demo"),
        ("CALLSCOOT_API_HOST", "127.0.0.1"),
        ("CALLSCOOT_API_PORT", "0"),
        ("CALLSCOOT_LOG", "info"),
        ("ELEVENLABS_AGENT_ID", "agent_demo"),
        ("ELEVENLABS_BASE_URL", base.as_str()),
    ];
    let mut service = Program::start(&spawner, "service", &["serve"], &environment, &path("serve.log"))?;
    let client = ApiClient::new(api_of(&path("serve.log"))?, None);
    let account = json!({ "telephony_backend": "sip", "sip_server": "127.0.0.1", "sip_port": phone_port });
    client.patch("/v1/config", &account)?;

    say("POST /v1/outbound-calls, then the events as they come");
    let asked = clock::mono();
    let wanted = json!({ "number": NUMBER, "dynamic_variables": { "contact_name": "Efe" } });
    let dialling = dial(&client, &wanted)?;
    let accepted_ms = clock::mono().saturating_duration_since(asked).as_secs_f64() * 1000.0;
    let session = dialling["session_id"].as_str().unwrap_or_default().to_owned();
    let mut first_ms = None;
    for streamed in client.events(&session, None)? {
        let Streamed::Event { event, .. } = streamed else { continue };
        let since_ms = *first_ms.get_or_insert(event["ts_ms"].as_i64().unwrap_or_default());
        story::tell(&event, since_ms);
    }

    let call = client.get(&format!("/v1/calls/{session}"))?;
    story::outcome(&call);
    let heard = phone.wait_for("heard", START_MAX)?;
    figures(&call, &heard, accepted_ms);
    phone.end()?;
    agent.end()?;
    service.end()?;
    check(&call, &path("call.wav"))?;
    say("");
    say(&format!("recording (left: the agent, right: the caller): {recording}"));
    say(&format!("everything that was kept: {}", path("state/callscoot/calls").display()));
    Ok(())
}

fn prepare(out: &Path) -> Result<PathBuf, Fault> {
    let refused = |source| Fault::System { what: "the output folder", source };
    fs::create_dir_all(out).map_err(refused)?;
    for own in ["config/callscoot", "state/callscoot"] {
        match fs::remove_dir_all(out.join(own)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let folder = out.canonicalize().map_err(refused)?;
    voices::write_caller(&folder)?;
    fs::write(folder.join("agent.json"), format!("{:#}\n", voices::agent_script())).map_err(refused)?;
    Ok(folder)
}

/// A port as a number, or at the end of an address.
fn port_of(value: &Value) -> u64 {
    let of_text = |text: &str| text.rsplit(':').next().and_then(|port| port.parse().ok());
    value.as_u64().or_else(|| value.as_str().and_then(of_text)).unwrap_or_default()
}

/// The service says in its log where its API is.
fn api_of(log: &Path) -> Result<String, Fault> {
    let until = clock::mono() + START_MAX;
    while clock::mono() < until {
        let text = fs::read_to_string(log).unwrap_or_default();
        let base = text.split_once("API on ").and_then(|(_, rest)| rest.split_once('\n'));
        if let Some((base, _)) = base {
            return Ok(base.to_owned());
        }
        clock::pause(Duration::from_millis(10));
    }
    Err(Fault::Failed(format!("the service did not start; see {}", log.display())))
}

/// The SIP socket opens a moment after the account was stored.
fn dial(client: &ApiClient, wanted: &Value) -> Result<Value, Fault> {
    let until = clock::mono() + START_MAX;
    while client.get("/v1/status")?["sip_state"]["started"] != true && clock::mono() < until {
        clock::pause(Duration::from_millis(10));
    }
    Ok(client.post("/v1/outbound-calls", wanted)?)
}

fn figures(call: &Value, heard: &Value, accepted_ms: f64) {
    let events = call["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let at = |kind: &str, state: Option<&str>| {
        let found =
            |event: &&Value| event["type"] == kind && state.is_none_or(|state| event["state"] == state);
        events.iter().find(found).and_then(|event| event["ts_ms"].as_f64())
    };
    let between = |from: Option<f64>, to: Option<f64>| from.zip(to).map(|(from, to)| to - from);
    let started = at("session_started", None);
    let ringing = at("call_state_changed", Some("ringing"));
    let answered = at("call_state_changed", Some("offhook"));
    let begun = at("elevenagents_session_started", None);
    let audio = &call["meta"]["audio"];
    story::figures(&[
        ("asked for the call, until 202 (it is on disk by then)", Some(accepted_ms)),
        ("session, until it rings", between(started, ringing)),
        ("answered, until the agent has begun", between(answered, begun)),
        ("answered, until the agent is heard on the phone", heard["after_answer_ms"].as_f64()),
        ("jitter of the phone's packets", audio["jitter_ms"].as_f64()),
    ]);
    say(&format!(
        "  packets: {} received, {} sent, {} lost, {} out of order",
        audio["packets_received"], audio["packets_sent"], audio["lost"], audio["reordered"]
    ));
}

/// Everything that must have happened, or a sentence about the first thing that did not.
fn check(call: &Value, recording: &Path) -> Result<(), Fault> {
    let failed = |what: &str| Err(Fault::Failed(format!("the demonstration is not whole: {what}")));
    let transcript = call["transcript"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said = |speaker: &str| transcript.iter().filter(|entry| entry["speaker"] == speaker).count();
    if said("caller") < 2 || said("assistant") < 3 {
        return failed("words are missing in the transcript");
    }
    if !transcript.iter().any(|entry| entry["interrupted"] == true) {
        return failed("the caller did not interrupt the agent");
    }
    if call["meta"]["end_reason"] != "agent_hangup" {
        return failed("the agent did not end the call");
    }
    if call["meta"]["summary"].as_str().is_none_or(str::is_empty) {
        return failed("there is no summary");
    }
    let loud = |side: &str| call["meta"]["audio"][side].as_f64().is_some_and(|dbfs| dbfs > SPEECH_DBFS);
    if !loud("caller_loudest_dbfs") || !loud("line_loudest_dbfs") {
        return failed("a side was silent");
    }
    let recorded = wav::read(recording).map_err(|error| Fault::Failed(format!("call.wav: {error}")))?;
    if recorded.len() < RECORDED_SECONDS_MIN * 16_000 {
        return failed("the recording is too short");
    }
    Ok(())
}
