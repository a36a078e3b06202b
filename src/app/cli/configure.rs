//! `callscoot configure`: the keys with their values, and changes typed as people type.

use std::io::ErrorKind;

use serde_json::{Map, Value};

use super::desk::{Output, client};
use super::table;
use super::text::clean;
use super::view::{Tone, View, show};
use crate::app::fault::Fault;
use crate::call::config::{Config, Key, Kind};
use crate::port::rest_local::ApiClient;
use crate::sys::terminal;

/// A name that is less alike than this was not meant.
const ALIKE_MIN: f64 = 0.75;

/// What to show or change.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without arguments: every key with its value. KEY alone: what it is for.
  callscoot configure sip_server=sip.example.com sip_username=1001 sip_password=-
  callscoot configure allowed_callers=+49301234,+49305678     a list
  callscoot configure allowed_callers+=+49309999              one more; -= takes one away
  callscoot configure agents=+49301234=agent_1,line2=agent_2  a map
  callscoot configure business_hours=                         nothing
`-` as the value of a secret asks for it without showing it, or reads it from standard input.")]
pub(super) struct Options {
    /// KEY=VALUE, KEY+=ENTRY, KEY-=ENTRY, or KEY.
    #[arg(value_name = "KEY[=VALUE]")]
    changes: Vec<String>,
    /// Set this key to its default.
    #[arg(long, value_name = "KEY")]
    reset: Vec<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(options: &Options) -> Result<(), Fault> {
    let client = client()?;
    let mut body = client.get("/v1/config")?;
    let current = body["config"].as_object().cloned().unwrap_or_default();
    let mut patch = Map::new();
    let mut named = Vec::new();
    for change in &options.changes {
        let (key, change) = parse(change);
        known(&current, key)?;
        named.push(key.to_owned());
        if let Some(change) = change {
            // A later change of the same list goes on from the earlier.
            let before = patch.get(key).or_else(|| current.get(key)).cloned().unwrap_or_default();
            let value = match value(kind(key, &before), &before, change)? {
                Typed::Value(value) => value,
                Typed::Ask => secret(key)?,
            };
            patch.insert(key.to_owned(), value);
        }
    }
    let defaults = Config::default().to_masked_json();
    for key in &options.reset {
        known(&current, key)?;
        named.push(key.clone());
        patch.insert(key.clone(), defaults[key].clone());
    }
    if !patch.is_empty() {
        body = save(&client, patch)?;
    }
    show(&body, options.output.json, |body, view| match named.as_slice() {
        [] => render(body, view),
        names => render_named(body, names, view),
    })
}

fn save(client: &ApiClient, patch: Map<String, Value>) -> Result<Value, Fault> {
    Ok(client.patch("/v1/config", &patch.into())?)
}

/// How a value is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change<'a> {
    Set(&'a str),
    Add(&'a str),
    Remove(&'a str),
}

fn parse(argument: &str) -> (&str, Option<Change<'_>>) {
    let Some((key, value)) = argument.split_once('=') else { return (argument.trim(), None) };
    let (key, change) = if let Some(key) = key.strip_suffix('+') {
        (key, Change::Add(value))
    } else if let Some(key) = key.strip_suffix('-') {
        (key, Change::Remove(value))
    } else {
        (key, Change::Set(value))
    };
    (key.trim(), Some(change))
}

/// Only what the running service knows can be set there.
fn known(current: &Map<String, Value>, key: &str) -> Result<(), Fault> {
    if current.contains_key(key) {
        return Ok(());
    }
    let names = current.keys().map(String::as_str);
    let likeness = |name: &str| {
        let inside = key.len() > 2 && name.contains(key);
        strsim::jaro_winkler(key, name).max(if inside { 0.9 } else { 0.0 })
    };
    let nearest =
        names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|name| likeness(name) >= ALIKE_MIN);
    let meant = nearest.map_or_else(
        || "`callscoot configure` lists them".to_owned(),
        |name| format!("did you mean {name}?"),
    );
    Err(Fault::Usage(format!("there is no key {}; {meant}", clean(key))))
}

/// As this version knows the key, else as its value looks.
fn kind(key: &str, value: &Value) -> Kind {
    let own = Config::keys().find(|own| own.name == key).map(|own| own.kind);
    own.unwrap_or(match value {
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Kind::Text,
    })
}

/// What a person typed.
#[derive(Debug, PartialEq)]
enum Typed {
    Value(Value),
    /// The value is not on the command line.
    Ask,
}

fn value(kind: Kind, before: &Value, change: Change<'_>) -> Result<Typed, Fault> {
    let listed = matches!(kind, Kind::List | Kind::ListOrBuiltIn);
    let text = match change {
        Change::Set(text) => text,
        Change::Add(entry) | Change::Remove(entry) if listed => {
            let mut list = before.as_array().cloned().unwrap_or_default();
            for entry in list_of(entry)? {
                list.retain(|old| *old != entry);
                if matches!(change, Change::Add(_)) {
                    list.push(entry);
                }
            }
            return Ok(Typed::Value(list.into()));
        }
        Change::Add(_) | Change::Remove(_) => return Err(Fault::Usage("+= and -= are for lists".into())),
    };
    Ok(Typed::Value(match kind {
        Kind::Secret if text == "-" => return Ok(Typed::Ask),
        // The service knows digits, true and false as texts, and says best what else it expects.
        Kind::Secret | Kind::Text | Kind::Flag | Kind::Integer => text.into(),
        Kind::ListOrBuiltIn if text.trim().is_empty() => Value::Null,
        Kind::List | Kind::ListOrBuiltIn => list_of(text)?.into(),
        Kind::Map => map_of(text)?,
        Kind::Object => json_of(text)?,
    }))
}

/// `a,b c` is a list of three; JSON is taken as it is.
fn list_of(text: &str) -> Result<Vec<Value>, Fault> {
    if text.trim_start().starts_with('[') {
        return match json_of(text)? {
            Value::Array(list) => Ok(list),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(Fault::Usage("a list is needed".into()))
            }
        };
    }
    let entries = text.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    Ok(entries.map(Value::from).collect())
}

/// `name=value,name=value`; JSON is taken as it is.
fn map_of(text: &str) -> Result<Value, Fault> {
    if text.trim_start().starts_with('{') {
        return json_of(text);
    }
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pairs = entries.map(|entry| {
        entry.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().into()))
    });
    let map: Option<Map<String, Value>> = pairs.collect();
    map.map(Value::from).ok_or_else(|| Fault::Usage("NAME=VALUE,NAME=VALUE is needed".into()))
}

