//! Messages of the service: the reference's own examples, hostile ones, and round trips.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> ServerMessage {
    ServerMessage::parse(text).unwrap()
}

#[test]
fn the_examples_of_the_reference_are_read() {
    assert_eq!(
        parse(
            r#"{"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event":
            {"conversation_id": "conv_1", "agent_output_audio_format": "ulaw_8000", "x": 1}}"#
        ),
        ServerMessage::Metadata {
            conversation_id: "conv_1".into(),
            output_format: Some("ulaw_8000".into()),
            input_format: None
        }
    );
    assert_eq!(
        parse(
            r#"{"type": "audio", "audio_event": {"audio_base_64": "f39/fw==", "event_id": "4",
            "alignment": {"chars": ["H", "i"], "char_start_times_ms": [0, 70]}}}"#
        ),
        ServerMessage::Audio { event_id: 4, audio: vec![0x7f; 4] }
    );
    assert_eq!(
        parse(r#"{"ping_event": {"event_id": 17, "ping_ms": null}, "type": "ping"}"#),
        ServerMessage::Ping { event_id: 17, ping_ms: None }
    );
    let ServerMessage::AgentResponseCorrection { original, corrected, event_id, payload } = parse(
        r#"{"type": "agent_response_correction", "agent_response_correction_event": {"event_id": 4,
        "original_agent_response": "We open at eight.", "corrected_agent_response": "We open", "new": 1}}"#,
    ) else {
        panic!("no correction")
    };
    assert_eq!((original.as_str(), corrected.as_str(), event_id), ("We open at eight.", "We open", Some(4)));
    assert_eq!(payload["new"], 1);
}

#[test]
fn both_shapes_of_an_error_are_read() {
    assert_eq!(
        parse(r#"{"type":"error","error_event":{"code":1008,"error_type":"value_error","message":"x"}}"#),
        ServerMessage::Error { code: Some(1008), kind: Some("value_error".into()), message: "x".into() }
    );
    assert_eq!(
        parse(r#"{"type":"error","message":"quota","error_event":null}"#),
        ServerMessage::Error { code: None, kind: None, message: "quota".into() }
    );
}

#[test]
fn only_what_a_message_cannot_do_without_is_required() {
    assert_eq!(
        parse(r#"{"type":"audio","audio_event":{"event_id":1}}"#),
        ServerMessage::Audio { event_id: 1, audio: vec![] }
    );
    assert_eq!(parse(r#"{"type":"user_transcript"}"#), ServerMessage::UserTranscript { text: String::new() });
    assert_eq!(parse(r#"{"type":"vad_score","vad_score_event":7}"#), ServerMessage::Ignored);
    assert_eq!(parse(r#"{"type":"brand_new"}"#), ServerMessage::Unknown { kind: "brand_new".into() });
    for (text, error) in [
        ("", MessageError::Json),
        ("hello", MessageError::Json),
        ("[1]", MessageError::Json),
        (r#"{"type":"ping""#, MessageError::Json),
        (r#"{"type":7}"#, MessageError::Json),
        ("{}", MessageError::Missing("type")),
        (r#"{"type":"ping","ping_event":[]}"#, MessageError::Missing("event_id")),
        (r#"{"type":"audio"}"#, MessageError::Missing("audio_event")),
        (r#"{"type":"audio","audio_event":{"event_id":-1}}"#, MessageError::Missing("event_id")),
        (
            r#"{"type":"audio","audio_event":{"event_id":1,"audio_base_64":"?"}}"#,
            MessageError::Missing("audio_base_64"),
        ),
        (
            r#"{"type":"client_tool_call","client_tool_call":{"tool_name":"x"}}"#,
            MessageError::Missing("tool_call_id"),
        ),
    ] {
        assert_eq!(ServerMessage::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_large_message_is_read_only_when_it_is_audio() {
    let text = "x".repeat(OTHER_BYTES_MAX);
    assert_eq!(
        ServerMessage::parse(&json!({"type": "agent_response", "t": text}).to_string()),
        Err(MessageError::TooLarge)
    );
    let audio = ServerMessage::Audio { event_id: 1, audio: vec![1; 10_000_000] };
    assert_eq!(ServerMessage::parse(&audio.to_json()), Ok(audio));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!(r#"{{"type":"agent_tool_request","x":{}1{}}}"#, "[".repeat(9000), "]".repeat(9000));
    assert_eq!(ServerMessage::parse(&deep), Err(MessageError::Json));
}

fn message() -> impl Strategy<Value = ServerMessage> {
    let words = ".{0,40}";
    let id = any::<u64>();
    prop_oneof![
        (words, prop::option::of(words), prop::option::of(words)).prop_map(
            |(conversation_id, output_format, input_format)| ServerMessage::Metadata {
                conversation_id,
                output_format,
                input_format
            }
        ),
        (id, prop::collection::vec(any::<u8>(), 0..400))
            .prop_map(|(event_id, audio)| ServerMessage::Audio { event_id, audio }),
        (id, prop::option::of(words))
            .prop_map(|(event_id, reason)| ServerMessage::Interruption { event_id, reason }),
        (id, prop::option::of(id)).prop_map(|(event_id, ping_ms)| ServerMessage::Ping { event_id, ping_ms }),
        words.prop_map(|text| ServerMessage::UserTranscript { text }),
        (words, prop::option::of(id))
            .prop_map(|(text, event_id)| ServerMessage::AgentResponse { text, event_id }),
        (id, words, words).prop_map(|(id, a, b)| ServerMessage::correction(id, &a, &b)),
        (words, words).prop_map(|(a, b)| ServerMessage::system_tool_response(&a, &b)),
        (words, words).prop_map(|(tool_name, tool_call_id)| ServerMessage::ClientToolCall {
            tool_name,
            tool_call_id,
            parameters: json!({"n": 1})
        }),
        words.prop_map(|status| ServerMessage::QueueStatus { status }),
        (prop::option::of(id), prop::option::of(words), words)
            .prop_map(|(code, kind, message)| ServerMessage::Error { code, kind, message }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in message()) {
        prop_assert_eq!(ServerMessage::parse(&message.to_json()), Ok(message));
    }

    #[test]
    fn any_text_gives_a_message_or_an_error(text in ".{0,200}") {
        let _ = ServerMessage::parse(&text);
    }
}
