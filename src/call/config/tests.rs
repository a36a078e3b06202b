//! Tests of the table as a whole: defaults, rules of values, masking, the file.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::Config;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn patched(changes: Value) -> Result<Config, String> {
    Config::default().patched(&object(changes))
}

/// The stored form of one key after one change.
fn stored(key: &str, value: Value) -> Value {
    patched(json!({ key: value })).unwrap().to_masked_json()[key].clone()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let expected = json!({
        "target_device": null, "local_sink": null, "local_source": null, "echo_cancel": true, "latency_msec": 60,
        "adb_serial": null, "discoverable_timeout": 180, "auto_answer": false, "auto_answer_delay_sec": 2,
        "max_call_duration_sec": 0, "auto_select_device": true, "device_bindings": {},
        "call_policy_mode": "allow_all", "allowed_callers": [], "blocked_callers": [], "unknown_callers": "allow",
        "business_hours": null, "business_days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        "auto_reject_blocked": false, "log_calls": true, "telephony_backend": "auto", "sip_server": null,
        "sip_username": null, "sip_password": null, "sip_port": 5060, "sip_transport": "udp",
        "sip_capture_device": null, "sip_playback_device": null, "sip_audio_mode": "agent",
        "max_concurrent_calls": 1, "ring_timeout_sec": 60, "country_code": null, "timezone": null,
        "allowed_hosts": [], "allowed_origins": [], "agents": {}, "sip_local_port": 0,
    });
    let of_the_guard = json!({
        "outbound_calls_per_hour_max": 100, "outbound_calls_per_day_max": 500, "emergency_numbers": null,
        "premium_numbers": null, "allowed_short_numbers": null, "outbound_minutes_per_day": 0,
    });
    let mut all = object(expected);
    all.extend(object(of_the_guard));
    assert_eq!(Config::default().to_masked_json(), Value::Object(all));
}

#[test]
fn values_are_taken_in_the_forms_of_the_contract() {
    assert_eq!(stored("ring_timeout_sec", json!("45")), 45);
    assert_eq!(stored("ring_timeout_sec", json!(null)), 60);
    assert_eq!(stored("auto_answer", json!(1)), true);
    assert_eq!(stored("echo_cancel", json!("false")), false);
    assert_eq!(stored("echo_cancel", json!(null)), true);
    assert_eq!(stored("sip_transport", json!("TLS")), "tls");
    assert_eq!(stored("target_device", json!("aa-bb-cc-00-11-22")), "AA:BB:CC:00:11:22");
    assert_eq!(stored("business_hours", json!("22:00-06:00")), "22:00-06:00");
    assert_eq!(stored("business_days", json!(["SUN", "mon", "sun"])), json!(["mon", "sun"]));
    assert_eq!(stored("allowed_callers", json!(["+49 30 1", "*22"])), json!(["+49 30 1", "*22"]));
    assert_eq!(stored("agents", json!({"+4930": "agent_1"})), json!({"+4930": "agent_1"}));
    assert_eq!(stored("emergency_numbers", json!(["112"])), json!(["112"]));
    assert_eq!(stored("premium_numbers", json!(["+49 900*"])), json!(["+49900*"]));
    assert_eq!(stored("sip_server", json!(" PBX.example ")), "pbx.example");
}

#[test]
fn null_and_the_empty_text_clear_a_text_key() {
    let set = patched(json!({"sip_server": "a", "business_hours": "09:00-17:00", "sip_password": "s",
        "emergency_numbers": ["112"]}))
    .unwrap();
    for empty in [json!(null), json!("")] {
        let changes = json!({"sip_server": empty, "business_hours": empty, "sip_password": empty});
        let config = set.patched(&object(changes)).unwrap();
        assert_eq!((config.sip_server, config.business_hours, config.sip_password), (None, None, None));
    }
    let freed = set.patched(&object(json!({"emergency_numbers": null}))).unwrap();
    assert_eq!(freed.emergency_numbers, None);
}

