//! The vendor's official SDK drives the simulated agent as its client, public and signed: so the simulator speaks
//! the vendor's protocol, not ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

mod support;

use std::sync::Arc;

use callscoot::app::sim::agent::{Options, Script, Server};
use callscoot::sys::thread::{Role, Spawner};
use crossbeam_channel::unbounded;
use serde_json::{Value, json};
use support::sdk;

/// A whole conversation: what the SDK noticed, and what the simulated agent said about it.
fn converse(key: Option<&str>) -> (Vec<Value>, Vec<Value>) {
    let script: Script = serde_json::from_value(json!({
        "input_format": "pcm_16000", "output_format": "pcm_16000", "ping_interval_ms": 300,
        "steps": [
            {"say": {"tone_hz": 440, "ms": 5000}, "text": "Interrupt me now."},
            {"when": "after_caller", "caller_said": "Where is my order?",
             "tool": {"client": "find_order", "parameters": {"number": 7}},
             "say": {"tone_hz": 500, "ms": 300}, "text": "It is on its way.", },
            {"say": {"tone_hz": 600, "ms": 200}, "text": "Goodbye.", "tool": {"system": "end_call"}},
        ],
        "close": {},
    }))
    .unwrap();
    let (tell, told) = unbounded();
    let options = Options { api_key: key.map(str::to_owned), ..Options::default() };
    let report = Arc::new(move |line| {
        let _ = tell.send(line);
    });
    let server = Server::bind(&options, script, report).unwrap();
    let base_url = format!("http://127.0.0.1:{}", server.port());
    let spawner = Spawner::new(unbounded().0);
    let threads = spawner.clone();
    spawner.spawn(Role::Sim, move || server.accept_all(&threads)).unwrap();
    let mut sdk = sdk::start(&base_url, "agent_7", key);
    sdk.event("the end", |event| event["event"] == "over");
    assert!(sdk.ended().success());
    (sdk.events(), told.try_iter().collect())
}

fn of<'l>(lines: &'l [Value], event: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

fn check(noticed: &[Value], told: &[Value]) {
    let texts: Vec<&Value> = of(noticed, "agent").iter().map(|line| &line["text"]).collect();
    assert_eq!(texts, ["Interrupt me now.", "It is on its way.", "Goodbye."], "{noticed:?}");
    assert_eq!(of(noticed, "user")[0]["text"], "Where is my order?");
    assert_eq!(of(noticed, "interrupt").len(), 1, "{noticed:?}");
    assert_eq!(of(noticed, "correction")[0]["original"], "Interrupt me now.");
    // All of the three replies' audio came: 5.5 s at 16 kHz.
    assert_eq!(of(noticed, "over")[0]["played_bytes"], 5500 * 32);
    assert!(of(noticed, "over")[0]["conversation_id"].as_str().unwrap().starts_with("conv_"));
    assert_eq!(of(told, "initiated")[0]["dynamic_variables"], json!({"caller_id": "5550100"}));
    assert_eq!(of(told, "tool_result")[0]["result"], "order 7 is shipped");
    assert_eq!(of(told, "tool_result")[0]["is_error"], false);
    assert!(of(told, "pong").len() >= 2 && !of(told, "heard").is_empty(), "{told:?}");
    assert_eq!(
        (&of(told, "closed")[0]["code"], &of(told, "closed")[0]["by"]),
        (&json!(1000), &json!("agent"))
    );
}

#[test]
fn the_official_sdk_talks_to_a_public_agent() {
    let (noticed, told) = converse(None);
    check(&noticed, &told);
    assert_eq!(of(&told, "connected")[0]["signed"], false);
}

#[test]
fn the_official_sdk_talks_to_a_private_agent_by_a_signed_url() {
    let (noticed, told) = converse(Some("key1"));
    check(&noticed, &told);
    assert_eq!(of(&told, "signed_url_asked")[0]["status"], "200 OK");
    assert_eq!(of(&told, "connected")[0]["signed"], true);
}
