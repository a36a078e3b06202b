//! The one writing connection: groups of batches, each batch all or none.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};
use rustix::fs::{FlockOperation, flock};

use super::error::{BatchError, StoreError};
use super::schema::{self, DATABASE_FILE};
use super::{Reader, recover};
use crate::base::Now;
use crate::call::journal::{Batch, Event, EventKind, Record, Recovered};
use crate::call::pending::PendingRequest;
use crate::call::session::{Direction, SessionId, SessionMeta};

const LOCK_FILE: &str = "callscoot.lock";
/// Events of no call that are kept: hours of a phone that is never the same. The oldest goes for a new one.
pub const SERVICE_EVENTS_MAX: u32 = 1000;

/// The only connection that writes. While it lives no other process can open one on the same state directory.
#[derive(Debug)]
pub struct Writer {
    conn: Connection,
    state_dir: PathBuf,
    /// `synchronous` as it is set now.
    full: bool,
    _lock: std::fs::File,
}

impl Writer {
    /// Opens the database of `state_dir`, creating both where they are missing (0700, 0600), and says what the
    /// last run left. A database that is damaged is moved aside as `callscoot.db.broken-TIME` with a loud
    /// log line, and a new one begins, with event numbers beyond all that the old one can have used.
    pub fn open(state_dir: &Path, now: Now) -> Result<(Self, Recovered), StoreError> {
        schema::create_private_dir(state_dir)?;
        let lock_path = state_dir.join(LOCK_FILE);
        let lock = schema::open_private_file(&lock_path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => StoreError::InUse(state_dir.to_owned()),
            other => StoreError::file(&lock_path)(other.into()),
        })?;
        let path = state_dir.join(DATABASE_FILE);
        let (conn, recovered) = match Self::open_database(&path, now) {
            Err(error) if error.is_damage() => {
                let first_seq = recover::seq_beyond(&path, now);
                let aside = recover::move_aside(&path, now)?;
                log::error!(
                    "{error}; it was moved to {} and a new, empty database begins. \
                     `sqlite3 FILE .recover` may still read the old one",
                    aside.display()
                );
                let conn = schema::open_for_writing(&path)?;
                reserve_seq(&conn, first_seq)?;
                // Whoever resumes from before has lost what came after it.
                raise(&conn, "seq_pruned", first_seq.saturating_sub(1))?;
                let recovered = recover::recovered(&conn, now)?;
                (conn, recovered)
            }
            opened => opened?,
        };
        Ok((Self { conn, state_dir: state_dir.to_owned(), full: false, _lock: lock }, recovered))
    }

    fn open_database(path: &Path, now: Now) -> Result<(Connection, Recovered), StoreError> {
        let after_a_crash = recover::ended_in_disorder(path);
        let conn = schema::open_for_writing(path)?;
        if after_a_crash {
            recover::check(&conn, path)?;
        }
        recover::sweep(&conn, now)?;
        let recovered = recover::recovered(&conn, now)?;
        Ok((conn, recovered))
    }

    /// Stores the group in one transaction, synced to the disk when one of its batches is durable or reserves
    /// numbers. A batch that is refused leaves nothing behind and does not touch the others; when the storage
    /// itself fails, nothing of the group is stored.
    pub fn commit(&mut self, batches: &[Batch]) -> Vec<Result<(), BatchError>> {
        match self.try_commit(batches) {
            Ok(results) => results,
            Err(error) => {
                if !self.conn.is_autocommit() {
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                vec![Err(BatchError::Storage(error.to_string())); batches.len()]
            }
        }
    }

    fn try_commit(&mut self, batches: &[Batch]) -> Result<Vec<Result<(), BatchError>>, BatchError> {
        self.set_full(batches.iter().any(must_be_synced))?;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            self.conn.execute_batch("SAVEPOINT batch")?;
            let result = batch.records.iter().try_for_each(|record| apply(&self.conn, record));
            match &result {
                Ok(()) => {}
                Err(BatchError::Refused(_)) => self.conn.execute_batch("ROLLBACK TO batch")?,
                // The transaction may be gone already; in any case the whole group fails.
                Err(storage @ BatchError::Storage(_)) => return Err(storage.clone()),
            }
            self.conn.execute_batch("RELEASE batch")?;
            results.push(result);
        }
        self.conn.execute_batch("COMMIT")?;
        Ok(results)
    }

    fn set_full(&mut self, full: bool) -> Result<(), BatchError> {
        if full != self.full {
            self.conn.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" })?;
            self.full = full;
        }
        Ok(())
    }

    /// A reader of the same database.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.state_dir)
    }

    /// Empties the log into the database, synced: the last act of a run that ends in order.
    pub fn close(self) -> Result<(), StoreError> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.conn.close().map_err(|(_, error)| error.into())
    }

    /// Makes the database as full as a disk can be: no page beyond those in use, plus `spare`.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, spare: Option<u32>) {
        let used: u32 = self.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = spare.map_or(i64::from(u32::MAX) - 1, |spare| i64::from(used + spare));
        self.conn.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(())).unwrap();
    }
}

fn must_be_synced(batch: &Batch) -> bool {
    batch.durable || batch.records.iter().any(|record| matches!(record, Record::SeqReserved(_)))
}

