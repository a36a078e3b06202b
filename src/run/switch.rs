//! The switch's thread: one inbox, one deadline. It carries the switch's outputs to the legs, the store, the media
//! pool, the agents and the clients, and owns what those need: RTP ports, audio links, agent mailboxes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::{Map, Value, json};

use super::agent;
use super::hands_free::{self, Told};
use super::http::AskError;
use super::link::{self, TalkerEnd};
use super::media::{MediaPool, MediaReport};
use super::resolver::Resolver;
use super::store::{StoreFault, StoreHandle};
use crate::base::{CallId, Metrics};
use crate::call::command::{Answer, Command, Reply};
use crate::call::config::Config;
use crate::call::conversation::{AgentCommand, AgentEnd, AgentEvent, AgentPlan, Engine};
use crate::call::journal::Batch;
use crate::call::leg::{LegCommand, LegEnd};
use crate::call::phone_line::Memory;
use crate::call::phones::{PhoneCommand, PhoneEnd, PhoneEvent, Phones};
use crate::call::switch::{AskId, AudioPath, Carrier, Input, Output, Switch};
use crate::port::config_file::Seen;
use crate::sys::clock;
use crate::sys::mailbox::{MailSender, Undelivered, mailbox};
use crate::sys::thread::{Role, Spawner};

/// Messages that wait for the switch. It never blocks for long, so a full inbox is a bug, and loud.
const INBOX_MAX: usize = 1024;
/// Commands that wait for one agent's thread.
const AGENT_MAIL_MAX: usize = 256;
/// How long a reporting thread waits for room before it says that a report was lost.
const REPORT_WAIT: Duration = Duration::from_secs(1);
/// How long a client's question may take, from asking to the answer.
const ASK_WAIT: Duration = Duration::from_secs(5);
/// How long a probe may take: the one who asks has a limit of its own, often of a second or a few.
const PROBE_WAIT: Duration = Duration::from_secs(1);

enum Mail {
    Input(Box<Input>),
    Ask { command: Box<Command>, reply: Sender<Reply> },
    Remember(Box<Memory>),
    Config { read: Result<Map<String, Value>, String>, seen: Option<Seen> },
}

/// Everyone's way to the switch; clones share it.
#[derive(Clone)]
pub struct SwitchHandle {
    inbox: Sender<Mail>,
}

impl SwitchHandle {
    /// The way, and the inbox for `spawn`.
    pub fn new() -> (Self, SwitchInbox) {
        let (tx, rx) = bounded(INBOX_MAX);
        (Self { inbox: tx.clone() }, SwitchInbox { rx, handle: Self { inbox: tx } })
    }

    /// Tells the switch what happened. Waits a little for room; then it is lost, loudly.
    pub fn tell(&self, input: Input) {
        self.mail(Mail::Input(Box::new(input)));
    }

    /// Tells the switch what the hands-free thread told.
    pub fn told(&self, told: Told) {
        let input = match told {
            Told::Event(event) => Input::Phone(event),
            Told::MediaSeen { call, silent_ms } => Input::MediaSeen { call, silent_ms },
            Told::MediaClosed { call, measured } => Input::MediaClosed { call, measured },
            // By the same way as the end of the phones: what was told before that is stored when the switch stops.
            Told::Remember(memory) => return self.mail(Mail::Remember(memory.into())),
        };
        self.tell(input);
    }

    fn mail(&self, mail: Mail) {
        if self.inbox.send_timeout(mail, REPORT_WAIT).is_err_and(|error| error.is_timeout()) {
            log::error!("the switch's inbox is full: a report was lost");
        }
    }

    /// `config.json` was read again: its members and what was seen of the file, or why not.
    pub fn config_was_read(&self, read: Result<(Map<String, Value>, Seen), String>) {
        let (read, seen) = match read {
            Ok((object, seen)) => (Ok(object), Some(seen)),
            Err(sentence) => (Err(sentence), None),
        };
        self.mail(Mail::Config { read, seen });
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, command: Command) -> Result<Reply, AskError> {
        let is_probe = matches!(command, Command::Health | Command::Readiness);
        let deadline = clock::mono() + if is_probe { PROBE_WAIT } else { ASK_WAIT };
        let (reply, answered) = bounded(1);
        let mail = Mail::Ask { command: Box::new(command), reply };
        self.inbox.send_deadline(mail, deadline).map_err(|error| match error {
            crossbeam_channel::SendTimeoutError::Timeout(_) => AskError::Busy,
            crossbeam_channel::SendTimeoutError::Disconnected(_) => AskError::Stopping,
        })?;
        answered.recv_deadline(deadline).map_err(|error| match error {
            RecvTimeoutError::Timeout => AskError::Busy,
            RecvTimeoutError::Disconnected => AskError::Stopping,
        })
    }
}

