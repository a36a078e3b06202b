//! Calls that we are asked to take, and everything else that peers send, against a scripted peer.

use super::super::{SESSIONS_MAX, UNANSWERED_MAX};
use super::script::{PEER, Script, account};
use crate::base::CallId;
use crate::sip::msg::Name;
use crate::sip::{Command, Options};

const CALL: CallId = CallId(1);

fn request(method: &str, number: u32, to_tag: &str, more: &str, body: &str) -> String {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:us@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bK{method}{number}\n\
         Max-Forwards: 70\nFrom: \"Bob\" <sip:+4930123@example.com>;tag=them\nTo: <sip:us@198.51.100.1>{to_tag}\n\
         Call-ID: x\nCSeq: {number} {method}\nContact: <sip:bob@{PEER}>\n{more}\n{body}"
    )
}

fn ack(number: u32, to_tag: &str, body: &str) -> String {
    request("ACK", number, to_tag, "", body).replace("z9hG4bKACK", "z9hG4bKother")
}

/// A call that was taken and acknowledged; returns our tag.
fn up(script: &mut Script) -> String {
    script.hear(&request("INVITE", 1, "", "", "offer"));
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    let tag = our_tag(script);
    script.hear(&ack(1, &tag, ""));
    script.look();
    script.told();
    tag
}

fn our_tag(script: &Script) -> String {
    let to = script.response().headers.first(Name::To).unwrap().to_owned();
    to.split(";tag=").nth(1).unwrap().to_owned()
}

#[test]
fn a_call_is_offered_rings_and_is_taken_until_the_ack_comes_rfc3261_13_3_1() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "Record-Route: <sip:192.0.2.7;lr>\n", "offer"));
    assert_eq!(script.told(), ["incoming offer"]);
    script.command(Command::Ring { call: CALL });
    let ringing = script.response();
    assert_eq!(ringing.headers.first(Name::RecordRoute), Some("<sip:192.0.2.7;lr>"));
    assert_eq!(ringing.headers.first(Name::Contact), Some("<sip:callscoot@198.51.100.1:5060>"));
    script.hear(&request("INVITE", 1, "", "", "offer"));
    assert_eq!(script.look(), ["100 INVITE", "180 INVITE", "180 INVITE"]);
    script.wait(60_000);
    assert_eq!(script.look(), ["180 INVITE"]);
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    assert_eq!(script.response().body, b"answer");
    let tag = our_tag(&script);
    script.wait(3500);
    assert_eq!(script.look(), ["200 INVITE"; 4]);
    script.hear(&ack(1, &tag, ""));
    script.wait(60_000);
    assert!(script.look().is_empty() && script.told().is_empty());
    script.command(Command::Hangup { call: CALL });
    let bye = script.request("BYE");
    assert_eq!(bye.headers.first(Name::Route), Some("<sip:192.0.2.7;lr>"));
    assert_eq!(bye.headers.first(Name::To), Some("\"Bob\" <sip:+4930123@example.com>;tag=them"));
    assert_eq!(script.told(), ["ended LocalBye"]);
}

#[test]
fn without_an_ack_the_call_is_ended_by_bye_after_64_t1_rfc3261_13_3_1_4() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", "offer"));
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    script.wait(31_999);
    assert!(!script.look().contains(&"BYE".to_owned()));
    script.wait(1);
    assert_eq!(script.look(), ["BYE"]);
    assert_eq!(script.told(), ["incoming offer", "ended NoAck"]);
}

#[test]
fn a_bye_waits_for_the_ack_rfc3261_15() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", "offer"));
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    let tag = our_tag(&script);
    script.command(Command::Hangup { call: CALL });
    assert_eq!(script.told(), ["incoming offer", "ended LocalBye"]);
    assert_eq!(script.look(), ["100 INVITE", "200 INVITE"]);
    script.hear(&ack(1, &tag, ""));
    assert_eq!(script.look(), ["BYE"]);
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_ack_answers_rfc3261_13_2_1() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", ""));
    script.command(Command::Accept { call: CALL, body: b"offer".into() });
    let tag = our_tag(&script);
    script.hear(&ack(1, &tag, "answer"));
    assert_eq!(script.told(), ["incoming ", "answered answer"]);
}

