//! Requests under an `Idempotency-Key`: done once, answered as often as they come.

use super::core::Switch;
use super::io::AskId;
use crate::base::Now;
use crate::call::api::Response;
use crate::call::command::{Answer, Conflict, Refusal, RefusalKind};
use crate::call::idempotency::{Fingerprint, KeyRefused, Keyed, Turn, expires_unix_ms};
use crate::call::journal::Record;

impl Switch {
    /// Whether a request shall be done; otherwise the client has its answer.
    pub(super) fn is_first(&mut self, now: Now, ask: AskId, keyed: Option<Keyed>) -> bool {
        let Some(keyed) = keyed else { return true };
        self.sweep_keys(now);
        let reply = match self.ledger.begin(now, keyed) {
            Ok(Turn::First) => return true,
            Ok(Turn::Again) => Ok(Answer::Again(keyed.key)),
            Err(refused) => Err(refusal_of_key(refused)),
        };
        self.reply(ask, reply);
        false
    }

    /// The answer that a request will get goes to disk with what it made. It counts once the client is answered.
    pub(super) fn keep_answer(&mut self, now: Now, keyed: Keyed, answer: Answer) {
        let Response { status, body, .. } = Response::of(Ok(answer));
        self.ledger.kept(keyed.key, body.len());
        self.records.push(Record::Answered { keyed, expires_unix_ms: expires_unix_ms(now), status, body });
    }

    /// A request failed: its key, if it came under one, may try again. Nothing is stored under it.
    pub(super) fn free_key(&mut self, key: Option<Fingerprint>) {
        if let Some(key) = key {
            self.ledger.free(key);
        }
    }

    pub(super) fn sweep_keys(&mut self, now: Now) {
        self.records.extend(self.ledger.sweep(now).into_iter().map(Record::KeyGone));
    }
}

fn refusal_of_key(refused: KeyRefused) -> Refusal {
    let (kind, retry_after_sec) = match refused {
        KeyRefused::OtherRequest => (RefusalKind::Conflict(Conflict::KeyOfAnother), None),
        KeyRefused::Running => (RefusalKind::Conflict(Conflict::KeyRunning), Some(1)),
        KeyRefused::Full { retry_after_sec } => (RefusalKind::Budget, Some(retry_after_sec)),
    };
    Refusal { retry_after_sec, ..Refusal::new(kind, refused.to_string()) }
}
