//! The thread of one agent conversation: its socket, its session, and the two rings of its call.
//!
//! ```text
//!  ring (caller) ──▶ Uplink ──▶ Session ──▶ socket      as it comes; what a stalled socket makes stale is skipped
//!  ring (line)   ◀── Downlink ◀── playout ◀── socket     refilled the moment something comes or the line takes one
//! ```
//!
//! While it rings, everything up to the open socket is done. The conversation begins when the call is up and the
//! caller's first voice came, or one second later. The thread ends after `AgentEvent::Ended`.

mod audio;
mod connection;
mod gauge;
mod report;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::{Downlink, Uplink};
use connection::{Answer, Connection, Step};
use gauge::Gauge;

use super::link::{DOWNLINK_BLOCKS_MAX, TalkerEnd};
use super::resolver::Resolver;
use crate::agent::AudioFormat;
use crate::agent::session::{Event, Initiation, Input, Output, Session};
use crate::base::Metrics;
use crate::base::time::earlier;
use crate::call::audio::Block;
use crate::call::conversation::{AgentCommand, AgentEvent, AgentPlan, AgentService};
use crate::port::websocket::Received;
use crate::sys::clock;
use crate::sys::mailbox::{Mailbox, mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, wait};

/// From the answered call to its begin, when no voice comes.
const FIRST_VOICE_WAIT: Duration = Duration::from_secs(1);
/// From the answered call to the last attempt to reach the service: a person listens to silence, and the time while
/// it rang was there for all the attempts that make sense.
const REACH_TIMEOUT: Duration = Duration::from_secs(3);
/// Caller audio that waits for the start or for a stalled socket at most (400 ms); the oldest is skipped and counted.
const UPLINK_BACKLOG_BLOCKS_MAX: usize = 20;
/// Messages that are read before the line, the commands and the clock are looked at again.
const MESSAGES_PER_TURN_MAX: usize = 32;
/// How long the closing handshake may take after everything was told.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Answers of the resolver that wait at most; there is one question at a time.
const ANSWERS_MAX: usize = 4;

/// What the thread works with.
#[derive(Debug)]
pub struct Ends {
    /// The call's audio.
    pub talker: TalkerEnd,
    /// What the switch wants.
    pub commands: Mailbox<AgentCommand>,
    /// For names and signed URLs.
    pub resolver: Resolver,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// Starts the thread. Everything that happens is told to `tell`, on that thread; `AgentEvent::Ended` once and last.
pub fn spawn(
    spawner: &Spawner,
    plan: AgentPlan,
    service: AgentService,
    ends: Ends,
    tell: impl FnMut(AgentEvent) + Send + 'static,
) -> io::Result<()> {
    let Ends { talker, commands, resolver, metrics } = ends;
    let (answers_tx, answers) = mailbox(ANSWERS_MAX)?;
    let connection = Connection::begin(service, resolver, answers_tx, clock::rng()?);
    let session = Session::new(Initiation {
        dynamic_variables: plan.dynamic_variables.clone(),
        first_message: plan.overrides.first_message.clone(),
        language: plan.overrides.language.clone(),
        prompt: plan.overrides.prompt.clone(),
        voice_id: plan.overrides.voice_id.clone(),
    });
    let conversation = Conversation {
        plan,
        talker,
        commands,
        answers,
        connection,
        session,
        tell: Box::new(tell),
        begin_at: None,
        begun: false,
        uplink: None,
        downlink: None,
        backlog: VecDeque::new(),
        skipped_blocks: 0,
        line_seen: (0, 0),
        ended: false,
        gauge: Gauge::new(clock::mono(), metrics),
    };
    spawner.spawn(Role::Agent, move || conversation.run())?;
    Ok(())
}

struct Conversation {
    plan: AgentPlan,
    talker: TalkerEnd,
    commands: Mailbox<AgentCommand>,
    answers: Mailbox<Answer>,
    connection: Connection,
    session: Session,
    tell: Box<dyn FnMut(AgentEvent) + Send>,
    /// The call is up: begin now at the latest.
    begin_at: Option<Instant>,
    begun: bool,
    /// Since the service accepted the conversation.
    uplink: Option<Uplink>,
    downlink: Option<(AudioFormat, Downlink)>,
    backlog: VecDeque<Block>,
    skipped_blocks: u64,
    line_seen: (u64, u64),
    ended: bool,
    gauge: Gauge,
}

impl Conversation {
    fn run(mut self) {
        let step = self.connection.ask();
        self.act(clock::mono(), step);
        let mut more = false;
        while !self.ended {
            if let Err(error) = self.wait(more) {
                self.input(clock::mono(), Input::Unreachable(format!("waiting failed: {error}")));
                break;
            }
            let now = clock::mono();
            more = self.read_socket(now);
            self.take_commands(now);
            while let Ok(Some(answer)) = self.answers.next() {
                let step = self.connection.answered(now, answer);
                self.act(now, step);
            }
            self.line(now);
            self.caller(now);
            let step = self.connection.handle_timeout(now);
            self.act(now, step);
            self.session.handle_timeout(now);
            self.drain(now);
        }
        self.log_counters();
        self.close_socket();
    }

