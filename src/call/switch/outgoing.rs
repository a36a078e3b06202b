//! Calls that a client asks for: from the question to the ringing.

use std::time::Duration;

use serde_json::json;

use super::core::Switch;
use super::ending::ENDING_MAX;
use super::io::{AskId, AudioPath, Output, Why};
use super::journaling::{CommitFor, refusal_of};
use super::live::{LiveCall, On, OnPhone, OnSip, Part, Stage};
use crate::base::{CallId, Now, Number, Pii};
use crate::call::command::{Answer, CallRequest, Conflict, Refusal, RefusalKind, Target};
use crate::call::config::Backend;
use crate::call::conversation::{AgentPlan, AgentService, Engine};
use crate::call::events::{Source, agent_event, call_event};
use crate::call::guard::{self, Talked};
use crate::call::journal::{CommitError, Record};
use crate::call::leg::{DialTarget, RemoteParty};
use crate::call::pending::PendingRequest;
use crate::call::session::{Direction, EndReason, SessionId};
use crate::call::variables;

const DAY_MS: i64 = 86_400_000;
/// How long the store may take with a new call. The client waits for 5 s; who has been told that it failed, and
/// may have asked again, must not find two calls made.
const STORED_WAIT_MAX: Duration = Duration::from_secs(4);

impl Switch {
    /// `POST /v1/outbound-calls`.
    pub(super) fn dial(&mut self, now: Now, ask: AskId, wanted: CallRequest) {
        let keyed = wanted.keyed;
        if !self.is_first(now, ask, keyed) {
            return;
        }
        match self.try_dial(now, ask, wanted) {
            Ok(()) => {}
            Err(refusal) => {
                self.free_key(keyed.map(|keyed| keyed.key));
                self.reply(ask, Err(refusal));
            }
        }
    }

