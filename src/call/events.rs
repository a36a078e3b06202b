//! Events, of a session and of none, rendered: the same text is stored, listed and streamed.

use serde_json::{Map, Value, json};

use super::journal::{Event, EventKind};
use super::session::SessionId;
use crate::base::time::rfc3339_seconds;
use crate::base::{Now, Rng};

macro_rules! names {
    ($($name:ident = $text:literal,)+) => {
        $(pub const $name: &str = $text;)+
        pub const ALL: &[&str] = &[$($text),+];
    };
}

/// `event_type` of agent events: the stream and `/events`.
#[expect(missing_docs, reason = "the names are the contract's words")]
pub mod agent_event {
    names! {
        CALL_STARTED = "call_started",
        AGENT_SESSION_STARTED = "agent_session_started",
        WS_CONNECTED = "ws_connected",
        WS_RECONNECT = "ws_reconnect",
        CONVERSATION_STARTED = "conversation_started",
        TRANSCRIPT_FINAL = "transcript_final",
        AGENT_RESPONSE_STARTED = "agent_response_started",
        AGENT_RESPONSE_FINISHED = "agent_response_finished",
        AGENT_RESPONSE_CORRECTION = "agent_response_correction",
        INTERRUPTION = "interruption",
        TOOL_CALL_STARTED = "tool_call_started",
        TOOL_CALL_FINISHED = "tool_call_finished",
        CONTEXTUAL_UPDATE_QUEUED = "contextual_update_queued",
        USER_MESSAGE_QUEUED = "user_message_queued",
        EXTERNAL_COMMAND = "external_command",
        AUDIO_MOVED = "audio_moved",
        AUDIO_NOT_MOVED = "audio_not_moved",
        AUDIO_LOST = "audio_lost",
        CLIENT_ERROR = "client_error",
        UNHANDLED_EVENT = "unhandled_event",
        CALL_ENDED = "call_ended",
        PHONE_CONNECTED = "phone_connected",
        PHONE_CHANGED = "phone_changed",
        PHONE_DISCONNECTED = "phone_disconnected",
    }
}

/// `type` of call events: `events` of a session.
#[expect(missing_docs, reason = "the names are the contract's words")]
pub mod call_event {
    names! {
        SESSION_STARTED = "session_started",
        CALL_STATE_CHANGED = "call_state_changed",
        CALL_POLICY = "call_policy",
        MAX_CALL_DURATION_REACHED = "max_call_duration_reached",
        AGENT_SESSION_STARTED = "agent_session_started",
        ELEVENAGENTS_CONNECTED = "elevenagents_connected",
        ELEVENAGENTS_SESSION_STARTED = "elevenagents_session_started",
        ELEVENAGENTS_INTERRUPTION = "elevenagents_interruption",
        ELEVENAGENTS_RECONNECT = "elevenagents_reconnect",
        ELEVENAGENTS_ERROR = "elevenagents_error",
        SIP_CALL_STATE_CHANGED = "sip_call_state_changed",
        AUDIO_MOVED = "audio_moved",
        AUDIO_NOT_MOVED = "audio_not_moved",
        AUDIO_LOST = "audio_lost",
        ASSISTANT_SUMMARY = "assistant_summary",
        SESSION_FINISHED = "session_finished",
    }
}

/// Who caused an agent event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This service.
    System,
    /// The person on the line.
    User,
    /// The agent.
    Agent,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Agent => "agent",
        }
    }
}

/// `current_state` of an event's context. The contract also lists `confirming`, which no event tells yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Greeting,
    Listening,
    Thinking,
    Speaking,
    WaitingTool,
    WrappingUp,
    Ended,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Greeting => "greeting",
            Self::Listening => "listening",
            Self::Thinking => "thinking",
            Self::Speaking => "speaking",
            Self::WaitingTool => "waiting_tool",
            Self::WrappingUp => "wrapping_up",
            Self::Ended => "ended",
        }
    }
}