#[test]
fn cancel_is_answered_and_the_invite_terminated_rfc3261_9_2() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", "offer"));
    let cancel = request("CANCEL", 1, "", "", "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1");
    script.hear(&cancel);
    assert_eq!(script.look(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(script.told(), ["incoming offer", "ended Cancelled"]);
    // Too late, and for nothing at all.
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    script.hear(&request("CANCEL", 9, "", "", ""));
    assert_eq!(script.look(), ["481 CANCEL"]);
    // After the answer it changes nothing.
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", "offer"));
    script.command(Command::Accept { call: CALL, body: b"answer".into() });
    script.hear(&cancel);
    assert_eq!(script.look(), ["100 INVITE", "200 INVITE", "200 CANCEL"]);
    assert_eq!(script.told(), ["incoming offer"]);
}

#[test]
fn a_refusal_is_repeated_until_the_ack_rfc3261_17_2_1() {
    for code in [480, 486, 603] {
        let mut script = Script::new();
        script.hear(&request("INVITE", 1, "", "", "offer"));
        script.command(Command::Reject { call: CALL, code });
        script.wait(500);
        let tag = our_tag(&script);
        assert_eq!(script.look()[1..], [format!("{code} INVITE"), format!("{code} INVITE")]);
        script.hear(&request("ACK", 1, &tag, "", "").replace("z9hG4bKACK1", "z9hG4bKINVITE1"));
        script.wait(60_000);
        assert!(script.look().is_empty());
        assert_eq!(
            script.told(),
            ["incoming offer".to_owned(), format!("ended RefusedHere {{ code: {code} }}")]
        );
    }
}

#[test]
fn a_bye_before_the_answer_ends_both_rfc3261_15_1_2() {
    let mut script = Script::new();
    script.hear(&request("INVITE", 1, "", "", "offer"));
    script.command(Command::Ring { call: CALL });
    let tag = our_tag(&script);
    script.hear(&request("BYE", 2, &tag, "", ""));
    assert_eq!(script.look(), ["100 INVITE", "180 INVITE", "200 BYE", "487 INVITE"]);
    assert_eq!(script.told(), ["incoming offer", "ended Cancelled"]);
}

#[test]
fn a_re_invite_is_passed_on_and_its_answer_acknowledged_rfc3261_14_2() {
    let mut script = Script::new();
    let tag = up(&mut script);
    script.hear(&request("INVITE", 2, &tag, "", "hold"));
    assert_eq!(script.told(), ["offered hold"]);
    // A second change while the first is open.
    script.hear(&request("UPDATE", 3, &tag, "", "more"));
    assert!(script.response().headers.first(Name::RetryAfter).is_some());
    script.command(Command::Answer { call: CALL, body: Some(b"held".into()) });
    script.wait(500);
    assert_eq!(script.look(), ["500 UPDATE", "200 INVITE", "200 INVITE"]);
    script.hear(&ack(2, &tag, ""));
    script.hear(&request("INVITE", 4, &tag, "", "nonsense"));
    script.command(Command::Answer { call: CALL, body: None });
    assert_eq!(script.look(), ["488 INVITE"]);
    script.hear(&request("UPDATE", 5, &tag, "", "back"));
    script.command(Command::Answer { call: CALL, body: Some(b"answer".into()) });
    assert_eq!(script.look(), ["200 UPDATE"]);
    script.hear(&request("UPDATE", 6, &tag, "", ""));
    assert_eq!(script.look(), ["200 UPDATE"]);
    assert_eq!(script.told(), ["offered nonsense", "offered back"]);
}

#[test]
fn a_target_refresh_moves_the_peer_rfc3261_12_2_2() {
    let mut script = Script::new();
    let tag = up(&mut script);
    let moved =
        request("UPDATE", 2, &tag, "", "").replace("<sip:bob@192.0.2.1:5060>", "<sip:bob@203.0.113.9:7000>");
    script.hear(&moved);
    script.command(Command::Hangup { call: CALL });
    assert_eq!(script.sent.last().unwrap().0, "203.0.113.9:7000".parse().unwrap());
}

#[test]
fn options_and_info_are_answered_inside_and_outside_rfc3261_11_2() {
    let mut script = Script::new();
    script.hear(&request("OPTIONS", 1, "", "", ""));
    assert!(script.response().headers.first(Name::Allow).unwrap().contains("INVITE"));
    assert_eq!(script.look(), ["200 OPTIONS"]);
    let tag = up(&mut script);
    script.hear(&request("OPTIONS", 2, &tag, "", ""));
    script.hear(&request("INFO", 3, &tag, "Content-Type: application/dtmf-relay\n", "Signal=5"));
    script.hear(&request("INFO", 4, &tag, "Content-Type: text/plain\n", "x"));
    script.hear(&request("REFER", 5, &tag, "", ""));
    assert_eq!(script.look(), ["200 OPTIONS", "200 INFO", "415 INFO", "405 REFER"]);
    for method in ["BYE", "INFO", "UPDATE"] {
        script.hear(&request(method, 9, "", "", ""));
        script.hear(&request(method, 10, "nobody", "", ""));
    }
    assert_eq!(script.look(), ["481 BYE", "481 BYE", "481 INFO", "481 INFO", "481 UPDATE", "481 UPDATE"]);
}

#[test]
fn only_the_server_may_call_and_anybody_may_ask_for_options() {
    let mut script = Script::with(Options { accept_strangers: false, user: None });
    script.command(Command::Use(Some(account())));
    script.look();
    let invite = request("INVITE", 1, "", "", "offer").replace('\n', "\r\n");
    script.hear_from("203.0.113.66:5060", invite.as_bytes());
    script.hear_from("203.0.113.66:5060", request("OPTIONS", 1, "", "", "").replace('\n', "\r\n").as_bytes());
    assert_eq!(script.look(), ["403 INVITE", "200 OPTIONS"]);
    assert_eq!((script.ua.counters().strangers, script.told().len()), (1, 0));
    // Another port of the server's second address is the server.
    script.hear_from("192.0.2.2:9999", invite.as_bytes());
    assert_eq!(script.told(), ["incoming offer"]);
}

#[test]
fn the_same_invite_on_another_path_is_a_loop_rfc3261_8_2_2_2() {
    let mut script = Script::new();
    let invite = request("INVITE", 1, "", "", "offer");
    script.hear(&invite);
    script.hear(&invite.replace("z9hG4bKINVITE1", "z9hG4bKfork"));
    assert_eq!(script.look(), ["100 INVITE", "482 INVITE"]);
}

#[test]
fn a_flood_of_calls_is_refused_and_counted() {
    let mut script = Script::new();
    for number in 0..=SESSIONS_MAX {
        let invite = request("INVITE", 1, "", "", "offer");
        script.hear(
            &invite
                .replace("Call-ID: x", &format!("Call-ID: {number}"))
                .replace("INVITE1", &number.to_string()),
        );
    }
    let refused = script.look().iter().filter(|sent| *sent == "486 INVITE").count();
    assert_eq!(refused, SESSIONS_MAX + 1 - UNANSWERED_MAX);
    assert_eq!((script.ua.counters().overload, script.told().len()), (refused as u64, UNANSWERED_MAX));
}

#[test]
fn garbage_is_counted_and_a_message_of_64_kib_is_answered() {
    let mut script = Script::new();
    script.hear_from(PEER, &[0xff; 1500]);
    script.hear_from(PEER, b"\r\n\r\n");
    let long = request("INVITE", 1, "", &format!("X: {}\n", "y".repeat(64_000)), "offer");
    script.hear(&long);
    assert_eq!((script.ua.counters().unreadable, script.look()), (1, vec!["100 INVITE".to_owned()]));
}

#[test]
fn closing_hangs_up_everything_and_is_told_within_its_time() {
    let mut script = Script::new();
    up(&mut script);
    script.hear(
        &request("INVITE", 1, "", "", "offer").replace("Call-ID: x", "Call-ID: y").replace("INVITE1", "y"),
    );
    script.call();
    script.look();
    script.told();
    script.command(Command::Close);
    assert_eq!(script.look(), ["BYE", "603 INVITE"]);
    let told = script.told();
    assert!(told.contains(&"ended LocalBye".into()) && told.contains(&"ended Cancelled".into()), "{told:?}");
    script.wait(1399);
    assert!(script.told().is_empty());
    script.wait(1);
    assert_eq!(script.told(), ["closed"]);
    script.hear(&request("INVITE", 7, "", "", "offer"));
    assert_eq!(script.response().code, 480);
}
