//! The switch itself: what it owns, and the one place where inputs and deadlines arrive.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::io::{AgentSettings, AskId, Input, Output, Setup, Why, Zones};
use super::journaling::CommitFor;
use super::live::{LiveCall, Stage};
use super::patching::Patching;
use super::phone_metrics::PhonePlaces;
use super::phone_news::PhoneNews;
use crate::base::time::earlier;
use crate::base::{CallId, CallIds, Metrics, Now, Rng};
use crate::call::command::Command;
use crate::call::config::Config;
use crate::call::guard::Talked;
use crate::call::idempotency::Ledger;
use crate::call::journal::{Batch, CommitId, Record};
use crate::call::leg::{LegCommand, SipAccount, SipStatus};
use crate::call::pending::Pending;
use crate::call::phones::{NO_ANSWER_YET, PhoneCommand, PhoneSettings, Phones};
use crate::call::session::{EndReason, SessionIds};

/// How long a stop may take before the process goes anyway.
const STOPPING_MAX: Duration = Duration::from_millis(1700);

/// Every call of this machine, and everything that is said about them. See the module's page.
pub struct Switch {
    pub(super) ids: CallIds,
    pub(super) rng: Rng,
    pub(super) config: Arc<Config>,
    pub(super) zones: Zones,
    pub(super) zone: TimeZone,
    pub(super) agent: AgentSettings,
    pub(super) agent_fault: Option<(String, Instant)>,
    pub(super) calls: BTreeMap<CallId, LiveCall>,
    pub(super) current: Option<CallId>,
    pub(super) pending: Pending,
    pub(super) ledger: Ledger,
    pub(super) session_ids: SessionIds,
    /// When outbound calls of the last day began, in Unix milliseconds, oldest first.
    pub(super) outbound_started_unix_ms: Vec<i64>,
    /// When the outbound calls of the last day that have ended were answered.
    pub(super) outbound_talked: Vec<Talked>,
    pub(super) sip: SipStatus,
    /// The account that the leg was told to use.
    pub(super) account: Option<SipAccount>,
    pub(super) phones: Phones,
    pub(super) phone_places: PhonePlaces,
    pub(super) phone_news: PhoneNews,
    /// What the phones were told to use.
    pub(super) phone_settings: Option<PhoneSettings>,
    pub(super) patching: Patching,
    pub(super) next_seq: u64,
    pub(super) reserved_seq: u64,
    pub(super) next_commit: u64,
    pub(super) commits: BTreeMap<CommitId, CommitFor>,
    /// Changes of this input, not yet handed to the store.
    pub(super) records: Vec<Record>,
    pub(super) records_durable: bool,
    /// The last commit that wanted an answer failed.
    pub(super) store_refused: bool,
    pub(super) outputs: VecDeque<Output>,
    pub(super) metrics: Arc<Metrics>,
    stopping: Option<Stopping>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stopping {
    deadline: Instant,
    sip_closed: bool,
    phones_closed: bool,
    told: bool,
}

impl Switch {
    /// A switch that has already closed what the last run left open and configured the legs: drain its outputs first.
    pub fn new(now: Now, setup: Setup) -> Self {
        let Setup { ids, rng, config, zones, agent, recovered, metrics } = setup;
        let zone = zones(config.timezone.as_deref()).unwrap_or(TimeZone::UTC);
        let mut switch = Self {
            ids,
            rng,
            config: Arc::new(config),
            zones,
            zone,
            agent,
            agent_fault: None,
            calls: BTreeMap::new(),
            current: None,
            pending: Pending::new(recovered.pending),
            ledger: Ledger::new(now, recovered.answered),
            session_ids: SessionIds::new(recovered.recent_session_ids),
            outbound_started_unix_ms: recovered.outbound_started_unix_ms,
            outbound_talked: recovered.outbound_talked,
            sip: SipStatus::default(),
            account: None,
            phones: Phones { fault: Some(NO_ANSWER_YET.into()), ..Phones::default() },
            phone_places: PhonePlaces::default(),
            phone_news: PhoneNews::default(),
            phone_settings: None,
            patching: Patching::default(),
            next_seq: recovered.next_seq.max(1),
            reserved_seq: recovered.next_seq.max(1),
            next_commit: 0,
            commits: BTreeMap::new(),
            records: Vec::new(),
            records_durable: false,
            store_refused: false,
            outputs: VecDeque::new(),
            metrics,
            stopping: None,
        };
        for open in recovered.open_sessions {
            switch.close_recovered(now, open);
        }
        for phone in &recovered.phones_here {
            switch.news_of_loss(now, phone);
        }
        switch.flush();
        switch.apply_config();
        switch
    }

    /// What ends the sessions, and the connections of phones, that the last run left open, if there are any. It is
    /// the first output of a new switch; who takes it here stores it before anybody can read those sessions.
    pub fn take_recovery(&mut self) -> Option<Batch> {
        if !matches!(self.outputs.front(), Some(Output::Commit(_))) {
            return None;
        }
        let Some(Output::Commit(batch)) = self.outputs.pop_front() else { return None };
        Some(batch)
    }