fn json_of(text: &str) -> Result<Value, Fault> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_str(text).map_err(|error| Fault::Usage(format!("this is no JSON: {error}")))
}

/// Asked for on a terminal, else the first line of standard input.
fn secret(key: &str) -> Result<Value, Fault> {
    let line = terminal::hidden_line(&format!("{key}: ")).map_err(|error| {
        if error.kind() == ErrorKind::InvalidData {
            Fault::Usage(format!("{key} is {error}"))
        } else {
            Fault::refused("the terminal")(error)
        }
    })?;
    let line = line.ok_or_else(|| Fault::Interrupted("nothing was changed".into()))?;
    if line.is_empty() {
        return Err(Fault::Usage(format!("{key} was empty; `callscoot configure {key}=` clears it")));
    }
    Ok(line.into())
}

fn render(body: &Value, view: &View) -> String {
    let defaults = Config::default().to_masked_json();
    let config = body["config"].as_object();
    let rows: Vec<_> = config
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let own = *value != defaults[key];
            let tone = if own { Tone::Strong } else { Tone::Plain };
            let remark = if own { format!("default: {}", typed(&defaults[key])) } else { "default".into() };
            vec![(clean(key), tone), (typed(value), tone), (remark, Tone::Faint)]
        })
        .collect();
    table::render(view, &["KEY", "VALUE", ""], &[1, 2], &rows)
}

/// Some keys, with what they are for.
fn render_named(body: &Value, names: &[String], view: &View) -> String {
    let defaults = Config::default().to_masked_json();
    let keys: Vec<Key> = Config::keys().collect();
    let mut out = String::new();
    for name in names {
        let value = &body["config"][name];
        let by_default = if *value == defaults[name] {
            "default".into()
        } else {
            format!("default: {}", typed(&defaults[name]))
        };
        out += &table_line(view, name, value, &by_default);
        if let Some(key) = keys.iter().find(|key| key.name == name) {
            out += &view.labelled("  ", Tone::Plain, key.meaning);
        }
    }
    if body["saved"] == true {
        out += "saved; in force now\n";
    }
    out
}

fn table_line(view: &View, name: &str, value: &Value, remark: &str) -> String {
    let remark = format!("({remark})");
    view.labelled(&format!("{name} = "), Tone::Strong, &format!("{}  {remark}", typed(value)))
}

