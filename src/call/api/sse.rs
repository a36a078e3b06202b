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

/// Told once, without an `id:`, when a client resumes after an event that is not known here: it may have missed
/// some, and what follows begins at the oldest that is stored.
pub fn gap(after: &str) -> String {
    let gap = json!({"event_type": "gap", "source": "system", "payload": {"after": after}});
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
            session: SessionId::new("s"),
            kind: EventKind::Agent,
            name: "call_started".into(),
            json: r#"{"event_type":"call_started"}"#.into(),
        };
        assert_eq!(event(&told), "id: 7\ndata: {\"event_type\":\"call_started\"}\n\n");
        assert_eq!(comment("alive"), ": alive\n\n");
        assert_eq!(gap("x\ny").lines().filter(|line| line.starts_with("data: ")).count(), 1);
    }
}