/// The receiving end, before the thread has it.
pub struct SwitchInbox {
    rx: Receiver<Mail>,
    handle: SwitchHandle,
}

/// What the thread carries outputs to.
pub struct SwitchEnds {
    /// SIP.
    pub legs: MailSender<LegCommand>,
    /// The phones, or why there are none, in a sentence.
    pub phones: Result<MailSender<hands_free::Mail>, String>,
    /// Dropped at the end, which lets the store finish.
    pub store: StoreHandle,
    /// RTP.
    pub media: MediaPool,
    /// Where RTP ports are bound.
    pub media_bind: IpAddr,
    /// For the agents' names and signed URLs.
    pub resolver: Resolver,
    /// Starts the agents' threads.
    pub spawner: Spawner,
    /// Told in the status.
    pub places: Places,
    /// Where calls count what they measured.
    pub metrics: Arc<Metrics>,
    /// Called with every configuration that comes into force.
    pub config_changed: Box<dyn FnMut(Arc<Config>) + Send>,
}

/// Where the service keeps what it keeps.
#[derive(Clone, Debug)]
pub struct Places {
    /// `config.json`.
    pub config_file: PathBuf,
    /// `elevenagents.env`.
    pub env_file: PathBuf,
    /// Database and session folders.
    pub state_dir: PathBuf,
}

/// Starts the thread; it ends when the switch has stopped.
pub fn spawn(switch: Switch, inbox: SwitchInbox, ends: SwitchEnds) -> io::Result<JoinHandle<Option<()>>> {
    let spawner = ends.spawner.clone();
    spawner.spawn(Role::Switch, move || {
        Shell {
            switch,
            handle: inbox.handle,
            ends,
            asks: BTreeMap::new(),
            next_ask: 0,
            links: BTreeMap::new(),
            agents: BTreeMap::new(),
            inputs: VecDeque::new(),
        }
        .run(&inbox.rx);
    })
}

struct Shell {
    switch: Switch,
    handle: SwitchHandle,
    ends: SwitchEnds,
    asks: BTreeMap<AskId, Sender<Reply>>,
    next_ask: u64,
    /// Talker ends whose agent has not begun yet.
    links: BTreeMap<CallId, TalkerEnd>,
    agents: BTreeMap<CallId, MailSender<AgentCommand>>,
    /// Answers to outputs that were carried out at once.
    inputs: VecDeque<Input>,
}

