//! One event of the stream in words.

use serde_json::Value;

use super::phones;
use super::view::{Tone, text};

/// Who or what, in which tone, and the words; `None` for what other events say better.
pub(super) fn said(event: &Value) -> Option<(&'static str, Tone, String)> {
    let payload = &event["payload"];
    let words = |name: &str| text(&payload[name]);
    let note = |words: &str| Some(("", Tone::Faint, words.to_owned()));
    match event["event_type"].as_str().unwrap_or_default() {
        "call_started" => note("the call begins"),
        "agent_session_started" => note("the agent gets ready while it rings"),
        "ws_connected" => note("connected to the agent service"),
        "ws_reconnect" => note("the agent service is tried again"),
        "conversation_started" => note("the conversation has begun"),
        "transcript_final" => Some(("caller", Tone::Strong, words("text"))),
        "agent_response_started" => note("the agent speaks"),
        "agent_response_finished" => Some(("agent", Tone::Good, words("text"))),
        "agent_response_correction" => Some(("heard", Tone::Faint, words("corrected_agent_response"))),
        "interruption" => note("the caller talks over the agent: silence at once"),
        "audio_moved" if payload["to"] == "handset" => note("the phone's owner speaks; the agent is silent"),
        "audio_moved" => note("the call is back with the agent"),
        "audio_lost" => Some(("", Tone::Doubtful, "the phone took the call's sound".into())),
        "contextual_update_queued" => Some(("context", Tone::Doubtful, words("text"))),
        "user_message_queued" => Some(("say", Tone::Doubtful, words("text"))),
        "client_error" | "audio_not_moved" => Some(("error", Tone::Bad, words("error"))),
        "tool_call_started" => Some(("tool", Tone::Doubtful, words("tool_name"))),
        "tool_call_finished" => Some(("tool", Tone::Doubtful, format!("{} is done", words("tool_name")))),
        "call_ended" => {
            let reason = words("end_reason").replace('_', " ");
            let detail = Some(words("end_detail")).filter(|detail| !detail.is_empty());
            let ended = detail.map_or_else(|| reason.clone(), |detail| format!("{reason} ({detail})"));
            Some(("", Tone::Strong, format!("the call has ended: {ended}")))
        }
        "phone_connected" => Some(("phone", Tone::Good, phone_is(payload))),
        "phone_changed" => Some(("phone", Tone::Faint, phone_is(payload))),
        "phone_disconnected" => {
            Some(("phone", Tone::Doubtful, format!("{} is gone: {}", phones::name(payload), words("reason"))))
        }
        "gap" => Some(("", Tone::Bad, "some events are not stored any more".into())),
        "external_command" => None,
        _ => Some(("", Tone::Faint, text(&event["event_type"]))),
    }
}

/// A phone, and how it is.
fn phone_is(payload: &Value) -> String {
    let phone = &payload["phone"];
    let network = phone["operator"].is_string().then(|| text(&phone["operator"]));
    let details: Vec<String> =
        [phones::state(phone)].into_iter().chain(network).chain(phones::notes(phone)).collect();
    format!("{}: {}", phones::name(payload), details.join(", "))
}

/// The same as one line without colours.
pub(in crate::app) fn words(event: &Value) -> Option<String> {
    let (who, _, words) = said(event)?;
    Some(if who.is_empty() { words } else { format!("{:<9}{words}", format!("{who}:")) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_told_in_words_and_an_unknown_one_by_its_name() {
        let told = |name: &str, payload: Value| words(&json!({"event_type": name, "payload": payload}));
        assert_eq!(told("transcript_final", json!({"text": "Hi\u{1b}[2J"})).unwrap(), "caller:  Hi�[2J");
        assert_eq!(
            told("call_ended", json!({"end_reason": "no_answer", "end_detail": "480 Gone"})).unwrap(),
            "the call has ended: no answer (480 Gone)"
        );
        assert_eq!(
            (told("external_command", json!({})), told("brand\u{7}new", json!({})).unwrap()),
            (None, "brand�new".into())
        );
        assert_eq!(
            told("audio_moved", json!({"to": "handset", "by": "us"})).unwrap(),
            "the phone's owner speaks; the agent is silent"
        );
        assert_eq!(told("audio_moved", json!({"to": "agent"})).unwrap(), "the call is back with the agent");
    }

    #[test]
    fn a_phone_is_told_as_the_list_of_phones_shows_it() {
        let told = |name: &str, member: &str, value: Value| {
            let payload = json!({"address": "00:02:EE:00:00:01", "name": "Ada\u{1b}", member: value});
            words(&json!({"event_type": name, "call_id": null, "payload": payload})).unwrap()
        };
        let phone = json!({"link": "connected", "battery": 3, "signal": 5, "service": true, "roaming": true,
            "operator": "Telekom\u{7}", "voice": "msbc", "trusted": true, "calls": 1, "cvsd_only": false});
        assert_eq!(
            told("phone_connected", "phone", phone.clone()),
            "phone:   Ada\u{fffd}: connected, battery 3/5, signal 5/5, roaming, Telekom\u{fffd}, 1 call, voice by msbc"
        );
        assert_eq!(told("phone_changed", "phone", phone).split(',').count(), 7);
        assert_eq!(
            told("phone_disconnected", "reason", json!("reset")),
            "phone:   Ada\u{fffd} is gone: reset"
        );
    }
}
