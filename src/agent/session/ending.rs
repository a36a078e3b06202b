//! How a conversation ended, from the close code and what went before.

use crate::agent::message::TEXT_BYTES_MAX;

/// How it ended.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// We closed it.
    Closed,
    /// The service closed normally; its last words have been played.
    Finished,
    /// It failed; the sentence says how and what to do.
    Failed { error: String },
}

/// What a close before the conversation began means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// Worth another socket.
    Lost,
    /// Another socket would meet the same.
    Failed(String),
}

/// A close in the conversation. `error` is the last error message of the service.
pub(super) fn after_start(code: Option<u16>, reason: &str, error: Option<&str>) -> End {
    if code == Some(1000) {
        return End::Finished;
    }
    End::Failed { error: sentence(code, reason, error) }
}

/// A close before the metadata came.
pub(super) fn before_start(code: Option<u16>, reason: &str, error: Option<&str>) -> Early {
    match code {
        // A refusal (bad agent, key, override, variable), a timeout or quota, a full queue: no new socket helps now.
        Some(1002 | 1008 | 3000 | 3008 | 4300) => Early::Failed(sentence(code, reason, error)),
        Some(_) | None if error.is_some() => Early::Failed(sentence(code, reason, error)),
        Some(_) | None => Early::Lost,
    }
}

fn sentence(code: Option<u16>, reason: &str, error: Option<&str>) -> String {
    let what = match code {
        Some(1000) => "the agent service closed the conversation",
        Some(1002) => {
            "the agent service stopped the conversation (time-out, policy, quota or a model's failure)"
        }
        Some(1008) => {
            "the agent service refused what it was sent; check the agent's security settings, overrides \
             and dynamic variables"
        }
        Some(1011) => "the agent service had an internal error; try again",
        Some(3000) => {
            "the agent service refused this agent; check ELEVENLABS_AGENT_ID, the region in \
             ELEVENLABS_BASE_URL, and ELEVENLABS_API_KEY if the agent is private"
        }
        Some(3008 | 4300) => {
            "the agent service has no free conversation; try again later or raise the plan's limit"
        }
        Some(_) => "the agent service closed the socket with an unknown code",
        None => "the connection to the agent service was lost; check the network",
    };
    let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let said = error.or(Some(reason)).filter(|said| !said.is_empty());
    let said: String = said.map(|said| format!(": {}", one_line(said))).unwrap_or_default();
    format!("{what}{code}{said}")
}

/// A stranger's text on one bounded line.
pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    const { assert!(CHARS_MAX < TEXT_BYTES_MAX) };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_normal_close_is_a_good_end() {
        assert_eq!(after_start(Some(1000), "bye", None), End::Finished);
        for code in [None, Some(1002), Some(1006), Some(1008), Some(1011), Some(4999)] {
            let End::Failed { error } = after_start(code, "why\n", None) else { panic!("{code:?}") };
            assert!(error.ends_with(": why "), "{error}");
        }
    }

    #[test]
    fn before_the_start_a_refusal_is_final_and_a_loss_is_not() {
        for code in [None, Some(1000), Some(1005), Some(1006), Some(1011)] {
            assert_eq!(before_start(code, "", None), Early::Lost, "{code:?}");
        }
        for code in [1002, 1008, 3000, 3008, 4300] {
            assert!(matches!(before_start(Some(code), "", None), Early::Failed(_)), "{code}");
        }
        let Early::Failed(error) = before_start(Some(1000), "", Some("missing variable")) else {
            panic!("lost")
        };
        assert!(error.contains("missing variable"), "{error}");
    }
}
