//! Opening the file: its rights, its pragmas, its schema.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::StoreError;

/// The database in the state directory.
pub(super) const DATABASE_FILE: &str = "callscoot.db";

/// One step for each released schema; step `n` leads to `user_version` `n + 1`. A step never changes once released.
pub(super) const MIGRATIONS: [&str; 3] =
    [include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql")];

/// How long the writer waits for another writing program, a person's `sqlite3` say. Then the commit fails.
const WRITER_BUSY: Duration = Duration::from_secs(1);
/// How long a reader waits; only a checkpoint at the very end of a log can make it.
const READER_BUSY: Duration = Duration::from_secs(1);

// A log of 4 MiB before it is copied into the database: few, large writes for an SD card. A burst may grow the
// file further; afterwards it is cut back to twice that.
const WAL_PAGES_BEFORE_CHECKPOINT: u32 = 1000;
const WAL_FILE_BYTES_MAX: u32 = 8 << 20;
const WRITER_CACHE_KIB: i32 = 1024;
const READER_CACHE_KIB: i32 = 256;

/// Creates the folder and its parents for this user alone; one that exists keeps its rights.
pub(super) fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::file(path))
}

/// Opens or creates a file for this user alone; one that others could read is closed to them.
pub(super) fn open_private_file(path: &Path) -> Result<fs::File, StoreError> {
    let open = || -> io::Result<fs::File> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    };
    open().map_err(StoreError::file(path))
}

/// The writing connection, with the schema brought up to date.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    // SQLite gives the log and its index the rights of the database.
    drop(open_private_file(path)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(WRITER_BUSY)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::NoWal);
    }
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_BEFORE_CHECKPOINT)?;
    conn.pragma_update(None, "journal_size_limit", WAL_FILE_BYTES_MAX)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.set_prepared_statement_cache_capacity(32);
    migrate(&mut conn, &MIGRATIONS)?;
    Ok(conn)
}

/// A connection that can only read and never holds up the writer.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(READER_BUSY)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    Ok(conn)
}

/// Takes the steps that the file has not yet seen, each in a transaction with its version number.
fn migrate(conn: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let found: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = steps.len() as u32;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, step) in (1..).zip(steps).skip(found as usize) {
        let step_transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step_transaction.execute_batch(step)?;
        step_transaction.pragma_update(None, "user_version", version)?;
        step_transaction.commit()?;
        if found > 0 {
            log::info!("database migrated to schema {version}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_of(conn: &Connection) -> u32 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn migrations_go_forward_from_where_the_file_stands_and_only_once() {
        let mut conn = Connection::open_in_memory().unwrap();
        let first = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);";
        let second = "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;";
        migrate(&mut conn, &[first]).unwrap();
        assert_eq!(version_of(&conn), 1);
        migrate(&mut conn, &[first, second]).unwrap();
        migrate(&mut conn, &[first, second]).unwrap();
        assert_eq!(version_of(&conn), 2);
        let row: (i64, i64) =
            conn.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (1, 2));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_at_the_version_before_it() {
        let mut conn = Connection::open_in_memory().unwrap();
        let half = "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);";
        assert!(migrate(&mut conn, &["CREATE TABLE a (x INTEGER) STRICT;", half]).is_err());
        assert_eq!(version_of(&conn), 1);
        assert!(conn.prepare("SELECT x FROM b").is_err());
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_and_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "user_version", 9).unwrap();
        assert!(matches!(
            migrate(&mut conn, &MIGRATIONS),
            Err(StoreError::Newer { found: 9, known }) if known == MIGRATIONS.len() as u32
        ));
        assert_eq!(version_of(&conn), 9);
    }

    #[test]
    fn a_listing_of_events_never_scans_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open_for_writing(&folder.path().join(DATABASE_FILE)).unwrap();
        for (query, index) in [
            ("SELECT json FROM event WHERE session = 1 AND kind = 'agent' ORDER BY seq", "event_of_session"),
            (
                "SELECT json FROM event WHERE kind = 'agent' AND seq > 5 ORDER BY seq LIMIT 9",
                "event_of_stream",
            ),
            (
                "SELECT json FROM service_event WHERE seq > 5 ORDER BY seq LIMIT 9",
                "USING INTEGER PRIMARY KEY",
            ),
            ("SELECT seq FROM service_event ORDER BY seq DESC LIMIT 1 OFFSET 1000", "service_event"),
            ("SELECT meta FROM session ORDER BY opened DESC LIMIT 20", "session"),
            ("SELECT id FROM session WHERE open = 1 ORDER BY opened", "session_open"),
        ] {
            let plan: Vec<String> = conn
                .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
                .unwrap()
                .query_map([], |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(
                plan.iter().all(|step| step.contains(index) && !step.contains("TEMP B-TREE")),
                "{plan:?}"
            );
        }
    }
}
