//! The store thread as the switch sees it: order, answers, outages, the end.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::call::journal::{ConfigWrite, Event};
use crate::call::session::{Direction, SessionId, SessionMeta};
use crate::port::config_file;
use crate::run::bus::Heard;
use crate::sys::clock::{mono, now};

type Told = (CommitId, Result<(), CommitError>);
type Tell = Box<dyn FnMut(CommitId, Result<(), CommitError>) + Send>;

struct House {
    folder: TempDir,
    bus: Bus,
}

fn house() -> House {
    House { folder: tempfile::tempdir().unwrap(), bus: Bus::default() }
}

impl House {
    fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn memory_path(&self) -> PathBuf {
        self.folder.path().join("phones.json")
    }

    fn parts(&self) -> Parts {
        let (_, seen) = config_file::read(&self.config_path()).unwrap();
        Parts {
            writer: Writer::open(self.folder.path(), now()).unwrap().0,
            files: SessionFiles::open(self.folder.path()).unwrap(),
            config: ConfigFile::new(self.config_path(), Some(seen)),
            phone_memory: self.memory_path(),
            bus: self.bus.clone(),
            metrics: Metrics::new().unwrap(),
        }
    }

    fn start(&self) -> (StoreHandle, JoinHandle<Option<()>>, Receiver<Told>) {
        let (told, answers) = crossbeam_channel::unbounded();
        let (deaths, _) = crossbeam_channel::unbounded();
        let tell = move |id, result| told.send((id, result)).unwrap();
        let (handle, thread) = spawn(&Spawner::new(deaths), self.parts(), tell).unwrap();
        (handle, thread, answers)
    }

    /// The thread's body without its thread, so that a test can reach the disk between two steps.
    fn store(&self) -> (Store<Tell>, Receiver<Told>) {
        let Parts { writer, files, config, phone_memory, bus, metrics } = self.parts();
        let reader = writer.reader().unwrap();
        let (told, answers) = crossbeam_channel::unbounded();
        let tell: Tell = Box::new(move |id, result| told.send((id, result)).unwrap());
        let desk = Desk { writer, reader, files, bus, works: Arc::default(), metrics };
        (Store { desk, config, phone_memory, unwritten: None, kept: Vec::new(), outage: None, tell }, answers)
    }
}

fn opened(id: &str) -> Record {
    Record::SessionOpened(Box::new(SessionMeta::new(SessionId::new(id), Direction::Inbound, 0)))
}

fn event(seq: u64, kind: EventKind) -> Arc<Event> {
    Arc::new(Event {
        seq,
        session: Some(SessionId::new("a")),
        kind,
        name: "x".into(),
        json: format!("{{\"n\":{seq}}}"),
    })
}

fn batch(records: Vec<Record>, acknowledge: Option<u64>) -> Batch {
    Batch { records, acknowledge: acknowledge.map(CommitId), durable: acknowledge.is_some(), config: None }
}

fn happened(seq: u64) -> Batch {
    batch(vec![Record::Event(event(seq, EventKind::Agent))], None)
}

fn configured(text: &str, records: Vec<Record>, acknowledge: u64) -> Batch {
    Batch { config: Some(ConfigWrite { text: text.into() }), ..batch(records, Some(acknowledge)) }
}

