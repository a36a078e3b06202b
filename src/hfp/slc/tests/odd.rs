//! Phones that do it differently, most of them as lines that they send.

use std::time::{Duration, Instant};

use super::pair::Pair;
use crate::base::time::any_instant;
use crate::base::{Number, Pii};
use crate::hfp::ag::{Happening, Options};
use crate::hfp::slc::{Command, Event, Fault, Output, Refusal, Slc};
use crate::hfp::{AgFeatures, CallState, Change, Codec};

/// The unit alone, with a phone made of literal answers.
struct Unit {
    now: Instant,
    slc: Slc,
    events: Vec<Event>,
}

impl Unit {
    fn new() -> Self {
        let now = any_instant();
        Self { now, slc: Slc::start(now, &[Codec::Msbc, Codec::Cvsd]), events: Vec::new() }
    }

    /// Set up with a phone of these features, every later question answered `OK`.
    fn up(features: u16) -> Self {
        let mut unit = Self::new();
        for _ in 0..40 {
            let Some(line) = unit.sent().pop() else { return unit };
            let answer = match line.as_str() {
                line if line.starts_with("AT+BRSF") => format!("\r\n+BRSF: {features}\r\n"),
                "AT+CIND=?" => {
                    "\r\n+CIND: (\"call\",(0,1)),(\"callsetup\",(0-3)),(\"callheld\",(0-2))\r\n".into()
                }
                "AT+CIND?" => "\r\n+CIND: 0,0,0\r\n".into(),
                _ => String::new(),
            };
            unit.hear(&format!("{answer}\r\nOK\r\n"));
        }
        panic!("the set-up does not end");
    }

    fn hear(&mut self, text: &str) {
        self.slc.handle_input(self.now, text.as_bytes());
    }

    /// What it has sent since.
    fn sent(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.slc.poll_output() {
                Output::Transmit(bytes) => lines.push(String::from_utf8(bytes).unwrap().trim().to_owned()),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(_) => return lines,
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.slc.handle_timeout(self.now);
    }

    fn states(&self) -> Vec<CallState> {
        self.slc.calls().iter().map(|call| call.state).collect()
    }
}

const ALL: u16 = 0x0fff;

#[test]
fn an_old_phone_without_features_lists_or_codecs_is_followed_by_its_indicators() {
    let old = Options {
        features: None,
        lists_calls: false,
        indicators: &["service", "call", "call_setup"],
        ..Options::default()
    };
    let mut pair = Pair::up(old);
    assert_eq!(pair.hf.ag_features(), AgFeatures::default());
    pair.happens(Happening::Called(Some(Pii("5550100".to_owned()))));
    pair.happens(Happening::RingsAgain);
    let call = &pair.hf.calls()[0];
    assert_eq!((call.state, call.number.clone()), (CallState::Incoming, Some(Pii("5550100".to_owned()))));
    pair.command(Command::Answer);
    assert_eq!(pair.hf.calls()[0].state, CallState::Active);
    assert_eq!(pair.audio, Some(Codec::Cvsd), "without negotiation the phone opens CVSD");
    pair.unlink_audio();
    pair.wait(Duration::from_secs(2));
    assert!(pair.events.contains(&Event::OpenAudio), "it cannot be asked, so it is opened from here");
    pair.happens(Happening::Over);
    assert!(pair.hf.calls().is_empty());
}

#[test]
fn a_codec_chosen_between_a_command_and_its_end_is_taken_within_half_a_second() {
    let mut unit = Unit::up(ALL);
    unit.slc.command(unit.now, Command::Dial(Number::parse("5550199").unwrap()));
    assert_eq!(unit.sent(), ["ATD5550199;"]);
    unit.hear("\r\n+BCS: 2\r\n");
    assert_eq!(unit.sent(), Vec::<String>::new(), "one command is outstanding");
    assert_eq!(unit.events.last(), Some(&Event::Codec(Codec::Msbc)), "the link may come before the answer");
    unit.wait(Duration::from_millis(500));
    assert_eq!(unit.sent(), ["AT+BCS=2"], "it does not wait longer");
    unit.hear("\r\nOK\r\n\r\nOK\r\n");
    assert_eq!(unit.slc.counters().unasked, 0, "both ends are taken in their order");
    assert!(!unit.events.iter().any(|event| matches!(event, Event::Refused(..))));
}

#[test]
fn a_phone_that_chooses_codecs_for_ever_and_answers_nothing_fills_no_queue() {
    let mut unit = Unit::up(ALL);
    for _ in 0..200 {
        unit.hear("\r\n+BCS: 2\r\n");
        unit.sent();
        unit.wait(Duration::from_millis(500));
    }
    unit.slc.command(unit.now, Command::Hangup);
    unit.sent();
    assert!(
        !unit.events.iter().any(|event| matches!(event, Event::Refused(..))),
        "there is room for the user"
    );
}

#[test]
fn a_codec_that_is_not_ours_is_answered_with_ours_hfp_4_11_3() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\n+BCS: 3\r\n");
    assert_eq!(unit.sent(), ["AT+BAC=2,1"]);
    unit.hear("\r\n+BCS: nonsense\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+BAC=2,1"]);
}

