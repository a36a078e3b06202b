//! Everything around the switch, in memory: legs that obey, a store that answers, agents that close when asked.

use crate::base::time::any_instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::base::{CallId, CallIds, Metrics, Now, Number, Rng};
use crate::call::command::{CallRequest, Command, Refusal, Reply, Target};
use crate::call::config::Config;
use crate::call::conversation::{AgentCommand, AgentEnd, AgentEvent, AgentPlan};
use crate::call::idempotency::{Answered, Fingerprint};
use crate::call::journal::{Batch, CommitError, CommitId, Event, EventKind, Record, Recovered};
use crate::call::leg::{LegCommand, LegEnd, LegEvent, LineAudio, LineCodec, RemoteParty, SipStatus};
use crate::call::phones::{Mover, PhoneCommand, PhoneEnd, PhoneEvent};
use crate::call::switch::{AgentSettings, AskId, AudioPath, Carrier, Input, Output, Setup, Switch, Why};

pub(super) struct World {
    pub(super) switch: Switch,
    pub(super) metrics: std::sync::Arc<Metrics>,
    pub(super) now: Now,
    pub(super) ids: CallIds,
    pub(super) legs: Vec<LegCommand>,
    pub(super) phones: Vec<PhoneCommand>,
    pub(super) plans: Vec<AgentPlan>,
    pub(super) agent_commands: Vec<AgentCommand>,
    pub(super) events: Vec<std::sync::Arc<Event>>,
    pub(super) metas: BTreeMap<String, Value>,
    pub(super) transcript: BTreeMap<u32, Value>,
    pub(super) answers: BTreeMap<Fingerprint, (Answered, Value)>,
    pub(super) config_text: Option<String>,
    pub(super) replies: BTreeMap<AskId, Reply>,
    pub(super) held: Vec<Batch>,
    /// Commits wait in `held` instead of being answered.
    pub(super) hold_commits: bool,
    /// Every commit fails with this.
    pub(super) store_fault: Option<CommitError>,
    /// Legs do not report the end of what they hang up.
    pub(super) deaf_legs: bool,
    pub(super) stopped: bool,
    pub(super) deadline: Option<(Instant, Why)>,
    asks: u64,
}

pub(super) fn config(members: Value) -> Config {
    let base = json!({ "telephony_backend": "sip", "sip_server": "192.0.2.1", "auto_answer_delay_sec": 2 });
    let mut all = base.as_object().unwrap().clone();
    all.extend(members.as_object().unwrap().clone());
    let (config, faults) = Config::from_json(&all);
    assert!(faults.is_empty(), "{faults:?}");
    config
}

pub(super) fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

pub(super) fn to(text: &str) -> CallRequest {
    CallRequest { target: Some(Target::Number(number(text))), ttl_sec: 300, ..CallRequest::default() }
}

pub(super) fn line() -> LineAudio {
    LineAudio {
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000),
        codec: LineCodec::Pcmu,
        payload_type: 0,
        telephone_event: None,
        ptime_ms: 20,
        send: true,
        receive: true,
    }
}

impl World {
    pub(super) fn new(members: Value) -> Self {
        Self::with(members, Recovered::default())
    }

