//! Conversations in virtual time against a service that is written down.

use crate::base::time::any_instant;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::agent::AudioFormat;
use crate::agent::message::{ClientMessage, ServerMessage};

/// A session, its clock, and a line that plays when told to.
pub(super) struct Talk {
    pub(super) session: Session,
    now: Instant,
    pub(super) sent: Vec<ClientMessage>,
    events: Vec<Event>,
    pub(super) flushes: usize,
    closes: usize,
    taken: u64,
    played: u64,
}

impl Talk {
    pub(super) fn new(initiation: Initiation) -> Self {
        Self {
            session: Session::new(initiation),
            now: any_instant(),
            sent: vec![],
            events: vec![],
            flushes: 0,
            closes: 0,
            taken: 0,
            played: 0,
        }
    }

    /// A session that talks in 8 kHz mu-law, with nothing of the start left to look at.
    pub(super) fn started() -> Self {
        let mut talk = Self::new(Initiation::default());
        talk.input(Input::Opened);
        talk.input(Input::Begin);
        talk.server(&metadata());
        talk.events();
        talk.sent.clear();
        talk
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.session.handle_input(self.now, input);
        self.drain();
    }

    pub(super) fn server(&mut self, message: &ServerMessage) {
        self.input(Input::Text(&message.to_json()));
    }

    pub(super) fn pass(&mut self, by: Duration) {
        self.now += by;
        self.session.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(text) => self.sent.push(ClientMessage::parse(&text).unwrap()),
                Output::Flush => self.flushes += 1,
                Output::Close => self.closes += 1,
                Output::Event(event) => self.events.push(event),
                Output::Timeout(_) => break,
            }
        }
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The line plays so many blocks of 20 ms.
    pub(super) fn play(&mut self, blocks: usize) {
        for _ in 0..blocks {
            if self.session.take_block(true).is_some() {
                self.taken += 1;
                self.played += 1;
            }
            self.now += Duration::from_millis(20);
            self.input(Input::Line { taken: self.taken, played: self.played });
        }
    }
}

pub(super) fn metadata() -> ServerMessage {
    ServerMessage::Metadata {
        conversation_id: "conv_1".into(),
        output_format: Some("ulaw_8000".into()),
        input_format: Some("ulaw_8000".into()),
    }
}

pub(super) fn voice(event_id: u64, ms: usize) -> ServerMessage {
    ServerMessage::Audio { event_id, audio: vec![0x55; ms * 8] }
}

fn failed(events: &[Event]) -> &str {
    match events.last() {
        Some(Event::Ended(End::Failed { error })) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn initiation_is_first_and_no_audio_goes_before_metadata() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Opened);
    talk.input(Input::CallerAudio(&[1]));
    assert_eq!(talk.sent, []);
    talk.input(Input::Begin);
    talk.input(Input::CallerAudio(&[2]));
    talk.server(&metadata());
    talk.input(Input::CallerAudio(&[3]));
    assert_eq!(talk.sent, [ClientMessage::Initiation(serde_json::Map::new()), ClientMessage::Audio(vec![3])]);
    let (input, output) = (AudioFormat::Ulaw8000, AudioFormat::Ulaw8000);
    assert_eq!(talk.events(), [Event::Started { conversation_id: "conv_1".into(), input, output }]);
}

#[test]
fn metadata_that_comes_before_the_initiation_is_accepted_too() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Opened);
    talk.server(&metadata());
    assert_eq!((talk.sent.len(), talk.events().len()), (0, 0));
    talk.input(Input::Begin);
    assert!(matches!(talk.events()[..], [Event::Started { .. }]));
}

#[test]
fn without_metadata_within_10_s_it_fails_and_a_queue_makes_it_wait() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Opened);
    talk.input(Input::Begin);
    talk.pass(Duration::from_secs(9));
    talk.server(&ServerMessage::QueueStatus { status: "waiting".into() });
    talk.pass(Duration::from_secs(59));
    assert_eq!(talk.events(), []);
    talk.server(&ServerMessage::QueueStatus { status: "admitted".into() });
    talk.pass(Duration::from_secs(10));
    assert!(failed(&talk.events()).contains("did not accept"));
    assert_eq!(talk.closes, 1);
}

