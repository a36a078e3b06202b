//! The line: phones, or SIP: configured, registered, and sound comes through.

use serde_json::Value;

use super::check::Check;
use super::phones;
use crate::app::cli::view::text;
use crate::port::machine;
use crate::port::rest_local::ApiClient;

/// Calls that are looked at for a pattern.
const LAST_CALLS: u32 = 20;

pub(super) fn check(status: &Value, client: &ApiClient, here: bool, checks: &mut Vec<Check>) {
    let calls = client.get(&format!("/v1/calls?limit={LAST_CALLS}")).ok();
    if status["telephony_backend"]["selected"] != "sip" {
        checks.extend(unset(status));
        phones::check(status, calls.as_ref(), here, checks);
        return;
    }
    checks.push(registration(status));
    checks.extend(ports(status, here));
    checks.extend(calls.as_ref().and_then(sound));
}

/// Nothing was chosen, and there is no phone either: both ways are told.
fn unset(status: &Value) -> Option<Check> {
    let none = status["phones"]["phones"].as_array().is_none_or(Vec::is_empty);
    (status["telephony_backend"]["configured"] == "auto" && none).then(|| {
        Check::warn(
            "line",
            "no SIP account is set, and no phone is paired: `callscoot pair` lets your own phone carry calls; for SIP:",
            "callscoot configure sip_server=SERVER sip_username=USER sip_password=-",
        )
    })
}

fn registration(status: &Value) -> Check {
    const NAME: &str = "SIP line";
    let (sip, config) = (&status["sip_state"], &status["config"]);
    let Some(server) = sip["server"].as_str() else {
        return Check::fail(NAME, "sip_server is not set", "callscoot configure sip_server=SERVER");
    };
    if config["sip_transport"] != "udp" {
        let found = format!("sip_transport {} is not in this version", text(&config["sip_transport"]));
        return Check::fail(NAME, found, "callscoot configure sip_transport=udp");
    }
    if config["sip_audio_mode"] != "agent" {
        return Check::fail(
            NAME,
            "sip_audio_mode direct is not in this version",
            "callscoot configure sip_audio_mode=agent",
        );
    }
    let error = text(&sip["last_error"]);
    if sip["started"] != true {
        return not_started(NAME, server, &error, config);
    }
    if config["sip_username"].is_null() {
        return Check::pass(
            NAME,
            format!("calls go to {server} without registration, as sip_username is not set"),
        );
    }
    let user = text(&config["sip_username"]);
    if sip["registered"] == true {
        return Check::pass(NAME, format!("registered at {server} as {user}"));
    }
    let code = sip["registration_status_code"].as_u64();
    let said = format!("{} {}", code.unwrap_or_default(), text(&sip["registration_status_text"]));
    let (meaning, mend) = match code {
        Some(401 | 403 | 407) => {
            return Check::fail(
                NAME,
                format!("{server} refused {user} ({said}): the password is wrong, or the user name"),
                "callscoot configure sip_password=-",
            );
        }
        Some(404 | 410 | 604) => {
            (format!("does not know {user} ({said})"), "callscoot configure sip_username=USER".into())
        }
        Some(423) => (format!("wants another expiry ({said})"), "callscoot doctor".into()),
        Some(408) | None => {
            let port = &config["sip_port"];
            let why = if error.is_empty() { "no answer yet".to_owned() } else { error };
            (
                format!(
                    "does not answer on UDP port {port} ({why}): server or port are wrong, or a firewall is between"
                ),
                format!("nc -vzu {server} {port}; callscoot configure sip_server=SERVER sip_port=PORT"),
            )
        }
        Some(300..=399) => {
            (format!("sends us elsewhere ({said})"), "callscoot configure sip_server=SERVER".into())
        }
        Some(500..=599) => (
            format!("has trouble of its own ({said}); it is asked again by itself"),
            "callscoot status".into(),
        ),
        Some(_) => (
            format!("does not register us ({said})"),
            "callscoot configure sip_server=SERVER sip_username=USER sip_password=-".into(),
        ),
    };
    Check::fail(NAME, format!("{server} {meaning}"), mend)
}

fn not_started(name: &'static str, server: &str, error: &str, config: &Value) -> Check {
    if error.contains("port cannot be opened") {
        let found = format!("{error} (sip_local_port {})", config["sip_local_port"]);
        return Check::fail(name, found, "callscoot configure sip_local_port=0");
    }
    let why = if error.is_empty() { "its name is being resolved" } else { error };
    Check::fail(
        name,
        format!("{server}: {why}"),
        format!("getent hosts {server}; callscoot configure sip_server=SERVER"),
    )
}

/// Where packets must be let in.
fn ports(status: &Value, here: bool) -> Option<Check> {
    const NAME: &str = "UDP ports";
    let (sip, config) = (&status["sip_state"], &status["config"]);
    let local = sip["local"].as_str()?;
    let range = machine::local_ports().filter(|_| here);
    let range = range.map_or_else(|| "its own range".into(), |(low, high)| format!("{low} to {high}"));
    let found = format!("SIP on {local}, sound on ports of {range}; a firewall must let both in");
    let unregistered = config["sip_username"].is_null();
    Some(if unregistered && config["sip_local_port"] == 0 && config["auto_answer"] == true {
        let found =
            format!("SIP on {local}, another port after each start: who is to call us cannot know it");
        Check::warn(NAME, found, "callscoot configure sip_local_port=5060")
    } else {
        Check::pass(NAME, found)
    })
}

