//! Calls that we make, against a scripted peer.

use super::script::{PEER, Script, account, address};
use crate::sip::Command;
use crate::sip::msg::Name;

const CONTACT: (Name, &str) = (Name::Contact, "<sip:bob@192.0.2.1:5080>");

#[test]
fn a_call_rings_is_answered_acknowledged_and_hung_up_rfc3261_13_2() {
    let mut script = Script::new();
    let call = script.call();
    let invite = script.request("INVITE");
    for code in [100, 180] {
        script.answer(&invite, code, "them", &[], "");
    }
    script.answer(&invite, 200, "them", &[CONTACT], "answer");
    assert_eq!(script.told(), ["progress 180", "accepted answer"]);
    let ack = script.request("ACK");
    assert_eq!(ack.uri, "sip:bob@192.0.2.1:5080");
    assert_eq!(ack.headers.first(Name::CSeq), Some("1 ACK"));
    assert_ne!(ack.headers.first(Name::Via), invite.headers.first(Name::Via));
    assert_eq!(script.look(), ["INVITE", "ACK"]);
    script.command(Command::Hangup { call });
    let bye = script.request("BYE");
    assert_eq!(bye.headers.first(Name::CSeq), Some("2 BYE"));
    assert_eq!(script.sent.last().unwrap().0, address("192.0.2.1:5080"));
    script.answer(&bye, 200, "them", &[], "");
    assert_eq!(script.told(), ["ended LocalBye"]);
    script.wait(60_000);
    assert_eq!((script.told().len(), script.ua.live_calls()), (0, 0));
    assert_eq!(script.drain(), None);
}

#[test]
fn a_200_that_comes_again_is_acknowledged_again_rfc3261_13_2_2_4() {
    let mut script = Script::new();
    script.call();
    let invite = script.request("INVITE");
    for _ in 0..3 {
        script.answer(&invite, 200, "them", &[CONTACT], "answer");
    }
    assert_eq!(script.look(), ["INVITE", "ACK", "ACK", "ACK"]);
    assert_eq!(script.told(), ["accepted answer"]);
}

#[test]
fn another_branch_that_accepts_is_acknowledged_and_hung_up_rfc3261_13_2_2_4() {
    let mut script = Script::new();
    script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 200, "first", &[CONTACT], "answer");
    script.answer(&invite, 200, "second", &[CONTACT], "other");
    assert_eq!(script.look(), ["INVITE", "ACK", "ACK", "BYE"]);
    script.answer(&invite, 200, "second", &[CONTACT], "other");
    assert_eq!(script.look(), ["ACK"]);
    assert_eq!(script.told(), ["accepted answer"]);
}

#[test]
fn cancel_waits_for_a_provisional_response_rfc3261_9_1() {
    let mut script = Script::new();
    let call = script.call();
    script.command(Command::Hangup { call });
    assert_eq!(script.told(), ["ended Cancelled"]);
    let invite = script.request("INVITE");
    assert_eq!(script.look(), ["INVITE"]);
    script.answer(&invite, 180, "them", &[], "");
    let cancel = script.request("CANCEL");
    assert_eq!(cancel.headers.first(Name::Via), invite.headers.first(Name::Via));
    assert_eq!(cancel.headers.first(Name::CSeq), Some("1 CANCEL"));
    script.answer(&cancel, 200, "them", &[], "");
    script.answer(&invite, 487, "them", &[], "");
    assert_eq!(script.look(), ["CANCEL", "ACK"]);
    script.wait(60_000);
    assert!(script.told().is_empty());
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_hung_up_rfc3261_9_1() {
    let mut script = Script::new();
    let call = script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 180, "them", &[], "");
    script.command(Command::Hangup { call });
    script.answer(&invite, 200, "them", &[CONTACT], "answer");
    assert_eq!(script.look(), ["INVITE", "CANCEL", "ACK", "BYE"]);
    assert_eq!(script.told(), ["progress 180", "ended Cancelled"]);
}

