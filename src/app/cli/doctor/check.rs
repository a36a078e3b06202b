//! One check: what was found, and what to do about it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::app::cli::text::clean;
use crate::app::cli::view::{Tone, View};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pass,
    /// Calls work, but something will go wrong one day.
    Warn,
    /// Calls do not work, or secrets are open.
    Fail,
    /// It could not be checked.
    Skip,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Pass => Tone::Good,
            Self::Warn => Tone::Doubtful,
            Self::Fail => Tone::Bad,
            Self::Skip => Tone::Faint,
        }
    }
}

/// What was checked and how it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    /// A sentence, without secrets.
    pub(super) found: String,
    /// A command to be typed as it is, but for what stands in capitals.
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Pass, found: found.into(), mend: None }
    }

    pub(super) fn skip(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Skip, found: found.into(), mend: None }
    }

    pub(super) fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    pub(super) fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), mend: Some(mend.into()) }
    }
}

/// How many came out so.
pub(super) fn count(checks: &[Check], state: State) -> usize {
    checks.iter().filter(|check| check.state == state).count()
}

/// For programs.
pub(super) fn to_json(checks: &[Check]) -> Value {
    let list: Vec<Value> = checks
        .iter()
        .map(|check| {
            let state = check.state.word().to_ascii_lowercase();
            json!({"name": check.name, "state": state, "found": check.found, "mend": check.mend})
        })
        .collect();
    json!({
        "ok": count(checks, State::Fail) == 0,
        "failed": count(checks, State::Fail),
        "warnings": count(checks, State::Warn),
        "checks": list,
    })
}

/// For people. A command is never wrapped, so that it can be copied.
pub(super) fn render(checks: &[Check], view: &View) -> String {
    let mut out = String::new();
    for check in checks {
        let state = format!("{:<4}", check.state.word());
        let found = view.labelled(&format!("{state}  {:<15}", check.name), Tone::Plain, &check.found);
        out += &found.replacen(&state, &view.paint(check.state.tone(), &state), 1);
        if let Some(mend) = &check.mend {
            let _ = writeln!(out, "      {}", view.paint(Tone::Strong, &format!("$ {}", clean(mend))));
        }
    }
    let (passed, warned) = (count(checks, State::Pass), count(checks, State::Warn));
    let (failed, skipped) = (count(checks, State::Fail), count(checks, State::Skip));
    let tone = match (failed, warned) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let mut summary = format!("{passed} ok, {warned} to watch, {failed} to mend");
    if skipped > 0 {
        let _ = write!(summary, ", {skipped} not checked");
    }
    out + "\n" + &view.paint(tone, &summary) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_read_one_below_the_other_with_the_command_that_mends() {
        let checks = [
            Check::pass("service", "it runs"),
            Check::fail(
                "SIP",
                "403 Forbidden\u{1b}[2J: the server refused the user name or the password",
                "callscoot configure sip_password=-",
            ),
            Check::warn("clock", "not synchronised", "sudo timedatectl set-ntp true"),
            Check::skip("time zone", "unknown"),
        ];
        assert_eq!(
            render(&checks, &View::plain(60)),
            "\
ok    service        it runs
FAIL  SIP            403 Forbidden�[2J: the server refused
                     the user name or the password
      $ callscoot configure sip_password=-
warn  clock          not synchronised
      $ sudo timedatectl set-ntp true
skip  time zone      unknown

1 ok, 1 to watch, 1 to mend, 1 not checked
"
        );
        let json = to_json(&checks);
        assert_eq!((&json["ok"], &json["failed"], &json["warnings"]), (&json!(false), &json!(1), &json!(1)));
        assert_eq!(json["checks"][1]["state"], "fail");
    }
}
