//! What can go wrong with the database; no text of a person is in any message.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// The database cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock of this state directory.
    #[error("another callscoot service is using {}; stop it, or give this one its own state directory", .0.display())]
    InUse(PathBuf),
    /// The schema is newer than this program.
    #[error(
        "the database has schema {found}, this callscoot knows only up to {known}; install the newer one again"
    )]
    Newer {
        /// `user_version` of the file.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// A file or folder of the state directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system cannot hold a write-ahead log (some network shares cannot).
    #[error("the state directory is on a file system that SQLite cannot use for its write-ahead log")]
    NoWal,
    /// What SQLite said.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// `PRAGMA quick_check` found damage.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Whether the file itself is broken, so that only another file helps.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            Self::InUse(_) | Self::Newer { .. } | Self::File { .. } | Self::NoWal => false,
        }
    }
}

/// Why a batch was not stored. Nothing of it is in the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It contradicts what is stored, and would again: a session id that exists, an event of an unknown session.
    #[error("refused: {0}")]
    Refused(String),
    /// The disk is full, read-only or broken; the same batch may succeed later.
    #[error("{0}")]
    Storage(String),
}

impl From<rusqlite::Error> for BatchError {
    fn from(error: rusqlite::Error) -> Self {
        // Without a code it was not SQLite that failed but the value: a number beyond what it can hold.
        let refused = matches!(
            error.sqlite_error_code(),
            None | Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
        );
        if refused { Self::Refused(error.to_string()) } else { Self::Storage(error.to_string()) }
    }
}
