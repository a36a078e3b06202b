//! The machine: its clock and zone, and what the service may do there.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::check::Check;
use crate::port::machine::{Limits, limits_of};
use crate::sys::clock;

/// A clock before this is one that nobody set: 2026-01-01.
const CLOCK_UNIX_MS_MIN: i64 = 1_767_225_600_000;
/// Streams, calls and the database together.
const OPEN_FILES_MIN: u64 = 1024;

pub(super) fn check(status: Option<&Value>, here: bool, checks: &mut Vec<Check>) {
    let told = status.and_then(|status| status["clock_synced"].as_bool());
    if let Some(synced) = told.or_else(|| here.then(clock::is_synchronised)) {
        checks.push(clock_check(synced, clock::now().unix_ms));
    }
    let config = status.map_or(&Value::Null, |status| &status["config"]);
    let system = TimeZone::system();
    let system = if here { system.iana_name() } else { None };
    checks.push(zone(config, system));
    if here {
        let pid = status
            .and_then(|status| status["service"]["pid"].as_u64())
            .and_then(|pid| u32::try_from(pid).ok());
        let limits = limits_of(pid.unwrap_or_else(std::process::id));
        // With calls so far, the service knows; else the limits tell what will be.
        let refused = status.is_some_and(|status| status["realtime"] == false);
        checks.extend(limits.map(|limits| realtime(limits.realtime && !refused)));
        checks.extend(limits.map(open_files));
    }
}

fn clock_check(synced: bool, unix_ms: i64) -> Check {
    const NAME: &str = "clock";
    const MEND: &str = "sudo timedatectl set-ntp true && timedatectl timesync-status";
    if unix_ms < CLOCK_UNIX_MS_MIN {
        Check::fail(NAME, "the clock was never set: no certificate is valid then", MEND)
    } else if synced {
        Check::pass(NAME, "synchronised")
    } else {
        Check::warn(NAME, "not synchronised: times of calls may be wrong, and opening hours", MEND)
    }
}

fn zone(config: &Value, system: Option<&str>) -> Check {
    const NAME: &str = "time zone";
    const MEND: &str = "callscoot configure timezone=Europe/Berlin";
    let hours = !config["business_hours"].is_null();
    match (config["timezone"].as_str(), system) {
        (Some(name), _) if TimeZone::get(name).is_err() => {
            Check::fail(NAME, format!("timezone {name} is not known here"), "sudo apt-get install tzdata")
        }
        (Some(name), _) => Check::pass(NAME, format!("{name}, as configured")),
        (None, None | Some("UTC" | "Etc/UTC" | "Etc/Unknown")) if hours => {
            Check::warn(NAME, "business_hours are read as UTC, the system's zone", MEND)
        }
        (None, Some(name)) => Check::pass(NAME, format!("{name}, the system's")),
        (None, None) => Check::pass(NAME, "the system's"),
    }
}

fn realtime(granted: bool) -> Check {
    const NAME: &str = "realtime";
    if granted {
        return Check::pass(NAME, "audio has real-time priority");
    }
    let program = std::env::current_exe()
        .map_or_else(|_| "$(command -v callscoot)".into(), |path| path.display().to_string());
    Check::warn(
        NAME,
        "audio has no real-time priority: calls may stutter when the machine is busy; restart the service after this",
        format!("sudo setcap cap_sys_nice=ep {program}"),
    )
}

fn open_files(limits: Limits) -> Check {
    const NAME: &str = "open files";
    match limits.open_files {
        Some(files) if files < OPEN_FILES_MIN => Check::warn(
            NAME,
            format!("{files} at most: many clients are refused"),
            format!("ulimit -n {OPEN_FILES_MIN} && callscoot serve"),
        ),
        Some(files) => Check::pass(NAME, format!("{files} at most")),
        None => Check::pass(NAME, "as many as wanted"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::State;
    use super::*;

    #[test]
    fn clock_zone_and_limits_are_judged_by_what_they_do_to_calls() {
        assert_eq!(clock_check(true, 0).state, State::Fail);
        assert_eq!(
            (clock_check(false, i64::MAX).state, clock_check(true, i64::MAX).state),
            (State::Warn, State::Pass)
        );
        let hours = json!({"business_hours": "09:00-17:00", "timezone": null});
        assert_eq!(zone(&hours, Some("Etc/UTC")).state, State::Warn);
        assert_eq!(zone(&hours, Some("Europe/Berlin")).state, State::Pass);
        assert_eq!(zone(&Value::Null, None).state, State::Pass);
        assert_eq!(zone(&json!({"timezone": "Mars/Olympus"}), None).state, State::Fail);
        assert_eq!(
            [Some(256), Some(1024), None].map(open_files_state),
            [State::Warn, State::Pass, State::Pass]
        );
        assert_eq!((realtime(true).state, realtime(false).state), (State::Pass, State::Warn));
    }

    fn open_files_state(files: Option<u64>) -> State {
        open_files(Limits { open_files: files, realtime: false }).state
    }
}
