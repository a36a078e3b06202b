//! Event streams: what was before, what comes, and where they end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use callscoot::port::store::SERVICE_EVENTS_MAX;
use callscoot::run::http::STREAMS_MAX;
use callscoot::sys::clock::mono;
use serde_json::{Value, json};

use super::fixture::{Api, eventually};

const ID: &str = "20261122-085107-+49";

/// A client that reads line by line.
struct Stream(BufReader<TcpStream>);

/// One thing that a stream said.
#[derive(Debug, PartialEq)]
enum Said {
    Event(u64, Value),
    NoId(Value),
    Comment(String),
    End,
}

fn comment(text: &str) -> Said {
    Said::Comment(text.to_owned())
}

impl Stream {
    fn open(api: &Api, query: &str, fields: &str) -> Self {
        let mut stream = Self(BufReader::new(api.connect()));
        let head = format!("GET /v1/events/stream{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        stream.0.get_mut().write_all(head.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.0.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Type: text/event-stream\r\n"),
            "{head}"
        );
        assert_eq!(stream.next(), comment("callscoot"), "a comment comes at once");
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn next(&mut self) -> Said {
        let first = self.line();
        if first.is_empty() {
            return Said::End;
        }
        let said = if let Some(text) = first.strip_prefix(": ") {
            comment(text)
        } else if let Some(id) = first.strip_prefix("id: ") {
            let data = self.line();
            Said::Event(
                id.parse().unwrap(),
                serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
            )
        } else {
            Said::NoId(serde_json::from_str(first.strip_prefix("data: ").unwrap()).unwrap())
        };
        assert_eq!(self.line(), "");
        said
    }

    fn id(&mut self) -> Option<u64> {
        match self.next() {
            Said::Event(id, _) => Some(id),
            Said::End => None,
            Said::Comment(_) => self.id(),
            Said::NoId(event) => panic!("{event}"),
        }
    }
}

fn with_session() -> Api {
    let api = Api::start();
    api.open_session(ID);
    api.switch.lock().unwrap().current = Some(json!({"id": ID}));
    api
}

#[test]
fn a_stream_tells_what_was_then_what_comes_and_ends_with_the_call() {
    let api = with_session();
    api.emit(ID, "call_started", 10..12, "was");
    let streams =
        ["", "?session_id=current", "?session_id=20261122-085107-+49", "?session_id=20261122-085107-%2B49"];
    let mut streams: Vec<Stream> = streams.iter().map(|query| Stream::open(&api, query, "")).collect();
    for stream in &mut streams {
        let Said::Event(10, event) = stream.next() else { panic!("not the first event") };
        assert_eq!(
            (&event["event_type"], &event["payload"]["text"]),
            (&json!("call_started"), &json!("was"))
        );
        assert_eq!(stream.id(), Some(11));
    }
    api.open_session("other");
    api.emit("other", "call_ended", 12..13, "");
    api.emit(ID, "transcript_final", 13..14, "comes");
    api.emit(ID, "call_ended", 14..15, "");
    api.emit(ID, "call_analyzed", 15..16, "");
    for stream in &mut streams {
        assert_eq!([stream.id(), stream.id(), stream.id()], [Some(13), Some(14), None]);
    }
    eventually("no stream listens any more", || api.bus.subscribers() == 0);
    assert_eq!(api.get("/v1/events/stream?session_id=none").json()["error"], "no active session");
    api.switch.lock().unwrap().current = None;
    assert_eq!(api.get("/v1/events/stream").status, 404);
}

#[test]
fn all_carries_every_session_and_has_no_end() {
    let api = with_session();
    api.open_session("other");
    api.emit(ID, "call_started", 1..2, "");
    let mut all = Stream::open(&api, "?session_id=all", "");
    assert_eq!(all.id(), Some(1));
    api.emit("other", "call_ended", 2..3, "");
    api.emit(ID, "call_ended", 3..4, "");
    api.emit(ID, "recording_saved", 4..5, "");
    assert_eq!([all.id(), all.id(), all.id()], [Some(2), Some(3), Some(4)]);
    api.bus.close();
    assert_eq!(all.next(), Said::End);
}

