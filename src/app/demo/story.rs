//! The call as a person reads it: one line for each event, then transcript, summary and figures.

use serde_json::Value;

use crate::app::cli::words;
use crate::app::out::say;

/// One event of the stream as a line: seconds since the first, what happened, the words.
pub(super) fn tell(event: &Value, since_ms: i64) {
    let at = event["ts_ms"].as_i64().unwrap_or(since_ms).saturating_sub(since_ms) as f64 / 1000.0;
    let Some(line) = words(event) else { return };
    say(&format!("  {at:6.2} s  {line}"));
}

/// What is kept of the call.
pub(super) fn outcome(call: &Value) {
    say("");
    say("transcript");
    for entry in call["transcript"].as_array().into_iter().flatten() {
        let cut = if entry["interrupted"] == true {
            format!("  [cut off after {} ms]", entry["played_ms"])
        } else {
            String::new()
        };
        let speaker = entry["speaker"].as_str().unwrap_or_default();
        say(&format!("  {speaker:<9}  {}{cut}", entry["text"].as_str().unwrap_or_default()));
    }
    say("");
    say("summary");
    say(&format!("  {}", call["meta"]["summary"].as_str().unwrap_or_default().replace('\n', "\n  ")));
}

/// A table of figures, in milliseconds.
pub(super) fn figures(rows: &[(&str, Option<f64>)]) {
    say("");
    say("measured");
    for (what, ms) in rows {
        let shown = ms.map_or("not seen".into(), |ms| format!("{ms:9.1} ms"));
        say(&format!("  {what:<52} {shown}"));
    }
}