#[test]
fn a_ping_is_answered_ahead_of_everything_in_every_state() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Opened);
    talk.server(&ServerMessage::Ping { event_id: 3, ping_ms: Some(900) });
    assert_eq!(talk.sent, [ClientMessage::Pong { event_id: 3 }]);
    let mut talk = Talk::started();
    talk.session.handle_input(talk.now, Input::CallerAudio(&[1]));
    talk.server(&ServerMessage::Ping { event_id: 4, ping_ms: None });
    assert_eq!(talk.sent, [ClientMessage::Pong { event_id: 4 }, ClientMessage::Audio(vec![1])]);
}

#[test]
fn messages_wait_for_the_start_and_keep_their_order() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::ContextualUpdate("one".into()));
    talk.input(Input::Opened);
    talk.input(Input::UserMessage("two".into()));
    talk.input(Input::Begin);
    talk.input(Input::ContextualUpdate("three".into()));
    talk.server(&metadata());
    assert_eq!(
        talk.sent[1..],
        [
            ClientMessage::ContextualUpdate { text: "one".into() },
            ClientMessage::UserMessage { text: "two".into() },
            ClientMessage::ContextualUpdate { text: "three".into() },
        ]
    );
}

#[test]
fn the_65th_waiting_message_is_refused_and_told() {
    let mut talk = Talk::new(Initiation::default());
    for n in 0..65 {
        talk.input(Input::UserMessage(n.to_string()));
    }
    assert!(matches!(talk.events()[..], [Event::Fault { .. }]));
}

#[test]
fn an_interruption_voids_everything_up_to_its_number_and_tells_what_was_heard() {
    let mut talk = Talk::started();
    talk.server(&voice(4, 1000));
    talk.play(10);
    talk.session.take_block(false).unwrap();
    talk.server(&ServerMessage::Interruption { event_id: 4, reason: None });
    assert_eq!(talk.flushes, 1);
    talk.server(&voice(4, 500));
    talk.server(&voice(3, 500));
    assert_eq!(talk.session.status().stale_bytes, 8000);
    assert!(talk.session.take_block(true).is_none());
    // The block that was on its way is void at the next beat.
    talk.taken += 1;
    talk.input(Input::Line { taken: talk.taken, played: talk.played });
    talk.server(&voice(5, 20));
    let events = talk.events();
    assert_eq!(
        events,
        [
            Event::ResponseStarted { reply: 1 },
            Event::Interrupted { reason: "the caller spoke".into() },
            Event::CutOff { reply: 1, played_ms: 200 },
            Event::Listening,
            Event::ResponseStarted { reply: 2 },
        ]
    );
}

#[test]
fn an_older_interruption_does_not_lower_the_cut() {
    let mut talk = Talk::started();
    talk.server(&ServerMessage::Interruption { event_id: 9, reason: Some("vad".into()) });
    talk.server(&ServerMessage::Interruption { event_id: 2, reason: None });
    talk.server(&voice(9, 20));
    assert!(talk.session.take_block(true).is_none());
    talk.server(&voice(10, 20));
    assert!(talk.session.take_block(true).is_some());
}

#[test]
fn a_reply_that_brings_several_texts_is_told_whole_each_time() {
    let mut talk = Talk::started();
    talk.server(&ServerMessage::AgentResponse { text: "One.".into(), event_id: Some(1) });
    talk.server(&voice(1, 20));
    talk.server(&ServerMessage::AgentResponse { text: "Two.".into(), event_id: Some(1) });
    talk.server(&ServerMessage::UserTranscript { text: "hello".into() });
    talk.server(&ServerMessage::AgentResponse { text: "Three.".into(), event_id: None });
    talk.server(&ServerMessage::correction(1, "One. Two.", "One."));
    let events = talk.events();
    assert_eq!(
        events[..6],
        [
            Event::ResponseStarted { reply: 1 },
            Event::Response { reply: 1, text: "One.".into() },
            Event::Response { reply: 1, text: "One. Two.".into() },
            Event::UserTranscript { text: "hello".into() },
            Event::ResponseStarted { reply: 2 },
            Event::Response { reply: 2, text: "Three.".into() },
        ]
    );
    assert!(matches!(&events[6], Event::Correction { reply: 1, corrected, .. } if corrected == "One."));
}