    pub(super) fn with(members: Value, recovered: Recovered) -> Self {
        let now = Now { mono: any_instant(), unix_ms: 1_795_337_467_000 };
        let ids = CallIds::default();
        let agent = AgentSettings {
            base_url: "https://agent.invalid".into(),
            agent_id: Some("agent_7".into()),
            api_key: None,
        };
        let metrics = Metrics::new().unwrap();
        let setup = Setup {
            ids: ids.clone(),
            rng: Rng::from_u64(1),
            config: config(members),
            zones: Box::new(|name| match name {
                None | Some("UTC") => Some(TimeZone::UTC),
                Some(_) => None,
            }),
            agent,
            recovered,
            metrics: metrics.clone(),
        };
        let mut world = Self {
            switch: Switch::new(now, setup),
            metrics,
            now,
            ids,
            legs: Vec::new(),
            phones: Vec::new(),
            plans: Vec::new(),
            agent_commands: Vec::new(),
            events: Vec::new(),
            metas: BTreeMap::new(),
            transcript: BTreeMap::new(),
            answers: BTreeMap::new(),
            config_text: None,
            replies: BTreeMap::new(),
            held: Vec::new(),
            hold_commits: false,
            store_fault: None,
            deaf_legs: false,
            stopped: false,
            deadline: None,
            asks: 0,
        };
        world.drain();
        world.input(Input::Leg(LegEvent::Status(SipStatus { started: true, ..SipStatus::default() })));
        world.legs.clear();
        world.phones.clear();
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.switch.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let answer = match self.switch.poll_output(self.now) {
                Output::Leg(command) => {
                    self.legs.push(command.clone());
                    self.obey(&command)
                }
                Output::AgentBegin(plan) => {
                    self.plans.push(*plan);
                    None
                }
                Output::Agent { call, command } => {
                    self.agent_commands.push(command.clone());
                    (command == AgentCommand::Close)
                        .then_some(Input::Agent { call, event: AgentEvent::Ended(AgentEnd::Closed) })
                }
                Output::Phone(command) => {
                    self.phones.push(command.clone());
                    self.phone_obeys(&command)
                }
                Output::MediaOpen { call, carrier } => {
                    let path = match carrier {
                        Carrier::Sip => AudioPath::Rtp { port: 40_000 },
                        Carrier::Phone => AudioPath::VoiceLink,
                    };
                    Some(Input::MediaOpened { call, path: Ok(path) })
                }
                Output::MediaClose { call, .. } => Some(Input::MediaClosed { call, measured: Map::new() }),
                Output::MediaStart { .. } | Output::MediaLook { .. } | Output::ConfigChanged(_) => None,
                Output::Commit(batch) => self.take(batch),
                Output::Reply { ask, reply } => {
                    assert!(self.replies.insert(ask, reply).is_none(), "answered twice");
                    None
                }
                Output::Stopped => {
                    self.stopped = true;
                    None
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            };
            if let Some(input) = answer {
                self.switch.handle_input(self.now, input);
            }
        }
    }

    fn obey(&self, command: &LegCommand) -> Option<Input> {
        let end = match command {
            LegCommand::Hangup { call } => (*call, LegEnd::LocalHangup),
            LegCommand::Reject { call, .. } => (*call, LegEnd::Rejected),
            LegCommand::Answer { call, .. } => {
                return Some(Input::Leg(LegEvent::Audio { call: *call, line: line() }));
            }
            LegCommand::Close => return Some(Input::Leg(LegEvent::Closed)),
            LegCommand::Configure(_) | LegCommand::Dial { .. } | LegCommand::Ring { .. } => return None,
        };
        let (call, end) = end;
        (!self.deaf_legs).then_some(Input::Leg(LegEvent::Ended {
            call,
            end,
            code: None,
            detail: String::new(),
        }))
    }

    fn phone_obeys(&self, command: &PhoneCommand) -> Option<Input> {
        let (call, end) = match command {
            PhoneCommand::Hangup { call } => (*call, LegEnd::LocalHangup),
            PhoneCommand::Reject { call, .. } => (*call, LegEnd::Rejected),
            PhoneCommand::Answer { call } => return Some(Input::Phone(PhoneEvent::Active { call: *call })),
            PhoneCommand::HandOver { call, to } => {
                let moved = PhoneEvent::Audio { call: *call, at: *to, by: Mover::Us };
                return Some(Input::Phone(moved));
            }
            PhoneCommand::Close if self.deaf_legs => return None,
            PhoneCommand::Close => return Some(Input::Phone(PhoneEvent::Closed)),
            PhoneCommand::Configure(_)
            | PhoneCommand::Dial { .. }
            | PhoneCommand::OpenPairingWindow { .. }
            | PhoneCommand::ClosePairingWindow
            | PhoneCommand::AnswerPairing { .. }
            | PhoneCommand::Connect { .. }
            | PhoneCommand::Disconnect { .. }
            | PhoneCommand::Trust { .. }
            | PhoneCommand::Remove { .. } => return None,
        };
        let ended = PhoneEvent::Ended { call, end: PhoneEnd::Leg(end), detail: String::new() };
        (!self.deaf_legs).then_some(Input::Phone(ended))
    }

    fn take(&mut self, batch: Batch) -> Option<Input> {
        if self.hold_commits {
            self.held.push(batch);
            return None;
        }
        let commit = batch.acknowledge;
        if let Some(fault) = &self.store_fault {
            return commit.map(|commit| Input::Committed { commit, result: Err(fault.clone()) });
        }
        self.store(batch);
        commit.map(|commit| Input::Committed { commit, result: Ok(()) })
    }

