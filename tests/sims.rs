//! The product by itself, as someone has it who writes an application on top: the service, the simulated phone and
//! the simulated agent, each started from the command line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use serde_json::{Value, json};
use support::ports::Lease;
use support::process::Process;
use support::service::{Service, line_to, with};
use support::sims::{port_of, sim};
use support::wait::until_is;

/// The simulated agent, and a service that takes calls and talks with it.
fn taking_calls(more: Value) -> (Process, Service, String, Lease) {
    let mut agent = sim("the simulated agent", &["agent"]);
    let base = agent.event("its port", |line| line["event"] == "listening");
    let base = format!("http://127.0.0.1:{}", port_of(&base));
    let ports = Lease::new();
    let line = with(
        line_to(9),
        json!({"sip_local_port": ports.at(0), "auto_answer": true, "auto_answer_delay_sec": 0}),
    );
    let environment = [("ELEVENLABS_AGENT_ID", "agent_7"), ("ELEVENLABS_BASE_URL", base.as_str())];
    let service = Service::start_with(&with(line, more), None, &environment);
    let uri = format!("sip:me@127.0.0.1:{}", ports.at(0));
    (agent, service, uri, ports)
}

#[test]
fn a_caller_on_the_list_is_answered_claims_the_request_made_for_him_and_hears_the_agent() {
    let policy = json!({"call_policy_mode": "allowlist", "allowed_callers": ["*1234"], "country_code": "1"});
    let (mut agent, service, uri, _ports) = taking_calls(policy);
    let asked = json!({"target_number": "+1 555 555 1234", "dynamic_variables": {"contact_name": "Efe"}});
    assert_eq!(service.api.post("/v1/pending-call-requests", &asked).0, 202);

    let call = ["phone", "--call", &uri, "--from", "+15555551234", "--hang-up-ms", "1500"];
    let mut phone = sim("the simulated phone", &call);
    phone.event("the agent's voice", |line| line["event"] == "heard");
    assert!(phone.ended().success());
    let begun = agent.event("the start", |line| line["event"] == "initiated");
    assert_eq!(begun["dynamic_variables"]["contact_name"], "Efe", "{begun}");
    assert_eq!(begun["dynamic_variables"]["caller_id"], "+15555551234", "{begun}");

    let ended = |calls: &Value| calls[0]["end_reason"] == "remote_hangup";
    let calls = until_is("the end", || service.api.get("/v1/calls").1["calls"].clone(), ended);
    let call = &calls[0];
    assert_eq!((&call["incoming_number"], &call["direction"]), (&json!("+15555551234"), &json!("inbound")));
    assert_eq!(call["policy_reason"], "allowlist_match", "{call}");
    assert_eq!(call["client_request"]["consumed"], true, "{call}");
    assert_eq!(service.api.get("/v1/pending-call-requests").1, json!({"pending_call_requests": []}));
}

#[test]
fn a_caller_who_is_not_on_the_list_is_refused_and_recorded() {
    let policy = json!({
        "call_policy_mode": "allowlist", "allowed_callers": ["+15555551234"], "auto_reject_blocked": true,
    });
    let (agent, service, uri, _ports) = taking_calls(policy);
    let mut phone = sim("the simulated phone", &["phone", "--call", &uri, "--from", "+15555550000"]);
    let end = phone.event("the refusal", |line| line["event"] == "ended");
    assert_eq!((&end["end"], &end["code"]), (&json!("Rejected"), &json!(603)), "{end}");
    let ended = |calls: &Value| calls[0]["end_reason"] == "policy_denied";
    let calls = until_is("the record", || service.api.get("/v1/calls").1["calls"].clone(), ended);
    assert_eq!(calls[0]["policy_reason"], "allowlist_miss", "{calls}");
    assert!(!agent.events().iter().any(|line| line["event"] == "initiated"), "the agent heard of it");
}
