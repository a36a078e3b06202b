//! `callscoot status`: what works, what is missing, the call that is on.

use std::fmt::Write as _;

use serde_json::Value;

use super::calls::length;
use super::desk::{Output, client};
use super::phones::{name, state};
use super::view::{Tone, View, show, text};
use crate::app::fault::Fault;

/// How it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = client()?;
    let body = client.get("/v1/status")?;
    show(&body, options.output.json, |body, view| render(body, client.base(), view))
}

/// The answer of `GET /v1/status`.
pub(super) fn render(status: &Value, base: &str, view: &View) -> String {
    let missing = status["missing"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (tone, ready) =
        if missing.is_empty() { (Tone::Good, "ready") } else { (Tone::Bad, "not ready for calls") };
    let mut out = format!("{}  {}\n", view.paint(tone, ready), view.paint(Tone::Faint, base));
    let mut row = |label: &str, words: &str| {
        out += &view.labelled(&format!("  {label:<9}"), Tone::Faint, words);
    };
    row("line", &line(status));
    for phone in phones(status) {
        row("phone", &format!("{}: {}", name(phone), state(phone)));
    }
    row("agent", &agent(&status["agent"]));
    row("call", &call(status, view));
    let pending = status["pending_call_requests"].as_array().map_or(0, Vec::len);
    if pending > 0 {
        row("pending", &format!("{pending} waiting for a call; `callscoot pending` lists them"));
    }
    let answering =
        if status["config"]["auto_answer"] == true { "automatically" } else { "by `callscoot answer`" };
    row("answers", answering);
    for sentence in missing {
        out += &view.labelled("  missing  ", Tone::Bad, &text(sentence));
    }
    if !missing.is_empty() {
        out += "`callscoot doctor` says how to mend it\n";
    }
    out
}

fn phones(status: &Value) -> &[Value] {
    status["phones"]["phones"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn line(status: &Value) -> String {
    let sip = &status["sip_state"];
    let backend = text(&status["telephony_backend"]["selected"]);
    if backend != "sip" {
        let dials = phones(status).iter().find(|phone| phone["selected"] == true);
        return dials.map_or_else(
            || format!("{backend}, no phone"),
            |phone| format!("{backend}, over {}", name(phone)),
        );
    }
    let Some(server) = sip["server"].as_str() else { return format!("{backend}, not configured") };
    let user = &status["config"]["sip_username"];
    let state = match (sip["registered"] == true, user.is_null(), sip["registration_status_code"].as_u64()) {
        (true, ..) => format!("registered at {server} as {}", text(user)),
        (false, true, _) if sip["started"] == true => format!("calls go to {server}, without registration"),
        (false, _, Some(code)) => {
            format!("not registered at {server}: {code} {}", text(&sip["registration_status_text"]))
        }
        (false, ..) => {
            let why = Some(text(&sip["last_error"])).filter(|why| !why.is_empty());
            format!("not registered at {server}: {}", why.unwrap_or_else(|| "no answer yet".into()))
        }
    };
    format!("{backend}, {state}")
}

fn agent(agent: &Value) -> String {
    let mut words = match (agent["configured"] == true, agent["signed"] == true) {
        (false, _) => "not configured".to_owned(),
        (true, false) => "configured, public".to_owned(),
        (true, true) => "configured, with a key".to_owned(),
    };
    if let Some(error) = agent["last_error"].as_str() {
        let _ = write!(words, "; the last call failed: {error}");
    }
    words
}

fn call(status: &Value, view: &View) -> String {
    let current = &status["current_call"];
    if current.is_null() {
        return "none".into();
    }
    let way = if current["direction"] == "outbound" { "to" } else { "from" };
    let number = Some(text(&current["incoming_number"])).filter(|number| !number.is_empty());
    let since = if current["offhook_started_at"].is_null() {
        String::new()
    } else {
        format!(" for {}", length(current, view))
    };
    let place = if current["audio_at"] == "handset" { ", at the handset" } else { "" };
    let others = status["live_calls"].as_u64().unwrap_or(1).saturating_sub(1);
    let more = if others > 0 { format!(", and {others} more") } else { String::new() };
    format!(
        "{}{since}{place}, {way} {}, {}{more}",
        text(&current["phase"]),
        number.unwrap_or_else(|| "unknown".into()),
        text(&current["id"])
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ready_service_is_five_lines() {
        let status = json!({
            "missing": [], "telephony_backend": {"selected": "sip"}, "live_calls": 2,
            "config": {"sip_username": "1001", "auto_answer": true},
            "sip_state": {"server": "sip.example.com", "registered": true, "started": true},
            "agent": {"configured": true, "signed": true, "last_error": null}, "pending_call_requests": [{}, {}],
            "current_call": {"id": "20261122-085000-+4930", "phase": "active", "direction": "inbound",
                "incoming_number": "+4930", "offhook_started_at": "x", "offhook_started_at_ms": 1_795_337_384_000_i64},
        });
        assert_eq!(
            render(&status, "http://127.0.0.1:8788", &View::plain(80)),
            "\
ready  http://127.0.0.1:8788
  line     sip, registered at sip.example.com as 1001
  agent    configured, with a key
  call     active for 1:23, from +4930, 20261122-085000-+4930, and 1 more
  pending  2 waiting for a call; `callscoot pending` lists them
  answers  automatically
"
        );
    }

    #[test]
    fn a_phone_that_carries_calls_has_a_line_of_its_own() {
        let status = json!({
            "missing": [], "telephony_backend": {"selected": "hfp"}, "live_calls": 1, "sip_state": {},
            "config": {"auto_answer": true}, "agent": {"configured": true, "signed": true, "last_error": null},
            "phones": {"phones": [
                {"name": "Ada's Pixel", "link": "connected", "selected": true, "battery": 4, "signal": 3},
            ]},
            "current_call": {"id": "x", "phase": "active", "direction": "inbound", "audio_at": "handset",
                "incoming_number": "+4930", "offhook_started_at": null},
        });
        assert_eq!(
            render(&status, "http://pi:1", &View::plain(80)),
            "\
ready  http://pi:1
  line     hfp, over Ada's Pixel
  phone    Ada's Pixel: connected, battery 4/5, signal 3/5
  agent    configured, with a key
  call     active, at the handset, from +4930, x
  answers  automatically
"
        );
    }

    #[test]
    fn what_is_missing_stands_below() {
        let status = json!({
            "missing": ["no agent is configured: set ELEVENLABS_AGENT_ID"], "telephony_backend": {"selected": "sip"},
            "config": {"sip_username": "1001"}, "agent": {"configured": false, "last_error": null},
            "sip_state": {"server": "pbx", "registered": false, "registration_status_code": 403,
                "registration_status_text": "Forbidden\u{1b}[2J"},
        });
        assert_eq!(
            render(&status, "http://pi:1", &View::plain(60)),
            "\
not ready for calls  http://pi:1
  line     sip, not registered at pbx: 403 Forbidden�[2J
  agent    not configured
  call     none
  answers  by `callscoot answer`
  missing  no agent is configured: set ELEVENLABS_AGENT_ID
`callscoot doctor` says how to mend it
"
        );
    }
}
