//! What clients ask, answered.

use serde_json::json;

use super::core::Switch;
use super::io::{AskId, Output};
use super::journaling::CommitFor;
use super::live::{EARLY_MESSAGES_MAX, LiveCall, Part, Stage};
use crate::base::{CallId, Now};
use crate::call::command::{Answer, CallRequest, Command, Conflict, Refusal, RefusalKind, Reply, SessionRef};
use crate::call::conversation::AgentCommand;
use crate::call::events::{Source, agent_event};
use crate::call::journal::Record;
use crate::call::session::EndReason;

impl Switch {
    pub(super) fn command(&mut self, now: Now, ask: AskId, command: Command) {
        match command {
            Command::Health => self.reply(ask, Ok(Answer::Alive)),
            Command::Readiness => {
                let readiness = self.readiness(now);
                self.reply(ask, Ok(Answer::Readiness(readiness)));
            }
            Command::Status => {
                let status = self.status(now);
                self.reply(ask, Ok(Answer::Status(status)));
            }
            Command::Config => {
                let config = self.config.to_masked_json();
                self.reply(ask, Ok(Answer::Config(config)));
            }
            Command::PatchConfig(patch) => self.patch_config(ask, patch),
            Command::Dial(request) => self.dial(now, ask, *request),
            Command::CreatePending(request) => self.create_pending(now, ask, *request),
            Command::ListPending => {
                let live = self.pending.live(now.unix_ms).cloned().collect();
                self.reply(ask, Ok(Answer::PendingList(live)));
            }
            Command::Pending(id) => {
                let found = self.pending.get(&id, now.unix_ms).cloned();
                let reply =
                    found.map(|request| Answer::Pending(Box::new(request))).ok_or_else(no_such_request);
                self.reply(ask, reply);
            }
            Command::DeletePending(id) => match self.pending.remove(&id, now.unix_ms) {
                Some(request) => {
                    self.records.push(Record::PendingGone { request_id: id });
                    self.commit(CommitFor::Delete { ask, request: Box::new(request) });
                }
                None => self.reply(ask, Err(no_such_request())),
            },
            Command::CurrentCall => {
                let current =
                    self.current.and_then(|call| self.calls.get(&call)).map(|live| live.meta.to_json());
                self.reply(ask, Ok(Answer::CurrentCall(current)));
            }
            Command::ContextualUpdate(session, text) => self.message(now, ask, &session, text, false),
            Command::UserMessage(session, text) => self.message(now, ask, &session, text, true),
            Command::Answer(session) => {
                let reply = self.answer_asked(now, &session);
                self.reply(ask, reply);
            }
            Command::Phones(asked) => self.phone_asked(now, ask, asked),
            Command::HandOver(session, to) => {
                let reply = self.hand_over(&session, to);
                self.reply(ask, reply);
            }
            Command::Hangup(session) => {
                let reply = self.hangup_asked(now, &session);
                self.reply(ask, reply);
            }
        }
    }

    fn create_pending(&mut self, now: Now, ask: AskId, wanted: CallRequest) {
        let keyed = wanted.keyed;
        if !self.is_first(now, ask, keyed) {
            return;
        }
        let key = keyed.map(|keyed| keyed.key);
        let request = Box::new(self.new_request(now, wanted));
        match self.pending.insert((*request).clone()) {
            Ok(()) => {
                if let Some(keyed) = keyed {
                    self.keep_answer(now, keyed, Answer::Queued(request.clone()));
                }
                self.records.push(Record::Pending(request.clone()));
                self.commit(CommitFor::Create { ask, request, key });
            }
            Err(full) => {
                self.free_key(key);
                self.reply(ask, Err(Refusal::conflict(Conflict::TooManyRequests, full.to_string())));
            }
        }
    }

    /// The live call that a client means; one that has ended is no active call.
    pub(super) fn named(&self, session: &SessionRef) -> Result<&LiveCall, Refusal> {
        let found = match session {
            SessionRef::Current => self.current.and_then(|call| self.calls.get(&call)),
            SessionRef::Id(id) => self.calls.values().find(|live| live.meta.id == *id),
        };
        found.ok_or_else(no_active_call)
    }

    /// Words for the agent: queued for it at once, told, and acknowledged when the telling is on disk.
    fn message(&mut self, now: Now, ask: AskId, session: &SessionRef, text: String, as_user: bool) {
        let (call, session_id) = match self.named(session) {
            Ok(live) if live.is_live() && live.agent != Part::Gone && !live.echo => {
                (live.call, live.meta.id.as_str().to_owned())
            }
            Ok(_) => return self.reply(ask, Err(no_active_call())),
            Err(refusal) => return self.reply(ask, Err(refusal)),
        };
        let (kind, queued, command) = if as_user {
            ("user_message", "user_message_queued", AgentCommand::UserMessage { text: text.clone() })
        } else {
            (
                "contextual_update",
                "contextual_update_queued",
                AgentCommand::ContextualUpdate { text: text.clone() },
            )
        };
        if !self.hand_to_agent(call, command) {
            let sentence = "too many messages wait for the agent";
            return self.reply(ask, Err(Refusal::conflict(Conflict::TooManyMessages, sentence)));
        }
        let object = json!({
            "command_id": self.rng.uuid(),
            "session_id": session_id,
            "type": kind,
            "payload": { "text": text },
            "created_at": now.unix_ms as f64 / 1000.0,
        });
        self.tell(now, call, agent_event::EXTERNAL_COMMAND, Source::System, object.clone());
        self.tell(now, call, queued, Source::System, json!({ "text": text }));
        self.commit(CommitFor::Reply { ask, answer: Box::new(Answer::MessageQueued(object)) });
    }

    fn hand_to_agent(&mut self, call: CallId, command: AgentCommand) -> bool {
        let Some(live) = self.calls.get_mut(&call) else { return false };
        if live.conversation_id.is_none() {
            // They wait, here or with the agent, until the conversation begins.
            if live.early_count >= EARLY_MESSAGES_MAX {
                return false;
            }
            live.early_count += 1;
        }
        if live.agent == Part::Open(()) {
            self.outputs.push_back(Output::Agent { call, command });
        } else {
            live.early_messages.push(command);
        }
        true
    }

    fn answer_asked(&mut self, now: Now, session: &SessionRef) -> Reply {
        let live = self.named(session)?;
        let (call, backend, session) = (live.call, live.meta.telephony_backend, live.meta.id.clone());
        if !matches!(live.stage, Stage::Ringing) || live.without_line {
            return Err(Refusal::conflict(Conflict::NothingToAnswer, "nothing to answer"));
        }
        let number = live.meta.incoming_number.clone();
        if let Err(sentence) = self.agent_for(live.meta.client_request.as_ref(), number.as_deref()) {
            return Err(Refusal::new(RefusalKind::Unavailable, sentence));
        }
        self.answer(now, call);
        Ok(Answer::Answering { backend, session })
    }

    fn hangup_asked(&mut self, now: Now, session: &SessionRef) -> Reply {
        let live = self.named(session)?;
        let (call, backend, session) = (live.call, live.meta.telephony_backend, live.meta.id.clone());
        if live.is_live() {
            self.end(now, call, EndReason::LocalHangup, Some("asked for over the API".into()));
        }
        Ok(Answer::HangingUp { backend, session })
    }
}

fn no_active_call() -> Refusal {
    Refusal::conflict(Conflict::NoActiveCall, "no active call")
}

fn no_such_request() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "pending request not found")
}