#[test]
fn failures_and_silence_end_the_call_once_rfc3261_8_1_3() {
    for code in [302, 404, 486, 503, 603] {
        let mut script = Script::new();
        script.call();
        let invite = script.request("INVITE");
        script.answer(&invite, code, "them", &[], "");
        script.answer(&invite, code, "them", &[], "");
        let told = script.told();
        assert!(told.len() == 1 && told[0].contains(&format!("Refused {{ code: {code}")), "{told:?}");
        assert_eq!(script.look(), ["INVITE", "ACK", "ACK"]);
    }
    let mut script = Script::new();
    script.call();
    script.wait(31_999);
    assert!(script.told().is_empty());
    script.wait(1);
    assert_eq!(script.told(), ["ended Silence { heard: false }"]);
    let mut script = Script::new();
    script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 180, "them", &[], "");
    script.wait(300_000);
    assert_eq!(script.told(), ["progress 180", "ended Silence { heard: true }"]);
    assert_eq!(script.ua.live_calls(), 0);
    script.wait(120_000);
    assert_eq!(script.drain(), None);
}

#[test]
fn a_challenged_invite_is_sent_again_with_the_next_number_rfc3261_22_2() {
    let challenge = (Name::ProxyAuthenticate, r#"Digest realm="r", nonce="n", qop="auth""#);
    let mut script = Script::new();
    script.command(Command::Use(Some(account())));
    script.call();
    let first = script.request("INVITE");
    script.answer(&first, 407, "them", &[challenge], "");
    let second = script.request("INVITE");
    assert_eq!(second.headers.first(Name::CSeq), Some("2 INVITE"));
    assert_eq!(second.headers.first(Name::CallId), first.headers.first(Name::CallId));
    assert_eq!(second.headers.first(Name::From), first.headers.first(Name::From));
    assert!(second.headers.first(Name::ProxyAuthorization).is_some());
    script.answer(&second, 200, "them", &[CONTACT], "answer");
    let ack = script.request("ACK");
    let authorization = second.headers.first(Name::ProxyAuthorization);
    assert_eq!(ack.headers.first(Name::ProxyAuthorization), authorization);
    assert_eq!(script.look(), ["REGISTER", "INVITE", "ACK", "INVITE", "ACK"]);

    // Another server than ours learns nothing.
    let mut script = Script::new();
    script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 407, "them", &[challenge], "");
    assert_eq!(script.look(), ["INVITE", "ACK"]);
    // A wrong password is not tried again.
    let mut script = Script::new();
    script.command(Command::Use(Some(account())));
    script.call();
    for _ in 0..2 {
        let invite = script.request("INVITE");
        script.answer(&invite, 407, "them", &[challenge], "");
    }
    assert!(script.told()[0].contains("code: 407"));
}

#[test]
fn an_answer_that_came_only_with_a_provisional_response_is_used() {
    let mut script = Script::new();
    script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 183, "them", &[], "early");
    script.answer(&invite, 200, "them", &[CONTACT], "");
    assert_eq!(script.told(), ["progress 183", "accepted early"]);
}

#[test]
fn a_challenged_bye_is_sent_again_rfc3261_22_2() {
    let mut script = Script::new();
    script.command(Command::Use(Some(account())));
    let call = script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 200, "them", &[CONTACT], "answer");
    script.command(Command::Hangup { call });
    let bye = script.request("BYE");
    script.answer(&bye, 401, "them", &[(Name::WwwAuthenticate, r#"Digest realm="r", nonce="n""#)], "");
    let again = script.request("BYE");
    assert_eq!(again.headers.first(Name::CSeq), Some("3 BYE"));
    assert!(again.headers.first(Name::Authorization).is_some());
}

#[test]
fn the_peer_hangs_up_and_byes_may_cross_rfc3261_15_1_2() {
    let mut script = Script::new();
    let call = script.call();
    let invite = script.request("INVITE");
    script.answer(&invite, 200, "them", &[CONTACT], "answer");
    let bye = |number: u32| {
        let from_us = invite.headers.first(Name::From).unwrap();
        let call_id = invite.headers.first(Name::CallId).unwrap();
        format!(
            "BYE sip:x@{PEER} SIP/2.0\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKbye{number}\n\
             From: <sip:bob@192.0.2.1>;tag=them\nTo: {from_us}\nCall-ID: {call_id}\nCSeq: {number} BYE\n\n"
        )
    };
    script.command(Command::Hangup { call });
    script.hear(&bye(1));
    assert_eq!(script.look(), ["INVITE", "ACK", "BYE", "200 BYE"]);
    assert_eq!(script.told(), ["accepted answer", "ended LocalBye"]);
    // A stranger to the dialog, and a number that is too old.
    script.hear(&bye(2).replace("tag=them", "tag=nobody"));
    script.hear(&bye(1).replace("bye1", "bye9"));
    assert_eq!(script.look(), ["481 BYE", "500 BYE"]);
}
