//! The transcript of a session: who said what, how far it was heard, and a short summary of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::session::{Direction, EndReason};
use crate::base::Now;
use crate::base::time::rfc3339_seconds;

/// `provider` of every entry: who transcribes and talks.
const PROVIDER: &str = "elevenagents";
/// Entries of a transcript; later words are in the events only.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of one entry's text; the rest is cut off.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of all texts; a text that would exceed it is left out, its event has it.
const ALL_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Replies that may be cut off before their words are known; the oldest is forgotten.
const EARLY_CUTS_MAX: usize = 16;
/// Characters of the last words in a summary.
const LAST_WORDS_CHARS_MAX: usize = 200;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Caller,
    Assistant,
}

#[derive(Clone, Debug)]
struct Entry {
    unix_ms: i64,
    speaker: Speaker,
    text: String,
    /// What the text was before the service corrected it.
    original_text: Option<String>,
    /// Milliseconds that were heard of a reply that was cut off.
    cut_off_at_ms: Option<u64>,
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut object = json!({
            "ts": rfc3339_seconds(self.unix_ms),
            "ts_ms": self.unix_ms,
            "speaker": match self.speaker {
                Speaker::Caller => "caller",
                Speaker::Assistant => "assistant",
            },
            "text": self.text,
            "provider": PROVIDER,
        });
        if let Some(played_ms) = self.cut_off_at_ms {
            object["interrupted"] = true.into();
            object["played_ms"] = played_ms.into();
        }
        if let Some(original) = &self.original_text {
            object["original_text"] = original.as_str().into();
        }
        object
    }
}

/// A new or changed entry: its position from 0, and the object as clients see it.
pub type Change = (u32, Value);

/// Everything said in one session. Every method that changes an entry gives it back, to be stored; `None` when
/// there is nothing to store.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    entries: Vec<Entry>,
    text_bytes: usize,
    /// Where each of the agent's replies stands.
    replies: BTreeMap<u64, usize>,
    /// Replies that were cut off before their words came.
    early_cuts: BTreeMap<u64, u64>,
}

impl Transcript {
    /// One of a session that was found open, for its summary. What is no entry is left out.
    pub fn from_stored(stored: &[Value]) -> Self {
        let mut transcript = Self::default();
        for entry in stored.iter().take(ENTRIES_MAX) {
            let speaker = match entry["speaker"].as_str() {
                Some("caller") => Speaker::Caller,
                Some("assistant") => Speaker::Assistant,
                Some(_) | None => continue,
            };
            let unix_ms = entry["ts_ms"].as_i64().unwrap_or(0);
            if let Some(index) = transcript.push(unix_ms, speaker, entry["text"].as_str().unwrap_or(""))
                && let Some(entry_there) = transcript.entries.get_mut(index)
            {
                entry_there.cut_off_at_ms = entry["played_ms"].as_u64();
                entry_there.original_text = entry["original_text"].as_str().map(str::to_owned);
            }
        }
        transcript
    }

    /// Final words of the caller.
    pub fn caller(&mut self, now: Now, text: &str) -> Option<Change> {
        let index = self.push(now.unix_ms, Speaker::Caller, text)?;
        self.change(index)
    }

    /// The words of a reply so far; they replace what was there for it.
    pub fn assistant(&mut self, now: Now, reply: u64, text: &str) -> Option<Change> {
        let index = match self.replies.get(&reply).copied() {
            Some(index) => {
                self.replace_text(index, text)?;
                index
            }
            None => self.begin_reply(now, reply, text)?,
        };
        self.change(index)
    }

    /// The service says what was really spoken of a reply.
    pub fn corrected(&mut self, now: Now, reply: u64, original: &str, corrected: &str) -> Option<Change> {
        let (index, former) = match self.replies.get(&reply).copied() {
            Some(index) => {
                let former = self.entries.get(index)?.text.clone();
                self.replace_text(index, corrected)?;
                (index, former)
            }
            None => (self.begin_reply(now, reply, corrected)?, bounded(original).to_owned()),
        };
        // Of several corrections the first says what the text once was.
        self.entries.get_mut(index)?.original_text.get_or_insert(former);
        self.change(index)
    }

