//! The start: what the last run left, and what to do with a database that is damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::Connection;
use serde_json::{Map, Value};

use super::error::StoreError;
use super::schema;
use crate::base::time::rfc3339_seconds;
use crate::base::{Now, Pii};
use crate::call::events::agent_event;
use crate::call::guard::Talked;
use crate::call::idempotency::{Answered, Fingerprint, Keyed};
use crate::call::journal::{OpenSession, Recovered};
use crate::call::phones::PhoneName;
use crate::call::session::SessionId;

/// Session ids given back at the start: those that a clock which jumped back could mint again.
const RECENT_SESSIONS_MAX: u32 = 1000;
/// Outbound calls of a day given back at the start: far above any budget, and above it the guard refuses anyway.
const OUTBOUND_STARTS_MAX: u32 = 10_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Calls that began earlier do not count any more, however long they were: a call over a whole day is a fault.
const TALKED_SINCE_MS: i64 = 2 * DAY_MS;
/// Up to this size a database is checked page by page after a crash (tens of milliseconds on a Pi). A larger one
/// would hold up the start; its damage shows when the damaged page is read.
const CHECKED_BYTES_MAX: u64 = 8 << 20;

/// Everything the switch needs to go on where the last run ended.
pub(super) fn recovered(conn: &Connection, now: Now) -> Result<Recovered, StoreError> {
    let next_seq = conn.query_row(
        "SELECT max(1, coalesce((SELECT value FROM counter WHERE name = 'seq_reserved'), 0),
                    coalesce((SELECT max(seq) + 1 FROM event), 0),
                    coalesce((SELECT max(seq) + 1 FROM service_event), 0))",
        [],
        |row| row.get(0),
    )?;
    let mut pending = Vec::new();
    for text in texts(conn, "SELECT request FROM pending ORDER BY arrived")? {
        match serde_json::from_str(&text) {
            Ok(request) => pending.push(request),
            Err(error) => log::error!("a stored pending request cannot be read and is passed over: {error}"),
        }
    }
    Ok(Recovered {
        next_seq,
        pending,
        answered: conn
            .prepare("SELECT key, request, expires_unix_ms, octet_length(body) FROM answered")?
            .query_map([], |row| {
                let keyed = Keyed { key: Fingerprint(row.get(0)?), request: Fingerprint(row.get(1)?) };
                Ok(Answered { keyed, expires_unix_ms: row.get(2)?, answer_bytes: row.get(3)? })
            })?
            .collect::<Result<_, _>>()?,
        open_sessions: open_sessions(conn)?,
        phones_here: phones_here(conn)?,
        outbound_started_unix_ms: conn
            .prepare(
                "SELECT started_unix_ms FROM session WHERE direction = 'outbound' AND started_unix_ms > ?1
                 ORDER BY started_unix_ms LIMIT ?2",
            )?
            .query_map((now.unix_ms.saturating_sub(DAY_MS), OUTBOUND_STARTS_MAX), |row| row.get(0))?
            .collect::<Result<_, _>>()?,
        outbound_talked: outbound_talked(conn, now)?,
        recent_session_ids: conn
            .prepare("SELECT id FROM session ORDER BY opened DESC LIMIT ?1")?
            .query_map([RECENT_SESSIONS_MAX], |row| Ok(SessionId::new(row.get::<_, String>(0)?)))?
            .collect::<Result<_, _>>()?,
    })
}