/// Renders the events of one session, and keeps what their `context` says.
#[derive(Clone, Debug)]
pub struct EventWriter {
    session: SessionId,
    caller_id: Option<String>,
    state: State,
    agent_turn_count: u32,
    /// The caller has said something: what the agent says now is no greeting.
    caller_spoke: bool,
    active_tool: Option<String>,
}

impl EventWriter {
    /// `caller_id` is the other party's number or URI, in both directions.
    pub fn new(session: SessionId, caller_id: Option<String>) -> Self {
        Self {
            session,
            caller_id,
            state: State::Idle,
            agent_turn_count: 0,
            caller_spoke: false,
            active_tool: None,
        }
    }

    /// The other party's number became known.
    pub fn caller_is(&mut self, number: &str) {
        self.caller_id = Some(number.to_owned());
    }

    /// One event of the stream; its context is that after the event.
    pub fn agent_event(
        &mut self,
        seq: u64,
        now: Now,
        rng: &mut Rng,
        name: &'static str,
        source: Source,
        payload: Value,
    ) -> Event {
        self.follow(name, &payload);
        let call = (Some(self.session.as_str()), Some(self.caller_id.as_deref().unwrap_or("unknown")));
        let context = context(self.state, self.agent_turn_count, self.active_tool.as_deref());
        let object = envelope((seq, now, rng), call, (name, source, payload), context);
        self.event(seq, EventKind::Agent, name, object)
    }

    /// One event of the session's own list, with its own members beside `ts`, `ts_ms`, `seq` and `type`.
    pub fn call_event(&self, seq: u64, now: Now, name: &'static str, members: Map<String, Value>) -> Event {
        let mut object = members;
        object.insert("ts".into(), rfc3339_seconds(now.unix_ms).into());
        object.insert("ts_ms".into(), now.unix_ms.into());
        object.insert("seq".into(), seq.into());
        object.insert("type".into(), name.into());
        self.event(seq, EventKind::Call, name, object.into())
    }

    /// Everything of the agent has been played: no event tells this, but the next ones show it.
    pub fn listening(&mut self) {
        if matches!(self.state, State::Greeting | State::Speaking) {
            self.state = State::Listening;
        }
    }

    /// The call is about to end, and the last words are still played.
    pub fn wrapping_up(&mut self) {
        if self.state != State::Ended {
            self.state = State::WrappingUp;
        }
    }

    fn event(&self, seq: u64, kind: EventKind, name: &'static str, object: Value) -> Event {
        Event { seq, session: Some(self.session.clone()), kind, name: name.into(), json: object.to_string() }
    }

    fn follow(&mut self, name: &str, payload: &Value) {
        let next = match name {
            agent_event::CONVERSATION_STARTED => State::Greeting,
            agent_event::TRANSCRIPT_FINAL => {
                self.caller_spoke = true;
                State::Thinking
            }
            agent_event::AGENT_RESPONSE_STARTED => {
                self.agent_turn_count += 1;
                if self.caller_spoke || self.agent_turn_count > 1 { State::Speaking } else { State::Greeting }
            }
            agent_event::INTERRUPTION => State::Listening,
            agent_event::TOOL_CALL_STARTED => {
                self.active_tool = payload.get("tool_name").and_then(Value::as_str).map(str::to_owned);
                State::WaitingTool
            }
            agent_event::TOOL_CALL_FINISHED => {
                self.active_tool = None;
                State::Thinking
            }
            agent_event::CALL_ENDED => {
                self.active_tool = None;
                State::Ended
            }
            _ => self.state,
        };
        // What a peer still says after the end changes nothing; while wrapping up only the end does.
        self.state = match self.state {
            State::Ended => State::Ended,
            State::WrappingUp if next != State::Ended => State::WrappingUp,
            State::WrappingUp
            | State::Idle
            | State::Greeting
            | State::Listening
            | State::Thinking
            | State::Speaking
            | State::WaitingTool => next,
        };
    }
}

/// One event of the stream that belongs to no call; its context is that of a conversation that has not begun.
pub fn of_no_call(seq: u64, now: Now, rng: &mut Rng, name: &'static str, payload: Value) -> Event {
    let told = (name, Source::System, payload);
    let object = envelope((seq, now, rng), (None, None), told, context(State::Idle, 0, None));
    Event { seq, session: None, kind: EventKind::Agent, name: name.into(), json: object.to_string() }
}

