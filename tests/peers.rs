//! The peers themselves work here: SIPp, baresip and kamailio against each other, without callscoot. When one of
//! these fails, the set-up is broken, and what fails elsewhere says nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use serde_json::json;
use support::agent::{AGENT_ID, API_KEY, Agent};
use support::baresip::{Baresip, Phone};
use support::kamailio::Kamailio;
use support::relay::{Fate, Relay};
use support::sdk;
use support::sip;
use support::sipp::{Scenario, Sipp};
use support::sound::{Sound, from_ulaw, ulaw};

const CALLER_HERTZ: f64 = 440.0;
const CALLEE_HERTZ: f64 = 880.0;

fn caller_says() -> Sound {
    Sound::tone(8000, CALLER_HERTZ, 20_000)
}

fn callee_says() -> Sound {
    Sound::tone(8000, CALLEE_HERTZ, 20_000)
}

#[test]
fn a_tone_is_told_from_another_tone_from_noise_and_from_silence() {
    let tone = Sound::tone(8000, CALLER_HERTZ, 1000);
    assert_eq!(tone.tone_ms(CALLER_HERTZ), 1000);
    assert_eq!(tone.tone_ms(CALLEE_HERTZ), 0);
    assert!((tone.tone_dbfs(CALLER_HERTZ) + 15.05).abs() < 0.1, "a quarter of full scale, root mean square");
    let mut state = 1u32;
    let noise = (0..8000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 / 4
    });
    let noise = Sound { rate: 8000, samples: noise.collect() };
    assert_eq!((noise.tone_ms(CALLER_HERTZ), noise.loud_ms()), (0, 1000));
    let through = Sound { rate: 8000, samples: tone.samples.iter().map(|s| from_ulaw(ulaw(*s))).collect() };
    assert_eq!(through.tone_ms(CALLER_HERTZ), 1000);
    assert!((through.tone_dbfs(CALLER_HERTZ) + 15.05).abs() < 0.1, "mu-law keeps the level");
    let late = Sound::silence(8000, 300).then(&tone);
    assert_eq!((late.tone_starts_ms(CALLER_HERTZ), late.loud_ms()), (Some(300), 1000));
}

#[test]
fn the_agent_of_the_tests_speaks_with_the_vendors_own_sdk() {
    for private in [false, true] {
        let agent = if private { Agent::private("pcm_16000") } else { Agent::public("pcm_16000") };
        let mut sdk = sdk::start(&agent.base_url(), AGENT_ID, private.then_some(API_KEY));
        let mut conversation = agent.conversation();
        assert_eq!(conversation.initiation["dynamic_variables"]["caller_id"], "5550100");
        conversation.say(1, "Write to me. Interrupt me.", &Sound::tone(16_000, CALLEE_HERTZ, 1000));
        sdk.event("the reply", |event| event["event"] == "agent");
        conversation.hears(CALLER_HERTZ, 500);
        assert_eq!(conversation.message("contextual_update")["text"], "Written by the SDK.");
        assert_eq!(conversation.message("user_message")["text"], "Asked by the SDK.");
        conversation.understood("Hello.");
        sdk.event("the transcript", |event| event["event"] == "user" && event["text"] == "Hello.");
        conversation.send(&json!({"type": "ping", "ping_event": {"event_id": 17, "ping_ms": 48}}));
        assert_eq!(conversation.message("pong")["event_id"], 17);
        conversation.interrupt(1);
        conversation.send_audio(1, &[0; 1600]);
        sdk.event("the interruption", |event| event["event"] == "interrupt");
        conversation.close(1000);
        sdk.event("the end", |event| {
            event["event"] == "over" && event["conversation_id"] == "conv_of_the_tests"
        });
        let audio = sdk.events().into_iter().filter_map(|event| event["bytes"].as_u64());
        assert_eq!(audio.sum::<u64>(), 32_000, "a second of sound, and nothing of what was interrupted");
    }
}

#[test]
fn sipp_calls_baresip_which_records_what_it_heard() {
    let phone = Baresip::start(Phone { says: callee_says(), ..Phone::default() });
    let sipp = Sipp::start(&Scenario {
        name: "uac_call",
        calls: Some(phone.port()),
        callee: "bob",
        sound: Some(caller_says()),
        pause_ms: 1500,
        ..Scenario::default()
    });
    sipp.succeeds();
    phone.event("CALL_CLOSED");
    let heard = phone.recorded_heard();
    assert!(
        heard.tone_ms(CALLER_HERTZ) >= 1000,
        "heard {} ms of {}",
        heard.tone_ms(CALLER_HERTZ),
        heard.ms()
    );
    assert!(phone.recorded_said().tone_ms(CALLEE_HERTZ) >= 1000);
}

