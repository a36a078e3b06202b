//! `answer`, `hangup`, `handover`, `say`, `context`: what is done with a call that is there.

use serde_json::{Value, json};

use super::desk::{CURRENT, Output, client, of_session, session_path};
use super::view::{View, show, text};
use crate::app::fault::Fault;

/// Which call.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The call; without one, the current call.
    #[arg(value_name = "ID", default_value = CURRENT, hide_default_value = true)]
    session: String,
    #[command(flatten)]
    output: Output,
}

/// Where the sound of a call goes.
#[derive(Debug, clap::Args)]
pub(super) struct Handover {
    /// The phone's handset, where its owner speaks; or the agent.
    #[arg(value_parser = ["handset", "agent"])]
    to: String,
    /// The call; without one, the current call.
    #[arg(long, value_name = "ID", default_value = CURRENT, hide_default_value = true)]
    session: String,
    #[command(flatten)]
    output: Output,
}

/// Words for the agent.
#[derive(Debug, clap::Args)]
pub(super) struct Words {
    /// The words; several arguments are one text.
    #[arg(required = true, value_name = "TEXT")]
    words: Vec<String>,
    /// The call; without one, the current call.
    #[arg(long, value_name = "ID", default_value = CURRENT, hide_default_value = true)]
    session: String,
    #[command(flatten)]
    output: Output,
}

pub(super) fn answer(which: &Which) -> Result<(), Fault> {
    done(&which.session, "/answer", &json!({}), which.output, |body, _| {
        format!("answering {}", text(&body["session_id"]))
    })
}

pub(super) fn hang_up(which: &Which) -> Result<(), Fault> {
    let ending = |body: &Value, _: &View| format!("hanging up {}", text(&body["session_id"]));
    done(&which.session, "/hangup", &json!({}), which.output, ending)
}

pub(super) fn hand_over(handover: &Handover) -> Result<(), Fault> {
    let body = json!({ "to": handover.to });
    done(&handover.session, "/handover", &body, handover.output, |body, _| match body["to"].as_str() {
        Some("handset") => format!("{} goes to the handset", text(&body["session_id"])),
        _ => format!("{} comes back to the agent", text(&body["session_id"])),
    })
}

pub(super) fn say(words: &Words) -> Result<(), Fault> {
    tell(words, "/user-message", "said")
}

pub(super) fn context(words: &Words) -> Result<(), Fault> {
    tell(words, "/contextual-update", "told")
}

fn tell(words: &Words, below: &str, verb: &str) -> Result<(), Fault> {
    let body = json!({ "text": words.words.join(" ") });
    done(&words.session, below, &body, words.output, |answer, _| {
        format!("{verb} to the agent of {}", text(&answer["command"]["session_id"]))
    })
}

fn done(
    session: &str,
    below: &str,
    body: &Value,
    output: Output,
    render: impl FnOnce(&Value, &View) -> String,
) -> Result<(), Fault> {
    let answer = of_session(session, client()?.post(&session_path(session, below), body))?;
    show(&answer, output.json, render)
}
