//! The store under `kill -9`: a child writes as fast as it can and is killed at any moment, again and again.
//! Whatever it was told is stored must be there at the next start.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use callscoot::base::{Metrics, Rng};
use callscoot::call::conversation::Overrides;
use callscoot::call::journal::{Batch, CommitId, ConfigWrite, Event, EventKind, Record, Recovered};
use callscoot::call::pending::PendingRequest;
use callscoot::call::session::{Direction, Phase, SessionId, SessionMeta};
use callscoot::port::config_file::{self, ConfigFile};
use callscoot::port::session_files::SessionFiles;
use callscoot::port::store::{Reader, SERVICE_EVENTS_MAX, Writer};
use callscoot::run::bus::Bus;
use callscoot::run::store::{Parts, spawn};
use callscoot::sys::clock;
use callscoot::sys::thread::Spawner;
use serde_json::{Map, Value, json};

/// Set for the child: the state directory it writes to.
const STATE_DIR: &str = "CALLSCOOT_TEST_CRASH_STATE_DIR";
const ROUNDS: u32 = 40;
/// What a child sends at most: its answers must fit into a pipe that nobody reads meanwhile.
const BATCHES_MAX: u64 = 4000;
/// Batches on their way at once, so that groups form.
const ON_THE_WAY: u64 = 16;
/// Answers that are waited for at most before a child is killed.
const ANSWERS_MAX: u32 = 120;
/// Batches whose numbers are reserved together.
const SEQ_BLOCK: u64 = 64;
/// Events of no call in each batch: so many that the oldest of them go before a child does.
const OF_NO_CALL: u64 = 20;
const PADDING: usize = 5000;

/// The number of the event of the session in batch `n`; those of no call follow.
fn seq_of(base: u64, n: u64) -> u64 {
    base + n * (1 + OF_NO_CALL)
}

/// The numbers of the events of no call in that batch.
fn of_no_call(base: u64, n: u64) -> RangeInclusive<u64> {
    seq_of(base, n) + 1..=seq_of(base, n) + OF_NO_CALL
}

/// Batch `n` of a run that began with number `base`; everything in it follows from the two.
fn batch(base: u64, n: u64) -> Batch {
    let session = SessionId::new(format!("s{base}"));
    let seq = seq_of(base, n);
    let mut records = Vec::new();
    if n.is_multiple_of(SEQ_BLOCK) {
        records.push(Record::SeqReserved(seq_of(base, n + SEQ_BLOCK)));
    }
    if n == 0 {
        records.push(Record::SessionOpened(meta(&session)));
    }
    let event = |session, seq: u64| {
        let json = seq.to_string();
        Record::Event(Arc::new(Event { seq, session, kind: EventKind::Agent, name: "said".into(), json }))
    };
    records.push(event(Some(session.clone()), seq));
    records.extend(of_no_call(base, n).map(|seq| event(None, seq)));
    records.push(Record::Transcript { session, index: n as u32, entry: json!(n) });
    if n.is_multiple_of(5) {
        records.push(Record::Pending(Box::new(request(seq))));
    }
    let config = n
        .is_multiple_of(7)
        .then(|| ConfigWrite { text: json!({ "count": seq, "padding": "x".repeat(PADDING) }).to_string() });
    Batch { records, config, durable: n.is_multiple_of(3), acknowledge: Some(CommitId(n)) }
}

fn meta(id: &SessionId) -> Box<SessionMeta> {
    Box::new(SessionMeta {
        phase: Phase::Active,
        ..SessionMeta::new(id.clone(), Direction::Outbound, clock::now().unix_ms)
    })
}

fn request(seq: u64) -> PendingRequest {
    PendingRequest {
        request_id: format!("p{seq}"),
        target_number: None,
        dynamic_variables: Map::new(),
        metadata: Map::new(),
        created_unix_ms: 0,
        expires_unix_ms: i64::MAX,
        consumed: false,
        claimed_unix_ms: None,
        claimed_session_id: None,
        agent_id: None,
        overrides: Overrides::default(),
    }
}

/// Not a test of its own: the child of the test below, which kills it.
#[test]
fn child() {
    let Some(state_dir) = env::var_os(STATE_DIR) else { return };
    let state_dir = Path::new(&state_dir);
    let (writer, Recovered { next_seq: base, .. }) = Writer::open(state_dir, clock::now()).unwrap();
    let config_path = state_dir.join("config.json");
    let (_, seen) = config_file::read(&config_path).unwrap();
    let parts = Parts {
        writer,
        files: SessionFiles::open(state_dir).unwrap(),
        config: ConfigFile::new(config_path, Some(seen)),
        phone_memory: state_dir.join("phones.json"),
        bus: Bus::default(),
        metrics: Metrics::new().unwrap(),
    };
    let (told, answers) = crossbeam_channel::unbounded();
    let tell = move |CommitId(n), result| {
        assert_eq!(result, Ok(()));
        println!("stored {n}");
        told.send(n).unwrap();
    };
    let (deaths, _keep) = crossbeam_channel::unbounded();
    let (store, thread) = spawn(&Spawner::new(deaths), parts, tell).unwrap();
    println!("base {base}");
    for n in 0..BATCHES_MAX {
        store.send(batch(base, n)).unwrap();
        if n >= ON_THE_WAY {
            answers.recv().unwrap();
        }
    }
    // Whoever kills this has time to do so.
    let _ = crossbeam_channel::after(Duration::from_secs(60)).recv();
    drop(store);
    thread.join().unwrap();
}