#[test]
fn a_ring_without_an_indicator_is_looked_into() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\nRING\r\n");
    assert_eq!(unit.sent(), ["AT+CLCC"]);
    unit.hear("\r\n+CLCC: 1,1,4,0,0,\"+15550100\",145\r\n\r\nOK\r\n");
    assert_eq!(unit.states(), [CallState::Incoming]);
    unit.hear("\r\n+CIEV: 2,1\r\n");
    assert_eq!(unit.sent(), ["AT+CLCC"]);
    unit.hear("\r\n+CLCC: 1,1,4,0,0,\"+15550100\",145\r\n\r\nOK\r\n");
    unit.sent();
    let told = unit.events.iter().filter(|event| matches!(event, Event::Call(Change::Now(_)))).count();
    assert_eq!(told, 1, "the same call is told once");
}

#[test]
fn ten_thousand_rings_cost_one_question_and_a_counter() {
    let mut unit = Unit::up(ALL);
    unit.hear(&"\r\nRING\r\n".repeat(10_000));
    assert_eq!(unit.sent(), ["AT+CLCC"]);
    unit.hear("\r\nOK\r\n");
    assert_eq!(unit.sent(), Vec::<String>::new());
    assert_eq!(unit.slc.counters().rings, 10_000);
}

#[test]
fn unknown_lines_anywhere_are_counted_and_change_nothing() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\n+XAPL=iPhone,7\r\n\r\n+CIEV: 77,1\r\n\r\n+ANDROID: 1\r\n\r\nhello\r\n\r\n+BVRA: 1\r\n\r\n\u{0}\r\n");
    assert_eq!(unit.sent(), Vec::<String>::new());
    assert_eq!(unit.slc.counters().unknown, 4);
    unit.hear(&"A".repeat(100_000));
    unit.hear("\r\n\r\nOK\r\n");
    assert_eq!((unit.slc.counters().too_long, unit.slc.counters().unasked), (1, 1));
}

#[test]
fn no_carrier_after_a_call_ends_no_command_of_ours() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\n+CIEV: 2,1\r\n");
    assert_eq!(unit.sent(), ["AT+CLCC"]);
    unit.hear("\r\nNO CARRIER\r\n");
    unit.hear("\r\n+CLCC: 1,1,4,0,0\r\n\r\nOK\r\n");
    assert_eq!(unit.states(), [CallState::Incoming]);
    unit.slc.command(unit.now, Command::Dial(Number::parse("5550199").unwrap()));
    unit.sent();
    unit.hear("\r\nBUSY\r\n");
    unit.sent();
    assert!(matches!(unit.events.last(), Some(Event::Refused(Command::Dial(_), Refusal::Call(_)))));
}

#[test]
fn a_list_that_is_refused_because_it_is_empty_does_not_mean_that_there_are_none_ever() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\nRING\r\n");
    unit.sent();
    unit.hear("\r\nERROR\r\n");
    unit.hear("\r\n+CIEV: 2,1\r\n");
    assert_eq!(unit.sent(), ["AT+CLCC"]);
}

#[test]
fn a_silent_phone_is_asked_twice_and_given_up_in_ten_seconds() {
    let mut unit = Unit::new();
    assert_eq!(unit.sent(), ["AT+BRSF=950"]);
    unit.wait(Duration::from_secs(5));
    assert_eq!(unit.sent(), ["AT+BRSF=950"]);
    unit.wait(Duration::from_secs(5));
    assert_eq!(unit.sent(), Vec::<String>::new());
    assert_eq!(unit.events, [Event::Down(Fault::Silent)]);
    assert_eq!(unit.slc.poll_output(), Output::Timeout(None));
}

#[test]
fn dialling_is_never_tried_twice_but_answering_is() {
    let mut unit = Unit::up(ALL);
    unit.slc.command(unit.now, Command::Dial(Number::parse("5550199").unwrap()));
    unit.slc.command(unit.now, Command::Answer);
    let mut sent = unit.sent();
    for _ in 0..20 {
        unit.wait(Duration::from_secs(1));
        sent.extend(unit.sent());
    }
    // Between two tries it is asked whether the phone answers at all; what waits goes out two seconds later.
    assert_eq!(sent, ["ATD5550199;", "AT+CIND?", "ATA", "AT+CIND?", "ATA", "AT+CIND?"]);
    let refused = unit.events.iter().filter(|event| matches!(event, Event::Refused(_, Refusal::NoAnswer)));
    assert_eq!(refused.count(), 2);
}