fn apply(conn: &Connection, record: &Record) -> Result<(), BatchError> {
    match record {
        Record::SeqReserved(end) => Ok(reserve_seq(conn, *end)?),
        Record::SessionOpened(meta) => open_session(conn, meta),
        Record::SessionChanged(meta) => change_session(conn, meta),
        Record::Event(event) => insert_event(conn, event),
        Record::Transcript { session, index, entry } => {
            let session = rowid_of(conn, session)?;
            conn.prepare_cached(
                "INSERT INTO transcript (session, position, entry) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET entry = excluded.entry",
            )?
            .execute(params![session, index, entry.to_string()])?;
            Ok(())
        }
        Record::Pending(request) => put_pending(conn, request),
        Record::PendingGone { request_id } => delete_pending(conn, request_id),
        Record::Answered { keyed, expires_unix_ms, status, body } => {
            conn.prepare_cached(
                "INSERT INTO answered (key, request, expires_unix_ms, status, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET request = excluded.request, expires_unix_ms = excluded.expires_unix_ms,
                 status = excluded.status, body = excluded.body",
            )?
            .execute(params![keyed.key.0, keyed.request.0, expires_unix_ms, status, body])?;
            Ok(())
        }
        Record::KeyGone(key) => {
            conn.prepare_cached("DELETE FROM answered WHERE key = ?1")?.execute([key.0])?;
            Ok(())
        }
    }
}

fn reserve_seq(conn: &Connection, end: u64) -> rusqlite::Result<()> {
    raise(conn, "seq_reserved", end)
}

/// A counter never goes back.
fn raise(conn: &Connection, counter: &str, value: u64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO counter (name, value) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute(params![counter, value])?;
    Ok(())
}

fn direction_text(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn open_session(conn: &Connection, meta: &SessionMeta) -> Result<(), BatchError> {
    conn.prepare_cached(
        "INSERT INTO session (id, started_unix_ms, direction, open, meta) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        meta.id.as_str(),
        meta.started_unix_ms,
        direction_text(meta.direction),
        meta.ended_unix_ms.is_none(),
        meta.to_json().to_string(),
    ])?;
    Ok(())
}

fn change_session(conn: &Connection, meta: &SessionMeta) -> Result<(), BatchError> {
    let changed = conn
        .prepare_cached("UPDATE session SET open = ?2, meta = ?3 WHERE id = ?1")?
        .execute(params![meta.id.as_str(), meta.ended_unix_ms.is_none(), meta.to_json().to_string()])?;
    if changed == 1 { Ok(()) } else { Err(unknown_session()) }
}

fn insert_event(conn: &Connection, event: &Event) -> Result<(), BatchError> {
    let kind = match event.kind {
        EventKind::Call => "call",
        EventKind::Agent => "agent",
    };
    let Some(session) = &event.session else { return insert_service_event(conn, event) };
    let session = rowid_of(conn, session)?;
    conn.prepare_cached("INSERT INTO event (seq, session, kind, name, json) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![event.seq, session, kind, event.name, event.json])?;
    Ok(())
}

/// One of no call; then the oldest goes, if there are too many.
fn insert_service_event(conn: &Connection, event: &Event) -> Result<(), BatchError> {
    if event.kind != EventKind::Agent {
        return Err(BatchError::Refused("a call event without its call".into()));
    }
    conn.prepare_cached("INSERT INTO service_event (seq, name, json) VALUES (?1, ?2, ?3)")?
        .execute(params![event.seq, event.name, event.json])?;
    let pruned: Option<u64> = conn
        .prepare_cached("SELECT seq FROM service_event ORDER BY seq DESC LIMIT 1 OFFSET ?1")?
        .query_row([SERVICE_EVENTS_MAX], |row| row.get(0))
        .optional()?;
    if let Some(seq) = pruned {
        conn.prepare_cached("DELETE FROM service_event WHERE seq <= ?1")?.execute([seq])?;
        raise(conn, "seq_pruned", seq)?;
    }
    Ok(())
}

fn rowid_of(conn: &Connection, session: &SessionId) -> Result<i64, BatchError> {
    conn.prepare_cached("SELECT opened FROM session WHERE id = ?1")?
        .query_row([session.as_str()], |row| row.get(0))
        .optional()?
        .ok_or_else(unknown_session)
}

fn unknown_session() -> BatchError {
    BatchError::Refused("its session was never opened".into())
}

/// A consumed request is in the meta of the session that claimed it, so it needs no row of its own.
fn put_pending(conn: &Connection, request: &PendingRequest) -> Result<(), BatchError> {
    if request.consumed {
        return delete_pending(conn, &request.request_id);
    }
    let text = serde_json::to_string(request).map_err(|error| BatchError::Refused(error.to_string()))?;
    conn.prepare_cached(
        "INSERT INTO pending (request_id, expires_unix_ms, request) VALUES (?1, ?2, ?3)
         ON CONFLICT (request_id) DO UPDATE
         SET expires_unix_ms = excluded.expires_unix_ms, request = excluded.request",
    )?
    .execute(params![request.request_id, request.expires_unix_ms, text])?;
    Ok(())
}

fn delete_pending(conn: &Connection, request_id: &str) -> Result<(), BatchError> {
    conn.prepare_cached("DELETE FROM pending WHERE request_id = ?1")?.execute([request_id])?;
    Ok(())
}
