//! Registration against a scripted registrar.

use super::script::{Script, account, address};
use crate::sip::msg::{Name, Request};
use crate::sip::{Command, Options};

const EXPIRES: (Name, &str) = (Name::Expires, "100");

fn registering() -> Script {
    let mut script = Script::with(Options::default());
    script.command(Command::Use(Some(account())));
    script
}

fn registers(script: &mut Script) -> usize {
    script.look().iter().filter(|sent| *sent == "REGISTER").count()
}

fn accept(script: &mut Script, more: &[(Name, &str)]) -> Request {
    let register = script.request("REGISTER");
    script.answer(&register, 200, "reg", more, "");
    register
}

#[test]
fn a_binding_is_asked_for_with_digest_and_refreshed_before_it_runs_out_rfc3261_10_2_4() {
    let mut script = registering();
    let first = script.request("REGISTER");
    assert_eq!(
        (first.uri.as_str(), first.headers.first(Name::To)),
        ("sip:example.com", Some("<sip:alice@example.com>"))
    );
    assert_eq!(first.headers.first(Name::Contact), Some("<sip:alice@198.51.100.1:5060>"));
    let challenge = (Name::WwwAuthenticate, r#"Digest realm="r", nonce="n", qop="auth""#);
    script.answer(&first, 401, "reg", &[challenge], "");
    let second = accept(&mut script, &[EXPIRES]);
    assert!(second.headers.first(Name::Authorization).unwrap().contains("nc=00000001"));
    assert_eq!(script.told(), ["registered true Some(200)"]);
    assert_eq!(registers(&mut script), 2);
    script.wait(59_999);
    assert_eq!(registers(&mut script), 0);
    script.wait(1);
    // The nonce serves again, counted up; Call-ID stays, CSeq grows (10.2).
    let third = script.request("REGISTER");
    assert!(third.headers.first(Name::Authorization).unwrap().contains("nc=00000002"));
    assert_eq!(third.headers.first(Name::CSeq), Some("3 REGISTER"));
    assert_eq!(third.headers.first(Name::CallId), first.headers.first(Name::CallId));
    accept(&mut script, &[EXPIRES]);
    assert!(script.told().is_empty());
    assert_eq!(script.ua.counters().registration, [0, 0, 2, 0, 1, 0, 0], "responses by class");
}

#[test]
fn a_registrar_that_does_not_answer_is_asked_again_and_counted() {
    let mut script = registering();
    script.wait(32_000);
    let counters = script.ua.counters();
    assert_eq!((counters.registration[0], counters.repetitions.retransmitted), (1, 10), "timer E for 64 T1");
}

#[test]
fn the_expiry_of_our_own_contact_counts_rfc3261_10_3() {
    let mut script = registering();
    let contacts = "<sip:other@h>;expires=9, <sip:alice@198.51.100.1:5060>;expires=60";
    accept(&mut script, &[(Name::Contact, contacts), EXPIRES]);
    script.look();
    script.wait(29_999);
    assert_eq!(registers(&mut script), 0);
    script.wait(1);
    assert_eq!(registers(&mut script), 1);
}

#[test]
fn a_registrar_that_wants_longer_bindings_gets_them_rfc3261_10_2_8() {
    let mut script = registering();
    let register = script.request("REGISTER");
    script.answer(&register, 423, "reg", &[(Name::MinExpires, "3600")], "");
    assert_eq!(script.request("REGISTER").headers.first(Name::Expires), Some("3600"));
    let register = script.request("REGISTER");
    script.look();
    script.answer(&register, 423, "reg", &[(Name::MinExpires, "3600")], "");
    assert_eq!(script.told(), ["registered false Some(423)"]);
    assert_eq!(registers(&mut script), 0);
}

#[test]
fn failures_wait_longer_each_time_and_as_long_as_the_server_says() {
    let mut script = registering();
    for window_ms in [2000, 4000, 8000] {
        let register = script.request("REGISTER");
        script.answer(&register, 403, "reg", &[], "");
        script.look();
        script.wait(window_ms / 2 - 1);
        assert_eq!(registers(&mut script), 0);
        script.wait(window_ms / 2 + 1);
        assert!(!script.sent.is_empty());
    }
    let register = script.request("REGISTER");
    script.look();
    script.answer(&register, 503, "reg", &[(Name::RetryAfter, "120 (busy)")], "");
    script.wait(119_999);
    assert_eq!(registers(&mut script), 0);
    script.wait(1);
    assert_eq!(registers(&mut script), 1);
}

#[test]
fn a_silent_server_is_tried_at_its_next_address_and_the_binding_runs_out() {
    let mut script = registering();
    accept(&mut script, &[EXPIRES]);
    script.told();
    script.wait(100_000);
    assert_eq!(script.told(), ["registered true None", "registered false None"]);
    assert_eq!(script.sent.last().unwrap().0, address("192.0.2.2:5060"));
    accept(&mut script, &[EXPIRES]);
    assert_eq!(script.told(), ["registered true Some(200)"]);
}

#[test]
fn behind_a_nat_the_address_that_the_server_sees_is_registered_and_kept_open_rfc3581() {
    let mut script = registering();
    let mut register = script.request("REGISTER");
    let via = format!("{};received=203.0.113.4", register.headers.first(Name::Via).unwrap());
    register.headers.set(Name::Via, via.replace(";rport", ";rport=40000"));
    script.answer(&register, 200, "reg", &[EXPIRES], "");
    let mut again = script.request("REGISTER");
    assert_eq!(again.headers.first(Name::Contact), Some("<sip:alice@203.0.113.4:40000>"));
    let via = format!("{};received=203.0.113.4", again.headers.first(Name::Via).unwrap());
    again.headers.set(Name::Via, via.replace(";rport", ";rport=40000"));
    script.answer(&again, 200, "reg", &[EXPIRES], "");
    assert_eq!(registers(&mut script), 2);
    script.wait(50_000);
    assert_eq!(script.keep_alives, 2);
    // An INVITE to the server gives the same address.
    script.call();
    let contact = script.request("INVITE");
    assert_eq!(contact.headers.first(Name::Contact), Some("<sip:alice@203.0.113.4:40000>"));
}

#[test]
fn another_account_removes_the_first_binding_and_none_removes_the_last_rfc3261_10_2_2() {
    let mut script = registering();
    accept(&mut script, &[EXPIRES]);
    let mut other = account();
    other.username = Some("carol".into());
    script.command(Command::Use(Some(other)));
    let sent: Vec<_> = ["alice", "carol"].iter().map(|user| format!("<sip:{user}@example.com>")).collect();
    script.sent.remove(0);
    let requests: Vec<(String, String)> = script
        .sent
        .iter()
        .map(|(_, message)| match message {
            crate::sip::msg::Message::Request(request) => (
                request.headers.first(Name::To).unwrap().to_owned(),
                request.headers.first(Name::Expires).unwrap().to_owned(),
            ),
            crate::sip::msg::Message::Response(_) => panic!("a response"),
        })
        .collect();
    assert_eq!(requests, [(sent[0].clone(), "0".to_owned()), (sent[1].clone(), "600".to_owned())]);
    accept(&mut script, &[EXPIRES]);
    script.look();
    script.command(Command::Close);
    let last = script.request("REGISTER");
    assert_eq!(last.headers.first(Name::Expires), Some("0"));
    script.answer(&last, 200, "reg", &[], "");
    assert!(!script.told().contains(&"closed".to_owned()), "carol's binding is not gone yet");
    script.wait(1400);
    assert_eq!(script.told(), ["closed"]);
}
