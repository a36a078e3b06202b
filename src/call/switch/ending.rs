//! How calls end: the first reason wins, every part reports that it is done, then the last records are stored.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::core::Switch;
use super::io::{Output, Why};
use super::journaling::CommitFor;
use super::live::{Part, Stage};
use crate::base::{CallId, Now};
use crate::call::command::{Refusal, RefusalKind};
use crate::call::conversation::AgentCommand;
use crate::call::events::{Source, agent_event, call_event};
use crate::call::journal::{CommitError, Record};
use crate::call::leg::LegEnd;
use crate::call::session::{EndReason, Phase};

/// How long leg, agent and media may take to end.
pub(super) const ENDING_MAX: Duration = Duration::from_secs(2);
/// The same while the whole service stops, so that the last records still reach the store in time.
const ENDING_MAX_STOPPING: Duration = Duration::from_millis(1200);
/// A last commit that failed (a full disk) is tried again after this.
const COMMIT_RETRY: Duration = Duration::from_secs(2);

impl Switch {
    /// Ends a call in whatever state it is.
    pub(super) fn end(&mut self, now: Now, call: CallId, reason: EndReason, detail: Option<String>) {
        let stopping = self.is_stopping();
        let Some(live) = self.calls.get_mut(&call) else { return };
        if matches!(live.stage, Stage::Closing) {
            return;
        }
        live.end.get_or_insert((reason, detail));
        live.events.wrapping_up();
        live.deadlines.clear();
        let longest = if stopping { ENDING_MAX_STOPPING } else { ENDING_MAX };
        live.deadlines.insert(Why::Ending, now.mono + longest);
        self.let_go(call, reason);
        let Some(live) = self.calls.get_mut(&call) else { return };
        if let Part::Open(()) = live.agent {
            live.agent = Part::Leaving;
            self.outputs.push_back(Output::Agent { call, command: AgentCommand::Close });
        }
        match live.media {
            Part::Open(_) => {
                live.media = Part::Leaving;
                let carrier = live.on.carrier();
                self.outputs.push_back(Output::MediaClose { call, carrier });
            }
            Part::None | Part::Wanted | Part::Leaving | Part::Gone => {}
        }
        // A session that is still being opened is closed when the store has answered.
        if live.stage != Stage::Opening {
            live.stage = Stage::Ending;
            self.close_if_done(now, call);
        }
    }

    /// Whatever carried the call has ended it.
    pub(super) fn carrier_ended(&mut self, now: Now, call: CallId, reason: EndReason, detail: String) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.leg = Part::Gone;
        // Of a call that a stop could not end it is known where it may go on.
        if let (Some((EndReason::Shutdown, unsaid @ None)), EndReason::PhoneLost) = (&mut live.end, reason) {
            *unsaid = Some(detail.clone());
        }
        let denied = live.meta.policy_action.as_deref() == Some("ignore") && live.answered_at.is_none();
        let reason = if denied && reason == EndReason::Cancelled { EndReason::PolicyDenied } else { reason };
        self.end(now, call, reason, Some(detail).filter(|detail| !detail.is_empty()));
    }

    pub(super) fn media_closed(&mut self, now: Now, call: CallId, measured: Map<String, Value>) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.media = Part::Gone;
        if !measured.is_empty() {
            live.meta.extra.insert("audio".into(), measured.into());
        }
        self.close_if_done(now, call);
    }

    pub(super) fn ending_timeout(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.stage == Stage::Ending {
            self.close(now, call);
        }
    }

    pub(super) fn close_if_done(&mut self, now: Now, call: CallId) {
        let done =
            self.calls.get(&call).is_some_and(|live| live.stage == Stage::Ending && live.parts_are_done());
        if done {
            self.close(now, call);
        }
    }

    /// The last records: transcript and summary, then `call_ended`, in one commit.
    pub(super) fn close(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        let is_first_try = live.stage != Stage::Closing;
        self.outbound_talked.extend(live.talked(now));
        live.stage = Stage::Closing;
        live.deadlines.clear();
        let (reason, detail) = live.end.clone().unwrap_or((EndReason::Failed, None));
        let duration = live.answered_at.map(|at| now.mono.saturating_duration_since(at));
        // The client that still waits gets an error, and may try again under its key when that is on disk.
        self.records.extend(live.key.map(Record::KeyGone));
        if is_first_try {
            let direction = live.meta.direction.as_str();
            self.metrics.calls_ended.inc([direction, live.meta.telephony_backend, reason.as_str()]);
            if let Some(duration) = duration {
                self.metrics.call_duration.observe([direction], duration);
            }
        }
        live.meta.ended_unix_ms.get_or_insert(now.unix_ms);
        live.meta.end_reason = Some(reason);
        live.meta.end_detail.clone_from(&detail);
        let in_vain = live.is_inbound() && live.answered_at.is_none();
        if let Some(claimed) = live.meta.client_request.take_if(|_| in_vain) {
            let request = self.pending.give_back(claimed);
            self.records.push(Record::Pending(Box::new(request)));
        }
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.meta.summary.is_none() {
            live.meta.summary = Some(live.transcript.summary(live.meta.direction, duration, reason));
        }
        let summary = live.meta.summary.clone();
        self.log(call, &format!("disconnected ({reason:?})"));
        self.phase(now, call, Phase::Disconnected);
        self.note(now, call, call_event::ASSISTANT_SUMMARY, json!({ "summary": summary }));
        self.changed(call);
        let meta = self.calls.get(&call).map(|live| live.meta.to_json());
        self.note(now, call, call_event::SESSION_FINISHED, json!({ "meta": meta }));
        let ended = json!({ "end_reason": reason, "end_detail": detail });
        self.tell(now, call, agent_event::CALL_ENDED, Source::System, ended);
        self.commit(CommitFor::Close(call));
    }

    /// The client of a call that ended before it was dialled.
    fn refuse_undialled(&mut self, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if let Some((ask, request)) = live.ask.take().zip(live.asked.take()) {
            let detail = live.end.as_ref().and_then(|(_, detail)| detail.clone());
            let why = detail.unwrap_or_else(|| "the call ended before it was dialled".into());
            let mut refusal = Refusal::new(RefusalKind::Unavailable, why);
            refusal.request = Some(request);
            self.reply(ask, Err(refusal));
        }
    }

    pub(super) fn close_is_stored(&mut self, now: Now, call: CallId, result: Result<(), CommitError>) {
        self.refuse_undialled(call);
        match result {
            Ok(()) => {
                let key = self.calls.remove(&call).and_then(|live| live.key);
                self.free_key(key);
                self.choose_current();
            }
            Err(_) => {
                if let Some(live) = self.calls.get_mut(&call) {
                    live.deadlines.insert(Why::CommitRetry, now.mono + COMMIT_RETRY);
                }
            }
        }
    }
}

impl From<LegEnd> for EndReason {
    fn from(end: LegEnd) -> Self {
        match end {
            LegEnd::RemoteHangup => Self::RemoteHangup,
            LegEnd::LocalHangup => Self::LocalHangup,
            LegEnd::Cancelled => Self::Cancelled,
            LegEnd::NoAnswer => Self::NoAnswer,
            LegEnd::Busy => Self::Busy,
            LegEnd::Rejected => Self::Rejected,
            LegEnd::NetworkError => Self::NetworkError,
            LegEnd::Failed => Self::Failed,
        }
    }
}
