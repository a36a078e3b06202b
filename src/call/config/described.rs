//! The configuration against its description in `openapi.json`: keys, types, defaults, ranges and words.

use serde_json::{Map, Value, json};

use super::Config;
use super::keys::TABLE;
use super::setting::{ENTRIES_MAX, TEXT_CHARS_MAX};
use super::word::{
    CallPolicyMode, SipAudioMode, SipTransport, TelephonyBackend, UnknownCallers, Weekday, Word,
};
use crate::call::api::document::{lists, schema};

/// `Config` and `ConfigPatch`: what is shown and what is taken.
fn described() -> (Map<String, Value>, Map<String, Value>) {
    let of = |name: &str| serde_json::from_value(schema(name)["properties"].take()).unwrap();
    (of("Config"), of("ConfigPatch"))
}

/// The schema that takes texts of a form.
fn schema_of(rule: &str) -> &'static str {
    let (_, form) = rule.split_once("::").unwrap();
    match form.trim_start().split(' ').next().unwrap() {
        "name" => "ConfigText",
        "mac" => "ConfigMac",
        "host" => "ConfigHost",
        "sip_user" => "ConfigSipUser",
        "country_code" => "ConfigCountryCode",
        "zone_name" => "ConfigZone",
        "origin" => "OriginEntry",
        "caller_pattern" => "CallerPattern",
        "emergency_number" => "EmergencyNumber",
        "dialled_pattern" => "DialledPattern",
        other => panic!("no schema is known for the form {other}"),
    }
}

fn reference(name: &str) -> Value {
    json!(format!("#/components/schemas/{name}"))
}

/// The ends of a rule such as `0..=10_000`.
fn range(rule: &str) -> (u64, u64) {
    let (from, to) = rule.split_once("..=").unwrap();
    let number = |text: &str| text.trim().replace('_', "").parse().unwrap();
    (number(from), number(to))
}

#[test]
fn keys_types_ranges_and_defaults_are_those_of_the_table() {
    let (shown, taken) = described();
    let defaults = Config::default().to_masked_json();
    let keys: Vec<&str> = TABLE.iter().map(|(key, _, _)| *key).collect();
    assert_eq!(shown.keys().collect::<Vec<_>>(), taken.keys().collect::<Vec<_>>());
    assert_eq!(shown.len(), keys.len());
    assert_eq!(schema("Config")["required"], json!(keys));
    assert_eq!(schema("ConfigPatch")["additionalProperties"], false);
    for (key, kind, rule) in TABLE {
        let (shown, taken) = (&shown[*key], &taken[*key]);
        assert_eq!(shown["default"], defaults[key], "{key}");
        assert!(shown["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key}");
        match *kind {
            "bool" => {
                assert_eq!(
                    (&shown["type"], &taken["$ref"]),
                    (&json!("boolean"), &reference("ConfigBoolean"))
                );
            }
            "u32" => {
                let (min, max) = range(rule);
                assert_eq!(shown["type"], "integer", "{key}");
                assert_eq!(taken["type"], json!(["integer", "string", "null"]), "{key}");
                for schema in [shown, taken] {
                    assert_eq!((&schema["minimum"], &schema["maximum"]), (&json!(min), &json!(max)), "{key}");
                }
            }
            "Option<String>" => {
                assert_eq!(shown["type"], json!(["string", "null"]), "{key}");
                assert_eq!(taken["$ref"], reference(schema_of(rule)), "{key}");
            }
            "Option<BusinessHours>" => assert_eq!(taken["$ref"], reference("ConfigHours")),
            "Option<Secret>" => {
                assert_eq!(shown["enum"], json!(["***", null]), "{key}");
                assert_eq!(taken["$ref"], reference("ConfigSecret"), "{key}");
            }
            "Vec<String>" | "Option<Vec<String>>" => {
                let (one, or_null) = (json!("array"), json!(["array", "null"]));
                assert_eq!(
                    shown["type"],
                    if kind.starts_with("Vec") { one } else { or_null.clone() },
                    "{key}"
                );
                assert_eq!(taken["type"], or_null, "{key}");
                let entry = schema_of(rule);
                let entry = if entry == "ConfigHost" { "HostEntry" } else { entry };
                assert_eq!(taken["items"]["$ref"], reference(entry), "{key}");
                assert_eq!(
                    (&shown["maxItems"], &taken["maxItems"]),
                    (&json!(ENTRIES_MAX), &json!(ENTRIES_MAX))
                );
            }
            "Vec<Weekday>" => assert_eq!(shown["items"]["$ref"], reference("Weekday")),
            "Map<String, Value>" | "BTreeMap<String, String>" => {
                assert_eq!((&shown["type"], &taken["type"]), (&json!("object"), &json!(["object", "null"])));
            }
            word => {
                assert_eq!(shown["allOf"][0]["$ref"], reference(word), "{key}");
                assert_eq!(taken["anyOf"][0]["$ref"], reference(word), "{key}");
            }
        }
    }
}

#[test]
fn the_words_are_those_of_the_code() {
    fn words<W: Word>() -> Vec<&'static str> {
        W::WORDS.iter().map(|(word, _)| *word).collect()
    }
    lists("CallPolicyMode", words::<CallPolicyMode>());
    lists("UnknownCallers", words::<UnknownCallers>());
    lists("TelephonyBackend", words::<TelephonyBackend>());
    lists("SipTransport", words::<SipTransport>());
    lists("SipAudioMode", words::<SipAudioMode>());
    lists("Weekday", words::<Weekday>());
}

#[test]
fn texts_are_as_long_as_described() {
    for name in ["ConfigText", "ConfigSecret", "ConfigMac", "CallerPattern"] {
        assert_eq!(schema(name)["maxLength"], TEXT_CHARS_MAX, "{name}");
    }
}

#[test]
fn the_policy_of_a_session_is_described_like_its_keys() {
    let (shown, _) = described();
    let policy = schema("Policy");
    let snapshot = Config::default().policy_snapshot();
    let described = policy["properties"].as_object().unwrap();
    assert!(described.keys().eq(snapshot.as_object().unwrap().keys()));
    for (key, schema) in described {
        let mut of_key = shown[key].as_object().unwrap().clone();
        of_key.retain(|member, _| member != "default" && member != "description");
        assert_eq!(schema, &Value::from(of_key), "{key}");
    }
}
