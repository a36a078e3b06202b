//! Reading connections: each thread that reads has its own, and none ever waits for, or holds up, the writer.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error::StoreError;
use super::schema::{self, DATABASE_FILE};
use crate::call::idempotency::Fingerprint;
use crate::call::journal::{Event, EventKind};
use crate::call::session::SessionId;

/// A read-only view. Every call reads one consistent state of what is committed.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

/// Everything stored about one session, as JSON texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSession {
    /// The meta object.
    pub meta: String,
    /// Call events, in order.
    pub events: Vec<String>,
    /// Agent events, in order.
    pub agent_events: Vec<String>,
    /// Transcript entries, in order.
    pub transcript: Vec<String>,
}

/// What a stream has still to send, as far as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Agent events, in order.
    pub events: Vec<Event>,
    /// In a stream of all: the highest number of an event that was in it and is not kept any more; 0 before the first.
    pub pruned_seq: u64,
}

impl Reader {
    /// Opens the database that a `Writer` has made in this state directory.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { conn: schema::open_for_reading(&state_dir.join(DATABASE_FILE))? })
    }

    /// The meta objects of the newest sessions, newest first, as JSON texts.
    pub fn sessions(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT meta FROM session ORDER BY opened DESC LIMIT ?1")?
            .query_map([as_limit(limit)], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// Whether there is such a session.
    pub fn session_exists(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.rowid_of(id)?.is_some())
    }

    /// Everything about one session; `None` when there is no such one.
    pub fn session(&self, id: &str) -> Result<Option<StoredSession>, StoreError> {
        let snapshot = self.conn.unchecked_transaction()?;
        let Some(session) = self.rowid_of(id)? else { return Ok(None) };
        let meta = self
            .conn
            .prepare_cached("SELECT meta FROM session WHERE opened = ?1")?
            .query_row([session], |row| row.get(0))?;
        let stored = StoredSession {
            meta,
            events: self.events_of(session, "call")?,
            agent_events: self.events_of(session, "agent")?,
            transcript: self
                .conn
                .prepare_cached("SELECT entry FROM transcript WHERE session = ?1 ORDER BY position")?
                .query_map([session], |row| row.get(0))?
                .collect::<Result<_, _>>()?,
        };
        drop(snapshot);
        Ok(Some(stored))
    }

    /// The agent events of one session, in order; `None` when there is no such session.
    pub fn agent_events(&self, id: &str) -> Result<Option<Vec<String>>, StoreError> {
        let session = self.rowid_of(id)?;
        session.map(|session| self.events_of(session, "agent")).transpose()
    }

    /// Agent events with numbers above `after_seq`, in order, at most `limit`: what a stream of one session, or
    /// of all, has still to send.
    pub fn events_after(
        &self,
        session: Option<&SessionId>,
        after_seq: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let limit = as_limit(limit);
        // Above the largest number SQLite can hold there is no event.
        let Ok(after_seq) = i64::try_from(after_seq) else { return Ok(Page::default()) };
        let Some(id) = session else {
            let snapshot = self.conn.unchecked_transaction()?;
            let events = self
                .conn
                .prepare_cached(
                    "SELECT * FROM (
                         SELECT event.seq, session.id, event.name, event.json
                         FROM event INDEXED BY event_of_stream JOIN session ON session.opened = event.session
                         WHERE event.kind = 'agent' AND event.seq > ?1 ORDER BY event.seq LIMIT ?2)
                     UNION ALL SELECT * FROM (
                         SELECT seq, NULL, name, json FROM service_event WHERE seq > ?1 ORDER BY seq LIMIT ?2)
                     ORDER BY 1 LIMIT ?2",
                )?
                .query_map(params![after_seq, limit], agent_event)?
                .collect::<Result<_, _>>()?;
            let page = Page { events, pruned_seq: self.pruned_seq()? };
            drop(snapshot);
            return Ok(page);
        };
        let Some(session) = self.rowid_of(id.as_str())? else { return Ok(Page::default()) };
        let events = self
            .conn
            .prepare_cached(
                "SELECT seq, ?1, name, json FROM event
                 WHERE session = ?2 AND kind = 'agent' AND seq > ?3 ORDER BY seq LIMIT ?4",
            )?
            .query_map(params![id.as_str(), session, after_seq, limit], agent_event)?
            .collect::<Result<_, _>>()?;
        Ok(Page { events, pruned_seq: 0 })
    }

    /// `Page::pruned_seq` of a stream of all that begins now.
    pub fn pruned_seq(&self) -> Result<u64, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT coalesce((SELECT value FROM counter WHERE name = 'seq_pruned'), 0)")?
            .query_row([], |row| row.get(0))?)
    }

    /// Status and body of the answer that is kept under an `Idempotency-Key`.
    pub fn answer(&self, key: Fingerprint) -> Result<Option<(u16, String)>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT status, body FROM answered WHERE key = ?1")?
            .query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// The number of the newest event of any kind; 0 before the first.
    pub fn latest_seq(&self) -> Result<u64, StoreError> {
        let query = "SELECT max(coalesce((SELECT max(seq) FROM event), 0),
                                coalesce((SELECT max(seq) FROM service_event), 0))";
        Ok(self.conn.query_row(query, [], |row| row.get(0))?)
    }

    /// Ids of the sessions that a crash may have left with incomplete files: those still open, and those with
    /// one of the last `events` events.
    pub fn lately_changed(&self, events: u32) -> Result<Vec<String>, StoreError> {
        Ok(self
            .conn
            .prepare(
                "SELECT id FROM session WHERE open = 1
                 UNION SELECT session.id
                 FROM (SELECT session FROM event ORDER BY seq DESC LIMIT ?1) AS late
                 JOIN session ON session.opened = late.session",
            )?
            .query_map([events], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    fn rowid_of(&self, id: &str) -> Result<Option<i64>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT opened FROM session WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?)
    }

    fn events_of(&self, session: i64, kind: &str) -> Result<Vec<String>, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT json FROM event WHERE session = ?1 AND kind = ?2 ORDER BY seq")?
            .query_map(params![session, kind], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }
}

fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn agent_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        session: row.get::<_, Option<String>>(1)?.map(SessionId::new),
        kind: EventKind::Agent,
        name: row.get(2)?,
        json: row.get(3)?,
    })
}