/// What every agent event has.
fn envelope(
    (seq, now, rng): (u64, Now, &mut Rng),
    (call_id, caller_id): (Option<&str>, Option<&str>),
    (name, source, payload): (&'static str, Source, Value),
    context: Value,
) -> Value {
    json!({
        "event_id": rng.uuid(),
        "seq": seq,
        "call_id": call_id,
        "caller_id": caller_id,
        "timestamp": rfc3339_seconds(now.unix_ms),
        "ts_ms": now.unix_ms,
        "event_type": name,
        "source": source.as_str(),
        "payload": if payload.is_null() { json!({}) } else { payload },
        "context": context,
    })
}

fn context(state: State, agent_turn_count: u32, active_tool: Option<&str>) -> Value {
    json!({
        "current_state": state.as_str(), "agent_turn_count": agent_turn_count, "active_tool": active_tool,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    fn now() -> Now {
        Now { mono: any_instant(), unix_ms: 1_795_337_467_250 }
    }

    fn writer(caller: Option<&str>) -> EventWriter {
        EventWriter::new(SessionId::new("20261122-085107-+4930"), caller.map(str::to_owned))
    }

    fn parsed(event: &Event) -> Value {
        serde_json::from_str(&event.json).unwrap()
    }

    #[test]
    fn the_names_are_those_of_the_description() {
        use crate::call::api::document::lists;
        lists("AgentEventType", agent_event::ALL.iter().copied());
        lists("CallEventType", call_event::ALL.iter().copied());
        // The last variant's number says whether a list has them all.
        assert_eq!((Source::Agent as usize, State::Ended as usize), (2, 7));
        lists("EventSource", [Source::System, Source::User, Source::Agent].map(Source::as_str));
        let states = [
            State::Idle,
            State::Greeting,
            State::Listening,
            State::Thinking,
            State::Speaking,
            State::WaitingTool,
            State::WrappingUp,
            State::Ended,
        ];
        lists("CurrentState", states.map(State::as_str).into_iter().chain(["confirming"]));
    }

    #[test]
    fn an_agent_event_has_every_member_of_the_contract_on_one_line() {
        let payload = json!({"text": "two\nlines"});
        let event = writer(Some("+4930")).agent_event(
            7,
            now(),
            &mut Rng::from_u64(1),
            agent_event::TRANSCRIPT_FINAL,
            Source::User,
            payload.clone(),
        );
        assert!(!event.json.contains('\n') && !event.ends_stream());
        assert_eq!((event.seq, event.kind, event.name.as_str()), (7, EventKind::Agent, "transcript_final"));
        let object = parsed(&event);
        assert_eq!(object["event_id"].as_str().unwrap().len(), 36);
        let expected = json!({
            "event_id": object["event_id"], "seq": 7, "call_id": "20261122-085107-+4930", "caller_id": "+4930",
            "timestamp": "2026-11-22T08:51:07Z", "ts_ms": 1_795_337_467_250_i64, "event_type": "transcript_final",
            "source": "user", "payload": payload,
            "context": {"current_state": "thinking", "agent_turn_count": 0, "active_tool": null},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn an_event_of_no_call_has_the_same_members_and_no_call() {
        let payload = json!({"address": "02:00:00:00:00:01"});
        let name = agent_event::PHONE_CONNECTED;
        let event = of_no_call(7, now(), &mut Rng::from_u64(1), name, payload.clone());
        assert_eq!((event.seq, &event.session, event.kind), (7, &None, EventKind::Agent));
        assert!(!event.ends_stream());
        let object = parsed(&event);
        let expected = json!({
            "event_id": object["event_id"], "seq": 7, "call_id": null, "caller_id": null,
            "timestamp": "2026-11-22T08:51:07Z", "ts_ms": 1_795_337_467_250_i64, "event_type": "phone_connected",
            "source": "system", "payload": payload,
            "context": {"current_state": "idle", "agent_turn_count": 0, "active_tool": null},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn a_caller_without_a_number_is_unknown_and_a_payload_is_always_an_object() {
        let mut writer = writer(None);
        let mut rng = Rng::from_u64(1);
        let first =
            writer.agent_event(1, now(), &mut rng, agent_event::WS_CONNECTED, Source::System, Value::Null);
        let second =
            writer.agent_event(2, now(), &mut rng, agent_event::CALL_ENDED, Source::System, Value::Null);
        let (one, two) = (parsed(&first), parsed(&second));
        assert_eq!((&one["caller_id"], &one["payload"]), (&json!("unknown"), &json!({})));
        assert_ne!(one["event_id"], two["event_id"]);
        assert!(second.ends_stream());
    }

    #[test]
    fn a_call_event_has_its_members_beside_time_and_type_which_they_cannot_replace() {
        let members =
            json!({"previous_state": "calling", "type": "x", "seq": 0}).as_object().unwrap().clone();
        let event = writer(None).call_event(9, now(), call_event::CALL_STATE_CHANGED, members);
        assert_eq!(event.kind, EventKind::Call);
        let expected = json!({"ts": "2026-11-22T08:51:07Z", "ts_ms": 1_795_337_467_250_i64, "seq": 9,
            "type": "call_state_changed", "previous_state": "calling"});
        assert_eq!(parsed(&event), expected);
    }

    fn state_after(writer: &mut EventWriter, name: &'static str, payload: Value) -> String {
        let event = writer.agent_event(1, now(), &mut Rng::from_u64(1), name, Source::System, payload);
        parsed(&event)["context"]["current_state"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_context_follows_the_conversation() {
        use agent_event as name;
        let mut writer = writer(None);
        let mut state = |name, payload| state_after(&mut writer, name, payload);
        assert_eq!(state(name::CALL_STARTED, json!({})), "idle");
        assert_eq!(state(name::WS_CONNECTED, json!({})), "idle");
        assert_eq!(state(name::CONVERSATION_STARTED, json!({})), "greeting");
        assert_eq!(state(name::AGENT_RESPONSE_STARTED, json!({})), "greeting");
        assert_eq!(state(name::INTERRUPTION, json!({})), "listening");
        assert_eq!(state(name::TRANSCRIPT_FINAL, json!({})), "thinking");
        assert_eq!(state(name::TOOL_CALL_STARTED, json!({"tool_name": "crm"})), "waiting_tool");
        assert_eq!(state(name::CLIENT_ERROR, json!({})), "waiting_tool");
        assert_eq!(state(name::TOOL_CALL_FINISHED, json!({})), "thinking");
        assert_eq!(state(name::AGENT_RESPONSE_STARTED, json!({})), "speaking");
        assert_eq!(state(name::AGENT_RESPONSE_FINISHED, json!({})), "speaking");
        writer.listening();
        assert_eq!((writer.state, writer.agent_turn_count), (State::Listening, 2));
        writer.wrapping_up();
        assert_eq!(state_after(&mut writer, name::AGENT_RESPONSE_STARTED, json!({})), "wrapping_up");
        assert_eq!(state_after(&mut writer, name::CALL_ENDED, json!({})), "ended");
        writer.wrapping_up();
        writer.listening();
        assert_eq!(state_after(&mut writer, name::TRANSCRIPT_FINAL, json!({})), "ended");
    }

    #[test]
    fn the_tool_in_use_is_named_until_it_is_done() {
        let mut writer = writer(None);
        state_after(&mut writer, agent_event::TOOL_CALL_STARTED, json!({"tool_name": "crm"}));
        assert_eq!(writer.active_tool.as_deref(), Some("crm"));
        state_after(&mut writer, agent_event::TOOL_CALL_FINISHED, json!({"tool_name": "crm"}));
        assert_eq!(writer.active_tool, None);
        state_after(&mut writer, agent_event::TOOL_CALL_STARTED, json!({}));
        assert_eq!(writer.active_tool, None);
    }
}