#[test]
fn whoever_is_told_finds_it_in_the_database_in_the_file_and_on_the_bus() {
    let house = house();
    let subscription = house.bus.subscribe(None);
    let (seen, answers) = crossbeam_channel::unbounded();
    let parts = house.parts();
    let reader = parts.writer.reader().unwrap();
    let file = house.folder.path().join("calls/a/agent_events.jsonl");
    let tell = move |id, result: Result<(), CommitError>| {
        let stored = reader.latest_seq().unwrap();
        let lines = fs::read_to_string(&file).unwrap();
        let heard = subscription.recv_deadline(mono());
        seen.send((id, result, stored, lines, heard)).unwrap();
    };
    let (deaths, _) = crossbeam_channel::unbounded();
    let (handle, thread) = spawn(&Spawner::new(deaths), parts, tell).unwrap();
    let agent = event(2, EventKind::Agent);
    let records = vec![opened("a"), Record::Event(event(1, EventKind::Call)), Record::Event(agent.clone())];
    handle.send(batch(records, Some(7))).unwrap();
    let expected = (CommitId(7), Ok(()), 2, "{\"n\":2}\n".to_owned(), Heard::Event(agent));
    assert_eq!(answers.recv().unwrap(), expected);
    drop(handle);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_refused_batch_is_told_and_its_events_are_not_published() {
    let house = house();
    let subscription = house.bus.subscribe(None);
    let (handle, thread, answers) = house.start();
    handle.send(batch(vec![opened("a")], Some(1))).unwrap();
    handle.send(batch(vec![Record::Event(event(1, EventKind::Agent)), opened("a")], Some(2))).unwrap();
    handle.send(happened(2)).unwrap();
    handle.send(batch(vec![], Some(3))).unwrap();
    drop(handle);
    thread.join().unwrap().unwrap();
    let told: Vec<(u64, bool)> = answers.iter().map(|(id, result)| (id.0, result.is_ok())).collect();
    assert_eq!(told, [(1, true), (2, false), (3, true)]);
    assert_eq!(subscription.recv_deadline(mono()), Heard::Event(event(2, EventKind::Agent)));
    assert_eq!(subscription.recv_deadline(mono()), Heard::Closed);
}

#[test]
fn a_dropped_handle_ends_the_thread_after_everything_is_stored() {
    const EVENTS: u64 = 3000;
    let house = house();
    let (handle, thread, _) = house.start();
    handle.send(batch(vec![opened("a")], None)).unwrap();
    (1..=EVENTS).for_each(|seq| handle.send(happened(seq)).unwrap());
    drop(handle);
    thread.join().unwrap().unwrap();
    assert!(!house.folder.path().join("callscoot.db-wal").exists());
    let (writer, recovered) = Writer::open(house.folder.path(), now()).unwrap();
    assert_eq!(recovered.next_seq, EVENTS + 1);
    assert_eq!(writer.reader().unwrap().agent_events("a").unwrap().unwrap().len() as u64, EVENTS);
    let lines = fs::read_to_string(house.folder.path().join("calls/a/agent_events.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, EVENTS);
}

#[test]
fn records_and_configuration_are_saved_together_or_not_at_all() {
    let house = house();
    let (handle, thread, answers) = house.start();
    let outcome = |batch| {
        handle.send(batch).unwrap();
        answers.recv().unwrap().1
    };
    let config = || fs::read_to_string(house.config_path()).unwrap();
    assert_eq!(outcome(configured("{\"a\":1}", vec![opened("a")], 1)), Ok(()));
    assert_eq!(config(), "{\"a\":1}");
    // The records are refused: the file stays.
    assert!(matches!(outcome(configured("{\"a\":2}", vec![opened("a")], 2)), Err(CommitError::Storage(_))));
    assert_eq!(config(), "{\"a\":1}");
    // The file was changed by someone else: the records are not stored.
    fs::write(house.config_path(), "{\"a\":3}").unwrap();
    assert_eq!(outcome(configured("{\"a\":4}", vec![opened("b")], 3)), Err(CommitError::ConfigChanged));
    handle.config_was_read(config_file::read(&house.config_path()).unwrap().1).unwrap();
    assert_eq!(outcome(configured("{\"a\":5}", vec![opened("b")], 4)), Ok(()));
    assert_eq!(config(), "{\"a\":5}");
    // The folder cannot be written: nothing is stored.
    fs::create_dir(house.folder.path().join("config.json.new")).unwrap();
    assert!(matches!(outcome(configured("{}", vec![opened("c")], 5)), Err(CommitError::Storage(_))));
    drop(handle);
    thread.join().unwrap().unwrap();
    let (_, recovered) = Writer::open(house.folder.path(), now()).unwrap();
    let ids: Vec<_> = recovered.recent_session_ids.iter().map(SessionId::as_str).collect();
    assert_eq!(ids, ["b", "a"]);
}

#[test]
fn a_full_disk_fails_requests_at_once_and_loses_no_event() {
    let house = house();
    let subscription = house.bus.subscribe(None);
    let (mut store, answers) = house.store();
    store.store(vec![batch(vec![opened("a")], None)]);
    store.desk.writer.limit_pages(Some(0));
    let long = "x".repeat(100_000);
    let entry = Record::Transcript { session: SessionId::new("a"), index: 0, entry: json!(long) };
    store.store(vec![happened(1), batch(vec![entry], None)]);
    store.store(vec![happened(2)]);
    store.store(vec![batch(vec![opened("b")], Some(1)), happened(3)]);
    let (id, result) = answers.try_recv().unwrap();
    assert!(id == CommitId(1) && matches!(result, Err(CommitError::Storage(_))), "{result:?}");
    assert_eq!((subscription.recv_deadline(mono()), store.kept.len()), (Heard::Timeout, 4));

    store.desk.writer.limit_pages(None);
    store.store(vec![batch(vec![opened("b")], Some(2)), happened(4)]);
    assert_eq!(answers.try_recv().unwrap(), (CommitId(2), Ok(())));
    assert!(store.kept.is_empty() && store.outage.is_none());
    for seq in 1..=4 {
        assert_eq!(subscription.recv_deadline(mono()), Heard::Event(event(seq, EventKind::Agent)));
    }
    let stored = store.desk.reader.session("a").unwrap().unwrap();
    assert_eq!((stored.agent_events.len(), stored.transcript.len()), (4, 1));
}

#[test]
fn an_outage_without_requests_is_over_by_itself() {
    let house = house();
    let (mut store, _answers) = house.store();
    store.store(vec![batch(vec![opened("a")], None)]);
    store.desk.writer.limit_pages(Some(0));
    let entry = json!("x".repeat(100_000));
    store
        .store(vec![batch(vec![Record::Transcript { session: SessionId::new("a"), index: 0, entry }], None)]);
    assert_eq!(store.kept.len(), 1);
    let works = store.desk.works.clone();
    assert!(!works.load(Ordering::Relaxed), "an outage that nobody could see");
    store.desk.writer.limit_pages(None);
    let (messages, waiting) = bounded(1);
    let reader = store.desk.writer.reader().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || store.run(&waiting));
        let deadline = mono() + Duration::from_secs(20);
        while reader.session("a").unwrap().unwrap().transcript.is_empty() {
            assert!(mono() < deadline, "nobody tried again");
            let _ = crossbeam_channel::after(Duration::from_millis(20)).recv();
        }
        while !works.load(Ordering::Relaxed) {
            assert!(mono() < deadline, "the outage was never over");
            let _ = crossbeam_channel::after(Duration::from_millis(20)).recv();
        }
        drop(messages);
    });
}