    /// The one wait of the thread; at once when messages may be left in the socket's own buffers.
    fn wait(&self, more: bool) -> io::Result<()> {
        let begin_at = self.begin_at.filter(|_| !self.begun);
        let session = self.session.deadline().map(|(deadline, _)| deadline);
        let mut deadline = earlier(earlier(begin_at, session), self.connection.deadline());
        if more {
            deadline = Some(clock::mono());
        }
        let own = [self.commands.as_fd(), self.answers.as_fd(), self.talker.wake().as_fd()];
        let [commands, answers, talker] = own.map(|fd| on(fd, Interest::READ));
        match self.connection.fd() {
            Some((fd, interest)) => wait(&mut [commands, answers, talker, on(fd, interest)], deadline),
            None => wait(&mut [commands, answers, talker], deadline),
        }?;
        self.commands.lower();
        self.answers.lower();
        self.talker.wake().lower();
        Ok(())
    }

    /// Reads until nothing is left; true when it stopped before that.
    fn read_socket(&mut self, now: Instant) -> bool {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let step = self.connection.receive(now);
            let is_last = matches!(
                step,
                Step::Wait | Step::Again { .. } | Step::GivenUp(_) | Step::Received(Received::Nothing)
            );
            self.act(now, step);
            if is_last || self.ended {
                return false;
            }
        }
        true
    }

    fn act(&mut self, now: Instant, step: Step) {
        match step {
            Step::Wait | Step::Received(Received::Nothing | Received::Refused { .. }) => {}
            Step::Again { count } => (self.tell)(AgentEvent::Reconnecting { count }),
            Step::GivenUp(error) => self.input(now, Input::Unreachable(error)),
            Step::Received(Received::Opened) => {
                self.gauge.connected(now);
                (self.tell)(AgentEvent::Connected);
                self.input(now, Input::Opened);
            }
            Step::Received(Received::Text(text)) => self.input(now, Input::Text(&text)),
            Step::Received(Received::Binary(_)) => self.input(now, Input::Binary),
            Step::Received(Received::Closed { code, reason }) => {
                self.input(now, Input::Closed { code, reason: &reason });
            }
        }
    }

    fn take_commands(&mut self, now: Instant) {
        loop {
            match self.commands.next() {
                Ok(Some(AgentCommand::Activate)) => {
                    self.gauge.activated(now);
                    self.talker.open_uplink();
                    self.begin_at.get_or_insert(now + FIRST_VOICE_WAIT);
                    self.connection.set_deadline(now + REACH_TIMEOUT);
                }
                Ok(Some(AgentCommand::ContextualUpdate { text })) => {
                    self.input(now, Input::ContextualUpdate(text));
                }
                Ok(Some(AgentCommand::UserMessage { text })) => self.input(now, Input::UserMessage(text)),
                Ok(Some(AgentCommand::Hold)) => self.input(now, Input::Hold),
                Ok(Some(AgentCommand::Resume)) => self.input(now, Input::Resume),
                Ok(Some(AgentCommand::Close)) | Err(_) => {
                    self.input(now, Input::Close);
                    return;
                }
                Ok(None) => return,
            }
        }
    }

    /// What the line has played since the last look.
    fn line(&mut self, now: Instant) {
        self.gauge.line(now, &self.talker);
        let seen = (self.talker.taken(), self.talker.played());
        if seen != self.line_seen {
            self.line_seen = seen;
            self.input(now, Input::Line { taken: seen.0, played: seen.1 });
        }
    }

