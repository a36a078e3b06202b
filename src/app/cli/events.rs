//! `callscoot events`: what happened in a call, or happens.

use serde_json::Value;

use super::desk::{CURRENT, Output, client, current_id, of_session, session_path};
use super::event::said;
use super::follow::{ALL, Part, Watch};
use super::view::{Tone, View, json_line, text};
use crate::app::fault::Fault;
use crate::app::out;
use crate::call::api::Gap;
use crate::port::rest_local::ApiClient;

/// `events all` begins with the first of so many last sessions; `calls` names older ones.
const LISTED_SESSIONS_MAX: usize = 20;

/// Whose events.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A session's id, `current`, or `all`: the last calls and what phones did since; with --follow what is to come.
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
    let mut watch = |session: &str, after, part| {
        let watch = Watch { client: &client, session, after, part, unread: false };
        watch.run(|event| if is_of_place(part, event) { Ok(()) } else { printer.print(event) })
    };
    match (options.session.as_str(), options.follow) {
        (ALL, true) => watch(ALL, before_last(&client, 1)?, Part::Future),
        (ALL, false) => watch(ALL, before_last(&client, LISTED_SESSIONS_MAX)?, Part::Past),
        (CURRENT, true) => watch(&current_id(&client)?, None, Part::All),
        (id, true) => watch(id, None, Part::All),
        (id, false) => stored(&client, id)?.iter().try_for_each(|event| printer.print(event)),
    }
}

/// A session's events so far.
fn stored(client: &ApiClient, id: &str) -> Result<Vec<Value>, Fault> {
    let body = of_session(id, client.get(&session_path(id, "/events")))?;
    Ok(body["events"].as_array().cloned().unwrap_or_default())
}

/// The place in the stream of all behind which so many last sessions are; `None` where that is its beginning. Nobody
/// has to wait until years of calls have passed by.
fn before_last(client: &ApiClient, sessions: usize) -> Result<Option<u64>, Fault> {
    let calls = client.get(&format!("/v1/calls?limit={LISTED_SESSIONS_MAX}"))?;
    let ids = calls["calls"].as_array().into_iter().flatten().filter_map(|meta| meta["id"].as_str());
    let firsts = ids.map(|id| Ok(stored(client, id)?.first().and_then(|event| event["seq"].as_u64())));
    let firsts: Vec<u64> =
        firsts.filter_map(Result::transpose).take(sessions).collect::<Result<_, Fault>>()?;
    // Calls overlap.
    Ok(firsts.into_iter().min().map(|seq| seq.saturating_sub(1)))
}

/// Whether it tells of events that are not stored any more because the listing begins in the middle: nobody who asked
/// for the last ones has missed them.
fn is_of_place(part: Part, event: &Value) -> bool {
    part == Part::Past && event["event_type"] == "gap" && event["payload"]["reason"] == Gap::Pruned.as_str()
}

/// Heads events of no call.
const OUTSIDE: &str = "outside calls";

/// Prints events one by one; a heading where another session's begin.
pub(super) struct Printer {
    as_json: bool,
    headings: bool,
    view: View,
    heading: String,
}

impl Printer {
    pub(super) fn new(as_json: bool, headings: bool) -> Self {
        Self { as_json, headings, view: View::of_stdout(), heading: String::new() }
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
        let heading = match event.get("call_id") {
            // What the stream says of itself stands where it comes.
            None => self.heading.clone(),
            Some(id) if id.is_null() => OUTSIDE.to_owned(),
            Some(id) => text(id),
        };
        if self.headings && heading != self.heading {
            out += &self.view.labelled("", Tone::Plain, &heading);
            self.heading = heading;
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
    fn a_listing_tells_no_gap_that_its_own_beginning_made() {
        let gap = |reason: &str| json!({"event_type": "gap", "payload": {"after": "7", "reason": reason}});
        assert!(is_of_place(Part::Past, &gap("pruned")));
        let others = [
            (Part::Past, gap("unknown")),
            (Part::Past, json!({"event_type": "x", "payload": {"reason": "pruned"}})),
            (Part::Future, gap("pruned")),
            (Part::All, gap("pruned")),
        ];
        for (part, event) in others {
            assert!(!is_of_place(part, &event), "{part:?}: {event}");
        }
    }

    #[test]
    fn events_have_their_time_and_a_heading_where_another_call_begins() {
        let mut printer =
            Printer { as_json: false, headings: true, view: View::plain(50), heading: String::new() };
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
            json!({"event_type": "gap", "payload": {"after": "7", "reason": "pruned"}}),
            json!({"call_id": null, "ts_ms": 1_795_337_467_000_i64, "event_type": "phone_disconnected",
                "payload": {"address": "00:02:EE:00:00:01", "name": "", "reason": "page timeout"}}),
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
                    some events are not stored any
                    more
outside calls
  08:51:07  phone   00:02:EE:00:00:01 is gone:
                    page timeout
20261122-085108-+50
  08:51:07  agent   Bye
"
        );
    }
}