#[test]
fn a_stream_resumes_after_the_last_event_without_loss_or_repeat() {
    let api = with_session();
    api.emit(ID, "x", 1..5, "");
    let mut resumed = Stream::open(&api, "", "Last-Event-ID: 2\r\n");
    assert_eq!([resumed.id(), resumed.id()], [Some(3), Some(4)]);
    let mut asked = Stream::open(&api, "?session_id=all&after=3", "");
    assert_eq!(asked.id(), Some(4));
    for unknown in ["99", "abc", "-1", "99999999999999999999999"] {
        let mut lost = Stream::open(&api, &format!("?after={unknown}"), "");
        let Said::NoId(gap) = lost.next() else { panic!("no gap") };
        assert_eq!(gap["payload"], json!({"after": unknown, "reason": "unknown"}));
        assert_eq!(lost.id(), Some(1));
    }
    api.emit(ID, "call_ended", 5..6, "");
    assert_eq!([resumed.id(), resumed.id()], [Some(5), None]);
    let mut over = Stream::open(&api, "", "Last-Event-ID: 5\r\n");
    assert_eq!(over.next(), Said::End, "nothing is left of a session that has ended");
}

#[test]
fn a_comment_parts_what_was_from_what_comes() {
    let api = with_session();
    // More than is read from the database at once.
    api.emit(ID, "x", 1..41, "");
    let mut streams = ["", "?session_id=all", "?after=20"].map(|query| Stream::open(&api, query, ""));
    for (stream, first) in streams.iter_mut().zip([1, 1, 21]) {
        for seq in first..41 {
            assert!(matches!(stream.next(), Said::Event(id, _) if id == seq));
        }
        assert_eq!(stream.next(), comment("live"));
    }
    api.emit(ID, "x", 41..42, "");
    for stream in &mut streams {
        assert!(matches!(stream.next(), Said::Event(41, _)));
    }
}

/// Emits an event of no call for each of these numbers.
fn emit_of_no_call(api: &Api, seqs: impl Iterator<Item = u64>, text: &str) {
    api.emit("", "phone_changed", seqs, text);
}

#[test]
fn events_of_no_call_are_in_the_stream_of_all_alone_and_resumed_like_others() {
    let api = with_session();
    api.emit(ID, "x", 1..2, "");
    emit_of_no_call(&api, 2..4, "");
    let (mut of_call, mut all) = (Stream::open(&api, "", ""), Stream::open(&api, "?session_id=all", ""));
    assert_eq!([all.id(), all.id(), all.id()], [Some(1), Some(2), Some(3)]);
    emit_of_no_call(&api, 4..5, "");
    api.emit(ID, "call_ended", 5..6, "");
    assert_eq!([all.id(), all.id()], [Some(4), Some(5)]);
    assert_eq!([of_call.id(), of_call.id(), of_call.id()], [Some(1), Some(5), None]);
    let mut resumed = Stream::open(&api, "?session_id=all", "Last-Event-ID: 3\r\n");
    assert_eq!([resumed.id(), resumed.id()], [Some(4), Some(5)]);
    let events = api.get(&format!("/v1/calls/{ID}/events")).json();
    assert_eq!(events["events"].as_array().unwrap().len(), 2);
}

#[test]
fn who_resumes_behind_what_is_not_kept_is_told_of_the_gap_and_nobody_else() {
    let api = with_session();
    let kept = u64::from(SERVICE_EVENTS_MAX);
    api.emit(ID, "x", 1..2, "");
    // Numbers 2 to 11 are not kept.
    emit_of_no_call(&api, 2..kept + 12, "");
    api.emit(ID, "x", kept + 12..kept + 13, "");
    for after in ["1", "2", "10"] {
        let mut late = Stream::open(&api, &format!("?session_id=all&after={after}"), "");
        let Said::NoId(gap) = late.next() else { panic!("no gap after {after}") };
        assert_eq!(gap["payload"], json!({"after": after, "reason": "pruned"}));
        assert_eq!([late.id(), late.id()], [Some(12), Some(13)], "it goes on behind its place");
    }
    // The last of those that are gone is known to it.
    let mut just = Stream::open(&api, "?session_id=all", "Last-Event-ID: 11\r\n");
    assert_eq!(just.id(), Some(12));
    for beginning in ["?session_id=all", "?session_id=all&after=0"] {
        let mut new = Stream::open(&api, beginning, "");
        assert_eq!([new.id(), new.id()], [Some(1), Some(12)]);
    }
    let mut of_call = Stream::open(&api, "?after=1", "");
    assert_eq!(of_call.id(), Some(kept + 12));
}

