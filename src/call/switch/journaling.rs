//! What is told and stored: sequence numbers, events, commits and their answers.

use serde_json::{Map, Value};

use super::core::Switch;
use super::io::{AskId, Output};
use super::live::LiveCall;
use crate::base::{CallId, Now};
use crate::call::command::{Answer, Conflict, Refusal, RefusalKind};
use crate::call::events::Source;
use crate::call::idempotency::Fingerprint;
use crate::call::journal::{Batch, CommitError, CommitId, ConfigWrite, Record};
use crate::call::pending::PendingRequest;

/// Sequence numbers reserved at a time: one synchronous write for so many events.
const SEQ_BLOCK: u64 = 4096;
/// With fewer than this left the next block is reserved.
const SEQ_LOW: u64 = 512;

/// What a commit was for.
#[derive(Debug)]
pub(super) enum CommitFor {
    /// A session was opened.
    Open(CallId),
    /// A session was closed.
    Close(CallId),
    /// A client is told when it is on disk.
    Reply { ask: AskId, answer: Box<Answer> },
    /// A request was created; it is forgotten if it cannot be stored.
    Create { ask: AskId, request: Box<PendingRequest>, key: Option<Fingerprint> },
    /// A request was deleted; it is back if that cannot be stored.
    Delete { ask: AskId, request: Box<PendingRequest> },
    /// The configuration that was asked for.
    Patch,
}

impl Switch {
    pub(super) fn seq(&mut self) -> u64 {
        if self.next_seq + SEQ_LOW >= self.reserved_seq {
            self.reserved_seq = self.next_seq + SEQ_BLOCK;
            self.records.push(Record::SeqReserved(self.reserved_seq));
            self.records_durable = true;
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// An event of the stream.
    pub(super) fn tell(
        &mut self,
        now: Now,
        call: CallId,
        name: &'static str,
        source: Source,
        payload: Value,
    ) {
        let seq = self.seq();
        let Some(live) = self.calls.get_mut(&call) else { return };
        let event = live.events.agent_event(seq, now, &mut self.rng, name, source, payload);
        self.records.push(Record::Event(event.into()));
    }

    /// An event of the session's own list.
    pub(super) fn note(&mut self, now: Now, call: CallId, name: &'static str, members: Value) {
        let seq = self.seq();
        let Some(live) = self.calls.get_mut(&call) else { return };
        let members = match members {
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        };
        let event = live.events.call_event(seq, now, name, members);
        self.records.push(Record::Event(event.into()));
    }

    /// A line of the log, when calls are logged at all (`log_calls`): never a number, never a word.
    pub(super) fn log(&self, call: CallId, what: &str) {
        let Some(live) = self.calls.get(&call).filter(|_| self.config.log_calls) else { return };
        let direction = if live.is_inbound() { "inbound" } else { "outbound" };
        log::info!(target: "callscoot::call", "{call} {direction}: {what}");
    }

    /// The session as it is now goes to disk with the next commit.
    pub(super) fn changed(&mut self, call: CallId) {
        if let Some(LiveCall { meta, .. }) = self.calls.get(&call) {
            self.records.push(Record::SessionChanged(Box::new(meta.clone())));
        }
    }

    /// Hands everything collected so far to the store, to survive a power cut, and asks for an answer.
    pub(super) fn commit(&mut self, what: CommitFor) -> CommitId {
        self.commit_with(what, None)
    }

    pub(super) fn commit_with(&mut self, what: CommitFor, config: Option<ConfigWrite>) -> CommitId {
        self.next_commit += 1;
        let commit = CommitId(self.next_commit);
        self.commits.insert(commit, what);
        self.records_durable = false;
        let records = std::mem::take(&mut self.records);
        self.outputs.push_back(Output::Commit(Batch {
            records,
            config,
            durable: true,
            acknowledge: Some(commit),
        }));
        commit
    }

    /// Hands what was only told, and promised to nobody, to the store.
    pub(super) fn flush(&mut self) {
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            let durable = std::mem::take(&mut self.records_durable);
            self.outputs.push_back(Output::Commit(Batch {
                records,
                config: None,
                durable,
                acknowledge: None,
            }));
        }
    }

    pub(super) fn committed(&mut self, now: Now, commit: CommitId, result: Result<(), CommitError>) {
        let Some(what) = self.commits.remove(&commit) else { return };
        self.store_refused = matches!(result, Err(CommitError::Storage(_)));
        match what {
            CommitFor::Open(call) => self.session_is_stored(now, call, result),
            CommitFor::Close(call) => self.close_is_stored(now, call, result),
            CommitFor::Reply { ask, answer } => {
                self.reply(ask, result.map(|()| *answer).map_err(|error| refusal_of(&error)));
            }
            CommitFor::Create { ask, request, key } => match result {
                Ok(()) => {
                    if let Some(key) = key {
                        self.ledger.answered(key);
                    }
                    self.reply(ask, Ok(Answer::Queued(request)));
                }
                Err(error) => {
                    self.free_key(key);
                    self.pending.remove(&request.request_id, now.unix_ms);
                    self.reply(ask, Err(refusal_of(&error)));
                }
            },
            CommitFor::Delete { ask, request } => match result {
                Ok(()) => self.reply(ask, Ok(Answer::Deleted(request.request_id))),
                Err(error) => {
                    // It was live a moment ago; a full list would only mean that newer ones took its place.
                    let _ = self.pending.insert(*request);
                    self.reply(ask, Err(refusal_of(&error)));
                }
            },
            CommitFor::Patch => self.config_is_stored(now, result),
        }
    }

    pub(super) fn refuse_while_stopping(&mut self, ask: AskId) {
        self.reply(ask, Err(Refusal::new(RefusalKind::Storage, "the service is stopping")));
    }
}

/// A failed commit in a client's words.
pub(super) fn refusal_of(error: &CommitError) -> Refusal {
    let kind = match error {
        CommitError::ConfigChanged => RefusalKind::Conflict(Conflict::ConfigChanged),
        CommitError::Storage(_) => RefusalKind::Storage,
    };
    Refusal::new(kind, error.to_string())
}