impl Shell {
    fn run(mut self, inbox: &Receiver<Mail>) {
        if let Err(sentence) = &self.ends.phones {
            let phones = Phones { fault: Some(sentence.clone()), ..Phones::default() };
            self.inputs.push_back(Input::Phone(PhoneEvent::Phones(Box::new(phones))));
        }
        loop {
            let deadline = match self.drain() {
                Drained::Until(deadline) => deadline,
                Drained::Stopped => return,
            };
            let mail = match deadline {
                Some(deadline) => inbox.recv_deadline(deadline),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match mail {
                Ok(Mail::Input(input)) => self.switch.handle_input(clock::now(), *input),
                Ok(Mail::Ask { command, reply }) => {
                    self.next_ask += 1;
                    let ask = AskId(self.next_ask);
                    self.asks.insert(ask, reply);
                    self.switch.handle_input(clock::now(), Input::Command { ask, command: *command });
                }
                Ok(Mail::Remember(memory)) => {
                    if let Err(fault) = self.ends.store.remember(&memory) {
                        self.store_failed(fault);
                    }
                }
                Ok(Mail::Config { read, seen }) => {
                    // The store first: a change that was built on the old file must not overwrite the new one.
                    if let Some(fault) = seen.and_then(|seen| self.ends.store.config_was_read(seen).err()) {
                        self.store_failed(fault);
                    }
                    self.switch.handle_input(clock::now(), Input::ConfigRead(read));
                }
                Err(RecvTimeoutError::Timeout) => self.switch.handle_timeout(clock::now()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn drain(&mut self) -> Drained {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.switch.handle_input(clock::now(), input);
            }
            match self.switch.poll_output(clock::now()) {
                Output::Leg(command) => self.command_legs(command),
                Output::AgentBegin(plan) => self.begin_agent(*plan),
                Output::Agent { call, command } => self.command_agent(call, command),
                Output::Phone(command) => self.command_phones(command),
                Output::MediaOpen { call, carrier } => self.open_media(call, carrier),
                Output::MediaStart { call, line } => self.ends.media.start(call, line),
                Output::MediaLook { call, carrier: Carrier::Phone } => {
                    self.mail_phones(hands_free::Mail::MediaLook { call });
                }
                Output::MediaLook { call, carrier: Carrier::Sip } => {
                    let silent_for = self.ends.media.report(call).and_then(|report| report.silent_for);
                    if let Some(silent_for) = silent_for {
                        let silent_ms = silent_for.as_millis() as u64;
                        self.inputs.push_back(Input::MediaSeen { call, silent_ms });
                    }
                }
                Output::MediaClose { call, carrier } => {
                    self.links.remove(&call);
                    self.agents.remove(&call);
                    // Whoever has the audio tells what was measured.
                    if carrier == Carrier::Phone && self.mail_phones(hands_free::Mail::MediaClose { call }) {
                        continue;
                    }
                    let measured = self.close_media(call).map(|report| report.to_json()).unwrap_or_default();
                    self.inputs.push_back(Input::MediaClosed { call, measured });
                }
                Output::Commit(batch) => self.commit(batch),
                Output::Reply { ask, reply } => {
                    if let Some(answer) = self.asks.remove(&ask) {
                        // A client that no longer waits has its answer on disk.
                        let _ = answer.send(self.with_machine(reply));
                    }
                }
                Output::ConfigChanged(config) => (self.ends.config_changed)(config),
                Output::Stopped => return Drained::Stopped,
                Output::Timeout(deadline) => return Drained::Until(deadline.map(|(at, _)| at)),
            }
        }
    }

    /// To the status and the readiness: what only this thread knows of the machine. Nothing that asks a file system,
    /// which may be slow or hang: the calls would with it.
    fn with_machine(&self, mut reply: Reply) -> Reply {
        if let Ok(Answer::Status(Value::Object(status))) = &mut reply {
            status.insert("realtime".into(), self.ends.media.realtime().into());
            status.insert("clock_synced".into(), clock::is_synchronised().into());
            let places = &self.ends.places;
            let service = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "pid": std::process::id(),
                "config_file": places.config_file,
                "env_file": places.env_file,
                "state_dir": places.state_dir,
            });
            status.insert("service".into(), service);
        }
        if let Ok(Answer::Readiness(readiness)) = &mut reply
            && !self.ends.store.works()
        {
            readiness.storage =
                Some("the last change could not be stored: check the disk of the state directory".into());
        }
        reply
    }

    fn command_legs(&mut self, command: LegCommand) {
        match self.ends.legs.send(command) {
            Ok(()) => {}
            Err(Undelivered::Full(_)) => log::error!("the SIP thread's mailbox is full: a command was lost"),
            Err(Undelivered::Gone(_)) => log::error!("the SIP thread is gone"),
        }
    }

    /// False when nobody will answer.
    fn mail_phones(&self, mail: hands_free::Mail) -> bool {
        let Ok(phones) = &self.ends.phones else { return false };
        match phones.send(mail) {
            Ok(()) => return true,
            Err(Undelivered::Full(_)) => {
                log::error!("the hands-free thread's mailbox is full: a command was lost");
            }
            Err(Undelivered::Gone(_)) => log::error!("the hands-free thread is gone"),
        }
        false
    }

    /// What is asked of phones that are not there has an answer, too.
    fn command_phones(&mut self, command: PhoneCommand) {
        let answer = match &command {
            PhoneCommand::Dial { call, .. } | PhoneCommand::Answer { call } => Some(PhoneEvent::Ended {
                call: *call,
                end: PhoneEnd::Leg(LegEnd::Failed),
                detail: "there is no hands-free thread".into(),
            }),
            PhoneCommand::Reject { call, .. } | PhoneCommand::Hangup { call } => {
                Some(PhoneEvent::Ended { call: *call, end: PhoneEnd::PhoneLost, detail: String::new() })
            }
            PhoneCommand::Close => Some(PhoneEvent::Closed),
            PhoneCommand::Configure(_)
            | PhoneCommand::HandOver { .. }
            | PhoneCommand::OpenPairingWindow { .. }
            | PhoneCommand::ClosePairingWindow
            | PhoneCommand::AnswerPairing { .. }
            | PhoneCommand::Connect { .. }
            | PhoneCommand::Disconnect { .. }
            | PhoneCommand::Trust { .. }
            | PhoneCommand::Remove { .. } => None,
        };
        if !self.mail_phones(hands_free::Mail::Command(command)) {
            self.inputs.extend(answer.map(Input::Phone));
        }
    }

    fn commit(&mut self, batch: Batch) {
        if let Err(fault) = self.ends.store.send(batch) {
            self.store_failed(fault);
        }
    }

    /// Records would be lost from now on, so no call may go on: this thread ends, and with it the service.
    fn store_failed(&mut self, fault: StoreFault) {
        log::error!("the store takes nothing more: {fault}");
        self.inputs.push_back(Input::Stop);
    }

    fn close_media(&mut self, call: CallId) -> Option<MediaReport> {
        let report = self.ends.media.close(call)?;
        if report.packets_received > 0 {
            self.ends.metrics.rtp_jitter.observe(Duration::from_secs_f32(report.jitter_ms / 1000.0));
        }
        if let Some(round_trip_ms) = report.round_trip_ms {
            self.ends.metrics.rtp_round_trip.observe(Duration::from_secs_f32(round_trip_ms / 1000.0));
        }
        Some(report)
    }

    fn open_media(&mut self, call: CallId, carrier: Carrier) {
        let path = match carrier {
            Carrier::Sip => match self.ends.media.open(call, self.ends.media_bind) {
                Ok((port, talker)) => {
                    self.links.insert(call, talker);
                    Ok(AudioPath::Rtp { port })
                }
                Err(error) => Err(error.to_string()),
            },
            Carrier::Phone => match link::link() {
                Ok((end, talker)) => {
                    if self.mail_phones(hands_free::Mail::MediaOpen { call, end }) {
                        self.links.insert(call, talker);
                        Ok(AudioPath::VoiceLink)
                    } else {
                        Err("there is no hands-free thread".into())
                    }
                }
                Err(error) => Err(error.to_string()),
            },
        };
        self.inputs.push_back(Input::MediaOpened { call, path });
    }

    fn begin_agent(&mut self, plan: AgentPlan) {
        let call = plan.call;
        let begun =
            self.links.remove(&call).ok_or_else(|| io::Error::other("no audio link")).and_then(|talker| {
                let (commands, rx) = mailbox(AGENT_MAIL_MAX)?;
                let handle = self.handle.clone();
                let tell = move |event| handle.tell(Input::Agent { call, event });
                match plan.engine.clone() {
                    Engine::ElevenLabs(service) => {
                        let ends = agent::Ends {
                            talker,
                            commands: rx,
                            resolver: self.ends.resolver.clone(),
                            metrics: self.ends.metrics.clone(),
                        };
                        agent::spawn(&self.ends.spawner, plan, service, ends, tell)?;
                    }
                    Engine::Echo => super::echo::spawn(&self.ends.spawner, talker, rx, tell)?,
                }
                Ok(commands)
            });
        match begun {
            Ok(commands) => {
                self.agents.insert(call, commands);
            }
            Err(error) => {
                let error = format!("the agent's thread did not start: {error}");
                let event = AgentEvent::Ended(AgentEnd::Failed { error });
                self.inputs.push_back(Input::Agent { call, event });
            }
        }
    }

    fn command_agent(&mut self, call: CallId, command: AgentCommand) {
        let Some(agent) = self.agents.get(&call) else { return };
        match agent.send(command) {
            // One that has ended by itself has said so, or is about to.
            Ok(()) | Err(Undelivered::Gone(_)) => {}
            Err(Undelivered::Full(_)) => {
                log::error!("{call}: the agent's mailbox is full: a command was lost");
            }
        }
    }
}

enum Drained {
    Until(Option<std::time::Instant>),
    Stopped,
}
