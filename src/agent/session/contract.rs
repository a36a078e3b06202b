//! What goes into a conversation and what comes out of it.

use std::time::Instant;

use serde_json::Value;

use super::ending::End;
use crate::agent::format::AudioFormat;

/// What happens to the conversation.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Input<'a> {
    /// The socket is open.
    Opened,
    /// There is no way to the service; the sentence says what to do.
    Unreachable(String),
    /// The line is up and its first voice came: begin now, or as soon as the socket is open.
    Begin,
    /// A text message of the service.
    Text(&'a str),
    /// A binary message, which the protocol does not have.
    Binary,
    /// The socket is gone; `code` is the close frame's, `None` without one.
    Closed { code: Option<u16>, reason: &'a str },
    /// The caller's voice, in the input format of `Event::Started`.
    CallerAudio(&'a [u8]),
    /// Background for the agent.
    ContextualUpdate(String),
    /// Words as if the caller had said them.
    UserMessage(String),
    /// The line's progress: blocks that left the ring, and those of them that were played.
    Line { taken: u64, played: u64 },
    /// Somebody else speaks on the call: be silent, and hear nothing.
    Hold,
    /// The call is back.
    Resume,
    /// End it.
    Close,
}

/// What the conversation reports; `Ended` comes once and last.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The service accepted it; audio goes up and comes down in these formats.
    Started { conversation_id: String, input: AudioFormat, output: AudioFormat },
    /// The socket was lost before the conversation began: open another one.
    Lost,
    /// Final words of the caller.
    UserTranscript { text: String },
    /// First sign of a reply.
    ResponseStarted { reply: u64 },
    /// All words of a reply so far.
    Response { reply: u64, text: String },
    /// What was really said of a reply; `payload` as it came.
    Correction { reply: u64, original: String, corrected: String, payload: Value },
    /// The caller talks over the agent.
    Interrupted { reason: String },
    /// So much of a reply was heard before it was cut off.
    CutOff { reply: u64, played_ms: u64 },
    /// A tool began.
    ToolCallStarted { tool_name: String, parameters: Value },
    /// It ended.
    ToolCallFinished { tool_name: String, result: Value },
    /// All of the agent's audio was played.
    Listening,
    /// Something is wrong but the conversation goes on.
    Fault { error: String },
    /// A message of an unknown type.
    Unhandled { kind: String },
    /// It is over.
    Ended(End),
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this text.
    Transmit(String),
    /// Empty the ring to the line at once.
    Flush,
    /// Close the socket normally.
    Close,
    /// Tell this.
    Event(Event),
    /// Nothing more now; come back then at the latest.
    Timeout(Option<(Instant, Why)>),
}

/// Why there is a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The service must accept the conversation.
    Metadata,
    /// The service announced an error and must close.
    Error,
    /// The farewell was said and the service must close.
    Farewell,
    /// The service must be kept from speaking into a call that is at the handset.
    Hold,
    /// The line must have played what is left.
    Drain,
    /// The last packet must have reached the ear.
    LineTail,
}

/// Counters for the log and the status page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes of agent audio that came after their interruption, and were dropped.
    pub stale_bytes: u64,
    /// Milliseconds of agent audio for which the queue had no room.
    pub dropped_ms: u64,
    /// Messages that meant nothing, and other faults.
    pub faults: u64,
    /// Milliseconds of agent audio that wait to be played.
    pub waiting_ms: u64,
}
