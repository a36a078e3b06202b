//! `callscoot` alone: how the service is, and what can be asked of it.

use std::fmt::Write as _;
use std::time::Duration;

use super::view::{Tone, View};
use super::{desk, status};
use crate::app::fault::Fault;
use crate::app::out;
use crate::port::rest_local::ApiError;

/// Longer than a service on this machine ever takes; a person waits for the rest of the page.
const PATIENCE: Duration = Duration::from_secs(2);

const COMMANDS: [(&str, &str); 10] = [
    ("serve", "run the service in the foreground"),
    ("doctor", "what a call needs, and how to mend it"),
    ("configure KEY=VALUE", "settings; `configure` shows them all"),
    ("dial NUMBER --follow", "call with the agent, and watch"),
    ("echo NUMBER", "a test call without any agent"),
    ("calls", "the last calls; `call-show ID` for one"),
    ("answer, hangup", "the current call"),
    ("say TEXT, context …", "words for the agent, now"),
    ("events --follow all", "everything, as it happens"),
    ("demo", "a call on this machine, no account needed"),
];

pub(super) fn run() -> Result<(), Fault> {
    let view = View::of_stdout();
    let state = desk::client().and_then(|client| {
        let client = client.within(PATIENCE);
        Ok(status::render(&client.get("/v1/status")?, client.base(), &view))
    });
    let state = state.unwrap_or_else(|fault| {
        if let Fault::Service(ApiError::Unreachable { base, .. }) = fault {
            let told = view.paint(Tone::Bad, "the service is not running");
            format!("{told}  {}\n  `callscoot serve` starts it\n", view.paint(Tone::Faint, &base))
        } else {
            view.labelled("", Tone::Plain, &fault.to_string())
        }
    });
    out::print(&format!("{state}\n{}", commands(&view)))
}

fn commands(view: &View) -> String {
    let mut out = String::new();
    for (command, meaning) in COMMANDS {
        let _ =
            writeln!(out, "  {}  {meaning}", view.paint(Tone::Strong, &format!("callscoot {command:<20}")));
    }
    out + "  --json is for programs; `callscoot help` lists everything, and the exit codes\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_fits_80_columns() {
        let page = commands(&View::plain(80));
        let too_wide: Vec<&str> =
            page.lines().filter(|line| super::super::text::columns(line) > 80).collect();
        assert!(too_wide.is_empty(), "{too_wide:?}");
    }
}
