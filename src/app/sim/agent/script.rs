//! What the simulated agent does: a small JSON file.
//!
//! ```json
//! {"output_format": "pcm_16000",
//!  "steps": [{"say": {"text": "Good morning."}},
//!            {"when": "after_caller", "caller_said": "I want bread.", "say": {"wav": "answer.wav"},
//!             "text": "Of course.", "interrupt_after_ms": 800},
//!            {"when": {"after_ms": 500}, "tool": {"client": "find_order", "parameters": {"number": 7}}},
//!            {"say": {"tone_hz": 440, "ms": 1000}, "tool": {"system": "end_call"}}],
//!  "close": {"code": 1000, "reason": "done", "after_ms": 300}}
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::agent::AudioFormat;

/// Bytes of a script file at most.
pub const SCRIPT_BYTES_MAX: u64 = 1 << 20;

/// The whole file; every member may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// What the client must send.
    pub input_format: Format,
    /// What the agent sends.
    pub output_format: Format,
    /// Between two pings; 0 sends none.
    pub ping_interval_ms: u64,
    /// Milliseconds of audio in a message.
    pub chunk_ms: u64,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// After the last step; without it the conversation goes on until the client closes.
    #[serde(default)]
    pub close: Option<Close>,
    /// What it does wrong.
    pub fault: Option<Fault>,
}

/// An audio format by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Format(pub AudioFormat);

impl TryFrom<String> for Format {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let known = || AudioFormat::ALL.map(AudioFormat::name).join(", ");
        AudioFormat::parse(&name).map(Self).ok_or_else(|| format!("no format {name}; there are {}", known()))
    }
}

/// One turn of the agent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// When it begins.
    pub when: When,
    /// Words of the caller that it reports first.
    pub caller_said: Option<String>,
    /// A tool that is used before it speaks.
    pub tool: Option<Tool>,
    /// What is heard.
    pub say: Option<Say>,
    /// Its words in `agent_response`; by default the spoken text.
    pub text: Option<String>,
    /// Interrupts itself when so much should have been heard.
    pub interrupt_after_ms: Option<u64>,
    /// Goes on although the caller speaks.
    pub ignore_caller: bool,
}

/// When a step begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When the one before has been heard.
    #[default]
    AtOnce,
    /// When the caller has spoken and then been silent, or sent a message.
    AfterCaller,
    /// When a message was sent to it, whatever the caller does.
    AfterMessage,
    /// So long after the one before.
    AfterMs(u64),
}

/// What is heard.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
pub enum Say {
    /// A WAV file.
    Wav { wav: PathBuf },
    /// Spoken by espeak-ng, or a melody of that length where it is not installed.
    Text { text: String },
    /// A steady tone.
    Tone { tone_hz: f32, ms: u64 },
}

/// A tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
pub enum Tool {
    /// Asks the client and waits for its answer (10 s).
    Client {
        client: String,
        #[serde(default)]
        parameters: Map<String, Value>,
    },
    /// Reports that a tool of the service was used, such as `end_call`.
    System { system: String },
}

/// How it closes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Close {
    /// The code of the close frame.
    pub code: u16,
    /// Its reason.
    pub reason: String,
    /// After the last step has been sent; the client plays its buffer out.
    pub after_ms: u64,
}

impl Default for Close {
    fn default() -> Self {
        Self { code: 1000, reason: String::new(), after_ms: 200 }
    }
}

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
pub enum Fault {
    /// Closes the first `times` sockets that have not been initiated after so long.
    CloseUninitiated { after_ms: u64, times: u32 },
    /// Sends text that is no JSON, a message without a type, and an unknown one, then goes on.
    Garbage,
    /// Accepts the socket and never says anything.
    Silence,
    /// Reads nothing for so long after the start.
    Stall { for_ms: u64 },
    /// Sends so much audio at once, then goes on.
    Flood { megabytes: usize },
}

impl Script {
    /// WAV files are looked for beside the script.
    pub(super) fn resolve_paths(&mut self, folder: Option<&Path>) {
        for step in &mut self.steps {
            if let (Some(Say::Wav { wav }), Some(folder)) = (&mut step.say, folder) {
                *wav = folder.join(&*wav);
            }
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        let say = |text: &str| Some(Say::Text { text: text.into() });
        Self {
            input_format: Format(AudioFormat::Ulaw8000),
            output_format: Format(AudioFormat::Ulaw8000),
            ping_interval_ms: 2000,
            chunk_ms: 250,
            steps: vec![
                Step {
                    say: say("Hello. This is the simulated agent. Say something, please."),
                    ..Step::default()
                },
                Step {
                    when: When::AfterCaller,
                    caller_said: Some("(the caller spoke)".into()),
                    say: say("Thank you. I have heard you well. Goodbye."),
                    tool: Some(Tool::System { system: "end_call".into() }),
                    ..Step::default()
                },
            ],
            close: Some(Close::default()),
            fault: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_page_is_read() {
        let page = include_str!("script.rs");
        let example: String = page
            .lines()
            .skip_while(|line| !line.contains("```json"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| line.trim_start_matches("//!"))
            .collect();
        let script: Script = serde_json::from_str(&example).unwrap();
        assert_eq!((script.output_format.0, script.steps.len()), (AudioFormat::Pcm16000, 4));
        assert_eq!(script.steps[2].when, When::AfterMs(500));
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for text in
            [r#"{"step":[]}"#, r#"{"output_format":"alaw_8000"}"#, r#"{"steps":[{"say":{"song":"x"}}]}"#]
        {
            assert!(serde_json::from_str::<Script>(text).is_err(), "{text}");
        }
    }
}
