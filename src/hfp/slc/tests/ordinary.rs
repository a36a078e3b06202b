//! What an ordinary phone and the unit do together, clause by clause.

use std::time::Duration;

use super::pair::Pair;
use crate::base::{Number, Pii};
use crate::hfp::ag::{self, Happening, Options};
use crate::hfp::slc::{Command, Event, Refusal};
use crate::hfp::{CallState, Change, Codec};

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

fn called(text: &str) -> Happening {
    Happening::Called(Some(Pii(text.to_owned())))
}

fn states(pair: &Pair) -> Vec<CallState> {
    pair.calls().iter().map(|call| call.state).collect()
}

#[test]
fn a_connection_is_set_up_in_the_order_of_hfp_4_2_1_however_the_stream_is_cut() {
    for piece in [1, 2, 3, 7, 1000] {
        let mut pair = Pair::new(Options::default(), piece);
        pair.settle();
        let order = [
            "AT+BRSF=950",
            "AT+BAC=2,1",
            "AT+CIND=?",
            "AT+CIND?",
            "AT+CMER=3,0,0,1",
            "AT+CHLD=?",
            "AT+BIND=2",
            "AT+BIND=?",
            "AT+BIND?",
            "AT+CMEE=1",
            "AT+CLIP=1",
            "AT+CCWA=1",
            "AT+COPS=3,0",
            "AT+COPS?",
            "AT+CNUM",
        ];
        assert_eq!(pair.sent, order);
        assert!(matches!(pair.events[..], [Event::Up(_), Event::Phone(_), ..]), "{:?}", pair.events);
        let phone = pair.hf.phone();
        assert_eq!((phone.service, phone.signal, phone.battery), (true, 4, 3));
        assert_eq!(phone.operator.as_deref(), Some("Simulated"));
        assert_eq!(phone.own_number, Some(Pii("+15550123".to_owned())));
        assert!(!pair.sent.iter().any(|line| line.contains("NREC")), "the phone keeps its echo canceller");
    }
}

#[test]
fn a_call_that_comes_in_is_told_answered_heard_and_over_hfp_4_13() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    let call = pair.calls()[0].clone();
    assert_eq!((call.state, call.incoming), (CallState::Incoming, true));
    assert_eq!(call.number, Some(Pii("+15550100".to_owned())));
    pair.command(Command::Answer);
    assert_eq!(states(&pair), [CallState::Active]);
    assert_eq!(pair.audio, Some(Codec::Msbc));
    let codec = pair.events.iter().position(|event| *event == Event::Codec(Codec::Msbc));
    assert!(codec.is_some());
    pair.happens(Happening::Over);
    assert_eq!((states(&pair), pair.audio), (vec![], None));
    assert_eq!(pair.events.last(), Some(&Event::Call(Change::Over(1))));
}

#[test]
fn a_call_is_made_rings_is_taken_and_ended_from_here_hfp_4_18() {
    let mut pair = Pair::up(Options::default());
    pair.command(Command::Dial(number("+15550199")));
    assert!(pair.sent.contains(&"ATD+15550199;".to_owned()));
    assert_eq!(states(&pair), [CallState::Dialing]);
    pair.happens(Happening::OtherRings);
    assert_eq!(states(&pair), [CallState::Alerting]);
    pair.happens(Happening::OtherAnswers);
    assert_eq!(states(&pair), [CallState::Active]);
    pair.command(Command::Dtmf('5'));
    pair.command(Command::Hangup);
    assert_eq!(states(&pair), []);
    assert!(pair.phone_events.contains(&ag::Event::Key('5')));
    assert!(!pair.events.iter().any(|event| matches!(event, Event::Refused(..))), "{:?}", pair.events);
}

#[test]
fn a_call_that_comes_in_is_refused_hfp_4_14() {
    let mut pair = Pair::up(Options::default());
    pair.happens(Happening::Called(None));
    assert_eq!(pair.calls()[0].number, None);
    pair.command(Command::Hangup);
    assert_eq!(states(&pair), []);
    assert!(pair.phone_events.contains(&ag::Event::HungUp));
}

#[test]
fn a_waiting_call_is_refused_without_touching_the_active_one_hfp_4_22() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    pair.happens(Happening::OwnerAnswers);
    pair.happens(called("+15550101"));
    assert_eq!(states(&pair), [CallState::Active, CallState::Waiting]);
    pair.command(Command::RefuseWaiting);
    assert_eq!(states(&pair), [CallState::Active]);
}

#[test]
fn calls_that_were_there_before_the_connection_are_known_after_it() {
    let mut pair = Pair::new(Options::default(), 1000);
    pair.ag.happens(Happening::OwnerDials(Pii("+15550199".to_owned())));
    pair.ag.happens(Happening::OtherAnswers);
    pair.settle();
    assert_eq!(states(&pair), [CallState::Active]);
}

#[test]
fn what_the_user_wants_early_waits_until_the_phone_was_asked_everything() {
    let mut pair = Pair::new(Options::default(), 1000);
    pair.hf.command(pair.now, Command::Dial(number("5550199")));
    pair.settle();
    assert_eq!(pair.sent.iter().position(|line| line == "AT+CNUM").unwrap() + 1, {
        pair.sent.iter().position(|line| line.starts_with("ATD")).unwrap()
    });
    assert_eq!(states(&pair), [CallState::Dialing]);
}

#[test]
fn a_refused_command_is_told_with_the_phones_own_code() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    pair.happens(Happening::OwnerAnswers);
    pair.command(Command::Dial(number("5550199")));
    let refused = Event::Refused(Command::Dial(number("5550199")), Refusal::ByPhone(Some(3)));
    assert!(pair.events.contains(&refused), "{:?}", pair.events);
    pair.command(Command::Dtmf('x'));
    assert_eq!(pair.events.last(), Some(&Event::Refused(Command::Dtmf('x'), Refusal::Here)));
}

#[test]
fn an_active_call_without_audio_is_asked_about_three_times_and_then_told() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    pair.audio_works = false;
    pair.command(Command::Answer);
    pair.wait(Duration::from_secs(10));
    assert_eq!(pair.sent.iter().filter(|line| *line == "AT+BCC").count(), 3);
    assert_eq!(pair.events.iter().filter(|event| **event == Event::AudioLost).count(), 1);
    pair.audio_works = true;
    pair.happens(Happening::WantsAudio);
    pair.unlink_audio();
    pair.wait(Duration::from_secs(2));
    assert_eq!(pair.audio, Some(Codec::Msbc), "it was lost again, and asked for again");
}

#[test]
fn audio_that_is_left_to_the_handset_is_not_asked_for_until_it_is_wanted_here() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    pair.command(Command::Answer);
    pair.command(Command::Audio { here: false });
    pair.unlink_audio();
    pair.wait(Duration::from_secs(60));
    assert_eq!(pair.audio, None);
    pair.command(Command::Audio { here: true });
    pair.wait(Duration::from_secs(2));
    assert_eq!(pair.audio, Some(Codec::Msbc));
}

#[test]
fn a_link_that_carries_no_msbc_goes_on_with_cvsd_hfp_4_11() {
    let mut pair = Pair::up(Options::default());
    pair.happens(called("+15550100"));
    pair.command(Command::Answer);
    pair.unlink_audio();
    pair.command(Command::CvsdOnly);
    assert_eq!(pair.audio, Some(Codec::Cvsd));
    let last: Vec<&str> = pair.sent.iter().rev().take(3).map(String::as_str).collect();
    assert_eq!(last, ["AT+BCS=1", "AT+BCC", "AT+BAC=1"]);
}
