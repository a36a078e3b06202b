//! `callscoot echo NUMBER`: a test call without an agent, through the running service, and its report.

use std::cell::Cell;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value, json};

use super::environment::Environment;
use super::fault::Fault;
use super::out::say;
use crate::port::rest_local::{ApiClient, ApiError};
use crate::sys::clock;
use crate::sys::signal::{self, Signal};
use crate::sys::thread::Spawner;

/// How long the callee may take to answer.
const ANSWER_WAIT_SEC: u64 = 120;
/// How long the service may take to end a call.
const END_WAIT_SEC: u64 = 10;
/// How often the session is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
/// What to call and for how long.
pub struct Options {
    /// The number or `sip:` URI to call.
    number: String,
    /// Hang up after so many seconds of conversation.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Louder than this somebody spoke; line noise stays below.
const SPEECH_DBFS: f64 = -50.0;

/// Places the call, waits for its end, prints the report. `Ok` only when the call was answered and heard.
pub fn run(options: &Options) -> Result<(), Fault> {
    let environment = Environment::read()?;
    let (tell, stopped) = unbounded();
    let (died, _deaths) = unbounded();
    // Whoever leaves in the middle (Ctrl-C) leaves no call behind.
    signal::listen(&Spawner::new(died), move |signal| match signal {
        Signal::Stop => tell.send(()).is_ok(),
        Signal::Reload => true,
    })
    .map_err(Fault::refused("signal handlers"))?;
    let client = ApiClient::new(environment.client_base(), environment.api_token.clone());
    let queued = client.post("/v1/outbound-calls", &json!({ "number": options.number, "echo": true }))?;
    let session_id = queued["session_id"].as_str().unwrap_or_default();
    if !options.json {
        say(&format!("calling {} …", options.number));
    }
    let call =
        TestCall { client, path: format!("/v1/calls/{session_id}"), stopped, was_stopped: Cell::new(false) };
    let first = call.wait(ANSWER_WAIT_SEC, |meta| answered(meta) || ended(meta))?;
    if answered(&first) && !ended(&first) {
        if !options.json {
            say(&format!("answered; speak after the tone, {} s", options.seconds));
        }
        call.wait(options.seconds, ended)?;
    }
    let verdict = report(&call.end()?, options.json);
    if call.was_stopped.get() {
        return Err(Fault::Interrupted("stopped; the test call is hung up".into()));
    }
    verdict
}

fn answered(meta: &Value) -> bool {
    !meta["offhook_started_at"].is_null()
}

fn ended(meta: &Value) -> bool {
    !meta["ended_at"].is_null()
}

struct TestCall {
    client: ApiClient,
    path: String,
    stopped: Receiver<()>,
    was_stopped: Cell<bool>,
}

impl TestCall {
    /// Looks at the session four times a second until `done`, the time is over, or the person stops it; the last look.
    fn wait(&self, seconds: u64, done: impl Fn(&Value) -> bool) -> Result<Value, Fault> {
        let until = clock::mono() + Duration::from_secs(seconds);
        loop {
            let meta = self.client.get(&self.path)?["meta"].take();
            if done(&meta) || clock::mono() >= until {
                return Ok(meta);
            }
            if self.stopped.recv_timeout(LOOK_EVERY).is_ok() {
                self.was_stopped.set(true);
                return Ok(meta);
            }
        }
    }

    /// Hangs up what is still up; the session at its end.
    fn end(&self) -> Result<Value, Fault> {
        match self.client.post(&format!("{}/hangup", self.path), &json!({})) {
            // Refused: it has ended meanwhile.
            Ok(_) | Err(ApiError::Refused { .. } | ApiError::Answer(_)) => {}
            Err(error @ ApiError::Unreachable { .. }) => return Err(error.into()),
        }
        self.wait(END_WAIT_SEC, ended)
    }
}

fn report(meta: &Value, as_json: bool) -> Result<(), Fault> {
    let audio = &meta["audio"];
    let answered = answered(meta);
    let came = audio["packets_received"].as_u64().unwrap_or(0) > 0;
    let heard = audio["caller_loudest_dbfs"].as_f64().is_some_and(|dbfs| dbfs > SPEECH_DBFS);
    if as_json {
        let (reason, detail) = (&meta["end_reason"], &meta["end_detail"]);
        let object =
            json!({ "answered": answered, "end_reason": reason, "end_detail": detail, "audio": audio });
        say(&object.to_string());
    } else {
        say(&format!("ended: {} {}", text(&meta["end_reason"]), text(&meta["end_detail"])));
        if answered {
            let number = |name: &str| audio[name].as_f64();
            let shown = |value: Option<f64>, unit: &str| {
                value.map_or("not known".into(), |value| format!("{value:.1} {unit}"))
            };
            let received = number("packets_received").unwrap_or(0.0);
            let lost = number("lost").unwrap_or(0.0);
            say(&format!("  round trip     {}", shown(number("round_trip_ms"), "ms")));
            say(&format!(
                "  packets        {received} received, {} sent",
                number("packets_sent").unwrap_or(0.0)
            ));
            say(&format!("  lost           {lost} ({:.2} %)", 100.0 * lost / (lost + received).max(1.0)));
            say(&format!("  jitter         {}", shown(number("jitter_ms"), "ms")));
            say(&format!("  level heard    {}", shown(number("caller_loudest_dbfs"), "dBFS")));
            say(&format!("  level sent     {}", shown(number("line_loudest_dbfs"), "dBFS")));
        }
    }
    let fault = match (answered, came, heard) {
        (false, ..) => "the call was not answered",
        (true, false, _) => "answered, but no audio came: check the firewall and NAT for UDP",
        (true, true, false) => "packets came, but nothing was heard in them: check the callee's microphone",
        (true, true, true) => return Ok(()),
    };
    Err(Fault::Failed(fault.into()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