/// When outbound calls were answered, as far as that is within the last 24 hours. A call that was cut by a crash lasted
/// to the last words that are known of it, a minute at least.
fn outbound_talked(conn: &Connection, now: Now) -> Result<Vec<Talked>, StoreError> {
    let rows = conn
        .prepare(
            "SELECT answered, CASE WHEN ended IS NULL OR reason = 'recovered_after_crash'
                 THEN max(answered + 60000, coalesce((SELECT max(json_extract(entry, '$.ts_ms')) FROM transcript
                                                      WHERE session = opened), 0))
                 ELSE ended END
             FROM (SELECT opened, json_extract(meta, '$.offhook_started_at_ms') AS answered,
                          json_extract(meta, '$.ended_at_ms') AS ended, json_extract(meta, '$.end_reason') AS reason
                   FROM session WHERE direction = 'outbound' AND started_unix_ms > ?1
                   ORDER BY started_unix_ms LIMIT ?2)
             WHERE typeof(answered) = 'integer'",
        )?
        .query_map((now.unix_ms.saturating_sub(TALKED_SINCE_MS), OUTBOUND_STARTS_MAX), |row| {
            Ok(Talked { from_unix_ms: row.get(0)?, to_unix_ms: row.get(1)? })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter(|talked| talked.counts(now.unix_ms)).collect())
}

/// Phones that clients believe to be connected: what was told of them last and is kept.
fn phones_here(conn: &Connection) -> Result<Vec<PhoneName>, StoreError> {
    // Of the newest event in a group, as SQLite promises for `max`.
    let rows: Vec<(String, Option<String>, Option<String>, u64)> = conn
        .prepare(
            "SELECT name, CAST(json_extract(json, '$.payload.address') AS TEXT) AS phone,
                    CAST(json_extract(json, '$.payload.name') AS TEXT), max(seq)
             FROM service_event WHERE json_valid(json) GROUP BY phone ORDER BY max(seq)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let here = rows.into_iter().filter(|(event, ..)| event != agent_event::PHONE_DISCONNECTED);
    Ok(here
        .filter_map(|(_, address, name, _)| {
            Some(PhoneName { address: address?.parse().ok()?, name: Pii(name.unwrap_or_default()) })
        })
        .collect())
}

fn open_sessions(conn: &Connection) -> Result<Vec<OpenSession>, StoreError> {
    let rows: Vec<(i64, String, String)> = conn
        .prepare("SELECT opened, id, meta FROM session WHERE open = 1 ORDER BY opened")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut sessions = Vec::new();
    for (opened, id, meta) in rows {
        let transcript: Vec<String> = conn
            .prepare_cached("SELECT entry FROM transcript WHERE session = ?1 ORDER BY position")?
            .query_map([opened], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        sessions.push(OpenSession {
            id: SessionId::new(id),
            meta: serde_json::from_str(&meta).unwrap_or_else(|error| {
                log::error!("the meta object of an open session cannot be read: {error}");
                Map::new()
            }),
            transcript: transcript
                .iter()
                .map(|entry| serde_json::from_str(entry).unwrap_or(Value::Null))
                .collect(),
        });
    }
    Ok(sessions)
}

fn texts(conn: &Connection, query: &str) -> Result<Vec<String>, StoreError> {
    Ok(conn.prepare(query)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Deletes the requests and the answers whose time has passed.
pub(super) fn sweep(conn: &Connection, now: Now) -> Result<(), StoreError> {
    conn.execute("DELETE FROM pending WHERE expires_unix_ms <= ?1", [now.unix_ms])?;
    conn.execute("DELETE FROM answered WHERE expires_unix_ms <= ?1", [now.unix_ms])?;
    Ok(())
}

/// Whether the last writer was killed: one that ends in order leaves no log.
pub(super) fn ended_in_disorder(path: &Path) -> bool {
    fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// Reads every page of a database that is small enough, and answers with the first damage.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    if fs::metadata(path).map_err(StoreError::file(path))?.len() > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged(verdict)) }
}

/// An event number beyond all that a damaged database can have used. Where its counter cannot be read any more,
/// milliseconds of the clock serve: no line makes a thousand events a second for its whole life. The file's own
/// time stands in for a clock that is behind, as a Pi's is at boot.
pub(super) fn seq_beyond(path: &Path, now: Now) -> u64 {
    let counter = schema::open_for_reading(path).ok().and_then(|conn| {
        conn.query_row("SELECT value FROM counter WHERE name = 'seq_reserved'", [], |row| row.get(0)).ok()
    });
    let modified = fs::metadata(path).and_then(|file| file.modified()).ok();
    let modified_ms = modified
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_millis() as u64);
    counter.unwrap_or(0).max(modified_ms).max(u64::try_from(now.unix_ms).unwrap_or(0))
}

/// Renames the database, with its log, to a name that says when; never over an older one.
pub(super) fn move_aside(path: &Path, now: Now) -> Result<PathBuf, StoreError> {
    let stamp = rfc3339_seconds(now.unix_ms).replace([':', '-'], "");
    let mut aside = with_suffix(path, &format!(".broken-{stamp}"));
    let mut count = 1;
    while aside.exists() {
        count += 1;
        aside = with_suffix(path, &format!(".broken-{stamp}-{count}"));
    }
    fs::rename(path, &aside).map_err(StoreError::file(path))?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file(&with_suffix(path, suffix))(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