#[test]
fn a_late_end_is_not_taken_for_the_end_of_the_next_command() {
    let mut unit = Unit::up(ALL);
    unit.slc.command(unit.now, Command::Dial(Number::parse("5550199").unwrap()));
    unit.slc.command(unit.now, Command::Dtmf('1'));
    unit.sent();
    unit.wait(Duration::from_secs(5));
    assert_eq!(unit.sent(), ["AT+CIND?"]);
    unit.hear("\r\nOK\r\n");
    assert_eq!(unit.sent(), Vec::<String>::new(), "that was the end of dialling");
    unit.hear("\r\n+CIND: 0,2,0\r\n\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+VTS=1"]);
    unit.hear("\r\nERROR\r\n");
    assert_eq!(unit.sent(), ["AT+CLCC"], "the indicators moved meanwhile");
    assert_eq!(unit.events.last(), Some(&Event::Refused(Command::Dtmf('1'), Refusal::ByPhone(None))));
    assert_eq!(unit.slc.counters().unasked, 1);
}

#[test]
fn an_end_that_never_comes_is_not_waited_for() {
    let mut unit = Unit::up(ALL);
    unit.slc.command(unit.now, Command::Dtmf('1'));
    unit.slc.command(unit.now, Command::Dtmf('2'));
    unit.sent();
    unit.wait(Duration::from_secs(5));
    assert_eq!(unit.sent(), ["AT+CIND?"]);
    unit.hear("\r\n+CIND: 0,0,0\r\n\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+VTS=2"]);
    unit.hear("\r\nERROR\r\n");
    unit.sent();
    assert_eq!(unit.events.last(), Some(&Event::Refused(Command::Dtmf('2'), Refusal::ByPhone(None))));
}

#[test]
fn a_phone_that_is_slow_at_the_start_is_set_up_all_the_same() {
    let mut unit = Unit::new();
    unit.sent();
    unit.wait(Duration::from_secs(5));
    assert_eq!(unit.sent(), ["AT+BRSF=950"]);
    // Both are answered in the end, and so is what comes after them, each one step late.
    unit.hear("\r\n+BRSF: 4095\r\n\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+BAC=2,1"]);
    unit.hear("\r\n+BRSF: 4095\r\n\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+CIND=?"]);
    unit.hear("\r\nOK\r\n");
    assert_eq!(unit.sent(), Vec::<String>::new(), "that was the end of the codecs");
    unit.hear("\r\n+CIND: (\"call\",(0,1)),(\"callsetup\",(0-3)),(\"callheld\",(0-2))\r\n\r\nOK\r\n");
    assert_eq!(unit.sent(), ["AT+CIND?"]);
}

#[test]
fn a_phone_that_hides_its_calls_is_of_no_use() {
    for (order, fault) in [
        ("\r\nERROR\r\n", Fault::Refused),
        ("\r\n+CIND: (\"signal\",(0-5))\r\n\r\nOK\r\n", Fault::Indicators),
        ("\r\n+CIND: ((((\r\n\r\nOK\r\n", Fault::Indicators),
    ] {
        let mut unit = Unit::new();
        unit.hear("\r\n+BRSF: 0\r\n\r\nOK\r\n");
        unit.sent();
        unit.hear(order);
        assert_eq!(unit.sent(), ["AT+CIND=?"].iter().skip(1).map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(unit.events.last(), Some(&Event::Down(fault)));
        unit.hear("\r\n+CIEV: 1,1\r\n\r\nRING\r\n\r\nOK\r\n");
        unit.slc.command(unit.now, Command::Answer);
        unit.sent();
        assert_eq!(unit.events.last(), Some(&Event::Refused(Command::Answer, Refusal::Here)));
    }
}

#[test]
fn commands_that_pile_up_are_refused_beyond_their_limit() {
    let mut unit = Unit::up(ALL);
    for _ in 0..100 {
        unit.slc.command(unit.now, Command::Dtmf('1'));
    }
    unit.sent();
    let refused =
        unit.events.iter().filter(|event| matches!(event, Event::Refused(_, Refusal::Here))).count();
    assert_eq!(refused, 100 - 1 - 32);
}

#[test]
fn in_band_ringing_is_told() {
    let mut unit = Unit::up(ALL);
    unit.hear("\r\n+BSIR: 1\r\n");
    unit.sent();
    assert_eq!(unit.events.last(), Some(&Event::InBandRing(true)));
}
