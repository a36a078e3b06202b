//! The folder of each session, for people who tail it and programs that read it: derived from the database.
//!
//! ```text
//!  STATE/calls/ID/   0700, each file 0600
//!    meta.json            replaced whole      the session as it is now
//!    events.jsonl         appended            call events, one object a line
//!    agent_events.jsonl   appended            agent events
//!    transcript.jsonl     appended, replaced whole when an entry is corrected
//!    summary.txt          once there is one
//! ```
//!
//! Whatever goes wrong here costs no call: the session is marked as stale and its files are made anew from the
//! database, with the next change and at the next start. Nothing is synced; nothing is kept open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::store::{Reader, StoreError, StoredSession};
use super::whole_file::Beside;
use crate::call::journal::{EventKind, Record};
use crate::call::session::{SessionId, SessionMeta};

/// Longest session id that gets a folder; a longer one stays in the database alone.
const ID_BYTES_MAX: usize = 128;
/// Sessions whose files are known to be stale at most; the rest is made anew at the next start, if it is recent.
const STALE_SESSIONS_MAX: usize = 1000;
/// How many of the newest events say which sessions a killed service may have left behind with stale files. It
/// lags by one group of commits.
const LATE_EVENTS: u32 = 1000;

/// The folders of all sessions.
#[derive(Debug)]
pub struct SessionFiles {
    calls: PathBuf,
    /// Lines in the transcript of each live session; one that is not here is written whole.
    transcript_lines: BTreeMap<SessionId, u32>,
    stale: BTreeSet<SessionId>,
}

/// What one group of commits adds to one session.
#[derive(Default)]
struct Additions<'a> {
    meta: Option<&'a SessionMeta>,
    opened: bool,
    events: String,
    agent_events: String,
    transcript: Vec<(u32, &'a Value)>,
}

impl SessionFiles {
    /// Makes `STATE/calls`, 0700, where it is missing.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let calls = state_dir.join("calls");
        DirBuilder::new().recursive(true).mode(0o700).create(&calls)?;
        Ok(Self { calls, transcript_lines: BTreeMap::new(), stale: BTreeSet::new() })
    }

    /// Makes the files of lately changed sessions anew where they are not what the database holds.
    pub fn catch_up(&mut self, reader: &Reader) {
        let late = reader.lately_changed(LATE_EVENTS).unwrap_or_else(|error| {
            log::error!("session files were not checked: {error}");
            Vec::new()
        });
        for id in late {
            self.rebuild(&SessionId::new(id), reader);
        }
    }

    /// Brings the files to what was just committed; `reader` sees it already.
    pub fn update<'a>(&mut self, records: impl Iterator<Item = &'a Record>, reader: &Reader) {
        let mut sessions = BTreeMap::new();
        for record in records {
            add(&mut sessions, record);
        }
        // One that failed before may succeed now, and one is little enough for a disk that is still full.
        let again = self.stale.iter().find(|id| !sessions.contains_key(*id)).cloned();
        if let Some(id) = again {
            self.rebuild(&id, reader);
        }
        for (id, additions) in &sessions {
            let Some(folder) = self.folder_of(id) else {
                if additions.opened {
                    log::warn!("a session has an id that cannot name a folder; it is in the database alone");
                }
                continue;
            };
            if self.stale.contains(id) {
                self.rebuild(id, reader);
            } else if let Err(error) = self.append(id, &folder, additions, reader) {
                self.mark_stale(id, &error);
            }
            if additions.meta.is_some_and(|meta| meta.ended_unix_ms.is_some()) {
                self.transcript_lines.remove(id);
            }
        }
    }

    fn append(
        &mut self,
        id: &SessionId,
        folder: &Path,
        additions: &Additions<'_>,
        reader: &Reader,
    ) -> Result<(), FileError> {
        if additions.opened {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            self.transcript_lines.insert(id.clone(), 0);
        }
        append_to(&folder.join("events.jsonl"), &additions.events)?;
        append_to(&folder.join("agent_events.jsonl"), &additions.agent_events)?;
        self.append_transcript(id, folder, &additions.transcript, reader)?;
        if let Some(meta) = additions.meta {
            write_meta(folder, &meta.to_json())?;
        }
        Ok(())
    }

    fn append_transcript(
        &mut self,
        id: &SessionId,
        folder: &Path,
        entries: &[(u32, &Value)],
        reader: &Reader,
    ) -> Result<(), FileError> {
        if entries.is_empty() {
            return Ok(());
        }
        let path = folder.join("transcript.jsonl");
        let known = self.transcript_lines.get(id).copied();
        let follows =
            known.is_some_and(|lines| (lines..).zip(entries).all(|(line, (index, _))| line == *index));
        let lines = if follows {
            let texts: Vec<String> = entries.iter().map(|(_, entry)| entry.to_string()).collect();
            append_to(&path, &lines_of(&texts))?;
            known.unwrap_or(0) + entries.len() as u32
        } else {
            let stored = reader.session(id.as_str())?.unwrap_or_default();
            replace(&path, &lines_of(&stored.transcript))?;
            stored.transcript.len() as u32
        };
        if known.is_some() {
            self.transcript_lines.insert(id.clone(), lines);
        }
        Ok(())
    }

    fn rebuild(&mut self, id: &SessionId, reader: &Reader) {
        let Some(folder) = self.folder_of(id) else { return };
        match reader.session(id.as_str()).map_err(FileError::from).and_then(|stored| {
            let stored = stored.unwrap_or_default();
            Ok((write_all(&folder, &stored)?, stored.transcript.len() as u32))
        }) {
            Ok((meta, lines)) => {
                self.stale.remove(id);
                if meta["ended_at_ms"].is_null() {
                    self.transcript_lines.insert(id.clone(), lines);
                }
            }
            Err(error) => self.mark_stale(id, &error),
        }
    }

    fn mark_stale(&mut self, id: &SessionId, error: &FileError) {
        if self.stale.is_empty() {
            log::error!("the files of a session are behind the database: {error}");
        }
        self.transcript_lines.remove(id);
        if self.stale.len() < STALE_SESSIONS_MAX {
            self.stale.insert(id.clone());
        }
    }

    fn folder_of(&self, id: &SessionId) -> Option<PathBuf> {
        is_folder_name(id.as_str()).then(|| self.calls.join(id.as_str()))
    }
}