    /// A reply was heard only so far. When its words are not known yet, their entry will say so.
    pub fn cut_off(&mut self, reply: u64, played_ms: u64) -> Option<Change> {
        let Some(index) = self.replies.get(&reply).copied() else {
            self.early_cuts.insert(reply, played_ms);
            if self.early_cuts.len() > EARLY_CUTS_MAX {
                self.early_cuts.pop_first();
            }
            return None;
        };
        self.entries.get_mut(index)?.cut_off_at_ms = Some(played_ms);
        self.change(index)
    }

    /// When the last entry was begun.
    pub fn last_unix_ms(&self) -> Option<i64> {
        self.entries.last().map(|entry| entry.unix_ms)
    }

    /// A short text about the call that says nothing but what is known: how long it was answered (`None`: never),
    /// why it ended, how many turns there were, the last words of each side.
    pub fn summary(&self, direction: Direction, answered_for: Option<Duration>, end: EndReason) -> String {
        let mut text = String::from(match direction {
            Direction::Inbound => "Inbound call",
            Direction::Outbound => "Outbound call",
        });
        // Writing to a String cannot fail.
        let _ = match answered_for {
            // A service that died in the call knows only the last thing that it stored.
            Some(duration) if end == EndReason::RecoveredAfterCrash => {
                write!(text, ", at least {}", spoken_duration(duration))
            }
            Some(duration) => write!(text, ", {}", spoken_duration(duration)),
            None => write!(text, ", not answered"),
        };
        let reason = json!(end);
        let _ = write!(text, ", end: {}.", reason.as_str().unwrap_or_default().replace('_', " "));
        if self.entries.is_empty() {
            text.push_str(" Nothing was said.");
            return text;
        }
        let turns = |speaker| self.entries.iter().filter(|entry| entry.speaker == speaker).count();
        let counted = |count: usize| format!("{count} turn{}", if count == 1 { "" } else { "s" });
        let _ = write!(
            text,
            " Caller: {}, agent: {}.",
            counted(turns(Speaker::Caller)),
            counted(turns(Speaker::Assistant))
        );
        for (speaker, who) in [(Speaker::Caller, "caller"), (Speaker::Assistant, "agent")] {
            let said = |entry: &&Entry| entry.speaker == speaker && !entry.text.trim().is_empty();
            if let Some(last) = self.entries.iter().rfind(said) {
                let cut = if last.cut_off_at_ms.is_some() { " (cut off)" } else { "" };
                let _ = write!(text, " Last words of the {who}: \"{}\"{cut}.", last_words(&last.text));
            }
        }
        text
    }

    fn begin_reply(&mut self, now: Now, reply: u64, text: &str) -> Option<usize> {
        let index = self.push(now.unix_ms, Speaker::Assistant, text)?;
        self.replies.insert(reply, index);
        self.entries.get_mut(index)?.cut_off_at_ms = self.early_cuts.remove(&reply);
        Some(index)
    }

    fn push(&mut self, unix_ms: i64, speaker: Speaker, text: &str) -> Option<usize> {
        let text = bounded(text);
        if self.entries.len() >= ENTRIES_MAX || self.text_bytes + text.len() > ALL_TEXT_BYTES_MAX {
            return None;
        }
        self.text_bytes += text.len();
        let text = text.to_owned();
        self.entries.push(Entry { unix_ms, speaker, text, original_text: None, cut_off_at_ms: None });
        Some(self.entries.len() - 1)
    }

