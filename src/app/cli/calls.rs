//! `callscoot calls`: the last sessions as a table.

use serde_json::Value;

use super::desk::{Output, client, unix_ms};
use super::table::{self, Cell, plain};
use super::text::span;
use super::view::{Tone, View, show, text};
use crate::app::fault::Fault;

/// How many.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// So many at most, 1000 at the most.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let body = client()?.get(&format!("/v1/calls?limit={}", options.limit))?;
    show(&body, options.output.json, render)
}

fn render(body: &Value, view: &View) -> String {
    let rows: Vec<Vec<Cell>> =
        body["calls"].as_array().into_iter().flatten().map(|meta| row(meta, view)).collect();
    if rows.is_empty() {
        return "no calls yet; `callscoot dial NUMBER` makes one\n".into();
    }
    table::render(view, &["WHEN", "WAY", "LENGTH", "RESULT", "ID"], &[3, 4], &rows)
}

fn row(meta: &Value, view: &View) -> Vec<Cell> {
    let when = unix_ms(meta, "started_at").map(|at| view.moment(at)).unwrap_or_default();
    let way = if meta["direction"] == "outbound" { "out" } else { "in" };
    vec![plain(when), plain(way), plain(length(meta, view)), result(meta), plain(text(&meta["id"]))]
}

/// From the answer to the end, or to now; `-` for what nobody answered.
pub(super) fn length(meta: &Value, view: &View) -> String {
    match unix_ms(meta, "offhook_started_at") {
        Some(answered) => span(unix_ms(meta, "ended_at").unwrap_or(view.now_unix_ms) - answered),
        None => "-".into(),
    }
}

/// What became of it in words of people: `_` is for programs.
pub(super) fn result(meta: &Value) -> Cell {
    let Some(reason) = meta["end_reason"].as_str() else {
        return (text(&meta["phase"]), Tone::Good);
    };
    let answered = !meta["offhook_started_at"].is_null();
    let tone = match reason {
        "remote_hangup" | "local_hangup" | "agent_hangup" | "transferred" | "max_duration" if answered => {
            Tone::Plain
        }
        "agent_error"
        | "network_error"
        | "media_timeout"
        | "phone_lost"
        | "failed"
        | "recovered_after_crash" => Tone::Bad,
        _ => Tone::Doubtful,
    };
    (super::text::clean(&reason.replace('_', " ")), tone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_795_337_467_000;

    #[test]
    fn the_last_calls_are_a_table_that_fits() {
        let body = json!({"calls": [
            {"id": "20261122-085001-+4930123456", "direction": "outbound", "started_at_ms": NOW - 66_000,
             "offhook_started_at": "x", "offhook_started_at_ms": NOW - 60_000, "ended_at_ms": null, "phase": "active",
             "end_reason": null},
            {"id": "20261122-075001-unknown", "direction": "inbound", "started_at_ms": NOW - 3_666_000,
             "offhook_started_at": null, "ended_at_ms": NOW - 3_600_000, "phase": "disconnected",
             "end_reason": "policy_denied"},
            {"id": format!("20261122-075000-sip:{}\u{1b}[31m", "x".repeat(100)), "direction": "inbound",
             "started_at_ms": 0, "ended_at_ms": 5, "end_reason": "recovered_after_crash"},
        ]});
        assert_eq!(
            render(&body, &View::plain(72)),
            "\
WHEN        WAY  LENGTH  RESULT                 ID
1 min ago   out  1:00    active                 20261122-085001-+493012…
1 h ago     in   -       policy denied          20261122-075001-unknown
1970-01-01  in   -       recovered after crash  20261122-075000-sip:xxx…
"
        );
        assert!(render(&json!({"calls": []}), &View::plain(80)).starts_with("no calls yet"));
    }
}
