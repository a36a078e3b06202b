//! Tools of the agent, as far as a client sees them: each call is told once when it begins and once when it ends,
//! however many messages speak of it, and is answered once.

use std::collections::VecDeque;

/// Calls that are remembered; the oldest is forgotten.
const CALLS_MAX: usize = 256;

/// A bounded memory of call ids.
#[derive(Debug, Default)]
struct Seen(VecDeque<String>);

impl Seen {
    /// Whether it is the first time. A call without an id is always new.
    fn first(&mut self, id: &str) -> bool {
        if id.is_empty() {
            return true;
        }
        if self.0.iter().any(|seen| seen == id) {
            return false;
        }
        self.0.push_back(id.to_owned());
        if self.0.len() > CALLS_MAX {
            self.0.pop_front();
        }
        true
    }
}

/// The tool calls of a conversation.
#[derive(Debug, Default)]
pub(super) struct Tools {
    started: Seen,
    answered: Seen,
    finished: Seen,
}

impl Tools {
    /// Whether the beginning of this call is news.
    pub(super) fn starts(&mut self, id: &str) -> bool {
        self.started.first(id)
    }

    /// Whether this call still wants an answer; the caller gives it now.
    pub(super) fn wants_answer(&mut self, id: &str) -> bool {
        self.answered.first(id)
    }

    /// Whether the end of this call is news.
    pub(super) fn finishes(&mut self, id: &str) -> bool {
        self.finished.first(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_and_answered_once_and_the_memory_is_bounded() {
        let mut tools = Tools::default();
        assert!(tools.starts("a") && !tools.starts("a"));
        assert!(tools.wants_answer("a") && !tools.wants_answer("a"));
        assert!(tools.finishes("a") && !tools.finishes("a"));
        assert!(tools.starts("") && tools.starts(""));
        for id in 0..=CALLS_MAX {
            tools.starts(&id.to_string());
        }
        assert_eq!(tools.started.0.len(), CALLS_MAX);
    }
}
