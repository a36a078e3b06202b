//! The database of the service: one SQLite file, one writing connection, as many reading ones as there are readers.
//!
//! For: sessions, events, transcripts, pending requests, answers to be repeated; recovery at the start; the schema and
//! its migrations.
//! Not for: the files people tail (`port::session_files`), the thread that writes (`run::store`), decisions.
//!
//! ```text
//!  STATE/callscoot.db       0600, WAL; a broken one is moved to callscoot.db.broken-TIME, never deleted
//!  STATE/callscoot.lock     locked while a writer lives, so that two services never write one state
//!
//!   counter(name, value)                    seq_reserved: event numbers below it may have been seen
//!                                           seq_pruned: the highest one of a service event that is not kept any more
//!   session(opened, id, open, …, meta)      `opened` counts insertions: the order of sessions, whatever the clock did
//!     ├─ event(seq, session, kind, name, json)
//!     └─ transcript(session, position, entry)
//!   service_event(seq, name, json)          agent events that belong to no call: the newest
//!   pending(arrived, request_id, expires, request)
//!   answered(key, request, expires, status, body)   requests under an Idempotency-Key, and their answers
//! ```

mod error;
mod reader;
mod recover;
mod schema;
mod writer;

pub use error::{BatchError, StoreError};
pub use reader::{Page, Reader, StoredSession};
pub use writer::{SERVICE_EVENTS_MAX, Writer};

#[cfg(test)]
mod tests;
