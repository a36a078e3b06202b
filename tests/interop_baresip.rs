//! callscoot and a telephone of another make: baresip is called and calls, through the real service and its API.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Conversation};
use support::baresip::{Baresip, Phone};
use support::ports::Lease;
use support::service::{Service, line_to, with, with_api_key};
use support::sound::Sound;
use support::wait::{stays_away, until};

const NUMBER: &str = "5550100";
const PERSON_HERTZ: f64 = 880.0;
const AGENT_HERTZ: f64 = 440.0;

fn person() -> Phone {
    Phone { user: NUMBER, says: Sound::tone(8000, PERSON_HERTZ, 60_000), ..Phone::default() }
}

/// A call that is answered, and the conversation that goes with it.
fn answered(service: &Service, agent: &Agent) -> (String, Conversation) {
    let id = service.call(NUMBER);
    let conversation = agent.conversation();
    service.phase(&id, "active");
    (id, conversation)
}

#[test]
fn both_sides_hear_each_other_in_every_pairing_of_codec_and_agent_format() {
    for (codecs, format) in
        [("PCMU", "ulaw_8000"), ("PCMA", "pcm_16000"), ("PCMU", "pcm_8000"), ("PCMA", "ulaw_8000")]
    {
        let phone = Baresip::start(Phone { codecs, ..person() });
        let agent = Agent::public(format);
        let service = Service::start(&line_to(phone.port()), Some(&agent));
        let (id, mut conversation) = answered(&service, &agent);
        conversation.say(1, "Good morning.", &Sound::tone(conversation.rate(), AGENT_HERTZ, 1500));
        conversation.hears(PERSON_HERTZ, 1000);
        until("the agent's words to be over", || {
            let events = service.api.get(&format!("/v1/calls/{id}/events")).1["events"].clone();
            let finished =
                events.as_array().unwrap().iter().any(|e| e["event_type"] == "agent_response_finished");
            finished.then_some(())
        });
        stays_away("an early end", Duration::from_millis(1800), || phone.events("CALL_CLOSED").pop());
        let session = service.hang_up(&id);
        assert_eq!(session["meta"]["end_reason"], "local_hangup", "{codecs} {format}");
        phone.event("CALL_CLOSED");
        assert_eq!(conversation.closed(), 1000);

        let heard = phone.recorded_heard();
        let spoken = heard.tone_ms(AGENT_HERTZ);
        assert!((1400..=1540).contains(&spoken), "{codecs} {format}: {spoken} ms of 1500 were heard");
        let level = heard.tone_dbfs(AGENT_HERTZ);
        assert!((level + 15.05).abs() < 1.0, "{codecs} {format}: {level} dB, the agent spoke at -15.05");
        let level = conversation.heard().tone_dbfs(PERSON_HERTZ);
        assert!((level + 15.05).abs() < 1.0, "{codecs} {format}: {level} dB, the person spoke at -15.05");
    }
}

#[test]
fn a_private_agent_is_reached_through_a_signed_url() {
    let phone = Baresip::start(person());
    let agent = Agent::private("ulaw_8000");
    let service = Service::start_with(&line_to(phone.port()), Some(&agent), &with_api_key());
    let (id, conversation) = answered(&service, &agent);
    conversation.hears(PERSON_HERTZ, 200);
    service.hang_up(&id);
    let requests = agent.requests();
    assert!(requests[0].contains("/v1/convai/conversation/get-signed-url?"), "{requests:?}");
    assert!(requests[1].contains("conversation_signature="), "{requests:?}");
}

#[test]
fn when_the_person_hangs_up_the_agent_is_let_go() {
    let mut phone = Baresip::start(person());
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let (id, conversation) = answered(&service, &agent);
    conversation.hears(PERSON_HERTZ, 200);
    phone.hang_up();
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "remote_hangup");
    assert_eq!(conversation.closed(), 1000);
}

#[test]
fn when_the_agent_ends_its_last_words_are_still_heard() {
    let phone = Baresip::start(person());
    let agent = Agent::public("pcm_16000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let (id, mut conversation) = answered(&service, &agent);
    conversation.say(1, "Goodbye.", &Sound::tone(16_000, AGENT_HERTZ, 2000));
    conversation.close(1000);
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "agent_hangup");
    phone.event("CALL_CLOSED");
    let spoken = phone.recorded_heard().tone_ms(AGENT_HERTZ);
    assert!((1900..=2040).contains(&spoken), "{spoken} ms of the 2000 were heard");
}