#[test]
fn two_telephones_talk_through_a_proxy_that_asks_for_digests() {
    let company = Kamailio::start("MD5");
    let registrar = Some(company.port());
    let bob = Baresip::start(Phone { says: callee_says(), registrar, ..Phone::default() });
    let mut alice =
        Baresip::start(Phone { user: "alice", says: caller_says(), registrar, ..Phone::default() });
    alice.dial(&format!("sip:bob@127.0.0.1:{}", company.port()));
    alice.event("CALL_ESTABLISHED");
    bob.event("CALL_ESTABLISHED");
    support::wait::stays_away("a call that ends by itself", std::time::Duration::from_millis(1500), || {
        alice.events("CALL_CLOSED").pop()
    });
    alice.hang_up();
    bob.event("CALL_CLOSED");
    assert!(bob.recorded_heard().tone_ms(CALLER_HERTZ) >= 1000);
    assert!(alice.recorded_heard().tone_ms(CALLEE_HERTZ) >= 1000);
}

#[test]
fn sipp_registers_with_a_digest_and_calls_through_the_proxy() {
    let company = Kamailio::start("MD5");
    let scenario = Scenario { calls: Some(company.port()), ..Scenario::default() };
    Sipp::start(&Scenario { name: "uac_register", callee: "carol", ..scenario.clone() }).succeeds();
    let bob = Baresip::start(Phone { registrar: Some(company.port()), ..Phone::default() });
    Sipp::start(&Scenario {
        name: "uac_call_proxy_auth",
        callee: "bob",
        sound: Some(caller_says()),
        pause_ms: 300,
        ..scenario
    })
    .succeeds();
    bob.event("CALL_CLOSED");
}

#[test]
fn the_registrar_can_ask_for_both_digest_algorithms() {
    for algorithm in ["MD5", "SHA-256"] {
        let company = Kamailio::start(algorithm);
        let challenge = sip::ask("REGISTER", company.port()).unwrap();
        assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
        assert!(challenge.contains(&format!("algorithm={algorithm}")), "{challenge}");
        assert!(challenge.contains("qop=\"auth\""), "{challenge}");
    }
}

#[test]
fn a_wire_that_loses_the_invite_its_ringing_and_its_answer_does_not_prevent_the_call() {
    let phone = Baresip::start(Phone::default());
    let (mut invites, mut answers) = (0, 0);
    let wire = Relay::to(phone.port(), move |line| {
        let counter = if line.starts_with("INVITE ") {
            &mut invites
        } else if line.starts_with("SIP/2.0 200 ") {
            &mut answers
        } else if line.starts_with("SIP/2.0 1") {
            return Fate::Lose;
        } else {
            return Fate::Pass;
        };
        *counter += 1;
        if *counter == 1 { Fate::Lose } else { Fate::Pass }
    });
    Sipp::start(&Scenario {
        name: "uac_call",
        calls: Some(wire.port()),
        callee: "bob",
        sound: Some(caller_says()),
        pause_ms: 200,
        ..Scenario::default()
    })
    .succeeds();
    assert_eq!(wire.count("INVITE", Fate::Lose), 1);
    assert_eq!(wire.count("SIP/2.0 200", Fate::Lose), 1);
    assert!(wire.count("INVITE", Fate::Pass) >= 1 && wire.count("SIP/2.0 1", Fate::Lose) >= 1);
}

#[test]
fn each_callee_of_sipp_meets_a_telephone() {
    let ends = [
        ("uas_answer", Some("CALL_ESTABLISHED")),
        ("uas_answer_alaw", Some("CALL_ESTABLISHED")),
        ("uas_echo", Some("CALL_ESTABLISHED")),
        ("uas_challenge_401", Some("CALL_ESTABLISHED")),
        ("uas_challenge_407", Some("CALL_ESTABLISHED")),
        ("uas_ring", Some("CALL_RINGING")),
        ("uas_hang_up", None),
        ("uas_busy", None),
        ("uas_decline", None),
    ];
    for (name, hang_up_at) in ends {
        let sound = Some(callee_says());
        let sipp = Sipp::start(&Scenario { name, sound, pause_ms: 300, ..Scenario::default() });
        let mut phone = Baresip::start(Phone { user: "alice", says: caller_says(), ..Phone::default() });
        phone.dial(&format!("sip:callee@127.0.0.1:{}", sipp.port()));
        if let Some(event) = hang_up_at {
            phone.event(event);
            phone.hang_up();
        }
        phone.event("CALL_CLOSED");
        sipp.succeeds();
    }
}

#[test]
fn each_caller_of_sipp_meets_a_telephone() {
    for name in ["uac_cancel", "uac_refused", "uac_no_audio", "uac_call_waits"] {
        let answers = if name == "uac_call_waits" { "auto" } else { "manual" };
        let mut phone = Baresip::start(Phone { answers, ..Phone::default() });
        let calls = Some(phone.port());
        let sound = Some(caller_says());
        let sipp = Sipp::start(&Scenario {
            name,
            calls,
            callee: "bob",
            sound,
            pause_ms: 300,
            ..Scenario::default()
        });
        if name == "uac_refused" {
            phone.event("CALL_INCOMING");
            phone.hang_up();
        }
        if name == "uac_call_waits" {
            phone.event("CALL_ESTABLISHED");
            phone.hang_up();
        }
        sipp.succeeds();
    }
}
