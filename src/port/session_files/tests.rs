//! The folders against the database they are derived from.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::base::Now;
use crate::call::journal::{Batch, Event};
use crate::call::session::{Direction, Phase};
use crate::port::store::Writer;

const ID: &str = "20261122-085107-+4930123";

struct House {
    folder: TempDir,
    writer: Writer,
    reader: Reader,
    files: SessionFiles,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let now = Now { mono: crate::sys::clock::mono(), unix_ms: 1_795_337_467_000 };
    let (writer, _) = Writer::open(folder.path(), now).unwrap();
    let (reader, files) = (writer.reader().unwrap(), SessionFiles::open(folder.path()).unwrap());
    House { folder, writer, reader, files }
}

impl House {
    fn commit(&mut self, records: &[Record]) {
        let batch = Batch { records: records.to_vec(), ..Batch::default() };
        assert_eq!(self.writer.commit(&[batch]), [Ok(())]);
    }

    fn commit_and_update(&mut self, records: &[Record]) {
        self.commit(records);
        self.files.update(records.iter(), &self.reader);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("calls").join(ID).join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn meta(summary: Option<&str>) -> Box<SessionMeta> {
    Box::new(SessionMeta {
        ended_unix_ms: summary.map(|_| 9000),
        phase: Phase::Active,
        summary: summary.map(str::to_owned),
        ..SessionMeta::new(SessionId::new(ID), Direction::Inbound, 0)
    })
}

fn event(seq: u64, kind: EventKind) -> Record {
    let json = format!("{{\"n\":{seq}}}");
    Record::Event(Arc::new(Event { seq, session: Some(SessionId::new(ID)), kind, name: "x".into(), json }))
}

fn said(index: u32, text: &str) -> Record {
    Record::Transcript { session: SessionId::new(ID), index, entry: json!({ "text": text }) }
}

#[test]
fn each_list_has_its_file_and_only_this_user_reads_them() {
    let mut house = house();
    house.commit_and_update(&[
        Record::SessionOpened(meta(None)),
        event(1, EventKind::Call),
        event(2, EventKind::Agent),
        said(0, "hi"),
    ]);
    house.commit_and_update(&[event(3, EventKind::Agent), said(1, "yes"), said(2, "no")]);
    house.commit_and_update(&[Record::SessionChanged(meta(Some("Short.")))]);
    assert_eq!(house.text("events.jsonl"), "{\"n\":1}\n");
    assert_eq!(house.text("agent_events.jsonl"), "{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(house.text("transcript.jsonl"), "{\"text\":\"hi\"}\n{\"text\":\"yes\"}\n{\"text\":\"no\"}\n");
    assert_eq!(house.text("summary.txt"), "Short.\n");
    let stored: Value = serde_json::from_str(&house.text("meta.json")).unwrap();
    assert_eq!((&stored["id"], &stored["summary"]), (&json!(ID), &json!("Short.")));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&house.path("")), 0o700);
    assert_eq!(mode(house.path("").parent().unwrap()), 0o700);
    let files: Vec<_> = fs::read_dir(house.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 5);
    assert!(files.iter().all(|path| mode(path) == 0o600), "{files:?}");
}

#[test]
fn a_corrected_entry_replaces_its_line_whenever_it_comes() {
    let mut house = house();
    house.commit_and_update(&[
        Record::SessionOpened(meta(None)),
        said(0, "helo"),
        said(1, "yes"),
        said(0, "hello"),
    ]);
    assert_eq!(house.text("transcript.jsonl"), "{\"text\":\"hello\"}\n{\"text\":\"yes\"}\n");
    house.commit_and_update(&[said(2, "by")]);
    house.commit_and_update(&[said(2, "bye")]);
    let expected = "{\"text\":\"hello\"}\n{\"text\":\"yes\"}\n{\"text\":\"bye\"}\n";
    assert_eq!(house.text("transcript.jsonl"), expected);
    house.commit_and_update(&[Record::SessionChanged(meta(Some("")))]);
    house.commit_and_update(&[said(1, "no")]);
    assert_eq!(house.text("transcript.jsonl"), expected.replace("yes", "no"));
}

#[test]
fn files_that_lag_after_a_crash_are_made_anew_at_the_start() {
    let mut house = house();
    house.commit_and_update(&[Record::SessionOpened(meta(None)), event(1, EventKind::Call)]);
    house.commit(&[event(2, EventKind::Call), event(3, EventKind::Agent), said(0, "hi")]);
    house.commit(&[Record::SessionChanged(meta(Some("Short.")))]);
    fs::write(house.path("events.jsonl"), "{\"n\":1}\n{\"n\"").unwrap();
    house.files = SessionFiles::open(house.folder.path()).unwrap();
    house.files.catch_up(&house.reader);
    assert_eq!(house.text("events.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(house.text("agent_events.jsonl"), "{\"n\":3}\n");
    assert_eq!(
        (house.text("transcript.jsonl"), house.text("summary.txt")),
        ("{\"text\":\"hi\"}\n".into(), "Short.\n".into())
    );
    assert!(house.text("meta.json").contains("Short."));
}

#[test]
fn a_folder_that_could_not_be_written_is_made_whole_with_a_later_change() {
    let mut house = house();
    // A file where the folder should be: every write fails, whoever runs the test.
    let in_the_way = house.folder.path().join("calls").join(ID);
    fs::write(&in_the_way, "").unwrap();
    house.commit_and_update(&[Record::SessionOpened(meta(None)), event(1, EventKind::Call), said(0, "hi")]);
    house.commit_and_update(&[event(2, EventKind::Call)]);
    fs::remove_file(&in_the_way).unwrap();
    // Any change will do, also one that is not about this session.
    house.commit_and_update(&[Record::SeqReserved(9)]);
    assert_eq!(house.text("events.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
    house.commit_and_update(&[event(3, EventKind::Call), said(1, "yes")]);
    assert_eq!(house.text("events.jsonl").lines().count(), 3);
    assert_eq!(house.text("transcript.jsonl"), "{\"text\":\"hi\"}\n{\"text\":\"yes\"}\n");
}

#[test]
fn an_id_that_could_leave_the_folder_gets_none() {
    for id in ["20261122-085107-+4930123", "20261122-085107-unknown-2", "a.b@c_d"] {
        assert!(is_folder_name(id), "{id}");
    }
    for id in [
        "",
        ".",
        "..",
        ".hidden",
        "../a",
        "a/b",
        "/a",
        "a\0b",
        "a b",
        "a\n",
        "-rf",
        "+1",
        "ü",
        &"a".repeat(129),
    ] {
        assert!(!is_folder_name(id), "{id:?}");
    }
    let mut house = house();
    let mut evil = meta(None);
    evil.id = SessionId::new("../evil");
    let mut lost = said(0, "hi");
    if let Record::Transcript { session, .. } = &mut lost {
        *session = SessionId::new("../evil");
    }
    house.commit_and_update(&[Record::SessionOpened(evil), lost]);
    house.files.catch_up(&house.reader);
    assert!(!house.folder.path().join("evil").exists());
    assert_eq!(fs::read_dir(house.folder.path().join("calls")).unwrap().count(), 0);
}
