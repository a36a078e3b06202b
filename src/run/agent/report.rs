//! The conversation's words into those of the switch.

use crate::agent::session::{End, Event};
use crate::call::conversation::{AgentEnd, AgentEvent};

/// `None` for what only the thread itself acts on.
pub(super) fn report(event: Event) -> Option<AgentEvent> {
    Some(match event {
        Event::Started { conversation_id, .. } => AgentEvent::Started { conversation_id },
        Event::Lost => return None,
        Event::UserTranscript { text } => AgentEvent::UserTranscript { text },
        Event::ResponseStarted { reply } => AgentEvent::ResponseStarted { reply },
        Event::Response { reply, text } => AgentEvent::Response { reply, text },
        Event::Correction { reply, original, corrected, payload } => {
            AgentEvent::Correction { reply, original, corrected, vendor: payload }
        }
        Event::Interrupted { reason } => AgentEvent::Interrupted { reason },
        Event::CutOff { reply, played_ms } => AgentEvent::CutOff { reply, played_ms },
        Event::ToolCallStarted { tool_name, parameters } => {
            AgentEvent::ToolCallStarted { tool_name, parameters }
        }
        Event::ToolCallFinished { tool_name, result } => AgentEvent::ToolCallFinished { tool_name, result },
        Event::Listening => AgentEvent::Listening,
        Event::Fault { error } => AgentEvent::Fault { error },
        Event::Unhandled { kind } => AgentEvent::Unhandled { kind },
        Event::Ended(end) => AgentEvent::Ended(match end {
            End::Closed => AgentEnd::Closed,
            End::Finished => AgentEnd::Finished,
            End::Failed { error } => AgentEnd::Failed { error },
        }),
    })
}