    /// One thing happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Command { ask, command } => {
                // Whether it lives and why it is not ready can be asked to the end.
                let is_probe = matches!(command, Command::Health | Command::Readiness);
                if self.stopping.is_some() && !is_probe {
                    self.refuse_while_stopping(ask);
                } else {
                    self.command(now, ask, command);
                }
            }
            Input::Leg(event) => self.leg_event(now, event),
            Input::Agent { call, event } => self.agent_event(now, call, event),
            Input::Phone(event) => self.phone_event(now, event),
            Input::MediaOpened { call, path } => self.media_opened(now, call, path),
            Input::MediaSeen { call, silent_ms } => self.media_seen(now, call, silent_ms),
            Input::MediaClosed { call, measured } => self.media_closed(now, call, measured),
            Input::Committed { commit, result } => self.committed(now, commit, result),
            Input::ConfigRead(read) => self.config_read(read),
            Input::Stop => self.stop(now),
        }
        self.settle(now);
    }

    /// A deadline of `poll_output` has come.
    pub fn handle_timeout(&mut self, now: Now) {
        let due: Vec<(CallId, Why)> = self
            .calls
            .values_mut()
            .flat_map(|live| {
                let call = live.call;
                let due: Vec<Why> =
                    live.deadlines.iter().filter(|(_, at)| **at <= now.mono).map(|(why, _)| *why).collect();
                for why in &due {
                    live.deadlines.remove(why);
                }
                due.into_iter().map(move |why| (call, why))
            })
            .collect();
        for (call, why) in due {
            match why {
                Why::AutoAnswer => self.answer(now, call),
                Why::RingTimeout => self.ring_timeout(now, call),
                Why::MaxDuration => self.max_duration(now, call),
                Why::MediaLook => self.media_look(now, call),
                Why::Ending => self.ending_timeout(now, call),
                Why::CommitRetry => self.close(now, call),
                Why::PendingExpiry | Why::KeyExpiry | Why::PhoneNews | Why::Stopping => {}
            }
        }
        for request_id in self.pending.sweep(now.unix_ms) {
            self.records.push(Record::PendingGone { request_id });
        }
        self.sweep_keys(now);
        if self.phone_news_due().is_some_and(|due| due <= now.mono) {
            self.news_of_phones(now);
        }
        self.settle(now);
    }

    /// The next thing to do; `Timeout` when there is none.
    pub fn poll_output(&mut self, now: Now) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let of_calls =
            self.calls.values().flat_map(|live| live.deadlines.iter().map(|(why, at)| (*at, *why))).min();
        let expiry = self.pending.next_expiry_unix_ms().map(|at| {
            let wait = Duration::from_millis(at.saturating_sub(now.unix_ms).max(0) as u64);
            (now.mono + wait, Why::PendingExpiry)
        });
        let key_expiry = self.ledger.next_expiry().map(|at| (at, Why::KeyExpiry));
        let phone_news = self.phone_news_due().map(|at| (at, Why::PhoneNews));
        let stop = self
            .stopping
            .filter(|stopping| !stopping.told)
            .map(|stopping| (stopping.deadline, Why::Stopping));
        Output::Timeout([expiry, key_expiry, phone_news, stop].into_iter().fold(of_calls, earlier))
    }

    /// After every input: what was changed goes to the store; a finished stop is told.
    fn settle(&mut self, now: Now) {
        self.flush();
        self.metrics.calls_live.set(self.calls.len() as u64);
        self.metrics.pending_requests.set(self.pending.len() as u64);
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.told) else { return };
        let all_closed = stopping.sip_closed && stopping.phones_closed && self.calls.is_empty();
        if all_closed || stopping.deadline <= now.mono {
            stopping.told = true;
            self.outputs.push_back(Output::Stopped);
        }
    }

    fn stop(&mut self, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(Stopping {
            deadline: now.mono + STOPPING_MAX,
            sip_closed: false,
            phones_closed: false,
            told: false,
        });
        let calls: Vec<CallId> = self.calls.keys().copied().collect();
        for call in calls {
            let left = self.calls.get(&call).is_some_and(LiveCall::is_at_handset);
            let (reason, detail) = if left {
                (EndReason::Transferred, Some("left to the handset as the service stopped".into()))
            } else {
                (EndReason::Shutdown, None)
            };
            self.end(now, call, reason, detail);
        }
        self.outputs.push_back(Output::Leg(LegCommand::Close));
        self.outputs.push_back(Output::Phone(PhoneCommand::Close));
    }

    pub(super) fn sip_closed(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.sip_closed = true;
        }
    }

    pub(super) fn phones_closed(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.phones_closed = true;
        }
    }

    /// Whether new calls are still taken.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether `max_concurrent_calls` are taken.
    pub(super) fn lines_are_taken(&self) -> bool {
        let taken = self.calls.values().filter(|live| live.takes_line()).count();
        taken >= self.config.max_concurrent_calls as usize
    }

    /// A call that is stored, if there is none, or the newest of those that are left.
    pub(super) fn choose_current(&mut self) {
        if self.current.is_some_and(|call| self.calls.contains_key(&call)) {
            return;
        }
        self.current = self
            .calls
            .values()
            .filter(|live| !live.without_line && !matches!(live.stage, Stage::Opening | Stage::Closing))
            .max_by_key(|live| (live.meta.started_unix_ms, live.call))
            .map(|live| live.call);
    }

    pub(super) fn reply(&mut self, ask: AskId, reply: crate::call::command::Reply) {
        self.outputs.push_back(Output::Reply { ask, reply });
    }
}
