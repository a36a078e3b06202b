//! The database as its users see it: what was stored comes back, what failed left nothing, damage is survived.

mod service_events;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{BatchError, Reader, StoreError, StoredSession, Writer};
use crate::base::Now;
use crate::call::conversation::Overrides;
use crate::call::idempotency::{Fingerprint, Keyed};
use crate::call::journal::{Batch, Event, EventKind, Record, Recovered};
use crate::call::pending::PendingRequest;
use crate::call::session::{Direction, EndReason, Phase, SessionId, SessionMeta};

const NOW_MS: i64 = 1_795_337_467_000;

fn now() -> Now {
    Now { mono: crate::sys::clock::mono(), unix_ms: NOW_MS }
}

fn state() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> (Writer, Recovered) {
    Writer::open(folder.path(), now()).unwrap()
}

fn meta(id: &str, ended: bool) -> Box<SessionMeta> {
    Box::new(SessionMeta {
        ended_unix_ms: ended.then_some(NOW_MS),
        phase: if ended { Phase::Disconnected } else { Phase::Dialing },
        incoming_number: Some("+4930123".into()),
        ..SessionMeta::new(SessionId::new(id), Direction::Outbound, NOW_MS - 1000)
    })
}

fn event(seq: u64, session: &str, kind: EventKind) -> Arc<Event> {
    let json = format!(r#"{{"n":{seq}}}"#);
    Arc::new(Event { seq, session: Some(SessionId::new(session)), kind, name: "something".into(), json })
}

fn agent_event(seq: u64, session: &str) -> Record {
    Record::Event(event(seq, session, EventKind::Agent))
}

fn pending(request_id: &str, expires_unix_ms: i64) -> PendingRequest {
    PendingRequest {
        request_id: request_id.into(),
        target_number: Some("+4930123".into()),
        dynamic_variables: Map::from_iter([("who".into(), json!({"name": "Efe"}))]),
        metadata: Map::new(),
        created_unix_ms: NOW_MS,
        expires_unix_ms,
        consumed: false,
        claimed_unix_ms: None,
        claimed_session_id: None,
        agent_id: None,
        overrides: Overrides { language: Some("de".into()), ..Overrides::default() },
    }
}

fn keyed(key: &str, request: &str) -> Keyed {
    Keyed { key: Fingerprint::of(&[key.as_bytes()]), request: Fingerprint::of(&[request.as_bytes()]) }
}

fn answered(key: &str, request: &str, left_ms: i64) -> Record {
    let body = format!(r#"{{"{request}":"ü"}}"#);
    Record::Answered { keyed: keyed(key, request), expires_unix_ms: NOW_MS + left_ms, status: 202, body }
}

fn batch(records: Vec<Record>) -> Batch {
    Batch { records, durable: true, ..Batch::default() }
}

fn commit(writer: &mut Writer, records: Vec<Record>) -> Result<(), BatchError> {
    writer.commit(&[batch(records)]).pop().unwrap()
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_stored_comes_back_in_order() {
    let folder = state();
    let (mut writer, recovered) = open(&folder);
    assert_eq!(recovered.next_seq, 1);
    commit(
        &mut writer,
        vec![
            Record::SeqReserved(100),
            Record::SessionOpened(meta("a+1", false)),
            Record::SessionOpened(meta("b", false)),
            Record::Event(event(1, "a+1", EventKind::Call)),
            agent_event(2, "a+1"),
            agent_event(3, "b"),
            agent_event(4, "a+1"),
            Record::Transcript { session: SessionId::new("a+1"), index: 0, entry: json!({"text": "helo"}) },
            Record::Transcript { session: SessionId::new("a+1"), index: 1, entry: json!({"text": "yes"}) },
            Record::Transcript { session: SessionId::new("a+1"), index: 0, entry: json!({"text": "hello"}) },
            Record::SessionChanged(meta("a+1", true)),
        ],
    )
    .unwrap();

    let reader = writer.reader().unwrap();
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        reader.session("a+1").unwrap().unwrap(),
        StoredSession {
            meta: meta("a+1", true).to_json().to_string(),
            events: texts(&[r#"{"n":1}"#]),
            agent_events: texts(&[r#"{"n":2}"#, r#"{"n":4}"#]),
            transcript: texts(&[r#"{"text":"hello"}"#, r#"{"text":"yes"}"#]),
        }
    );
    assert_eq!(reader.agent_events("b").unwrap().unwrap(), texts(&[r#"{"n":3}"#]));
    assert_eq!((reader.session("a 1").unwrap(), reader.agent_events("").unwrap()), (None, None));
    assert_eq!((reader.session_exists("b").unwrap(), reader.session_exists("c").unwrap()), (true, false));
    let newest: Value = serde_json::from_str(&reader.sessions(1).unwrap()[0]).unwrap();
    assert_eq!((&newest["id"], reader.sessions(9).unwrap().len()), (&json!("b"), 2));
    assert!(reader.sessions(0).unwrap().is_empty());

    let seqs = |session: Option<&str>, after, limit| {
        let session = session.map(SessionId::new);
        let page = reader.events_after(session.as_ref(), after, limit).unwrap();
        page.events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(None, 0, 99), [2, 3, 4]);
    assert_eq!(seqs(None, 2, 1), [3]);
    assert_eq!(seqs(Some("a+1"), 2, 99), [4]);
    assert_eq!((seqs(Some("c"), 0, 9), seqs(None, u64::MAX, 9)), (vec![], vec![]));
    assert_eq!(*event(3, "b", EventKind::Agent), reader.events_after(None, 2, 1).unwrap().events[0]);
    assert_eq!(reader.latest_seq().unwrap(), 4);
}

#[test]
fn the_next_run_finds_what_was_left_open() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let mut claimed = pending("claimed", NOW_MS + 9000);
    claimed.consumed = true;
    commit(
        &mut writer,
        vec![
            Record::SeqReserved(64),
            Record::SessionOpened(meta("ended", false)),
            Record::SessionOpened(meta("open", false)),
            Record::SessionChanged(meta("ended", true)),
            Record::Transcript { session: SessionId::new("open"), index: 0, entry: json!({"text": "hi"}) },
            agent_event(1, "open"),
            Record::Pending(Box::new(pending("late", NOW_MS + 9000))),
            Record::Pending(Box::new(pending("live", NOW_MS + 5000))),
            Record::Pending(Box::new(pending("expired", NOW_MS))),
            Record::Pending(Box::new(pending("claimed", NOW_MS + 9000))),
            Record::Pending(Box::new(claimed)),
            Record::Pending(Box::new(pending("gone", NOW_MS + 9000))),
            Record::PendingGone { request_id: "gone".into() },
        ],
    )
    .unwrap();
    drop(writer);
    let (writer, recovered) = open(&folder);
    assert_eq!(recovered.next_seq, 64);
    assert_eq!(recovered.pending, [pending("late", NOW_MS + 9000), pending("live", NOW_MS + 5000)]);
    assert_eq!(recovered.open_sessions.len(), 1);
    let session = &recovered.open_sessions[0];
    assert_eq!((session.id.as_str(), &session.meta["phase"]), ("open", &json!("dialing")));
    assert_eq!(session.transcript, [json!({"text": "hi"})]);
    assert_eq!(recovered.outbound_started_unix_ms, [NOW_MS - 1000; 2]);
    let ids: Vec<_> = recovered.recent_session_ids.iter().map(SessionId::as_str).collect();
    assert_eq!(ids, ["open", "ended"]);
    assert_eq!(writer.reader().unwrap().lately_changed(10).unwrap(), ["open"]);

    drop(writer);
    let tomorrow = now().plus(Duration::from_secs(24 * 60 * 60));
    let (_, recovered) = Writer::open(folder.path(), tomorrow).unwrap();
    assert!(recovered.outbound_started_unix_ms.is_empty() && recovered.pending.is_empty());
}

#[test]
fn answered_outbound_calls_of_the_last_day_are_given_back_for_the_budget_of_minutes() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let answered = |id: &str, direction, from: i64, to: Option<i64>, reason| {
        Box::new(SessionMeta {
            offhook_unix_ms: Some(NOW_MS - from * 3_600_000),
            ended_unix_ms: to.map(|to| NOW_MS - to * 3_600_000),
            end_reason: reason,
            ..SessionMeta::new(SessionId::new(id), direction, NOW_MS - from * 3_600_000 - 1000)
        })
    };
    let (out, crash) = (Direction::Outbound, Some(EndReason::RecoveredAfterCrash));
    let last_words = json!({"text": "hi", "ts_ms": NOW_MS - 6 * 3_600_000});
    let records = vec![
        Record::SessionOpened(answered("over", out, 5, Some(4), None)),
        Record::SessionOpened(answered("half too old", out, 25, Some(23), None)),
        Record::SessionOpened(answered("too old", out, 30, Some(29), None)),
        Record::SessionOpened(answered("inbound", Direction::Inbound, 5, Some(4), None)),
        Record::SessionOpened(meta("never answered", true)),
        Record::SessionOpened(answered("cut by a crash", out, 7, Some(1), crash)),
        Record::Transcript { session: SessionId::new("cut by a crash"), index: 0, entry: last_words },
        Record::SessionOpened(answered("cut now", out, 2, None, None)),
    ];
    commit(&mut writer, records).unwrap();
    drop(writer);
    let (_, recovered) = open(&folder);
    let ago = |at: i64| NOW_MS - at * 3_600_000;
    let talked: Vec<(i64, i64)> =
        recovered.outbound_talked.iter().map(|talked| (talked.from_unix_ms, talked.to_unix_ms)).collect();
    assert_eq!(talked, [(ago(25), ago(23)), (ago(7), ago(6)), (ago(5), ago(4)), (ago(2), ago(2) + 60_000)]);
}

#[test]
fn numbers_once_reserved_are_never_given_out_again() {
    let folder = state();
    for round in 0..3 {
        let (mut writer, recovered) = open(&folder);
        assert_eq!(recovered.next_seq, if round == 0 { 1 } else { 200 });
        commit(&mut writer, vec![Record::SeqReserved(200)]).unwrap();
        commit(&mut writer, vec![Record::SeqReserved(50)]).unwrap();
    }
}

#[test]
fn a_refused_batch_leaves_nothing_and_does_not_touch_the_others() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let results = writer.commit(&[
        batch(vec![Record::SessionOpened(meta("a", false)), agent_event(1, "a")]),
        batch(vec![agent_event(2, "a"), Record::SessionOpened(meta("a", false))]),
        batch(vec![agent_event(3, "a"), agent_event(4, "nobody")]),
        batch(vec![Record::SessionChanged(meta("nobody", true))]),
        batch(vec![agent_event(u64::MAX, "a")]),
        batch(vec![agent_event(1, "a")]),
        batch(vec![agent_event(5, "a")]),
    ]);
    let refused: Vec<bool> =
        results.iter().map(|result| matches!(result, Err(BatchError::Refused(_)))).collect();
    assert_eq!(refused, [false, true, true, true, true, true, false]);
    assert!(results[0].is_ok() && results[6].is_ok());
    let texts = writer.reader().unwrap().agent_events("a").unwrap().unwrap();
    assert_eq!(texts, [r#"{"n":1}"#, r#"{"n":5}"#]);
}

#[test]
fn no_error_text_holds_the_number_of_a_person() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let id = "20261122-085107-+4930123";
    commit(&mut writer, vec![Record::SessionOpened(meta(id, false))]).unwrap();
    for record in [Record::SessionOpened(meta(id, false)), agent_event(1, "x+4930123")] {
        let error = commit(&mut writer, vec![record]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("4930123"), "{error}");
    }
}

#[test]
fn a_full_disk_fails_the_group_and_commits_go_on_when_there_is_room_again() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    commit(&mut writer, vec![Record::SessionOpened(meta("a", false)), agent_event(1, "a")]).unwrap();
    writer.limit_pages(Some(0));
    let long =
        Record::Transcript { session: SessionId::new("a"), index: 0, entry: json!("x".repeat(100_000)) };
    for _ in 0..2 {
        let results = writer.commit(&[batch(vec![agent_event(2, "a")]), batch(vec![long.clone()])]);
        assert!(results.iter().all(|result| matches!(result, Err(BatchError::Storage(_)))), "{results:?}");
        assert_eq!(writer.reader().unwrap().latest_seq().unwrap(), 1);
    }
    writer.limit_pages(None);
    let results = writer.commit(&[batch(vec![agent_event(2, "a")]), batch(vec![long])]);
    assert_eq!(results, [Ok(()), Ok(())]);
    assert_eq!(writer.reader().unwrap().latest_seq().unwrap(), 2);
}

#[test]
fn only_this_user_may_read_and_only_one_service_may_write() {
    let folder = state();
    let path = folder.path().join("deep/state");
    let (mut writer, _) = Writer::open(&path, now()).unwrap();
    commit(&mut writer, vec![Record::SeqReserved(2)]).unwrap();
    assert_eq!((mode_of(&path), mode_of(&folder.path().join("deep"))), (0o700, 0o700));
    for file in ["callscoot.db", "callscoot.db-wal", "callscoot.db-shm", "callscoot.lock"] {
        assert_eq!(mode_of(&path.join(file)), 0o600, "{file}");
    }
    assert!(matches!(Writer::open(&path, now()), Err(StoreError::InUse(at)) if at == path));
    drop(writer);
    fs::set_permissions(path.join("callscoot.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let (writer, recovered) = Writer::open(&path, now()).unwrap();
    assert_eq!((recovered.next_seq, mode_of(&path.join("callscoot.db"))), (2, 0o600));
    writer.close().unwrap();
    assert!(fs::metadata(path.join("callscoot.db-wal")).is_err());
}

#[test]
fn a_damaged_database_is_kept_beside_a_new_one_and_numbers_go_on_beyond_it() {
    let folder = state();
    for round in 0..2 {
        let (mut writer, recovered) = open(&folder);
        assert!(round == 0 || recovered.next_seq >= NOW_MS as u64);
        commit(&mut writer, vec![Record::SessionOpened(meta("a", false))]).unwrap();
        writer.close().unwrap();
        fs::write(folder.path().join("callscoot.db"), format!("damage {round}").repeat(1000)).unwrap();
    }
    let (writer, recovered) = open(&folder);
    assert!(recovered.next_seq >= NOW_MS as u64);
    assert!(writer.reader().unwrap().sessions(9).unwrap().is_empty());
    let mut kept: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains(".broken-"))
        .map(|path| fs::read_to_string(path).unwrap()[..8].to_owned())
        .collect();
    kept.sort();
    assert_eq!(kept, ["damage 0", "damage 1"]);
}

#[test]
fn a_page_damaged_while_the_service_was_killed_is_found_at_the_next_start() {
    let folder = state();
    let path = folder.path().join("callscoot.db");
    let (mut writer, _) = open(&folder);
    commit(&mut writer, vec![Record::SeqReserved(7), Record::SessionOpened(meta("a", false))]).unwrap();
    for seq in 1..400 {
        commit(&mut writer, vec![agent_event(seq, "a")]).unwrap();
    }
    writer.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4096..].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    // A log that was not emptied says that the last run was killed; this one holds nothing that SQLite accepts.
    fs::write(folder.path().join("callscoot.db-wal"), [0; 64]).unwrap();
    let (_, recovered) = open(&folder);
    assert!(recovered.next_seq >= NOW_MS as u64 && recovered.recent_session_ids.is_empty());
    assert!(
        fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| { fs::read(entry.unwrap().path()).unwrap_or_default() == bytes })
    );
}

#[test]
fn an_answer_is_kept_under_its_key_until_it_expires_or_the_key_is_free() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let (first, late) = (answered("k", "a", 1000), answered("late", "a", 5000));
    let free = Record::KeyGone(Fingerprint::of(&[b"free"]));
    commit(&mut writer, vec![first, late, answered("free", "a", 9000), free]).unwrap();
    let reader = writer.reader().unwrap();
    let answer = |key: &str| reader.answer(Fingerprint::of(&[key.as_bytes()])).unwrap();
    assert_eq!(answer("k"), Some((202, r#"{"a":"ü"}"#.into())));
    assert_eq!((answer("free"), answer("never")), (None, None));
    // A key that was free in between is used anew.
    commit(&mut writer, vec![answered("k", "b", 2000)]).unwrap();
    assert_eq!(answer("k"), Some((202, r#"{"b":"ü"}"#.into())));
    drop(writer);
    let later = now().plus(Duration::from_millis(1999));
    let (writer, recovered) = Writer::open(folder.path(), later).unwrap();
    let mut kept: Vec<_> =
        recovered.answered.iter().map(|kept| (kept.keyed, kept.expires_unix_ms, kept.answer_bytes)).collect();
    kept.sort_by_key(|(_, expires, _)| *expires);
    let bytes = r#"{"a":"ü"}"#.len();
    assert_eq!(
        kept,
        [(keyed("k", "b"), NOW_MS + 2000, bytes), (keyed("late", "a"), NOW_MS + 5000, bytes)],
        "the length of an answer is in bytes"
    );
    drop(writer);
    let (writer, recovered) = Writer::open(folder.path(), later.plus(Duration::from_millis(1))).unwrap();
    assert_eq!(recovered.answered.len(), 1);
    assert_eq!(writer.reader().unwrap().answer(keyed("k", "b").key).unwrap(), None);
}

#[test]
fn a_database_of_schema_1_is_carried_to_the_newest_with_everything_in_it() {
    let folder = state();
    fs::copy("tests/fixtures/store-v1.db", folder.path().join("callscoot.db")).unwrap();
    let (mut writer, recovered) = open(&folder);
    assert_eq!(recovered.next_seq, 1000);
    assert_eq!(recovered.pending, [pending("waiting", NOW_MS + 1000)]);
    assert_eq!(recovered.open_sessions.len(), 1);
    assert_eq!(recovered.open_sessions[0].transcript, [json!({"speaker": "caller", "text": "hello"})]);
    let reader = writer.reader().unwrap();
    assert_eq!(reader.sessions(9).unwrap().len(), 2);
    let stored = reader.session("20261122-085107-+4930123").unwrap().unwrap();
    assert_eq!((stored.events.len(), stored.agent_events.len(), stored.transcript.len()), (1, 2, 1));
    commit(&mut writer, vec![agent_event(1000, "20261122-085107-+4930123")]).unwrap();
    assert_eq!(reader.latest_seq().unwrap(), 1000);
    commit(&mut writer, vec![answered("k", "a", 1000)]).unwrap();
    assert!(recovered.answered.is_empty() && reader.answer(keyed("k", "a").key).unwrap().is_some());
}

#[test]
fn a_database_of_schema_2_keeps_its_answers() {
    let folder = state();
    fs::copy("tests/fixtures/store-v2.db", folder.path().join("callscoot.db")).unwrap();
    let (_, recovered) = open(&folder);
    assert_eq!((recovered.next_seq, recovered.pending.len()), (1000, 1));
    assert_eq!(recovered.answered.iter().map(|kept| kept.keyed).collect::<Vec<_>>(), [keyed("k", "a")]);
}

/// Makes the fixture of the newest schema: `cargo test make_the_fixture -- --ignored`, once for each release.
#[test]
#[ignore = "writes into tests/fixtures"]
fn make_the_fixture_of_this_schema() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let id = "20261122-085107-+4930123";
    commit(
        &mut writer,
        vec![
            Record::SeqReserved(1000),
            Record::SessionOpened(meta("20261121-120000-unknown", false)),
            Record::SessionChanged(meta("20261121-120000-unknown", true)),
            Record::SessionOpened(meta(id, false)),
            Record::Event(event(1, id, EventKind::Call)),
            agent_event(2, id),
            agent_event(3, id),
            Record::Event(Arc::new(Event { session: None, ..(*event(4, "", EventKind::Agent)).clone() })),
            Record::Transcript {
                session: SessionId::new(id),
                index: 0,
                entry: json!({"speaker": "caller", "text": "hello"}),
            },
            Record::Pending(Box::new(pending("waiting", NOW_MS + 1000))),
            answered("k", "a", 1000),
        ],
    )
    .unwrap();
    writer.close().unwrap();
    let version = super::schema::MIGRATIONS.len();
    fs::create_dir_all("tests/fixtures").unwrap();
    fs::copy(folder.path().join("callscoot.db"), format!("tests/fixtures/store-v{version}.db")).unwrap();
}

#[test]
fn readers_see_whole_batches_while_the_writer_writes() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    commit(&mut writer, vec![Record::SessionOpened(meta("a", false))]).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let reader = Reader::open(folder.path()).unwrap();
                scope.spawn(move || {
                    let mut seen = 0;
                    let mut reads = 0;
                    while seen < 3000 {
                        let stored = reader.session("a").unwrap().unwrap();
                        let count = stored.agent_events.len();
                        assert!(count >= seen && count.is_multiple_of(10), "{count} after {seen}");
                        assert_eq!(stored.transcript.len(), count / 10);
                        seen = count;
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for round in 0..300u32 {
            let session = SessionId::new("a");
            let mut records: Vec<Record> =
                (1..=10).map(|n| agent_event(u64::from(round) * 10 + n, "a")).collect();
            records.push(Record::Transcript { session, index: round, entry: json!({"text": "…"}) });
            let results = writer.commit(&[Batch { records, ..Batch::default() }]);
            assert_eq!(results, [Ok(())]);
        }
        for reader in readers {
            assert!(reader.join().unwrap() > 1);
        }
    });
}