#[test]
fn a_stream_that_lags_behind_what_is_kept_is_told_of_each_gap() {
    let api = with_session();
    let mut stream = Stream::open(&api, "?session_id=all", "");
    let text = "x".repeat(8000);
    let last = 3 * u64::from(SERVICE_EVENTS_MAX);
    for seq in (1..=last).step_by(50) {
        emit_of_no_call(&api, seq..seq + 50, &text);
    }
    let (mut known, mut gaps) = (0, 0);
    let mut told = None;
    while known < last {
        match stream.next() {
            Said::Event(id, _) if told.take() == Some(known.to_string()) => {
                assert!(id > known + 1, "{id} after {known} is no gap");
                known = id;
            }
            Said::Event(id, _) => {
                assert_eq!(id, known + 1, "skipped without a word");
                known = id;
            }
            Said::NoId(gap) => {
                assert_eq!(gap["payload"]["reason"], "pruned");
                told = gap["payload"]["after"].as_str().map(ToOwned::to_owned);
                gaps += 1;
            }
            Said::Comment(_) => {}
            Said::End => panic!("it ends after {known}"),
        }
    }
    assert!(gaps > 0, "24 MB found room on the way");
}

#[test]
fn a_quiet_stream_says_every_five_seconds_that_it_lives() {
    let api = with_session();
    let mut stream = Stream::open(&api, "", "");
    assert_eq!(stream.next(), comment("live"));
    let begun = mono();
    assert_eq!(stream.next(), comment("alive"));
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(15), "{waited:?}");
}

#[test]
fn a_stream_that_lags_reads_the_store_and_misses_nothing() {
    let api = with_session();
    let mut stream = Stream::open(&api, "", "");
    let text = "x".repeat(1000);
    for batch in 0..40 {
        api.emit(ID, "x", batch * 50 + 1..batch * 50 + 51, &text);
    }
    api.emit(ID, "call_ended", 2001..2002, "");
    for seq in 1..=2001 {
        assert_eq!(stream.id(), Some(seq));
    }
    assert_eq!(stream.next(), Said::End);
}

#[test]
fn streams_that_are_not_read_delay_nobody() {
    let api = with_session();
    let text = "x".repeat(8000);
    api.emit(ID, "x", 1..101, &text);
    // 800 KB wait for each of them, more than all buffers on the way take.
    let deaf: Vec<Stream> = (0..60).map(|_| Stream::open(&api, "", "")).collect();
    let mut heard: Vec<Stream> = (0..40).map(|_| Stream::open(&api, "?after=100", "")).collect();
    let begun = mono();
    for seq in 101..111 {
        api.emit(ID, "x", seq..=seq, &text);
        for stream in &mut heard {
            assert_eq!(stream.id(), Some(seq));
        }
        assert_eq!(api.get("/v1/status").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(deaf);
    eventually("those who left are forgotten", || api.bus.subscribers() == heard.len());
}

#[test]
fn one_stream_too_many_is_asked_to_come_again_and_the_rest_is_served() {
    let api = with_session();
    let mut streams: Vec<Stream> = (0..STREAMS_MAX).map(|_| Stream::open(&api, "", "")).collect();
    let busy = api.get("/v1/events/stream");
    assert_eq!((busy.status, busy.field("retry-after")), (503, Some("1")));
    assert_eq!(busy.json()["error"], "too many event streams");
    api.check_health();
    streams.pop();
    eventually("a place is free again", || api.bus.subscribers() < STREAMS_MAX);
    streams.push(Stream::open(&api, "", ""));
    api.emit(ID, "call_ended", 1..2, "");
    for stream in &mut streams {
        assert_eq!([stream.id(), stream.id()], [Some(1), None]);
    }
}

#[test]
fn stopping_ends_streams_and_takes_no_more_connections() {
    let api = with_session();
    let mut stream = Stream::open(&api, "", "");
    api.http.stop();
    let mut rest = Vec::new();
    let _ = stream.0.read_to_end(&mut rest);
    eventually("nobody listens", || TcpStream::connect(api.http.address).is_err());
}

#[test]
fn a_long_answer_to_a_slow_reader_delays_nobody() {
    let api = with_session();
    // 8 MB for each: more than the kernel's buffers take for a client that reads nothing.
    api.emit(ID, "x", 1..801, &"x".repeat(10_000));
    let slow: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut client = api.connect();
            socket2::SockRef::from(&client).set_recv_buffer_size(4096).unwrap();
            let head = format!("GET /v1/calls/{ID}/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client.write_all(head.as_bytes()).unwrap();
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(api.get("/v1/status").status, 200);
    }
    let whole = api.get(&format!("/v1/calls/{ID}/events")).json();
    assert_eq!(whole["events"].as_array().unwrap().len(), 800);
    drop(slow);
}