#[test]
fn an_unknown_client_tool_is_answered_with_an_error_exactly_once() {
    let mut talk = Talk::started();
    let call = ServerMessage::ClientToolCall {
        tool_name: "find_order".into(),
        tool_call_id: "call_81".into(),
        parameters: json!({"number": "4711"}),
    };
    talk.server(&call);
    talk.server(&call);
    assert!(matches!(&talk.sent[..], [ClientMessage::ToolResult { tool_call_id, is_error: true, .. }]
        if tool_call_id == "call_81"));
    assert!(matches!(talk.events()[..], [Event::ToolCallStarted { .. }, Event::ToolCallFinished { .. }]));
}

#[test]
fn an_mcp_tool_that_asks_for_approval_is_declined_once() {
    let mut talk = Talk::started();
    for state in ["loading", "awaiting_approval", "awaiting_approval", "failure"] {
        let call = json!({"tool_name": "t", "tool_call_id": "c", "state": state});
        talk.input(Input::Text(&json!({"type": "mcp_tool_call", "mcp_tool_call": call}).to_string()));
    }
    let declined = ClientMessage::ToolApproval { tool_call_id: "c".into(), is_approved: false };
    assert_eq!(talk.sent, [declined]);
    assert!(matches!(talk.events()[..], [Event::ToolCallStarted { .. }, Event::ToolCallFinished { .. }]));
}

#[test]
fn a_normal_close_plays_the_last_words_before_it_is_finished() {
    let mut talk = Talk::started();
    talk.server(&voice(1, 100));
    talk.server(&ServerMessage::system_tool_response("end_call", "end_call_3"));
    talk.input(Input::Closed { code: Some(1000), reason: "" });
    talk.play(4);
    talk.events();
    talk.pass(Duration::from_millis(100));
    assert_eq!(talk.events(), []);
    talk.play(1);
    talk.pass(Duration::from_millis(199));
    assert_eq!(talk.events(), []);
    talk.pass(Duration::from_millis(1));
    assert_eq!(talk.events(), [Event::Ended(End::Finished)]);
}

#[test]
fn after_end_call_the_line_is_given_up_5_s_after_the_farewell_if_no_close_comes() {
    let mut talk = Talk::started();
    talk.server(&ServerMessage::system_tool_response("end_call", "x"));
    talk.pass(Duration::from_secs(4));
    talk.server(&voice(1, 40));
    talk.pass(Duration::from_secs(4));
    talk.play(2);
    talk.events();
    talk.pass(Duration::from_millis(4999));
    assert_eq!(talk.events(), []);
    talk.pass(Duration::from_millis(1));
    assert_eq!((talk.events(), talk.closes), (vec![Event::Ended(End::Finished)], 1));
}

#[test]
fn a_line_that_plays_nothing_cannot_hold_the_end_for_ever() {
    let mut talk = Talk::started();
    talk.server(&voice(1, 1000));
    talk.input(Input::Closed { code: Some(1011), reason: "boom" });
    talk.events();
    talk.pass(Duration::from_secs(3));
    let events = talk.events();
    assert_eq!(events[0], Event::CutOff { reply: 1, played_ms: 0 });
    assert!(failed(&events).contains("[1011]: boom"));
}

#[test]
fn a_close_of_ours_tells_what_was_heard_and_ends_at_once() {
    let mut talk = Talk::started();
    talk.server(&voice(1, 1000));
    talk.play(3);
    talk.session.take_block(false).unwrap();
    talk.events();
    talk.input(Input::Close);
    assert_eq!(
        (talk.events(), talk.closes),
        (vec![Event::CutOff { reply: 1, played_ms: 60 }, Event::Ended(End::Closed)], 1)
    );
    talk.input(Input::Close);
    talk.server(&voice(2, 20));
    assert_eq!(talk.events(), []);
}