/// A value as `configure` takes it; `-` for nothing.
fn typed(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => clean(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) if list.is_empty() => "(empty)".into(),
        Value::Array(list) => list.iter().map(typed).collect::<Vec<_>>().join(","),
        Value::Object(members) if members.is_empty() => "(empty)".into(),
        Value::Object(members) if members.values().all(Value::is_string) => {
            let pairs = members.iter().map(|(name, value)| format!("{}={}", clean(name), typed(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        Value::Object(_) => clean(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(key: &str, before: Value, change: &str) -> Value {
        match value(kind(key, &before), &before, parse(change).1.unwrap()).unwrap() {
            Typed::Value(value) => value,
            Typed::Ask => json!("asked"),
        }
    }

    #[test]
    fn values_are_typed_as_people_type_them() {
        assert_eq!(
            set("allowed_callers", json!([]), "k=+49301, *22 +49303"),
            json!(["+49301", "*22", "+49303"])
        );
        assert_eq!(set("allowed_callers", json!([]), r#"k=["a b"]"#), json!(["a b"]));
        assert_eq!(set("allowed_callers", json!(["1", "2"]), "k+=3,1"), json!(["2", "3", "1"]));
        assert_eq!(set("allowed_callers", json!(["1", "2"]), "k-=1"), json!(["2"]));
        assert_eq!(set("business_days", json!(["mon"]), "k+=tue"), json!(["mon", "tue"]));
        assert_eq!(set("emergency_numbers", json!(null), "k="), json!(null));
        assert_eq!(set("emergency_numbers", json!(null), "k=[]"), json!([]));
        assert_eq!(
            set("agents", json!({}), "k=+49=agent_1, line=a=b"),
            json!({"+49": "agent_1", "line": "a=b"})
        );
        assert_eq!(set("device_bindings", json!({}), r#"k={"a": {"b": 1}}"#), json!({"a": {"b": 1}}));
        assert_eq!(set("auto_answer", json!(false), "k=true"), json!("true"));
        assert_eq!(
            (set("sip_password", json!(null), "k=-"), set("sip_server", json!(null), "k=-")),
            (json!("asked"), json!("-"))
        );
        assert_eq!(set("sip_password", json!(null), "k=a=-"), json!("a=-"));
        assert_eq!(set("of_the_future", json!([]), "k=a"), json!(["a"]));
        assert!(value(Kind::Text, &json!(null), Change::Add("x")).is_err());
        assert!(value(Kind::Map, &json!({}), Change::Set("x")).is_err());
    }

    #[test]
    fn every_default_can_be_typed_as_it_is_shown_and_is_taken() {
        let defaults = Config::default().to_masked_json();
        for key in Config::keys().filter(|key| key.kind != Kind::Secret) {
            let shown = typed(&defaults[key.name]);
            let text = if shown == "-" || shown == "(empty)" { "" } else { &shown };
            let Ok(Typed::Value(value)) = value(key.kind, &defaults[key.name], Change::Set(text)) else {
                panic!("{}", key.name)
            };
            let patch = json!({ key.name: value });
            let patched = Config::default().patched(patch.as_object().unwrap()).unwrap();
            assert_eq!(patched, Config::default(), "{}", key.name);
            assert!(key.meaning.ends_with('.') && !key.meaning.starts_with(' '), "{key:?}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_told_with_the_one_that_was_meant() {
        let current = Config::default().to_masked_json().as_object().unwrap().clone();
        let meant = |key: &str| known(&current, key).unwrap_err().to_string();
        assert!(known(&current, "sip_server").is_ok());
        for (typo, name) in [
            ("sip_sever", "sip_server"),
            ("autoanswer", "auto_answer"),
            ("password", "sip_password"),
            ("timezon", "timezone"),
        ] {
            assert!(meant(typo).ends_with(&format!("did you mean {name}?")), "{}", meant(typo));
        }
        assert!(
            meant("zzz\u{1b}").ends_with("no key zzz�; `callscoot configure` lists them"),
            "{}",
            meant("zzz\u{1b}")
        );
    }

    #[test]
    fn what_differs_from_the_default_shows_both_and_secrets_show_nothing() {
        let body = json!({"saved": true, "config": {"auto_answer": true, "sip_password": "***", "sip_port": 5060,
            "allowed_callers": ["+49301", "+49302", "+49303", "+49304", "+49305", "+49306", "+49307"]}});
        assert_eq!(
            render(&body, &View::plain(60)),
            "\
KEY              VALUE
allowed_callers  +49301,+49302,+49303,+49…  default: (empty)
auto_answer      true                       default: false
sip_password     ***                        default: -
sip_port         5060                       default
"
        );
        assert_eq!(
            render_named(&body, &["auto_answer".into()], &View::plain(60)),
            "\
auto_answer = true (default: false)
  Whether incoming calls are answered, as the policy
  decides.
saved; in force now
"
        );
    }
}