/// The storage fails, and is not tried again in this test.
fn outage() -> Outage {
    Outage {
        retry_at: mono() + Duration::from_secs(3600),
        error: BatchError::Storage("full".into()),
        lost: 0,
    }
}

#[test]
fn what_is_kept_has_a_limit_and_the_oldest_stay() {
    let house = house();
    let (mut store, _answers) = house.store();
    store.outage = Some(outage());
    let total = KEPT_BATCHES_MAX as u64 + 5;
    store.store((1..=total).map(happened).collect());
    assert_eq!(
        (store.kept.len(), store.outage.as_ref().map(|outage| outage.lost)),
        (KEPT_BATCHES_MAX, Some(5))
    );
    store.store(vec![batch(vec![opened("a")], Some(1))]);
    // They are all of a session that was not stored: refused, and gone.
    assert!(store.kept.is_empty() && store.outage.is_none());
}

#[test]
fn what_phones_did_outside_calls_makes_room_for_calls_oldest_first() {
    let house = house();
    let (mut store, _answers) = house.store();
    store.outage = Some(outage());
    let of_no_call =
        |seq| Record::Event(Arc::new(Event { session: None, ..(*event(seq, EventKind::Agent)).clone() }));
    let total = KEPT_BATCHES_MAX as u64;
    // One that is of a call as well stays.
    store.store(vec![batch(vec![of_no_call(1), Record::Event(event(1, EventKind::Call))], None)]);
    store.store(
        (2..=total)
            .map(|seq| if seq % 1000 == 0 { batch(vec![of_no_call(seq)], None) } else { happened(seq) })
            .collect(),
    );
    let kept = |store: &Store<Tell>| -> Vec<u64> {
        let numbers = store.kept.iter().map(|batch| {
            let Record::Event(event) = &batch.records[0] else { panic!("{batch:?}") };
            event.seq
        });
        numbers.collect()
    };
    let lost = |store: &Store<Tell>| store.outage.as_ref().map(|outage| outage.lost);
    store.store(vec![happened(total + 1)]);
    store.store(vec![batch(vec![of_no_call(total + 2)], None)]);
    let expected: Vec<u64> = (1..=total + 2).filter(|seq| ![1000, 2000].contains(seq)).collect();
    assert!(kept(&store) == expected && lost(&store) == Some(2), "{:?}", lost(&store));
    // Seven of them are left.
    store.store((total + 3..total + 11).map(happened).collect());
    let expected: Vec<u64> = (1..total + 10).filter(|seq| seq % 1000 != 0 && *seq != total + 2).collect();
    assert!(kept(&store) == expected && lost(&store) == Some(10), "{:?}", lost(&store));
    store.store(vec![batch(vec![of_no_call(total + 11)], None)]);
    assert!(kept(&store) == expected && lost(&store) == Some(11), "{:?}", lost(&store));
}