    fn try_dial(&mut self, now: Now, ask: AskId, wanted: CallRequest) -> Result<(), Refusal> {
        let Some(target) = wanted.target.clone() else {
            return Err(Refusal::new(RefusalKind::Invalid, "number is required"));
        };
        if matches!(target, Target::Uri(_)) && self.config.selected_backend() != Backend::Sip {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                "number: a sip: URI can be called over SIP alone",
            ));
        }
        self.outbound_started_unix_ms.retain(|at| now.unix_ms - at < DAY_MS);
        let talked = self.talked(now);
        let started = &self.outbound_started_unix_ms;
        if let Err(refused) = guard::check(&target, &self.config, started, &talked, now.unix_ms) {
            self.metrics.outbound_refused.inc([match refused {
                guard::Refused::Emergency => "emergency",
                guard::Refused::Premium => "premium",
                guard::Refused::Short => "short",
                guard::Refused::Budget { .. } | guard::Refused::Minutes { .. } => "budget",
            }]);
            return Err(refused.into());
        }
        if self.lines_are_taken() {
            self.metrics.outbound_refused.inc(["no_line"]);
            return Err(Refusal::conflict(Conflict::NoLine, "no line is free"));
        }
        let (echo, keyed) = (wanted.echo, wanted.keyed);
        let own = self.new_request(now, wanted);
        let missing = self.line_fault(matches!(target, Target::Number(_))).or_else(|| {
            let number = target.number();
            self.agent_for(Some(&own), number.as_ref().map(Number::as_str)).err().filter(|_| !echo)
        });
        if let Some(sentence) = missing {
            self.metrics.outbound_refused.inc(["unavailable"]);
            let mut refusal = Refusal::new(RefusalKind::Unavailable, sentence);
            refusal.request = Some(Box::new(own));
            return Err(refusal);
        }
        let call = self.open_outbound(now, ask, target, own, echo);
        if let Some(keyed) = keyed
            && let Some(live) = self.calls.get_mut(&call)
            && let Some(own) = live.asked.clone()
        {
            live.key = Some(keyed.key);
            let answer = dialing(live, own);
            self.keep_answer(now, keyed, answer);
        }
        self.commit(CommitFor::Open(call));
        Ok(())
    }

    /// When the outbound calls of the last day were answered, those under way too.
    fn talked(&mut self, now: Now) -> Vec<Talked> {
        self.outbound_talked.retain(|talked| talked.counts(now.unix_ms));
        let under_way = self.calls.values().filter_map(|live| live.talked(now));
        self.outbound_talked.iter().copied().chain(under_way).collect()
    }

    /// Everything of a new session but its commit.
    fn open_outbound(
        &mut self,
        now: Now,
        ask: AskId,
        target: Target,
        own: PendingRequest,
        echo: bool,
    ) -> CallId {
        let call = self.ids.mint();
        let (number, shown) = (target.number(), target.shown());
        let (on, uri) = match (self.config.selected_backend(), target) {
            (Backend::Sip, Target::Number(number)) => {
                let server = self.config.sip_server.as_deref().unwrap_or_default();
                let uri = Pii(format!("sip:{}@{server}", number.as_str()));
                (On::Sip(OnSip::new(Some(DialTarget::Number(number)))), Some(uri))
            }
            (Backend::Sip, Target::Uri(uri)) => {
                (On::Sip(OnSip::new(Some(DialTarget::Uri(uri.clone())))), Some(uri))
            }
            (Backend::Hfp | Backend::Adb, Target::Number(_) | Target::Uri(_)) => {
                (On::Phone(OnPhone::new(self.selected_phone(), number.clone())), None)
            }
        };
        let remote = RemoteParty { number, uri, display_name: None };
        let mut live = self.new_live(now, call, Direction::Outbound, on, remote, Some(shown));
        let claimed = self.claim_own(now, &own, &live.meta.id);
        live.meta.agent_id = self.agent_id_for(Some(&claimed), live.meta.incoming_number.as_deref());
        live.ask = Some(ask);
        live.asked = Some(Box::new(own));
        live.echo = echo;
        live.meta.client_request = Some(claimed.clone());
        let variables = variables::dynamic(live.meta.incoming_number.as_deref(), Some(&claimed));
        self.records.push(Record::Pending(Box::new(claimed)));
        self.records.push(Record::SessionOpened(Box::new(live.meta.clone())));
        self.calls.insert(call, live);
        self.outbound_started_unix_ms.push(now.unix_ms);
        self.session_events(now, call, variables);
        call
    }

    /// The request that an outbound session is bound to, claimed.
    fn claim_own(&mut self, now: Now, own: &PendingRequest, session: &SessionId) -> PendingRequest {
        let country_code = self.config.country_code.as_deref();
        // A full list refuses new requests for later; a call that is made now needs no place in it.
        let claimed = self.pending.insert_bound(own.clone()).ok().and_then(|()| {
            self.pending.claim_for_outbound(&own.request_id, country_code, now.unix_ms, session)
        });
        match claimed {
            Some(claimed) => claimed.request,
            None => own.claimed_by(session, now.unix_ms),
        }
    }

    /// The events that every session begins with.
    pub(super) fn session_events(
        &mut self,
        now: Now,
        call: CallId,
        variables: serde_json::Map<String, serde_json::Value>,
    ) {
        let Some(live) = self.calls.get(&call) else { return };
        self.log(call, live.meta.phase.as_str());
        let meta = live.meta.to_json();
        self.note(now, call, call_event::SESSION_STARTED, json!({ "call": meta }));
        self.tell(
            now,
            call,
            agent_event::CALL_STARTED,
            Source::System,
            json!({ "dynamic_variables": variables }),
        );
    }

    /// The answer of the store to a new session.
    pub(super) fn session_is_stored(&mut self, now: Now, call: CallId, result: Result<(), CommitError>) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if let Err(error) = result {
            self.session_is_not_stored(call, &error);
            return;
        }
        self.metrics.calls_started.inc([live.meta.direction.as_str(), live.meta.telephony_backend]);
        if live.end.is_some() {
            live.stage = Stage::Ending;
            live.deadlines.insert(Why::Ending, now.mono + ENDING_MAX);
            self.close_if_done(now, call);
        } else if live.is_inbound() {
            live.stage = Stage::Ringing;
            self.ring(now, call);
        } else if now.mono.saturating_duration_since(live.opened_at) > STORED_WAIT_MAX {
            live.stage = Stage::Dialing;
            self.end(now, call, EndReason::Failed, Some("storing the call took too long".into()));
        } else {
            live.stage = Stage::Dialing;
            live.media = Part::Wanted;
            let carrier = live.on.carrier();
            self.outputs.push_back(Output::MediaOpen { call, carrier });
        }
        self.choose_current();
    }

    /// A call that cannot be recorded is not made, and not taken.
    fn session_is_not_stored(&mut self, call: CallId, error: &CommitError) {
        let Some(live) = self.calls.remove(&call) else { return };
        if let Some(request) = live.meta.client_request {
            let own = live.asked.as_ref().is_some_and(|own| own.request_id == request.request_id);
            if !own {
                self.pending.give_back(request);
            }
        }
        self.free_key(live.key);
        if let Some(ask) = live.ask {
            self.outbound_started_unix_ms.pop();
            self.reply(ask, Err(refusal_of(error)));
        }
        if live.leg == Part::Open(()) {
            self.refuse_unrecorded(call, &live.on);
        }
    }

    /// The way of the audio is there (or not): now the agent gets ready, and the call is dialled or answered.
    pub(super) fn media_opened(&mut self, now: Now, call: CallId, path: Result<AudioPath, String>) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        match path {
            Err(sentence) => {
                live.media = Part::Gone;
                self.end(now, call, EndReason::Failed, Some(format!("no way for the audio: {sentence}")));
            }
            Ok(_) if !live.is_live() => {
                live.media = Part::Leaving;
                let carrier = live.on.carrier();
                self.outputs.push_back(Output::MediaClose { call, carrier });
            }
            Ok(path) => {
                live.media = Part::Open(path);
                if !self.begin_agent(now, call) {
                    return;
                }
                let Some(live) = self.calls.get_mut(&call) else { return };
                if live.is_inbound() {
                    if live.answer_wanted {
                        self.answer(now, call);
                    }
                } else if self.dial_out(call, path) {
                    self.answer_dialing(now, call);
                } else {
                    let sentence = "the audio was opened for another carrier".into();
                    self.end(now, call, EndReason::Failed, Some(sentence));
                }
            }
        }
    }

    /// It is being dialled: it may ring for so long, and the client has its answer.
    fn answer_dialing(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        let ring = Duration::from_secs(u64::from(self.config.ring_timeout_sec));
        live.deadlines.insert(Why::RingTimeout, now.mono + ring);
        let (Some(ask), Some(request)) = (live.ask.take(), live.asked.take()) else { return };
        let answer = dialing(live, request);
        if let Some(key) = live.key.take() {
            self.ledger.answered(key);
        }
        self.reply(ask, Ok(answer));
    }

    /// Starts the conversation of a call whose media is open; false when the call had to be ended instead.
    fn begin_agent(&mut self, now: Now, call: CallId) -> bool {
        let Some(live) = self.calls.get(&call) else { return false };
        let request = live.meta.client_request.clone();
        let engine = if live.echo {
            Engine::Echo
        } else {
            match self.agent_for(request.as_ref(), live.meta.incoming_number.as_deref()) {
                Ok(service) => Engine::ElevenLabs(service),
                Err(sentence) => {
                    self.end(now, call, EndReason::AgentError, Some(sentence));
                    return false;
                }
            }
        };
        let dynamic_variables = variables::dynamic(live.meta.incoming_number.as_deref(), request.as_ref());
        let overrides = request.map(|request| request.overrides).unwrap_or_default();
        let payload = json!({ "agent_id": live.meta.agent_id, "dynamic_variables": dynamic_variables });
        let plan = AgentPlan { call, engine, dynamic_variables, overrides };
        self.outputs.push_back(Output::AgentBegin(Box::new(plan)));
        if let Some(live) = self.calls.get_mut(&call) {
            live.agent = Part::Open(());
            for command in std::mem::take(&mut live.early_messages) {
                self.outputs.push_back(Output::Agent { call, command });
            }
        }
        self.note(now, call, call_event::AGENT_SESSION_STARTED, payload.clone());
        self.tell(now, call, agent_event::AGENT_SESSION_STARTED, Source::System, payload);
        true
    }

    /// What the selected backend lacks, in a sentence; `None` when it can dial.
    pub(super) fn line_fault(&self, by_number: bool) -> Option<String> {
        match self.config.selected_backend() {
            Backend::Sip => self.sip_fault(by_number),
            Backend::Hfp | Backend::Adb => self.phones_fault(),
        }
    }

    /// The agent id for a call: the request's, else that of the number or line in `agents`, else the machine's.
    pub(super) fn agent_id_for(
        &self,
        request: Option<&PendingRequest>,
        number: Option<&str>,
    ) -> Option<String> {
        let of_request = request.and_then(|request| request.agent_id.clone());
        let of_line = |line: Option<&str>| line.and_then(|line| self.config.agents.get(line).cloned());
        of_request
            .or_else(|| of_line(number))
            .or_else(|| of_line(self.config.sip_username.as_deref()))
            .or_else(|| self.agent.agent_id.clone())
    }

    pub(super) fn agent_for(
        &self,
        request: Option<&PendingRequest>,
        number: Option<&str>,
    ) -> Result<AgentService, String> {
        let agent_id = self.agent_id_for(request, number).ok_or_else(|| {
            "no agent is configured: set ELEVENLABS_AGENT_ID in elevenagents.env, or send agent_id".to_owned()
        })?;
        Ok(AgentService {
            base_url: self.agent.base_url.clone(),
            agent_id,
            api_key: self.agent.api_key.clone(),
        })
    }

    pub(super) fn new_request(&mut self, now: Now, wanted: CallRequest) -> PendingRequest {
        PendingRequest {
            request_id: self.rng.uuid(),
            target_number: wanted.target.as_ref().map(Target::shown),
            dynamic_variables: wanted.dynamic_variables,
            metadata: wanted.metadata,
            created_unix_ms: now.unix_ms,
            expires_unix_ms: now.unix_ms + i64::from(wanted.ttl_sec) * 1000,
            consumed: false,
            claimed_unix_ms: None,
            claimed_session_id: None,
            agent_id: wanted.agent_id,
            overrides: wanted.overrides,
        }
    }
}

/// What the client of an outbound call is answered; `request` as stored before the claim.
fn dialing(live: &LiveCall, request: Box<PendingRequest>) -> Answer {
    Answer::Dialing {
        request,
        backend: live.meta.telephony_backend,
        number: live.meta.incoming_number.clone().unwrap_or_default(),
        uri: live.remote.uri.as_ref().map(|uri| uri.0.clone()),
        session: live.meta.id.clone(),
    }
}