#[test]
fn a_bad_value_is_named_and_nothing_changes() {
    let bad = [
        ("latency_msec", json!(-1)),
        ("latency_msec", json!(1.5)),
        ("latency_msec", json!(true)),
        ("latency_msec", json!("")),
        ("latency_msec", json!("6 0")),
        ("latency_msec", json!(99_999_999_999_u64)),
        ("sip_port", json!(0)),
        ("sip_port", json!(65_536)),
        ("max_concurrent_calls", json!(0)),
        ("auto_answer", json!("yes")),
        ("auto_answer", json!(2)),
        ("auto_answer", json!([])),
        ("sip_server", json!(5)),
        ("sip_server", json!("sip:a")),
        ("sip_server", json!("a".repeat(300))),
        ("sip_password", json!("a\r\nb")),
        ("sip_password", json!(5)),
        ("sip_audio_mode", json!("speaker")),
        ("sip_audio_mode", json!("")),
        ("allowed_callers", json!("+4930")),
        ("allowed_callers", json!([1])),
        ("allowed_callers", json!([""])),
        ("allowed_callers", json!(vec!["1"; 1001])),
        ("business_hours", json!("9-17")),
        ("business_days", json!(["someday"])),
        ("device_bindings", json!([])),
        ("agents", json!({"a": 1})),
        ("timezone", json!("../etc/passwd")),
        ("emergency_numbers", json!("112")),
        ("premium_numbers", json!(["sip:bob@h"])),
        ("allowed_short_numbers", json!([""])),
        ("outbound_minutes_per_day", json!(-1)),
    ];
    for (key, value) in bad {
        let sentence = patched(json!({ key: value, "echo_cancel": false })).unwrap_err();
        assert!(sentence.starts_with(&format!("{key} must be ")), "{value}: {sentence}");
    }
    assert_eq!(patched(json!({"nosuch": 1})).unwrap_err(), "unknown configuration key nosuch");
}

#[test]
fn the_mask_leaves_the_secret_as_it_is_and_never_shows_it() {
    let config = patched(json!({"sip_password": " supersecret "})).unwrap();
    assert_eq!(config.to_masked_json()["sip_password"], "***");
    assert!(!format!("{config:?}").contains("supersecret"));
    let same = config.patched(&object(json!({"sip_password": "***"}))).unwrap();
    assert_eq!(same, config);
    assert!(same.to_file_text().contains(" supersecret "));
}

#[test]
fn a_file_keeps_what_is_good_and_what_is_unknown() {
    let file = object(json!({"auto_answer": true, "sip_port": "many", "future_key": {"a": [1]},
        "blocked_callers": ["+49301", 7, "*22"], "sip_password": "s", "local_sink": null}));
    let (config, ignored) = Config::from_json(&file);
    assert_eq!((config.auto_answer, config.sip_port), (true, 5060));
    assert_eq!(config.blocked_callers, ["+49301", "*22"]);
    assert_eq!(ignored.len(), 2, "{ignored:?}");
    assert!(ignored[0].starts_with("blocked_callers") && ignored[1].starts_with("sip_port"));
    assert_eq!(config.to_masked_json().get("future_key"), None);
    let again: Value = serde_json::from_str(&config.to_file_text()).unwrap();
    assert_eq!((&again["future_key"], &again["sip_password"]), (&json!({"a": [1]}), &json!("s")));
    let (read, ignored) = Config::from_json(&object(again));
    assert_eq!((read, ignored), (config, Vec::new()));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[0-9*+:. -]{0,12}".prop_map(Value::from),
        "(udp|TLS|sip|mon|true|Europe/Berlin|09:00-17:00|AA-BB-CC-DD-EE-FF|112|https://a)"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z0-9]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    let keys: Vec<String> = Config::default().known_to_masked_json().keys().cloned().collect();
    prop_oneof![20 => prop::sample::select(keys), 1 => "[a-z_]{0,8}"]
}

proptest! {
    #[test]
    fn any_change_is_taken_whole_or_refused_and_what_was_stored_is_taken_again(
        changes in prop::collection::btree_map(any_key(), any_value(), 0..4)
    ) {
        let changes: Map<String, Value> = changes.into_iter().collect();
        let before = Config::default();
        if let Ok(after) = before.patched(&changes) {
            prop_assert_eq!(&after.patched(&changes).unwrap(), &after);
            let masked = after.to_masked_json();
            prop_assert_eq!(&after.patched(masked.as_object().unwrap()).unwrap(), &after);
            let file: Value = serde_json::from_str(&after.to_file_text()).unwrap();
            prop_assert_eq!(Config::from_json(file.as_object().unwrap()), (after, Vec::new()));
        }
        let _ = Config::from_json(&changes);
    }
}