    fn store(&mut self, batch: Batch) {
        for record in batch.records {
            match record {
                Record::SessionOpened(meta) => {
                    let before = self.metas.insert(meta.id.as_str().to_owned(), meta.to_json());
                    assert!(before.is_none(), "a session id was minted twice");
                }
                Record::SessionChanged(meta) => {
                    self.metas.insert(meta.id.as_str().to_owned(), meta.to_json());
                }
                Record::Event(event) => {
                    assert!(self.events.last().is_none_or(|last| last.seq < event.seq), "out of order");
                    self.events.push(event);
                }
                Record::Transcript { index, entry, .. } => {
                    self.transcript.insert(index, entry);
                }
                Record::Answered { keyed, expires_unix_ms, status, body } => {
                    assert_eq!(status, 202);
                    let answered = Answered { keyed, expires_unix_ms, answer_bytes: body.len() };
                    self.answers.insert(keyed.key, (answered, serde_json::from_str(&body).unwrap()));
                }
                Record::KeyGone(key) => {
                    self.answers.remove(&key);
                }
                Record::SeqReserved(_) | Record::Pending(_) | Record::PendingGone { .. } => {}
            }
        }
        if let Some(write) = batch.config {
            self.config_text = Some(write.text);
        }
    }

    /// Stores and answers everything that waits in `held`, in order.
    pub(super) fn release(&mut self) {
        self.hold_commits = false;
        let held = std::mem::take(&mut self.held);
        let answers: Vec<CommitId> = held.iter().filter_map(|batch| batch.acknowledge).collect();
        for batch in held {
            self.store(batch);
        }
        for commit in answers {
            self.input(Input::Committed { commit, result: Ok(()) });
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now.plus(time);
        while let Some((at, _)) = self.deadline.filter(|(at, _)| *at <= until.mono) {
            self.now = self.now.plus(at.saturating_duration_since(self.now.mono));
            self.switch.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
        self.switch.handle_timeout(self.now);
        self.drain();
    }

    pub(super) fn ask(&mut self, command: Command) -> Option<Reply> {
        self.asks += 1;
        let ask = AskId(self.asks);
        self.input(Input::Command { ask, command });
        self.replies.get(&ask).cloned()
    }

    pub(super) fn refused(&mut self, command: Command) -> Refusal {
        self.ask(command).unwrap().unwrap_err()
    }

    /// Someone calls; returns its id.
    pub(super) fn called_by(&mut self, from: &str) -> CallId {
        let call = self.ids.mint();
        let remote = RemoteParty { number: Number::parse(from).ok(), ..RemoteParty::default() };
        self.input(Input::Leg(LegEvent::Incoming { call, remote }));
        call
    }

    pub(super) fn leg(&mut self, event: LegEvent) {
        self.input(Input::Leg(event));
    }

    pub(super) fn agent(&mut self, call: CallId, event: AgentEvent) {
        self.input(Input::Agent { call, event });
    }

    /// The dialled call that the legs saw last.
    pub(super) fn dialled(&self) -> CallId {
        self.legs
            .iter()
            .rev()
            .find_map(|command| match command {
                LegCommand::Dial { call, .. } => Some(*call),
                LegCommand::Configure(_)
                | LegCommand::Ring { .. }
                | LegCommand::Answer { .. }
                | LegCommand::Reject { .. }
                | LegCommand::Hangup { .. }
                | LegCommand::Close => None,
            })
            .unwrap()
    }

    /// Dials, and the callee answers.
    pub(super) fn talking_to(&mut self, to_number: &str) -> CallId {
        self.ask(Command::Dial(Box::new(to(to_number)))).unwrap().unwrap();
        let call = self.dialled();
        self.leg(LegEvent::Audio { call, line: line() });
        call
    }

    pub(super) fn current(&mut self) -> Option<Value> {
        match self.ask(Command::CurrentCall) {
            Some(Ok(crate::call::command::Answer::CurrentCall(current))) => current,
            other => panic!("{other:?}"),
        }
    }

    /// A sample of the metrics, by its name and labels as they are written.
    pub(super) fn metric(&self, sample: &str) -> u64 {
        let text = self.metrics.text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    /// Names of the agent events so far.
    pub(super) fn stream(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter(|event| event.kind == EventKind::Agent)
            .map(|event| event.name.as_str())
            .collect()
    }

    /// The only session's meta.
    pub(super) fn only_meta(&self) -> &Value {
        assert_eq!(self.metas.len(), 1);
        self.metas.values().next().unwrap()
    }
}