#[test]
fn a_sender_waits_a_bounded_time_and_is_then_told() {
    let (messages, waiting) = bounded(1);
    let handle = StoreHandle { messages, works: Arc::default() };
    handle.send(happened(1)).unwrap();
    let begun = mono();
    assert_eq!(handle.send(happened(2)), Err(StoreFault::Stuck));
    assert!(mono() - begun >= SEND_WAIT_MAX);
    drop(waiting);
    assert_eq!(handle.send(happened(3)), Err(StoreFault::Gone));
}

fn learnt(phone: &str) -> Memory {
    Memory::read(&json!({ "last_used": [phone] }).to_string()).unwrap()
}

#[test]
fn what_was_learnt_about_phones_last_is_in_its_file_when_the_thread_has_ended() {
    let house = house();
    let (handle, thread, answers) = house.start();
    let last = learnt("00:00:00:00:00:03");
    for memory in [&learnt("00:00:00:00:00:01"), &learnt("00:00:00:00:00:02"), &last] {
        handle.remember(memory).unwrap();
    }
    handle.send(batch(vec![opened("a")], Some(1))).unwrap();
    assert_eq!(answers.recv().unwrap(), (CommitId(1), Ok(())));
    drop(handle);
    thread.join().unwrap();
    assert_eq!(fs::read_to_string(house.memory_path()).unwrap(), last.write());
}

#[test]
fn of_what_was_learnt_only_the_last_is_written_and_again_at_the_end_if_it_could_not_be() {
    let house = house();
    let (mut store, answers) = house.store();
    fs::create_dir(house.memory_path()).unwrap();
    let (messages, waiting) = bounded(4);
    let remember = |phone| Message::Remember(learnt(phone).write());
    messages.send(Message::Batch(Box::new(batch(vec![opened("a")], Some(1))))).unwrap();
    messages.send(remember("00:00:00:00:00:02")).unwrap();
    store.handle(remember("00:00:00:00:00:01"), &waiting);
    assert_eq!(answers.try_recv().unwrap(), (CommitId(1), Ok(())), "it holds up no record");
    let last = learnt("00:00:00:00:00:02").write();
    assert_eq!(store.unwritten.as_ref(), Some(&last));
    fs::remove_dir(house.memory_path()).unwrap();
    drop(messages);
    store.run(&waiting);
    assert_eq!(fs::read_to_string(house.memory_path()).unwrap(), last);
}