    /// The caller's voice: it begins the conversation, waits for its start, then goes up as it comes.
    fn caller(&mut self, now: Instant) {
        while let Some(block) = self.talker.pop() {
            self.backlog.push_back(block);
        }
        if let Some(begin_at) = self.begin_at
            && !self.begun
            && (!self.backlog.is_empty() || begin_at <= now)
        {
            self.begun = true;
            self.input(now, Input::Begin);
        }
        while self.backlog.len() > UPLINK_BACKLOG_BLOCKS_MAX {
            self.backlog.pop_front();
            self.skipped_blocks += 1;
            self.gauge.skipped_block();
        }
        while !self.connection.is_stalled()
            && let Some(uplink) = &mut self.uplink
            && let Some(block) = self.backlog.pop_front()
        {
            let bytes = uplink.convert(&block);
            if !bytes.is_empty() {
                self.input(now, Input::CallerAudio(&bytes));
            }
        }
    }

    fn input(&mut self, now: Instant, input: Input<'_>) {
        self.session.handle_input(now, input);
        self.drain(now);
    }

    /// Does what the session says, then fills the ring to the line.
    fn drain(&mut self, now: Instant) {
        loop {
            match self.session.poll_output() {
                Output::Transmit(text) => {
                    let sent = self.connection.open_socket().map(|socket| socket.send(text));
                    if let Some(Err(error)) = sent {
                        let reason = error.to_string();
                        self.session.handle_input(now, Input::Closed { code: None, reason: &reason });
                    }
                }
                Output::Flush => {
                    self.gauge.flushed(now, &self.talker);
                    self.talker.flush();
                    self.renew_downlink();
                }
                Output::Close => {
                    if let Some(socket) = self.connection.open_socket() {
                        socket.close();
                    }
                }
                Output::Event(event) => self.event(now, event),
                Output::Timeout(_) => break,
            }
        }
        self.fill_ring();
    }

    fn event(&mut self, now: Instant, event: Event) {
        if let Event::Started { input, output, .. } = &event {
            let ulaw = AudioFormat::Ulaw8000;
            self.talker.want_ulaw(*input == ulaw && *output == ulaw);
            self.uplink = Uplink::new(*input).ok();
            self.downlink = Downlink::new(*output).ok().map(|downlink| (*output, downlink));
            log::info!("{}: agent conversation started, {input} up, {output} down", self.plan.call);
        }
        if event == Event::Lost {
            let step = self.connection.lost(now);
            self.act(now, step);
        }
        self.ended |= matches!(event, Event::Ended(_));
        if let Some(event) = report::report(event) {
            (self.tell)(event);
        }
    }

    /// A new reply must not begin with the rest of the one that was cut off.
    fn renew_downlink(&mut self) {
        self.downlink = self
            .downlink
            .take()
            .and_then(|(format, _)| Downlink::new(format).ok().map(|downlink| (format, downlink)));
    }

    fn fill_ring(&mut self) {
        let Some((_, downlink)) = &mut self.downlink else { return };
        while self.talker.room() > 0 {
            let ring_is_empty = self.talker.room() == DOWNLINK_BLOCKS_MAX;
            let Some(bytes) = self.session.take_block(ring_is_empty) else { break };
            self.talker.push(downlink.convert(&bytes));
        }
    }

    fn log_counters(&self) {
        let (status, dropped) = (self.session.status(), self.talker.dropped());
        log::debug!(
            "{}: agent conversation ended: {} faults, {} ms of agent audio dropped, {} stale bytes, {} caller \
             blocks skipped, {dropped} dropped",
            self.plan.call,
            status.faults,
            status.dropped_ms,
            status.stale_bytes,
            self.skipped_blocks,
        );
    }

    /// Everything was told; the closing handshake gets a moment.
    fn close_socket(mut self) {
        let deadline = clock::mono() + CLOSE_TIMEOUT;
        let Some(socket) = self.connection.open_socket() else { return };
        while clock::mono() < deadline {
            match socket.receive() {
                Received::Closed { .. } => return,
                Received::Nothing => {
                    let interest = socket.interest();
                    let Some(fd) = socket.fd() else { return };
                    if wait(&mut [on(fd, interest)], Some(deadline)).is_err() {
                        return;
                    }
                }
                Received::Opened | Received::Text(_) | Received::Binary(_) | Received::Refused { .. } => {}
            }
        }
    }
}
