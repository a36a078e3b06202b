//! callscoot as a customer of a telephone company: kamailio registers it, asks for digests, and carries its calls.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use serde_json::{Value, json};
use support::agent::Agent;
use support::baresip::{Baresip, Phone};
use support::kamailio::{Kamailio, PASSWORD};
use support::service::{Service, line_to, with};
use support::sound::Sound;
use support::wait::{until, until_is};

const NUMBER: &str = "5550100";
const OWN: &str = "5550199";
const PERSON_HERTZ: f64 = 880.0;
const AGENT_HERTZ: f64 = 440.0;

fn account(company: &Kamailio, password: &str) -> Value {
    with(line_to(company.port()), json!({"sip_username": OWN, "sip_password": password}))
}

fn sip_state(service: &Service) -> Value {
    service.api.get("/v1/status").1["sip_state"].clone()
}

fn registered(service: &Service) {
    until_is("the registration", || sip_state(service), |state| state["registered"] == true);
}

#[test]
fn calls_go_out_and_come_in_through_a_proxy_with_either_digest_algorithm() {
    for algorithm in ["MD5", "SHA-256"] {
        let company = Kamailio::start(algorithm);
        let agent = Agent::public("ulaw_8000");
        let config =
            with(account(&company, PASSWORD), json!({"auto_answer": true, "auto_answer_delay_sec": 0}));
        let service = Service::start(&config, Some(&agent));
        registered(&service);
        let state = sip_state(&service);
        assert_eq!(state["registration_status_code"], 200, "{state}");
        if algorithm == "SHA-256" {
            // baresip knows MD5 alone: the registration was the proof.
            continue;
        }

        let says = Sound::tone(8000, PERSON_HERTZ, 60_000);
        let registrar = Some(company.port());
        let mut phone = Baresip::start(Phone { user: NUMBER, says, registrar, ..Phone::default() });
        let id = service.call(NUMBER);
        let mut conversation = agent.conversation();
        conversation.say(1, "Hello.", &Sound::tone(8000, AGENT_HERTZ, 500));
        conversation.hears(PERSON_HERTZ, 1000);
        assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
        phone.event("CALL_CLOSED");
        assert!(phone.recorded_heard().tone_ms(AGENT_HERTZ) >= 440);

        phone.dial(&format!("sip:{OWN}@127.0.0.1:{}", company.port()));
        let conversation = agent.conversation();
        conversation.hears(PERSON_HERTZ, 300);
        let id = service.current_call()["id"].as_str().unwrap().to_owned();
        phone.hang_up();
        assert_eq!(service.ended(&id)["meta"]["end_reason"], "remote_hangup");
    }
}

#[test]
fn a_wrong_password_is_said_and_a_right_one_registers_without_a_restart() {
    let company = Kamailio::start("MD5");
    let service = Service::start(&account(&company, "wrong"), None);
    let refused = |state: &Value| matches!(state["registration_status_code"].as_u64(), Some(401 | 403));
    let state = until_is("the refusal", || sip_state(&service), refused);
    assert_eq!(state["registered"], false, "{state}");
    let (status, reply) = service.api.patch("/v1/config", &json!({"sip_password": PASSWORD}));
    assert_eq!((status, &reply["config"]["sip_password"]), (200, &json!("***")));
    registered(&service);
}

#[test]
fn a_new_account_registers_at_once_and_the_live_call_ends_on_the_old_one() {
    let (old, new) = (Kamailio::start("MD5"), Kamailio::start("MD5"));
    let agent = Agent::public("ulaw_8000");
    let service =
        Service::start(&with(account(&old, PASSWORD), json!({"max_concurrent_calls": 2})), Some(&agent));
    registered(&service);
    let says = Sound::tone(8000, PERSON_HERTZ, 60_000);
    let phone_at = |user: &'static str, company: &Kamailio| {
        Baresip::start(Phone {
            user,
            says: says.clone(),
            registrar: Some(company.port()),
            ..Phone::default()
        })
    };
    let (phone, other) = (phone_at(NUMBER, &old), phone_at("5550101", &new));
    let id = service.call(NUMBER);
    let conversation = agent.conversation();
    conversation.hears(PERSON_HERTZ, 300);

    // The answer does not wait for a name that nobody can find, nor for a registration.
    let (status, reply) = service.api.patch("/v1/config", &json!({"sip_server": "registrar.invalid"}));
    assert_eq!(status, 200, "{reply}");
    assert_eq!(sip_state(&service)["registered"], false);
    let moved = json!({"sip_server": "127.0.0.1", "sip_port": new.port()});
    assert_eq!(service.api.patch("/v1/config", &moved).0, 200);
    registered(&service);
    assert_eq!(sip_state(&service)["port"], new.port());

    let second = service.call("5550101");
    agent.conversation().hears(PERSON_HERTZ, 300);
    service.hang_up(&second);
    other.event("CALL_CLOSED");
    let so_far = conversation.heard().tone_ms(PERSON_HERTZ);
    conversation.hears(PERSON_HERTZ, so_far + 300);
    // With the new company gone, only the old one can carry the BYE.
    drop((other, new));
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
    phone.event("CALL_CLOSED");
}

#[test]
fn a_stop_takes_the_registration_back() {
    let company = Kamailio::start("MD5");
    let mut service = Service::start(&account(&company, PASSWORD), None);
    registered(&service);
    assert!(service.process().terminate().success());

    let mut phone =
        Baresip::start(Phone { user: NUMBER, registrar: Some(company.port()), ..Phone::default() });
    phone.dial(&format!("sip:{OWN}@127.0.0.1:{}", company.port()));
    let closed = phone.event("CALL_CLOSED");
    assert!(closed.to_string().contains("404"), "nobody is registered there: {closed}");
    until("the end", || phone.events("CALL_CLOSED").pop());
}