/// What the child said before it died.
#[derive(Debug, Default)]
struct Said {
    base: Option<u64>,
    stored: Vec<u64>,
}

fn listen(said: &mut Said, line: &str) {
    if let Some(base) = line.strip_prefix("base ") {
        said.base = Some(base.parse().unwrap());
    } else if let Some(n) = line.strip_prefix("stored ") {
        said.stored.push(n.parse().unwrap());
    }
}

fn start(state_dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(STATE_DIR, state_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// Lets a child write and kills it: in even rounds a moment after some number of answers, however slow the
/// machine; in odd ones at any time, perhaps before the database is open.
fn run_and_kill(state_dir: &Path, round: u32, rng: &mut Rng) -> Said {
    let mut said = Said::default();
    let (mut child, mut stdout) = start(state_dir);
    let delay_us = if round.is_multiple_of(2) {
        let answers = rng.below(ANSWERS_MAX) as usize;
        while said.stored.len() < answers {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child ended by itself");
            listen(&mut said, line.trim_end());
        }
        // At once, every second time: so that an answer that comes too early is caught.
        if round.is_multiple_of(4) { 0 } else { rng.below(5_000) }
    } else {
        rng.below(60_000)
    };
    let delay = Duration::from_micros(u64::from(delay_us));
    if !delay.is_zero() {
        let _ = crossbeam_channel::after(delay).recv();
    }
    child.kill().unwrap();
    assert!(child.wait().unwrap().code().is_none(), "the child ended by itself");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    // The last line may be cut: then nobody was told.
    let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
    whole.lines().for_each(|line| listen(&mut said, line));
    said
}

/// The newest are there, and how far the others are gone is known to the number.
fn check_those_of_no_call(reader: &Reader, base: u64, batches: u64) {
    let page = reader.events_after(None, 0, usize::MAX).unwrap();
    let kept: Vec<u64> =
        page.events.iter().filter(|event| event.session.is_none()).map(|event| event.seq).collect();
    let sent: Vec<u64> = (0..batches).flat_map(|n| of_no_call(base, n)).collect();
    let of_this_run: Vec<u64> = kept.iter().copied().filter(|seq| *seq >= base).collect();
    assert!(sent.ends_with(&of_this_run), "not the newest");
    assert!(of_this_run.len() == sent.len().min(SERVICE_EVENTS_MAX as usize), "{}", of_this_run.len());
    if sent.len() > of_this_run.len() {
        assert_eq!(page.pruned_seq, sent[sent.len() - of_this_run.len() - 1]);
    }
    assert!(page.pruned_seq < kept[0]);
}

fn check(state_dir: &Path, said: &Said, next_seq_before: u64) -> u64 {
    let (writer, recovered) = Writer::open(state_dir, clock::now()).unwrap();
    assert!(recovered.next_seq >= next_seq_before, "numbers went back");
    let reader = writer.reader().unwrap();
    assert!(reader.latest_seq().unwrap() < recovered.next_seq);
    let (config, _) = config_file::read(&state_dir.join("config.json")).unwrap();
    let config_count = config.get("count").and_then(Value::as_u64);
    if let Some(padding) = config.get("padding") {
        assert_eq!(padding.as_str().unwrap().len(), PADDING);
    }
    SessionFiles::open(state_dir).unwrap().catch_up(&reader);
    let Some(base) = said.base else { return recovered.next_seq };
    assert!(base >= next_seq_before);
    let Some(last) = said.stored.iter().max().copied() else { return recovered.next_seq };

    let id = format!("s{base}");
    let stored = reader.session(&id).unwrap().unwrap();
    let count = stored.agent_events.len() as u64;
    assert!(count > last, "{count} events are stored, the answer to number {last} was given");
    for (n, (event, entry)) in (0..).zip(stored.agent_events.iter().zip(&stored.transcript)) {
        assert_eq!((event, entry), (&seq_of(base, n).to_string(), &n.to_string()));
    }
    assert_eq!(stored.transcript.len() as u64, count, "half a batch");
    for n in (0..count).step_by(5) {
        assert!(recovered.pending.contains(&request(seq_of(base, n))), "request {n} of {count} is missing");
    }
    let next_id = format!("p{}", seq_of(base, count));
    assert!(!recovered.pending.iter().any(|request| request.request_id == next_id));
    assert!(config_count >= Some(seq_of(base, last - last % 7)), "the configuration went back");
    check_those_of_no_call(&reader, base, count);
    assert!(recovered.open_sessions.iter().any(|session| session.id.as_str() == id));
    let file = state_dir.join("calls").join(&id).join("agent_events.jsonl");
    let lines: Vec<String> = fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines, stored.agent_events);
    recovered.next_seq
}

#[test]
fn nothing_that_was_answered_is_lost_when_the_service_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = Rng::from_u64(1);
    let mut next_seq = 1;
    let (mut answered, mut rounds_with_answers) = (0, 0);
    for round in 0..ROUNDS {
        let said = run_and_kill(folder.path(), round, &mut rng);
        next_seq = check(folder.path(), &said, next_seq);
        answered += said.stored.len();
        rounds_with_answers += u32::from(!said.stored.is_empty());
    }
    println!("{answered} answers in {rounds_with_answers} of {ROUNDS} runs, next number {next_seq}");
    assert!(
        rounds_with_answers >= ROUNDS / 4 && answered > 100,
        "the children were killed too early to tell"
    );
}
