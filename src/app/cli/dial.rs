//! `callscoot dial`: a call, and if wanted its whole story.

use std::fmt::Write as _;

use serde_json::Value;

use super::call;
use super::desk::{Output, client, session_path};
use super::events::Printer;
use super::follow::{Part, Watch};
use super::pairs::Given;
use super::view::{Tone, View, document, show, text};
use crate::app::fault::Fault;
use crate::app::out;
use crate::port::rest_local::ApiClient;

/// Whom to call, with what.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The number or `sip:` URI to call.
    number: String,
    #[command(flatten)]
    given: Given,
    /// Wait until the call has ended; the exit code says whether it was answered.
    #[arg(long, short)]
    wait: bool,
    /// The same, and tell what happens as it happens.
    #[arg(long, short)]
    follow: bool,
    /// Print the API's own JSON: the request as queued; with --wait the session at its end; with --follow each event.
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = client()?;
    let queued = client.post("/v1/outbound-calls", &options.given.body(Some(&options.number)))?;
    let watched = options.wait || options.follow;
    if !watched {
        return show(&queued, options.output.json, render);
    }
    if !options.output.json {
        out::say(&render_begin(&queued));
    }
    let id = queued["session_id"].as_str().unwrap_or_default();
    watch(&client, id, options)?;
    let session = client.get(&session_path(id, ""))?;
    // The code must be true even if nobody reads the words.
    let _ = match (options.output.json, options.follow) {
        (true, true) => Ok(()),
        (true, false) => document(&session),
        (false, _) => out::print(&call::render(&session, &View::of_stdout())),
    };
    answered(&session["meta"])
}

fn watch(client: &ApiClient, id: &str, options: &Options) -> Result<(), Fault> {
    let mut printer = Printer::new(options.output.json, false);
    let watch = Watch { client, session: id, after: None, part: Part::All, unread: true };
    let done = watch.run(|event| {
        if options.follow {
            // As above: a reader that has left does not end the call, nor the waiting for it.
            let _ = printer.print(event);
        }
        Ok(())
    });
    done.map_err(|fault| {
        if matches!(fault, Fault::Interrupted(_)) {
            Fault::Interrupted(format!("the call goes on; `callscoot hangup {id}` ends it"))
        } else {
            fault
        }
    })
}

fn render_begin(queued: &Value) -> String {
    format!("calling {} over {}", text(&queued["number"]), text(&queued["via"]))
}

fn render(queued: &Value, view: &View) -> String {
    let id = text(&queued["session_id"]);
    let mut out = format!("{}\n", render_begin(queued));
    for (label, command) in [("watch   ", "events --follow"), ("hang up ", "hangup")] {
        let _ = writeln!(out, "  {}callscoot {command} {id}", view.paint(Tone::Faint, label));
    }
    out
}

/// `Ok` when somebody answered and the agent did not fail him.
fn answered(meta: &Value) -> Result<(), Fault> {
    let reason = meta["end_reason"].as_str().unwrap_or("failed").to_owned();
    let picked_up = !meta["offhook_started_at"].is_null();
    if picked_up && reason != "agent_error" {
        return Ok(());
    }
    let detail = Some(text(&meta["end_detail"])).filter(|detail| !detail.is_empty());
    let why = reason.replace('_', " ");
    let what = if picked_up { "answered, but no conversation" } else { "not answered" };
    let sentence =
        format!("{what}: {}", detail.map_or_else(|| why.clone(), |detail| format!("{why} ({detail})")));
    Err(Fault::NotAnswered { reason, sentence })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_code_says_whether_and_why_nobody_answered() {
        let code = |reason: &str| {
            answered(&json!({"offhook_started_at": null, "end_reason": reason})).unwrap_err().code()
        };
        assert_eq!(
            ["no_answer", "cancelled", "busy", "rejected", "network_error", "?"].map(code),
            [10, 10, 11, 12, 13, 13]
        );
        let picked_up = |reason: &str| answered(&json!({"offhook_started_at": "x", "end_reason": reason}));
        assert!(picked_up("remote_hangup").is_ok());
        assert_eq!(picked_up("agent_error").unwrap_err().code(), 13, "he heard nothing");
    }

    #[test]
    fn what_comes_next_is_said() {
        let queued = json!({"number": "+49\u{1b}c", "via": "sip", "session_id": "20261122-085107-+49"});
        assert_eq!(
            render(&queued, &View::plain(80)),
            "\
calling +49�c over sip
  watch   callscoot events --follow 20261122-085107-+49
  hang up callscoot hangup 20261122-085107-+49
"
        );
    }
}