#[test]
fn a_socket_lost_before_the_beginning_is_opened_again_and_messages_survive() {
    let mut talk = Talk::new(Initiation::default());
    for _ in 0..5 {
        talk.input(Input::Opened);
        talk.input(Input::Closed { code: Some(1000), reason: "idle" });
        assert_eq!(talk.events(), [Event::Lost]);
    }
    talk.input(Input::UserMessage("later".into()));
    talk.input(Input::Begin);
    talk.input(Input::Opened);
    talk.input(Input::Closed { code: None, reason: "" });
    assert_eq!(talk.events(), [Event::Lost]);
    talk.input(Input::Opened);
    talk.server(&metadata());
    assert_eq!(talk.sent.last(), Some(&ClientMessage::UserMessage { text: "later".into() }));
}

#[test]
fn a_socket_lost_twice_after_the_initiation_or_refused_once_is_a_failure() {
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Begin);
    for _ in 0..2 {
        talk.input(Input::Opened);
        talk.input(Input::Closed { code: Some(1011), reason: "" });
    }
    assert!(failed(&talk.events()).contains("twice"));
    let mut talk = Talk::new(Initiation::default());
    talk.input(Input::Begin);
    talk.input(Input::Opened);
    talk.input(Input::Closed { code: Some(1008), reason: "override" });
    assert!(failed(&talk.events()).contains("override"));
}

#[test]
fn an_error_without_a_close_ends_after_5_s_with_its_words() {
    let mut talk = Talk::started();
    talk.input(Input::Text(r#"{"type":"error","message":"quota limit"}"#));
    talk.pass(Duration::from_secs(5));
    assert_eq!(talk.closes, 1);
    talk.pass(Duration::from_millis(200));
    assert!(failed(&talk.events()).contains("quota limit"));
}

#[test]
fn an_unknown_format_ends_the_call_and_an_absent_one_is_pcm_16000() {
    for (format, good) in [(json!("alaw_8000"), false), (Value::Null, true)] {
        let mut talk = Talk::new(Initiation::default());
        talk.input(Input::Opened);
        talk.input(Input::Begin);
        let event = json!({"conversation_id": "c", "user_input_audio_format": format});
        let kind = "conversation_initiation_metadata";
        let message = json!({"type": kind, "conversation_initiation_metadata_event": event});
        talk.input(Input::Text(&message.to_string()));
        let events = talk.events();
        if good {
            let format = AudioFormat::Pcm16000;
            assert!(
                matches!(&events[..], [Event::Started { input, output, .. }] if *input == format && *output == format)
            );
        } else {
            assert!(failed(&events).contains("alaw_8000"));
        }
    }
}

#[test]
fn garbage_is_told_sixteen_times_and_counted_for_ever() {
    let mut talk = Talk::started();
    for _ in 0..500 {
        talk.input(Input::Text("hello"));
        talk.input(Input::Binary);
    }
    assert_eq!((talk.events().len(), talk.session.status().faults), (16, 1000));
    talk.input(Input::Text(r#"{"type":"brand_new"}"#));
    talk.input(Input::Text(r#"{"type":"brand_new"}"#));
    assert_eq!(talk.events(), [Event::Unhandled { kind: "brand_new".into() }]);
}

#[test]
fn ten_megabytes_of_audio_are_bounded_and_told_once() {
    let mut talk = Talk::started();
    talk.server(&voice(1, 1_250_000));
    talk.server(&voice(1, 1_250_000));
    assert_eq!(talk.session.status().waiting_ms, 120_000);
    let faults = talk.events().iter().filter(|event| matches!(event, Event::Fault { .. })).count();
    assert_eq!((faults, talk.session.status().dropped_ms), (1, 2_380_000));
}

#[test]
fn reserved_and_oversized_variables_are_reported_once() {
    let Value::Object(dynamic_variables) = json!({"system__x": 1, "big": "b".repeat(70_000)}) else {
        panic!()
    };
    let mut talk = Talk::new(Initiation { dynamic_variables, ..Initiation::default() });
    talk.input(Input::Begin);
    for _ in 0..2 {
        talk.input(Input::Opened);
        talk.input(Input::Closed { code: None, reason: "" });
    }
    let faults = talk.events().iter().filter(|event| matches!(event, Event::Fault { .. })).count();
    assert_eq!(faults, 2);
}
