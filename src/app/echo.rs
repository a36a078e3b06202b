//! `callscoot echo NUMBER`: a test call without an agent, through the running service, and its report.

use serde_json::{Value, json};

use super::environment::Environment;
use super::fault::Fault;
use super::out::say;
use crate::port::rest_local::{ApiClient, ApiError};
use crate::sys::clock;

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

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Service(error.to_string())
    }
}

/// Places the call, waits for its end, prints the report. `Ok` only when the call was answered and heard.
pub fn run(options: &Options) -> Result<(), Fault> {
    let environment = Environment::read()?;
    let client = ApiClient::new(environment.client_base(), environment.api_token.clone());
    let queued = client.post("/v1/outbound-calls", &json!({ "number": options.number, "echo": true }))?;
    let session_id = queued["session_id"].as_str().unwrap_or_default().to_owned();
    if !options.json {
        say(&format!("calling {} …", options.number));
    }
    let path = format!("/v1/calls/{session_id}");
    let answered = wait(&client, &path, 120, |meta| !meta["offhook_started_at"].is_null() || ended(meta))?;
    if !ended(&answered) {
        if !options.json {
            say(&format!("answered; speak after the tone, {} s", options.seconds));
        }
        wait(&client, &path, options.seconds, ended)?;
        if let Err(ApiError::Unreachable { base, why }) = client.post(&format!("{path}/hangup"), &json!({})) {
            return Err(ApiError::Unreachable { base, why }.into());
        }
    }
    let meta = wait(&client, &path, 10, ended)?;
    report(&meta, options.json)
}

fn ended(meta: &Value) -> bool {
    !meta["ended_at"].is_null()
}

/// Looks at the session four times a second until `done` or the time is over; the last look.
fn wait(client: &ApiClient, path: &str, seconds: u64, done: impl Fn(&Value) -> bool) -> Result<Value, Fault> {
    let until = clock::mono() + std::time::Duration::from_secs(seconds);
    loop {
        let meta = client.get(path)?["meta"].take();
        if done(&meta) || clock::mono() >= until {
            return Ok(meta);
        }
        clock::pause(std::time::Duration::from_millis(250));
    }
}

fn report(meta: &Value, as_json: bool) -> Result<(), Fault> {
    let audio = &meta["audio"];
    let answered = !meta["offhook_started_at"].is_null();
    let heard = audio["packets_received"].as_u64().unwrap_or(0) > 0;
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
    match (answered, heard) {
        (false, _) => Err(Fault::Failed("the call was not answered".into())),
        (true, false) => {
            Err(Fault::Failed("answered, but no audio came: check the firewall and NAT for UDP".into()))
        }
        (true, true) => Ok(()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
