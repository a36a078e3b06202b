//! `callscoot events`: what happened in a call, or happens.

use std::collections::BTreeSet;

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
        let (session, past) = match options.session.as_str() {
            ALL => (ALL.to_owned(), past(&client)?),
            CURRENT => (current_id(&client)?, Past::default()),
            id => (id.to_owned(), Past::default()),
        };
        let watch = Watch { client: &client, session: &session, after: past.after, unread: false };
        return watch.run(|event| if past.holds(event) { Ok(()) } else { printer.print(event) });
    }
    let sessions = if options.session == ALL { listed(&client)? } else { vec![options.session.clone()] };
    for id in sessions {
        for event in stored(&client, &id)? {
            printer.print(&event)?;
        }
    }
    Ok(())
}

/// The last sessions, the oldest first.
fn listed(client: &ApiClient) -> Result<Vec<String>, Fault> {
    let calls = client.get(&format!("/v1/calls?limit={LISTED_SESSIONS}"))?;
    let ids = calls["calls"].as_array().into_iter().flatten().rev();
    Ok(ids.filter_map(|meta| meta["id"].as_str().map(ToOwned::to_owned)).collect())
}

/// A session's events so far.
fn stored(client: &ApiClient, id: &str) -> Result<Vec<Value>, Fault> {
    let body = of_session(id, client.get(&session_path(id, "/events")))?;
    Ok(body["events"].as_array().cloned().unwrap_or_default())
}

/// What was before the watching: whoever follows all calls wants what comes.
#[derive(Default)]
struct Past {
    /// A number up to which nothing is new.
    after: Option<u64>,
    /// Ids of the events that the last sessions had; calls overlap, so no number alone parts old from new.
    event_ids: BTreeSet<String>,
}

impl Past {
    fn holds(&self, event: &Value) -> bool {
        event["event_id"].as_str().is_some_and(|id| self.event_ids.contains(id))
    }
}

fn past(client: &ApiClient) -> Result<Past, Fault> {
    let mut past = Past::default();
    for id in listed(client)?.into_iter().rev() {
        let events = stored(client, &id)?;
        if past.after.is_none() && !events.is_empty() {
            past.after = first_seq(client, &id)?;
        }
        past.event_ids.extend(events.iter().filter_map(|event| event["event_id"].as_str().map(Into::into)));
    }
    Ok(past)
}

/// The number of a session's first event, which is there.
fn first_seq(client: &ApiClient, id: &str) -> Result<Option<u64>, Fault> {
    Ok(client.events(id, None)?.find_map(|streamed| match streamed {
        Streamed::Event { id, .. } => id,
        Streamed::Alive => None,
    }))
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
