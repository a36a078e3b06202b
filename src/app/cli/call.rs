//! `callscoot call-show`: one session, how it went and what was said.

use std::fmt::Write as _;

use serde_json::Value;

use super::calls::{length, result};
use super::desk::{CURRENT, Output, client, of_session, session_path, unix_ms};
use super::text::relative;
use super::view::{Tone, View, show, text};
use crate::app::fault::Fault;

/// Columns of the labels.
const LABEL_COLUMNS: usize = 11;

/// Which session.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The session's id, or `current`.
    #[arg(value_name = "ID", default_value = CURRENT)]
    session: String,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let body = of_session(&options.session, client()?.get(&session_path(&options.session, "")))?;
    show(&body, options.output.json, render)
}

/// A session of `GET /v1/calls/ID`.
pub(super) fn render(session: &Value, view: &View) -> String {
    let meta = &session["meta"];
    let (outcome, _) = result(meta);
    let mut out =
        view.paint(Tone::Strong, view.labelled("", Tone::Plain, &text(&meta["id"])).trim_end()) + "\n";
    let mut row = |label: &str, words: &str| {
        if !words.is_empty() {
            out += &view.labelled(&format!("  {label:<LABEL_COLUMNS$}"), Tone::Faint, words);
        }
    };
    let (way, party) =
        if meta["direction"] == "outbound" { ("outbound", "called") } else { ("inbound", "caller") };
    let number = Some(text(&meta["incoming_number"])).filter(|number| !number.is_empty());
    row(party, &number.unwrap_or_else(|| "unknown".into()));
    let at = unix_ms(meta, "started_at").unwrap_or_default();
    let ago = relative(view.now_unix_ms - at).map(|ago| format!(" ({ago})")).unwrap_or_default();
    let began = view.local(at, "%Y-%m-%d %H:%M:%S");
    row("began", &format!("{began}{ago}, {way} over {}", text(&meta["telephony_backend"])));
    row(
        "length",
        &if meta["offhook_started_at"].is_null() { "not answered".into() } else { length(meta, view) },
    );
    row("result", &outcome);
    row("why", &text(&meta["end_detail"]));
    row(
        "policy",
        &[text(&meta["policy_action"]), text(&meta["policy_reason"])].join(" ").trim().replace('_', " "),
    );
    row("agent", &text(&meta["agent_id"]));
    for (label, name) in [("variables", "dynamic_variables"), ("metadata", "metadata")] {
        row(label, &pairs(&meta["client_request"][name]));
    }
    row("sound", &sound(&meta["audio"]));
    let transcript = session["transcript"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !transcript.is_empty() {
        let _ = write!(out, "\n{}\n", view.paint(Tone::Strong, "transcript"));
    }
    for entry in transcript {
        out += &spoken(entry, view);
    }
    let summary = text(&meta["summary"]);
    if !summary.is_empty() {
        let _ = write!(
            out,
            "\n{}\n{}",
            view.paint(Tone::Strong, "summary"),
            view.labelled("  ", Tone::Plain, &summary)
        );
    }
    out
}

fn spoken(entry: &Value, view: &View) -> String {
    let (who, tone) = match entry["speaker"].as_str() {
        Some("assistant") => ("agent".to_owned(), Tone::Good),
        Some("caller") => ("caller".to_owned(), Tone::Strong),
        _ => (text(&entry["speaker"]), Tone::Plain),
    };
    let mut words = text(&entry["text"]);
    if entry["interrupted"] == true {
        let after = entry["played_ms"].as_i64().map(|ms| format!(" after {:.1} s", ms as f64 / 1000.0));
        let _ = write!(words, " [cut off{}]", after.unwrap_or_default());
    }
    let who = super::text::cut(&who, LABEL_COLUMNS - 1);
    view.labelled(&format!("  {who:<LABEL_COLUMNS$}"), tone, &words)
}

fn pairs(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    super::text::clean(&pairs.collect::<Vec<_>>().join(", "))
}

/// What was measured on the line, in one sentence; empty without a packet.
fn sound(audio: &Value) -> String {
    let number = |name: &str| audio[name].as_f64();
    let Some(received) = number("packets_received").filter(|received| *received > 0.0) else {
        return String::new();
    };
    let lost = number("lost").unwrap_or(0.0);
    let mut parts = vec![format!("{:.1} % lost", 100.0 * lost / (lost + received))];
    if let Some(ms) = number("jitter_ms") {
        parts.push(format!("jitter {ms:.1} ms"));
    }
    if let Some(ms) = number("round_trip_ms") {
        parts.push(format!("round trip {ms:.0} ms"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_reads_from_top_to_bottom() {
        let begin = 1_795_337_400_000_i64;
        let session = json!({
            "meta": {"id": "20261122-085000-+4930123456", "direction": "outbound", "incoming_number": "+4930123456",
                "started_at_ms": begin, "offhook_started_at": "x", "offhook_started_at_ms": begin + 3000,
                "ended_at_ms": begin + 45_000, "end_reason": "remote_hangup", "end_detail": "BYE",
                "agent_id": "agent_7",
                "telephony_backend": "sip", "policy_action": null, "policy_reason": null,
                "summary": "One loaf\u{1b}[5m kept.",
                "client_request": {"dynamic_variables": {"name": "Efe", "n": 2}, "metadata": {}},
                "audio": {"packets_received": 99, "lost": 1, "jitter_ms": 0.52, "round_trip_ms": null}},
            "transcript": [
                {"speaker": "assistant", "text": "Bakery.", "interrupted": true, "played_ms": 640},
                {"speaker": "caller",
                 "text": "Is there any rye bread left at this time of the day, or tomorrow?\u{9b}0m"},
            ],
        });
        assert_eq!(
            render(&session, &View::plain(60)),
            "\
20261122-085000-+4930123456
  called     +4930123456
  began      2026-11-22 08:50:00 (1 min ago), outbound over
             sip
  length     0:42
  result     remote hangup
  why        BYE
  agent      agent_7
  variables  n=2, name=Efe
  sound      1.0 % lost, jitter 0.5 ms

transcript
  agent      Bakery. [cut off after 0.6 s]
  caller     Is there any rye bread left at this time of the
             day, or tomorrow?�0m

summary
  One loaf�[5m kept.
"
        );
    }
}