/// Calls that were answered and stayed silent have one cause.
fn sound(calls: &Value) -> Option<Check> {
    const NAME: &str = "sound";
    let answered: Vec<&Value> =
        calls["calls"].as_array()?.iter().filter(|meta| !meta["offhook_started_at"].is_null()).collect();
    let silent = answered
        .iter()
        .filter(|meta| meta["end_reason"] == "media_timeout" || meta["audio"]["packets_received"] == 0)
        .count();
    match (answered.len(), silent) {
        (0, _) => None,
        (all, 0) => Some(Check::pass(NAME, format!("packets came in every answered call of late ({all})"))),
        (all, silent) => Some(Check::warn(
            NAME,
            format!(
                "no packets came, or none any more, in {silent} of {all} answered calls: firewall or NAT"
            ),
            "callscoot echo NUMBER",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::State;
    use super::*;

    fn status(sip: Value) -> Value {
        let mut state =
            json!({"server": "pbx", "started": true, "registered": false, "local": "0.0.0.0:5060"});
        state.as_object_mut().unwrap().extend(sip.as_object().unwrap().clone());
        json!({"telephony_backend": {"selected": "sip"}, "sip_state": state,
            "config": {"sip_username": "1001", "sip_transport": "udp", "sip_audio_mode": "agent", "sip_port": 5060,
                "sip_local_port": 0, "auto_answer": true}})
    }

    #[test]
    fn each_answer_to_a_register_has_its_meaning_and_its_command() {
        for (code, meaning, command) in [
            (401, "password is wrong", "sip_password=-"),
            (403, "password is wrong", "sip_password=-"),
            (404, "does not know 1001", "sip_username=USER"),
            (408, "a firewall", "nc -vzu pbx 5060"),
            (503, "trouble of its own", "callscoot status"),
            (488, "does not register us", "sip_server=SERVER"),
        ] {
            let check = registration(&status(
                json!({"registration_status_code": code, "registration_status_text": "No\u{1b}"}),
            ));
            assert_eq!(check.state, State::Fail);
            assert!(check.found.contains(meaning) && !check.found.contains('\u{1b}'), "{check:?}");
            assert!(check.mend.as_ref().unwrap().contains(command), "{check:?}");
        }
        let silent = registration(&status(json!({"last_error": "no answer"})));
        assert!(silent.found.contains("does not answer on UDP port 5060 (no answer)"), "{silent:?}");
        assert_eq!(registration(&status(json!({"registered": true}))).state, State::Pass);
        let held = registration(&status(
            json!({"started": false, "last_error": "the SIP port cannot be opened: in use"}),
        ));
        assert_eq!(held.mend.as_deref(), Some("callscoot configure sip_local_port=0"));
        let unknown =
            registration(&status(json!({"started": false, "last_error": "the SIP server is not found: x"})));
        assert!(unknown.mend.unwrap().starts_with("getent hosts pbx"));
    }

    #[test]
    fn a_line_that_is_not_set_up_is_told_with_all_that_it_needs() {
        let auto =
            json!({"telephony_backend": {"configured": "auto", "selected": "hfp"}, "phones": {"phones": []}});
        assert!(unset(&auto).unwrap().mend.unwrap().contains("sip_password=-"));
        let chosen = json!({"telephony_backend": {"configured": "hfp", "selected": "hfp"}});
        assert_eq!(unset(&chosen), None);
        let mut trunk = status(json!({}));
        trunk["config"]["sip_username"] = Value::Null;
        assert_eq!(registration(&trunk).state, State::Pass);
        assert_eq!(ports(&trunk, true).unwrap().state, State::Warn);
        trunk["config"]["sip_local_port"] = json!(5060);
        assert_eq!(ports(&trunk, true).unwrap().state, State::Pass);
        trunk["config"]["sip_transport"] = json!("tls");
        assert_eq!(registration(&trunk).state, State::Fail);
    }

    #[test]
    fn silent_calls_are_a_pattern() {
        let call = |packets: u64, reason: &str| {
            let audio = json!({"packets_received": packets});
            json!({"offhook_started_at": "x", "end_reason": reason, "audio": audio})
        };
        let state = |calls: Value| sound(&json!({ "calls": calls })).map(|check| check.state);
        assert_eq!(state(json!([call(9, "remote_hangup"), {"offhook_started_at": null}])), Some(State::Pass));
        assert_eq!(state(json!([call(9, "remote_hangup"), call(0, "silence")])), Some(State::Warn));
        assert_eq!(state(json!([call(9, "media_timeout")])), Some(State::Warn));
        assert_eq!(state(json!([{"offhook_started_at": null}])), None);
    }
}