/// Why files are not what they should be; without the name of the session, which holds a number.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Ids are minted here, but a caller's name is in them: nothing that could leave the folder, hide in it, or
/// surprise a shell.
fn is_folder_name(id: &str) -> bool {
    id.len() <= ID_BYTES_MAX
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_.@".contains(&byte))
}

fn add<'a>(sessions: &mut BTreeMap<SessionId, Additions<'a>>, record: &'a Record) {
    match record {
        Record::SessionOpened(meta) | Record::SessionChanged(meta) => {
            let additions = sessions.entry(meta.id.clone()).or_default();
            additions.meta = Some(meta);
            additions.opened |= matches!(record, Record::SessionOpened(_));
        }
        Record::Event(event) => {
            // What belongs to no call has no folder.
            let Some(session) = &event.session else { return };
            let additions = sessions.entry(session.clone()).or_default();
            let lines = match event.kind {
                EventKind::Call => &mut additions.events,
                EventKind::Agent => &mut additions.agent_events,
            };
            lines.push_str(&event.json);
            lines.push('\n');
        }
        Record::Transcript { session, index, entry } => {
            sessions.entry(session.clone()).or_default().transcript.push((*index, entry));
        }
        Record::SeqReserved(_)
        | Record::Pending(_)
        | Record::PendingGone { .. }
        | Record::Answered { .. }
        | Record::KeyGone(_) => {}
    }
}

/// Makes every file of a session what the database holds, and answers with its meta object. Files that are so
/// already are not touched.
fn write_all(folder: &Path, stored: &StoredSession) -> Result<Value, FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    replace(&folder.join("events.jsonl"), &lines_of(&stored.events))?;
    replace(&folder.join("agent_events.jsonl"), &lines_of(&stored.agent_events))?;
    replace(&folder.join("transcript.jsonl"), &lines_of(&stored.transcript))?;
    let meta: Value = serde_json::from_str(&stored.meta).map_err(io::Error::from)?;
    write_meta(folder, &meta)?;
    Ok(meta)
}

fn write_meta(folder: &Path, meta: &Value) -> Result<(), FileError> {
    if let Some(summary) = meta["summary"].as_str() {
        replace(&folder.join("summary.txt"), &format!("{summary}\n"))?;
    }
    replace(&folder.join("meta.json"), &format!("{meta:#}\n"))
}

fn lines_of(texts: &[String]) -> String {
    texts.iter().flat_map(|text| [text, "\n"]).collect()
}

fn append_to(path: &Path, lines: &str) -> Result<(), FileError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    Ok(file.write_all(lines.as_bytes())?)
}

/// Puts a whole new file in the place of the old one, so that nobody reads half of it; not on the disk yet.
fn replace(path: &Path, content: &str) -> Result<(), FileError> {
    let nothing_to_do = match fs::read(path) {
        Ok(old) => old == content.as_bytes(),
        Err(error) => error.kind() == io::ErrorKind::NotFound && content.is_empty(),
    };
    if nothing_to_do {
        return Ok(());
    }
    Ok(Beside::write(path, content)?.put_in_place()?)
}

#[cfg(test)]
mod tests;
