//! `callscoot events`: what happened in a call, or happens.

use serde_json::Value;

use super::desk::{CURRENT, Output, client, current_id, of_session, session_path};
use super::event::said;
use super::follow::{ALL, Watch};
use super::view::{Tone, View, json_line, text};
use crate::app::fault::Fault;
use crate::app::out;
use crate::port::rest_local::{ApiClient, Streamed};

/// Sessions whose events `events all` lists; `calls` names older ones.
const LISTED_SESSIONS: u32 = 20;

/// Whose events.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A session's id, `current`, or `all`: the last calls, and with --follow those to come.
    #[arg(value_name = "SESSION", default_value = CURRENT)]
    session: String,
    /// Go on until the call ends (`all`: until Ctrl-C); a service that restarts is waited for.
    #[arg(long, short)]
    follow: bool,
    /// Print the API's own JSON, one event on each line.
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = client()?;
    let mut printer = Printer::new(options.output.json, options.session == ALL);
    if options.follow {
        let (session, after) = match options.session.as_str() {
            ALL => (ALL.to_owned(), last_seq(&client)?),
            CURRENT => (current_id(&client)?, None),
            id => (id.to_owned(), None),
        };
        let watch = Watch { client: &client, session: &session, after, unread: false };
        return watch.run(|event| printer.print(event));
    }
    let sessions = if options.session == ALL {
        let calls = client.get(&format!("/v1/calls?limit={LISTED_SESSIONS}"))?;
        let ids = calls["calls"].as_array().into_iter().flatten().rev();
        ids.filter_map(|meta| meta["id"].as_str().map(ToOwned::to_owned)).collect()
    } else {
        vec![options.session.clone()]
    };
    for id in sessions {
        let body = of_session(&id, client.get(&session_path(&id, "/events")))?;
        for event in body["events"].as_array().into_iter().flatten() {
            printer.print(event)?;
        }
    }
    Ok(())
}

/// The number of the newest event: whoever follows all calls wants what comes, not what was.
fn last_seq(client: &ApiClient) -> Result<Option<u64>, Fault> {
    let calls = client.get("/v1/calls?limit=1")?;
    let Some(id) = calls["calls"][0]["id"].as_str() else { return Ok(None) };
    let body = client.get(&session_path(id, "/events"))?;
    let known = body["events"].as_array().map_or(0, Vec::len);
    let mut last = None;
    // A call that is on has a stream without an end: no more is read than is known to be there.
    let stored = client.events(id, None)?.filter_map(|streamed| match streamed {
        Streamed::Event { id, .. } => id,
        Streamed::Alive => None,
    });
    for seq in stored.take(known) {
        last = Some(seq);
    }
    Ok(last)
}

/// Prints events one by one; a heading where another session's begin.
pub(super) struct Printer {
    as_json: bool,
    headings: bool,
    view: View,
    session: Option<String>,
}

impl Printer {
    pub(super) fn new(as_json: bool, headings: bool) -> Self {
        Self { as_json, headings, view: View::of_stdout(), session: None }
    }

    pub(super) fn print(&mut self, event: &Value) -> Result<(), Fault> {
        if self.as_json {
            return json_line(event);
        }
        let text = self.render(event);
        if text.is_empty() { Ok(()) } else { out::print(&text) }
    }

    fn render(&mut self, event: &Value) -> String {
        let Some((who, tone, words)) = said(event) else { return String::new() };
        let mut out = String::new();
        let session = event["call_id"].as_str();
        if self.headings && session.is_some() && session != self.session.as_deref() {
            self.session = session.map(ToOwned::to_owned);
            out += &self.view.labelled("", Tone::Plain, &text(&event["call_id"]));
        }
        let at = event["ts_ms"].as_i64().map(|at| self.view.local(at, "%H:%M:%S")).unwrap_or_default();
        out + &self.view.labelled(&format!("  {at:<8}  {who:<8}"), tone, &words)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_have_their_time_and_a_heading_where_another_call_begins() {
        let mut printer = Printer { as_json: false, headings: true, view: View::plain(50), session: None };
        let event = |session: &str, name: &str, text: &str| {
            json!({"call_id": session, "ts_ms": 1_795_337_467_000_i64,
            "event_type": name, "payload": {"text": text}})
        };
        let text: String = [
            event("20261122-085107-+49", "call_started", ""),
            event(
                "20261122-085107-+49",
                "transcript_final",
                "A sentence that is longer than the line\u{1b}c is.",
            ),
            event("20261122-085108-+50", "external_command", "x"),
            event("20261122-085108-+50", "agent_response_finished", "Bye"),
        ]
        .iter()
        .map(|event| printer.render(event))
        .collect();
        assert_eq!(
            text,
            "\
20261122-085107-+49
  08:51:07          the call begins
  08:51:07  caller  A sentence that is longer than
                    the line�c is.
20261122-085108-+50
  08:51:07  agent   Bye
"
        );
    }
}