#[test]
fn an_interruption_silences_the_agent_at_once_and_what_it_says_next_is_heard() {
    const NEXT_HERTZ: f64 = 620.0;
    let phone = Baresip::start(person());
    let agent = Agent::public("ulaw_8000");
    let service = Service::start(&line_to(phone.port()), Some(&agent));
    let (id, mut conversation) = answered(&service, &agent);
    conversation.say(1, "A long story.", &Sound::tone(8000, AGENT_HERTZ, 20_000));
    conversation.hears(PERSON_HERTZ, 1000);
    conversation.interrupt(1);
    // Late audio of the reply that was interrupted must not be heard either.
    conversation.send_audio(1, &Sound::tone(8000, AGENT_HERTZ, 5000).samples);
    conversation.say(2, "Yes?", &Sound::tone(8000, NEXT_HERTZ, 600));
    conversation.hears(PERSON_HERTZ, 2500);
    let session = service.hang_up(&id);
    phone.event("CALL_CLOSED");
    let heard = phone.recorded_heard();
    let (first, next) = (heard.tone_ms(AGENT_HERTZ), heard.tone_ms(NEXT_HERTZ));
    assert!((500..4000).contains(&first), "{first} ms of the interrupted reply were heard");
    assert!((540..=640).contains(&next), "{next} ms of the next reply were heard");
    let after = heard.tone_starts_ms(NEXT_HERTZ).unwrap();
    let tail = Sound { rate: 8000, samples: heard.samples[after * 8..].to_vec() };
    assert_eq!(tail.tone_ms(AGENT_HERTZ), 0, "the interrupted reply came back");
    let cut = session["transcript"].as_array().unwrap().iter().find(|entry| entry["interrupted"] == true);
    let played = cut.expect("an interrupted entry")["played_ms"].as_u64().unwrap() as usize;
    assert!(played.abs_diff(first) <= 120, "played_ms is {played}, {first} ms were heard");
}

#[test]
fn a_telephone_that_is_busy_a_caller_who_gives_up_and_one_who_waits_too_long() {
    let ringing = || Baresip::start(Phone { answers: "manual", ..person() });
    let agent = Agent::public("ulaw_8000");

    let mut phone = ringing();
    let service = Service::start(&with(line_to(phone.port()), json!({"ring_timeout_sec": 30})), Some(&agent));
    let id = service.call(NUMBER);
    phone.event("CALL_INCOMING");
    service.phase(&id, "alerting");
    phone.hang_up();
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "busy");

    let id = service.call(NUMBER);
    service.phase(&id, "alerting");
    assert_eq!(service.hang_up(&id)["meta"]["end_reason"], "local_hangup");
    until("the second end at the telephone", || phone.events("CALL_CLOSED").get(1).cloned());

    let (status, _) = service.api.patch("/v1/config", &json!({"ring_timeout_sec": 1}));
    assert_eq!(status, 200);
    let id = service.call(NUMBER);
    assert_eq!(service.ended(&id)["meta"]["end_reason"], "no_answer");
    assert!(agent.is_alone(), "nobody answered, so no conversation began");
}

#[test]
fn a_person_who_calls_is_answered_by_the_policy_or_by_hand_and_talks_with_the_agent() {
    let ports = Lease::new();
    let mut phone = Baresip::start(person());
    let line =
        with(line_to(phone.port()), json!({"sip_local_port": ports.at(0), "auto_answer_delay_sec": 0}));
    let agent = Agent::public("pcm_16000");
    let service = Service::start(&line, Some(&agent));

    phone.dial(&format!("sip:line@127.0.0.1:{}", ports.at(0)));
    let call = service.current_call();
    let id = call["id"].as_str().unwrap();
    assert_eq!((&call["direction"], &call["incoming_number"]), (&json!("inbound"), &json!(NUMBER)));
    phone.event("CALL_RINGING");
    assert_eq!(service.api.post("/v1/current-call/answer", &Value::Null).0, 202);
    let conversation = agent.conversation();
    assert_eq!(conversation.initiation["dynamic_variables"]["caller_id"], NUMBER);
    conversation.hears(PERSON_HERTZ, 300);
    phone.hang_up();
    assert_eq!(service.ended(id)["meta"]["end_reason"], "remote_hangup");

    assert_eq!(service.api.patch("/v1/config", &json!({"auto_answer": true})).0, 200);
    phone.dial(&format!("sip:line@127.0.0.1:{}", ports.at(0)));
    let mut conversation = agent.conversation();
    let id = service.current_call()["id"].as_str().unwrap().to_owned();
    conversation.say(1, "Hello.", &Sound::tone(16_000, AGENT_HERTZ, 500));
    conversation.hears(PERSON_HERTZ, 1500);
    let session = service.hang_up(&id);
    assert_eq!(session["meta"]["policy_action"], "answer");
    assert_eq!(session["meta"]["policy_reason"], "allow_all");
    until("the second end at the telephone", || phone.events("CALL_CLOSED").get(1).cloned());
}
