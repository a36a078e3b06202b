//! The seam between the switch and whoever talks on a call: the agent service, or the echo of a test call.

use serde_json::{Map, Value};

use crate::base::{CallId, Secret};

/// What a conversation needs to begin. Sent once, while the call still rings.
#[derive(Clone, Debug)]
pub struct AgentPlan {
    /// Which call it is for.
    pub call: CallId,
    /// Who talks.
    pub engine: Engine,
    /// Built-in variables, overridden by those of the claimed request; any JSON, flattened by the agent core.
    pub dynamic_variables: Map<String, Value>,
    /// The request's overrides; absent ones are not sent (an agent may forbid them).
    pub overrides: Overrides,
}

/// Who talks on the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// ElevenLabs Agents.
    ElevenLabs(AgentService),
    /// `callscoot echo`: a prompt, then the callee's own voice.
    Echo,
}

/// Where the agent service is and which agent to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentService {
    /// REST base, such as `https://api.elevenlabs.io`; the socket's base follows from it (`https` to `wss`).
    pub base_url: String,
    /// The agent.
    pub agent_id: String,
    /// With a key a signed URL is fetched; without one the agent must be public.
    pub api_key: Option<Secret>,
}

/// What a request may override of the agent's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Overrides {
    /// First words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_message: Option<String>,
    /// Language code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// System prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_id: Option<String>,
}

/// What the switch asks of a conversation.
#[expect(missing_docs, reason = "a variant\'s sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCommand {
    /// The call is up: begin at the first voice packet, or one second from now.
    Activate,
    /// Background for the agent, starts no turn. Before the conversation has begun it waits.
    ContextualUpdate { text: String },
    /// Counts as the caller's words, starts a turn. Before the conversation has begun it waits.
    UserMessage { text: String },
    /// The phone's owner speaks on the call now: be silent, and hear nothing.
    Hold,
    /// He has given it back.
    Resume,
    /// The call is over: close the socket, report what is still known, then `Ended`.
    Close,
}

/// What a conversation reports. `Ended` comes exactly once and last.
#[expect(missing_docs, reason = "a variant\'s sentence names its fields")]
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// The socket is open (the conversation has not begun).
    Connected,
    /// The socket was lost before the conversation began, and is being opened again for the `count`th time.
    Reconnecting { count: u32 },
    /// The service accepted the conversation.
    Started { conversation_id: String },
    /// Final words of the caller.
    UserTranscript { text: String },
    /// The first audio or text of reply `reply` came.
    ResponseStarted { reply: u64 },
    /// The words of reply `reply`: the whole text so far, replacing what was reported before for it.
    Response { reply: u64, text: String },
    /// Reply `reply` was corrected by the service (`vendor` is its message's payload as it came).
    Correction { reply: u64, original: String, corrected: String, vendor: Value },
    /// The caller talked over the agent: queue and ring were emptied.
    Interrupted { reason: String },
    /// Reply `reply` was cut off after `played_ms` of it were heard on the line.
    CutOff { reply: u64, played_ms: u64 },
    /// A tool of the agent began.
    ToolCallStarted { tool_name: String, parameters: Value },
    /// It ended.
    ToolCallFinished { tool_name: String, result: Value },
    /// Everything of the agent has been played: it listens (drives `current_state`).
    Listening,
    /// Something went wrong but the conversation goes on.
    Fault { error: String },
    /// A message of a type that means nothing here.
    Unhandled { kind: String },
    /// It is over.
    Ended(AgentEnd),
}

/// How a conversation ended.
#[expect(missing_docs, reason = "a variant\'s sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    /// We closed it (`AgentCommand::Close`).
    Closed,
    /// The service closed normally; its last words have been played.
    Finished,
    /// It failed; the sentence says how and what to do. Buffered words have been played.
    Failed { error: String },
}
