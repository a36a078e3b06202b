//! One conversation of the simulated agent, from the open socket to the close.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::House;
use super::script::{Fault, Script, Step, Tool, When};
use super::voice::{self, Ear};
use crate::agent::message::{ClientMessage, ServerMessage};
use crate::base::time::earlier;
use crate::port::wav::Recording;
use crate::port::websocket::{Received, Socket};
use crate::sys::clock;
use crate::sys::wait::{on, wait};

/// A client tool answers within this, or the agent goes on.
const TOOL_TIMEOUT: Duration = Duration::from_secs(10);
/// From our close frame to the end of the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Heard audio is reported once in so much of it.
const HEARD_REPORT_MS: u64 = 1000;

/// What the agent is doing.
enum Doing {
    /// It waits for the client's first message.
    Uninitiated { give_up: Option<Instant> },
    /// It waits until the next step may begin.
    Waiting { since: Instant, caller_has_spoken: bool, has_message: bool },
    /// It waits for the client's tool.
    Tool { until: Instant },
    /// Its audio was sent at once and is taken to be played at its own pace.
    Speaking { since: Instant, until: Instant, interrupt_at: Option<Instant>, words: String },
    /// All steps are done.
    Closing { at: Option<Instant> },
}

struct Conversation<'h> {
    house: &'h House,
    script: Script,
    socket: Socket,
    doing: Doing,
    step: usize,
    event_id: u64,
    pings: u64,
    next_ping: Option<Instant>,
    deaf_until: Option<Instant>,
    ear: Ear,
    reported_ms: u64,
    recording: Option<Recording>,
}

/// Holds the conversation until either side closes.
pub(super) fn run(house: &House, socket: Socket) {
    let script = house.script.clone();
    let Some(ear) = Ear::new(script.input_format.0) else { return };
    let recording = house.record.as_ref().and_then(|path| match Recording::create(path, 1) {
        Ok(recording) => Some(recording),
        Err(error) => {
            house.tell(json!({"event": "fault", "error": error.to_string()}));
            None
        }
    });
    let give_up = match script.fault {
        Some(Fault::CloseUninitiated { after_ms, times }) => {
            let mut closed = house.closed_early.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *closed += 1;
            (*closed <= times).then(|| clock::mono() + Duration::from_millis(after_ms))
        }
        Some(Fault::Garbage | Fault::Silence | Fault::Stall { .. } | Fault::Flood { .. }) | None => None,
    };
    let mut conversation = Conversation {
        house,
        script,
        socket,
        doing: Doing::Uninitiated { give_up },
        step: 0,
        event_id: 0,
        pings: 0,
        next_ping: None,
        deaf_until: None,
        ear,
        reported_ms: 0,
        recording,
    };
    let (code, reason, by) = conversation.talk();
    house.tell(json!({"event": "closed", "code": code, "reason": reason, "by": by}));
    if by == "agent" {
        close(&mut conversation.socket, code.unwrap_or(1000), &reason);
    }
}

/// Sends the close frame and waits for the other side's.
pub(super) fn close(socket: &mut Socket, code: u16, reason: &str) {
    let deadline = clock::mono() + CLOSE_TIMEOUT;
    socket.close(code, reason);
    while clock::mono() < deadline {
        match socket.receive() {
            Received::Closed { .. } => return,
            Received::Nothing => {
                let interest = socket.interest();
                if wait(&mut [on(socket.as_fd(), interest)], Some(deadline)).is_err() {
                    return;
                }
            }
            Received::Opened | Received::Text(_) | Received::Binary(_) | Received::Refused { .. } => {}
        }
    }
}