    fn replace_text(&mut self, index: usize, text: &str) -> Option<()> {
        let entry = self.entries.get_mut(index)?;
        let text = bounded(text);
        let bytes = self.text_bytes - entry.text.len() + text.len();
        if bytes > ALL_TEXT_BYTES_MAX {
            return None;
        }
        self.text_bytes = bytes;
        text.clone_into(&mut entry.text);
        Some(())
    }

    fn change(&self, index: usize) -> Option<Change> {
        Some((index as u32, self.entries.get(index)?.to_json()))
    }
}

fn bounded(text: &str) -> &str {
    let longest = text.len().min(TEXT_BYTES_MAX);
    (0..=longest).rev().find_map(|end| text.get(..end)).unwrap_or("")
}

/// The end of a text on one line, from the beginning of a word.
fn last_words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = line.chars().count().saturating_sub(LAST_WORDS_CHARS_MAX);
    if skipped == 0 {
        return line;
    }
    let tail: String = line.chars().skip(skipped).collect();
    let from_word = tail.split_once(' ').map_or(tail.as_str(), |(_, words)| words);
    format!("… {from_word}")
}

fn spoken_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, s) => format!("{h} h {m} min {s} s"),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::base::time::any_instant;

    fn now() -> Now {
        Now { mono: any_instant(), unix_ms: 1_795_337_467_250 }
    }

    fn transcript() -> Transcript {
        Transcript::default()
    }

    #[test]
    fn entries_have_the_members_of_the_contract() {
        let mut transcript = transcript();
        let expected = json!({"ts": "2026-11-22T08:51:07Z", "ts_ms": 1_795_337_467_250_i64, "speaker": "caller",
            "text": "Hello?", "provider": "elevenagents"});
        assert_eq!(transcript.caller(now(), "Hello?"), Some((0, expected)));
        let (index, entry) = transcript.assistant(now(), 1, "Good morning.").unwrap();
        assert_eq!((index, &entry["speaker"]), (1, &json!("assistant")));
        assert_eq!(entry.as_object().unwrap().len(), 5);
    }

    #[test]
    fn a_reply_keeps_its_place_while_it_grows() {
        let mut transcript = transcript();
        transcript.assistant(now(), 1, "One.");
        transcript.caller(now(), "Yes?");
        let (index, entry) = transcript.assistant(now(), 1, "One. Two.").unwrap();
        assert_eq!((index, &entry["text"]), (0, &json!("One. Two.")));
        assert_eq!(transcript.assistant(now(), 2, "Three.").unwrap().0, 2);
    }

    #[test]
    fn a_correction_keeps_what_the_text_once_was() {
        let mut transcript = transcript();
        transcript.assistant(now(), 1, "One two three four.");
        let (_, entry) = transcript.corrected(now(), 1, "One two three four.", "One two...").unwrap();
        assert_eq!(
            (&entry["text"], &entry["original_text"]),
            (&json!("One two..."), &json!("One two three four."))
        );
        let (index, entry) = transcript.corrected(now(), 1, "One two...", "One...").unwrap();
        assert_eq!(
            (index, &entry["text"], &entry["original_text"]),
            (0, &json!("One..."), &json!("One two three four."))
        );
    }

    #[test]
    fn a_correction_may_come_before_the_words() {
        let mut transcript = transcript();
        let (index, entry) = transcript.corrected(now(), 5, "All of it.", "All...").unwrap();
        assert_eq!(
            (index, &entry["text"], &entry["original_text"]),
            (0, &json!("All..."), &json!("All of it."))
        );
    }

    #[test]
    fn a_reply_that_was_cut_off_says_how_much_was_heard_in_either_order() {
        let mut transcript = transcript();
        transcript.assistant(now(), 1, "One.");
        let (_, entry) = transcript.cut_off(1, 340).unwrap();
        assert_eq!((&entry["interrupted"], &entry["played_ms"]), (&json!(true), &json!(340)));
        assert_eq!(transcript.cut_off(2, 0), None);
        let (_, entry) = transcript.assistant(now(), 2, "Two.").unwrap();
        assert_eq!((&entry["interrupted"], &entry["played_ms"]), (&json!(true), &json!(0)));
        let (_, entry) = transcript.assistant(now(), 3, "Three.").unwrap();
        assert_eq!(entry.get("interrupted"), None);
    }

    #[test]
    fn everything_is_bounded() {
        let mut transcript = transcript();
        let (_, entry) = transcript.caller(now(), &"ä".repeat(TEXT_BYTES_MAX)).unwrap();
        assert_eq!(entry["text"].as_str().unwrap().len(), TEXT_BYTES_MAX);
        while transcript
            .assistant(now(), transcript.entries.len() as u64, &"x".repeat(TEXT_BYTES_MAX))
            .is_some()
        {}
        assert_eq!(transcript.text_bytes, ALL_TEXT_BYTES_MAX);
        assert_eq!(transcript.caller(now(), "no room"), None);
        while transcript.caller(now(), "").is_some() {}
        assert_eq!(transcript.entries.len(), ENTRIES_MAX);
        for reply in 0..100 {
            transcript.cut_off(1_000_000 + reply, 1);
        }
        assert_eq!(transcript.early_cuts.len(), EARLY_CUTS_MAX);
    }

    #[test]
    fn a_summary_says_what_is_known() {
        let mut transcript = transcript();
        let summary = |transcript: &Transcript, seconds: Option<u64>| {
            transcript.summary(Direction::Outbound, seconds.map(Duration::from_secs), EndReason::RemoteHangup)
        };
        assert_eq!(
            summary(&transcript, None),
            "Outbound call, not answered, end: remote hangup. Nothing was said."
        );
        transcript.assistant(now(), 1, "Good  morning,\nbakery.");
        assert_eq!(
            summary(&transcript, Some(5)),
            "Outbound call, 5 s, end: remote hangup. Caller: 0 turns, agent: 1 turn. \
             Last words of the agent: \"Good morning, bakery.\"."
        );
        transcript.caller(now(), "Two loaves.");
        transcript.assistant(now(), 2, "Gladly, and");
        transcript.cut_off(2, 300);
        assert_eq!(
            summary(&transcript, Some(3723)),
            "Outbound call, 1 h 2 min 3 s, end: remote hangup. Caller: 1 turn, agent: 2 turns. \
             Last words of the caller: \"Two loaves.\". \
             Last words of the agent: \"Gladly, and\" (cut off)."
        );
    }

    #[test]
    fn last_words_are_short_and_begin_with_a_word() {
        let long = "word ".repeat(100) + "end";
        let words = last_words(&long);
        assert!(words.starts_with("… word ") && words.ends_with("word end") && words.chars().count() <= 202);
        assert!(last_words(&"x".repeat(1000)).chars().count() <= 202);
    }

    #[test]
    fn a_stored_transcript_gives_the_same_summary() {
        let mut transcript = transcript();
        let stored: Vec<Value> = [
            transcript.caller(now(), "Hello?"),
            transcript.assistant(now(), 1, "Good morning."),
            transcript.cut_off(1, 20),
        ]
        .into_iter()
        .flatten()
        .map(|(_, entry)| entry)
        .collect();
        let latest = [stored[0].clone(), stored[2].clone(), json!("broken"), json!({"speaker": 5})];
        let recovered = Transcript::from_stored(&latest);
        let duration = Some(Duration::from_secs(83));
        let summary = transcript.summary(Direction::Inbound, duration, EndReason::RecoveredAfterCrash);
        assert_eq!(recovered.summary(Direction::Inbound, duration, EndReason::RecoveredAfterCrash), summary);
        assert!(
            summary.starts_with("Inbound call, at least 1 min 23 s, end: recovered after crash."),
            "{summary}"
        );
        assert_eq!(recovered.last_unix_ms(), Some(now().unix_ms));
    }
}
