//! The lines of an event stream (WHATWG HTML 9.2.6). Events are one line of JSON, so one `data:` each.

use serde_json::json;

use crate::call::journal::Event;

/// `id:` and `data:` of one event.
pub fn event(event: &Event) -> String {
    format!("id: {}\ndata: {}\n\n", event.seq, event.json)
}

/// A line that clients ignore; it keeps the connection known to be alive.
pub fn comment(text: &str) -> String {
    format!(": {text}\n\n")
}

/// The comment between what was and what comes.
pub const LIVE: &str = "live";

/// The comment that nothing happens; never among what was.
pub const ALIVE: &str = "alive";

/// Why a client may have missed events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// It resumes after an event that is not known here. What follows begins at the oldest that is stored.
    Unknown,
    /// Some that come after the last one that it knows are not kept any more. What follows goes on behind that one.
    Pruned,
}

impl Gap {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pruned => "pruned",
        }
    }
}

/// Told without an `id:`; `after` is the last event that the client knows, in its own words if it resumes.
pub fn gap(why: Gap, after: &str) -> String {
    let payload = json!({"after": after, "reason": why.as_str()});
    let gap = json!({"event_type": "gap", "source": "system", "payload": payload});
    format!("data: {gap}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::journal::EventKind;
    use crate::call::session::SessionId;

    #[test]
    fn an_event_is_an_id_one_line_of_data_and_a_blank_line() {
        let told = Event {
            seq: 7,
            session: Some(SessionId::new("s")),
            kind: EventKind::Agent,
            name: "call_started".into(),
            json: r#"{"event_type":"call_started"}"#.into(),
        };
        assert_eq!(event(&told), "id: 7\ndata: {\"event_type\":\"call_started\"}\n\n");
        assert_eq!(comment(ALIVE), ": alive\n\n");
        let gap = gap(Gap::Pruned, "x\ny");
        assert_eq!(gap.lines().filter(|line| line.starts_with("data: ")).count(), 1);
        crate::call::api::document::lists("GapReason", [Gap::Unknown, Gap::Pruned].map(Gap::as_str));
    }
}