/// Code, reason, and who closed.
type End = (Option<u16>, String, &'static str);

fn by_agent(code: u16, reason: &str) -> End {
    (Some(code), reason.to_owned(), "agent")
}

impl Conversation<'_> {
    fn talk(&mut self) -> End {
        loop {
            let deaf = self.deaf_until.filter(|until| *until > clock::mono());
            let deadline = earlier(self.deadline(), deaf);
            let mut interest = self.socket.interest();
            interest.read = deaf.is_none();
            if wait(&mut [on(self.socket.as_fd(), interest)], deadline).is_err() {
                return (None, "waiting failed".into(), "error");
            }
            let now = clock::mono();
            while deaf.is_none() {
                match self.socket.receive() {
                    Received::Nothing => break,
                    Received::Closed { code, reason } => return (code, reason, "client"),
                    Received::Text(text) => {
                        if let Some(end) = self.message(now, &text) {
                            return end;
                        }
                    }
                    Received::Binary(_) => return by_agent(1008, "binary messages are not accepted"),
                    Received::Opened | Received::Refused { .. } => {}
                }
            }
            if let Some(end) = self.timeouts(now) {
                return end;
            }
        }
    }

    fn send(&mut self, message: &ServerMessage) {
        // A lost connection is met by the next read.
        let _ = self.socket.send(message.to_json());
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match &self.doing {
            Doing::Uninitiated { give_up } => *give_up,
            Doing::Waiting { since, .. } => match self.script.steps.get(self.step).map(|step| step.when) {
                Some(When::AtOnce) | None => Some(*since),
                Some(When::AfterMs(ms)) => Some(*since + Duration::from_millis(ms)),
                Some(When::AfterCaller | When::AfterMessage) => None,
            },
            Doing::Tool { until } => Some(*until),
            Doing::Speaking { until, interrupt_at, .. } => earlier(Some(*until), *interrupt_at),
            Doing::Closing { at } => *at,
        };
        earlier(own, self.next_ping)
    }

    fn message(&mut self, now: Instant, text: &str) -> Option<End> {
        let Ok(message) = ClientMessage::parse(text) else { return Some(by_agent(1008, "invalid_message")) };
        if let Doing::Uninitiated { .. } = self.doing {
            return match message {
                ClientMessage::Initiation(members) => {
                    self.initiated(now, &Value::Object(members));
                    None
                }
                ClientMessage::Audio(_)
                | ClientMessage::Pong { .. }
                | ClientMessage::ToolResult { .. }
                | ClientMessage::ToolApproval { .. }
                | ClientMessage::ContextualUpdate { .. }
                | ClientMessage::UserMessage { .. }
                | ClientMessage::UserActivity
                | ClientMessage::Other { .. } => {
                    Some(by_agent(1008, "conversation_initiation_client_data must be the first message"))
                }
            };
        }
        match message {
            ClientMessage::Initiation(_) => {
                return Some(by_agent(1008, "the conversation was initiated before"));
            }
            ClientMessage::Audio(audio) => self.caller(now, &audio),
            ClientMessage::Pong { event_id } => {
                self.house.tell(json!({"event": "pong", "event_id": event_id}));
            }
            ClientMessage::ToolResult { tool_call_id, result, is_error } => {
                self.house.tell(json!({
                    "event": "tool_result", "tool_call_id": tool_call_id, "result": result, "is_error": is_error,
                }));
                if matches!(self.doing, Doing::Tool { .. }) {
                    self.speak(now);
                }
            }
            ClientMessage::ContextualUpdate { text } => {
                self.house.tell(json!({"event": "contextual_update", "text": text}));
            }
            ClientMessage::UserMessage { text } => {
                self.house.tell(json!({"event": "user_message", "text": text}));
                if let Doing::Waiting { caller_has_spoken, has_message, .. } = &mut self.doing {
                    (*caller_has_spoken, *has_message) = (true, true);
                }
                self.next_step(now);
            }
            ClientMessage::ToolApproval { .. }
            | ClientMessage::UserActivity
            | ClientMessage::Other { .. } => {
                self.house.tell(json!({"event": "message", "text": text}));
            }
        }
        None
    }

    fn initiated(&mut self, now: Instant, members: &Value) {
        self.house.tell(json!({
            "event": "initiated",
            "dynamic_variables": members["dynamic_variables"],
            "conversation_config_override": members["conversation_config_override"],
        }));
        self.doing = Doing::Closing { at: None };
        if self.script.fault == Some(Fault::Silence) {
            return;
        }
        let suffix = clock::rng().map(|mut rng| rng.hex(16)).unwrap_or_default();
        self.send(&ServerMessage::Metadata {
            conversation_id: format!("conv_{suffix}"),
            output_format: Some(self.script.output_format.0.name().into()),
            input_format: Some(self.script.input_format.0.name().into()),
        });
        if self.script.ping_interval_ms > 0 {
            self.next_ping = Some(now);
        }
        match self.script.fault {
            Some(Fault::Garbage) => {
                for text in
                    ["hello", "{\"type\":", "{}", r#"{"type":"brand_new","x":1}"#, r#"{"type":"audio"}"#]
                {
                    let _ = self.socket.send(text.into());
                }
            }
            Some(Fault::Flood { megabytes }) => {
                self.event_id += 1;
                self.send(&ServerMessage::Audio {
                    event_id: self.event_id,
                    audio: vec![0x55; megabytes << 20],
                });
            }
            Some(Fault::Stall { for_ms }) => self.deaf_until = Some(now + Duration::from_millis(for_ms)),
            Some(Fault::CloseUninitiated { .. } | Fault::Silence) | None => {}
        }
        self.doing = Doing::Waiting { since: now, caller_has_spoken: false, has_message: false };
        self.next_step(now);
    }

    fn caller(&mut self, now: Instant, audio: &[u8]) {
        let recording = &mut self.recording;
        let noticed = self.ear.hear(audio, |samples| {
            if let Some(recording) = recording {
                // A full disk must not end the conversation.
                let _ = recording.write(samples, &[]);
            }
        });
        if self.ear.heard_ms >= self.reported_ms + HEARD_REPORT_MS {
            self.reported_ms = self.ear.heard_ms;
            self.house.tell(json!({
                "event": "heard", "ms": self.ear.heard_ms, "level_dbfs": self.ear.level_dbfs.round(),
            }));
        }
        if noticed.began {
            self.house.tell(json!({"event": "caller_began", "at_ms": self.ear.heard_ms}));
        }
        if noticed.ended {
            self.house.tell(json!({"event": "caller_ended", "at_ms": self.ear.heard_ms}));
            if let Doing::Waiting { caller_has_spoken, .. } = &mut self.doing {
                *caller_has_spoken = true;
            }
        }
        let deaf_step = self.script.steps.get(self.step).is_some_and(|step| step.ignore_caller);
        if self.ear.is_speaking && matches!(self.doing, Doing::Speaking { .. }) && !deaf_step {
            self.interrupt(now);
        }
        self.next_step(now);
    }

    fn timeouts(&mut self, now: Instant) -> Option<End> {
        if self.next_ping.is_some_and(|at| at <= now) {
            self.pings += 1;
            self.send(&ServerMessage::Ping { event_id: self.pings, ping_ms: Some(20) });
            self.next_ping = Some(now + Duration::from_millis(self.script.ping_interval_ms));
        }
        match &self.doing {
            Doing::Uninitiated { give_up: Some(at) } if *at <= now => {
                return Some(by_agent(1000, "not initiated in time"));
            }
            Doing::Closing { at: Some(at) } if *at <= now => {
                let close = self.script.close.clone().unwrap_or_default();
                return Some(by_agent(close.code, &close.reason));
            }
            Doing::Tool { until } if *until <= now => {
                self.house
                    .tell(json!({"event": "fault", "error": "the client did not answer the tool call"}));
                self.speak(now);
            }
            Doing::Speaking { interrupt_at: Some(at), .. } if *at <= now => self.interrupt(now),
            Doing::Speaking { until, .. } if *until <= now => {
                self.house.tell(json!({"event": "said", "event_id": self.event_id}));
                self.step_is_over(now);
            }
            Doing::Uninitiated { .. }
            | Doing::Waiting { .. }
            | Doing::Tool { .. }
            | Doing::Speaking { .. }
            | Doing::Closing { .. } => {}
        }
        self.next_step(now);
        None
    }

    /// Begins the next step if its time has come, or the close.
    fn next_step(&mut self, now: Instant) {
        let Doing::Waiting { since, caller_has_spoken, has_message } = self.doing else { return };
        let Some(step) = self.script.steps.get(self.step).cloned() else {
            let after = self.script.close.as_ref().map(|close| Duration::from_millis(close.after_ms));
            self.doing = Doing::Closing { at: after.map(|after| now + after) };
            return;
        };
        let is_time = match step.when {
            When::AtOnce => true,
            When::AfterMs(ms) => since + Duration::from_millis(ms) <= now,
            When::AfterCaller => caller_has_spoken,
            When::AfterMessage => has_message,
        };
        if is_time {
            self.begin(now, &step);
        }
    }

    fn begin(&mut self, now: Instant, step: &Step) {
        if let Some(text) = &step.caller_said {
            self.house.tell(json!({"event": "transcript", "role": "user", "text": text}));
            self.send(&ServerMessage::UserTranscript { text: text.clone() });
        }
        match &step.tool {
            Some(Tool::Client { client, parameters }) => {
                let tool_call_id = format!("call_{}", self.step + 1);
                self.house
                    .tell(json!({"event": "tool_call", "tool_name": client, "tool_call_id": tool_call_id}));
                self.send(&ServerMessage::ClientToolCall {
                    tool_name: client.clone(),
                    tool_call_id,
                    parameters: Value::Object(parameters.clone()),
                });
                self.doing = Doing::Tool { until: now + TOOL_TIMEOUT };
            }
            Some(Tool::System { .. }) | None => self.speak(now),
        }
    }

    /// Sends all audio of the step at once, as the service does, and its words.
    fn speak(&mut self, now: Instant) {
        let Some(step) = self.script.steps.get(self.step).cloned() else { return };
        let samples = step.say.as_ref().map_or_else(|| Ok(Vec::new()), voice::samples);
        let samples = samples.unwrap_or_else(|error| {
            self.house.tell(json!({"event": "fault", "error": error}));
            Vec::new()
        });
        let words = step.words();
        let ms = samples.len() as u64 * 1000 / u64::from(voice::RATE_HZ);
        if !samples.is_empty() || !words.is_empty() {
            self.event_id += 1;
            let event_id = self.event_id;
            self.house.tell(json!({"event": "transcript", "role": "agent", "text": words}));
            self.send(&ServerMessage::AgentResponse { text: words.clone(), event_id: Some(event_id) });
            let format = self.script.output_format.0;
            let chunk = format.block_bytes() * (self.script.chunk_ms / 20).max(1) as usize;
            for audio in voice::encode(format, &samples).chunks(chunk) {
                self.send(&ServerMessage::Audio { event_id, audio: audio.to_vec() });
            }
            self.house.tell(json!({"event": "says", "event_id": event_id, "ms": ms}));
        }
        if let Some(Tool::System { system }) = &step.tool {
            let id = format!("{system}_{}", self.step + 1);
            self.house.tell(json!({"event": "tool_used", "tool_name": system, "tool_call_id": id}));
            self.send(&ServerMessage::system_tool_response(system, &id));
        }
        // Before it closes, the service does not wait until its last words were heard.
        let is_last = self.step + 1 == self.script.steps.len() && self.script.close.is_some();
        let after = |ms: u64| now + Duration::from_millis(ms);
        if is_last && step.interrupt_after_ms.is_none() {
            self.step_is_over(now);
            return;
        }
        let interrupt_at = step.interrupt_after_ms.filter(|at| *at < ms).map(after);
        self.doing = Doing::Speaking { since: now, until: after(ms), interrupt_at, words };
    }

    fn interrupt(&mut self, now: Instant) {
        let Doing::Speaking { since, until, words, .. } = &self.doing else { return };
        let (played, all) = ((now - *since).as_millis() as usize, (*until - *since).as_millis() as usize);
        let said: Vec<&str> = words.split(' ').collect();
        let heard = said.len() * played / all.max(1);
        let corrected = said.get(..heard).unwrap_or(&said).join(" ");
        let correction = ServerMessage::correction(self.event_id, words, &corrected);
        self.house.tell(json!({"event": "interrupted", "event_id": self.event_id, "played_ms": played}));
        self.send(&ServerMessage::Interruption { event_id: self.event_id, reason: None });
        self.send(&correction);
        self.step_is_over(now);
    }

    fn step_is_over(&mut self, now: Instant) {
        self.step += 1;
        self.doing = Doing::Waiting { since: now, caller_has_spoken: false, has_message: false };
        self.next_step(now);
    }
}

impl Step {
    fn words(&self) -> String {
        use super::script::Say;
        match (&self.text, &self.say) {
            (Some(text), _) | (None, Some(Say::Text { text })) => text.clone(),
            (None, Some(Say::Wav { .. } | Say::Tone { .. })) => "(a sound)".into(),
            (None, None) => String::new(),
        }
    }
}
