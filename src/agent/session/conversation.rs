//! The state machine of a conversation. See the module's page for its states.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::contract::{Event, Input, Output, Status, Why};
use super::ending::{self, Early, End};
use super::faults::Faults;
use super::initiation::{INITIATION_BYTES_MAX, Initiation};
use super::replies::Replies;
use super::tools::Tools;
use crate::agent::format::AudioFormat;
use crate::agent::message::ClientMessage;
use crate::agent::playout::Playout;
use crate::base::time::earlier;

/// From initiation to metadata.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of a farewell to the close that should follow it.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than its audio draining may take before the line is taken for dead.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// The last packet passes through the peer's jitter buffer before anyone may hang up.
const LINE_TAIL: Duration = Duration::from_millis(200);
/// Messages that wait for the start at most; a later one is refused and told.
const WAITING_MESSAGES_MAX: usize = 64;
/// Sockets that may be lost between initiation and metadata before that is a failure.
const LOST_AFTER_INITIATION_MAX: u32 = 1;

#[derive(Debug)]
pub(super) enum State {
    Idle,
    Open,
    Initiated { deadline: Instant },
    Talking,
    Draining { deadline: Instant, played_at: Option<Instant>, end: End },
    Ended,
}

/// One conversation. See the module's page.
#[derive(Debug)]
pub struct Session {
    pub(super) state: State,
    pub(super) begun: bool,
    pub(super) initiation: Initiation,
    pub(super) initiation_reported: bool,
    pub(super) metadata: Option<(String, AudioFormat, AudioFormat)>,
    pub(super) lost_after_initiation: u32,
    pub(super) waiting: VecDeque<ClientMessage>,
    pub(super) playout: Playout,
    pub(super) is_audible: bool,
    pub(super) cut: Option<u64>,
    /// The newest of the service's numbers that came with audio.
    pub(super) last_event_id: Option<u64>,
    /// Somebody else speaks on the call; when the service is reminded of it next.
    pub(super) held: Option<Instant>,
    pub(super) input_format: Option<AudioFormat>,
    pub(super) replies: Replies,
    pub(super) tools: Tools,
    pub(super) faults: Faults,
    pub(super) stale_bytes: u64,
    pub(super) overflow_told: bool,
    pub(super) error: Option<String>,
    pub(super) error_deadline: Option<Instant>,
    pub(super) saying_farewell: bool,
    pub(super) farewell_deadline: Option<Instant>,
    pub(super) outputs: VecDeque<Output>,
}

impl Session {
    /// A conversation that waits for its socket.
    pub fn new(initiation: Initiation) -> Self {
        Self {
            state: State::Idle,
            begun: false,
            initiation,
            initiation_reported: false,
            metadata: None,
            lost_after_initiation: 0,
            waiting: VecDeque::new(),
            playout: Playout::new(AudioFormat::Pcm16000),
            is_audible: false,
            cut: None,
            last_event_id: None,
            held: None,
            input_format: None,
            replies: Replies::default(),
            tools: Tools::default(),
            faults: Faults::default(),
            stale_bytes: 0,
            overflow_told: false,
            error: None,
            error_deadline: None,
            saying_farewell: false,
            farewell_deadline: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input; drain `poll_output` afterwards.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.state, State::Ended) {
            return;
        }
        match input {
            Input::Opened => {
                self.state = State::Open;
                self.initiate(now);
            }
            Input::Unreachable(error) => self.end(End::Failed { error }),
            Input::Begin => {
                self.begun = true;
                self.initiate(now);
            }
            Input::Text(text) => self.message(now, text),
            Input::Binary => self.fault("the agent service sent a binary message, which was dropped".into()),
            Input::Closed { code, reason } => self.closed(now, code, reason),
            Input::CallerAudio(audio) => {
                if matches!(self.state, State::Talking) && self.held.is_none() {
                    self.transmit(&ClientMessage::Audio(audio.to_vec()));
                }
            }
            Input::ContextualUpdate(text) => self.say(ClientMessage::ContextualUpdate { text }),
            Input::UserMessage(text) => self.say(ClientMessage::UserMessage { text }),
            Input::Line { taken, played } => {
                self.playout.heard(taken, played);
                self.line_moved(now);
            }
            Input::Hold => self.hold(now),
            Input::Resume => self.resume(),
            Input::Close => self.end(End::Closed),
        }
    }

    /// Acts on the deadlines that have come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some((deadline, why)) = self.deadline() else { return };
        if now < deadline {
            return;
        }
        match why {
            Why::Metadata => self.end(End::Failed {
                error: "the agent service did not accept the conversation in time; try again later".into(),
            }),
            Why::Error => {
                let error = self.error.take().unwrap_or_default();
                let end = End::Failed { error: format!("the agent service reported an error: {error}") };
                if matches!(self.state, State::Talking) {
                    self.outputs.push_back(Output::Close);
                    self.drain(now, end);
                } else {
                    self.end(end);
                }
            }
            Why::Farewell => self.end(End::Finished),
            Why::Hold => self.keep_quiet(now),
            Why::Drain | Why::LineTail => {
                if let State::Draining { end, .. } = &self.state {
                    let end = end.clone();
                    self.end(end);
                }
            }
        }
    }

    /// What to do next; `Timeout` is always the last.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.deadline()))
    }

    /// The next 20 ms for the ring to the line, in the output format. Whoever takes a block pushes it there. With
    /// `ring_is_low` the rest of a reply is given too, filled with silence.
    pub fn take_block(&mut self, ring_is_low: bool) -> Option<Vec<u8>> {
        self.playout.take_block(ring_is_low)
    }

    /// Counters.
    pub fn status(&self) -> Status {
        Status {
            stale_bytes: self.stale_bytes,
            dropped_ms: self.playout.dropped_ms(),
            faults: self.faults.total(),
            waiting_ms: self.playout.waiting_ms(),
        }
    }

    /// When to call `handle_timeout` at the latest.
    pub fn deadline(&self) -> Option<(Instant, Why)> {
        let own = match &self.state {
            State::Idle | State::Open | State::Ended => None,
            State::Initiated { deadline } => Some((*deadline, Why::Metadata)),
            State::Talking => earlier(
                self.farewell_deadline.map(|deadline| (deadline, Why::Farewell)),
                self.held.map(|beat| (beat, Why::Hold)),
            ),
            State::Draining { deadline, played_at, .. } => Some(match played_at {
                Some(played_at) => (*played_at + LINE_TAIL, Why::LineTail),
                None => (*deadline, Why::Drain),
            }),
        };
        let error = self.error_deadline.map(|deadline| (deadline, Why::Error));
        [own, error].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn transmit(&mut self, message: &ClientMessage) {
        self.outputs.push_back(Output::Transmit(message.to_json()));
    }

    pub(super) fn fault(&mut self, error: String) {
        if self.faults.count() {
            self.event(Event::Fault { error });
        }
    }

    fn initiate(&mut self, now: Instant) {
        if !self.begun || !matches!(self.state, State::Open) {
            return;
        }
        let Some(built) = self.initiation.build() else {
            let error =
                format!("the overrides are larger than {INITIATION_BYTES_MAX} bytes; shorten the prompt");
            self.end(End::Failed { error });
            return;
        };
        self.transmit(&built.message);
        self.state = State::Initiated { deadline: now + METADATA_TIMEOUT };
        if !std::mem::replace(&mut self.initiation_reported, true) {
            for name in built.reserved {
                self.fault(format!(
                    "the dynamic variable {name} was not sent: system__ names are the service's"
                ));
            }
            for name in built.too_large {
                self.fault(format!("the dynamic variable {name} was not sent: all must fit into 64 KiB"));
            }
        }
        self.start();
    }

    /// Begins once the initiation went out and the metadata came, in whatever order.
    pub(super) fn start(&mut self) {
        if !matches!(self.state, State::Initiated { .. }) {
            return;
        }
        let Some((conversation_id, input, output)) = self.metadata.take() else { return };
        self.state = State::Talking;
        self.playout.set_format(output);
        self.input_format = Some(input);
        self.event(Event::Started { conversation_id, input, output });
        for message in std::mem::take(&mut self.waiting) {
            self.transmit(&message);
        }
    }

    fn say(&mut self, message: ClientMessage) {
        if matches!(self.state, State::Talking) {
            self.transmit(&message);
        } else if matches!(self.state, State::Draining { .. }) {
            self.fault("a message for the agent was not sent: the agent has ended the conversation".into());
        } else if self.waiting.len() < WAITING_MESSAGES_MAX {
            self.waiting.push_back(message);
        } else {
            self.fault("a message for the agent was not sent: too many wait for the conversation".into());
        }
    }

    /// After anything that may have emptied the way to the line, or settled a flush.
    pub(super) fn line_moved(&mut self, now: Instant) {
        if self.playout.is_settled() {
            self.tell_cut_offs();
        }
        let is_empty = self.playout.is_empty();
        match &mut self.state {
            State::Talking if is_empty => {
                if std::mem::take(&mut self.is_audible) {
                    self.event(Event::Listening);
                }
                if self.saying_farewell {
                    self.farewell_deadline.get_or_insert(now + FAREWELL_TIMEOUT);
                }
            }
            State::Draining { played_at, .. } if is_empty => {
                played_at.get_or_insert(now);
            }
            State::Idle
            | State::Open
            | State::Initiated { .. }
            | State::Talking
            | State::Draining { .. }
            | State::Ended => {}
        }
    }

    fn tell_cut_offs(&mut self) {
        for (reply, played_ms) in self.playout.cut_off() {
            self.event(Event::CutOff { reply, played_ms });
        }
    }

    fn closed(&mut self, now: Instant, code: Option<u16>, reason: &str) {
        self.error_deadline = None;
        match self.state {
            State::Idle | State::Draining { .. } | State::Ended => {}
            State::Open | State::Initiated { .. } => {
                self.metadata = None;
                self.lost_after_initiation += u32::from(matches!(self.state, State::Initiated { .. }));
                match ending::before_start(code, reason, self.error.as_deref()) {
                    Early::Lost if self.lost_after_initiation <= LOST_AFTER_INITIATION_MAX => {
                        self.state = State::Idle;
                        self.event(Event::Lost);
                    }
                    Early::Lost => self.end(End::Failed {
                        error: "the agent service closed the socket twice instead of accepting the conversation; \
                                check the agent"
                            .into(),
                    }),
                    Early::Failed(error) => self.end(End::Failed { error }),
                }
            }
            State::Talking => {
                let end = ending::after_start(code, reason, self.error.as_deref());
                self.drain(now, end);
            }
        }
    }

    /// The socket is gone: what waits is played, then it ends.
    fn drain(&mut self, now: Instant, end: End) {
        self.error_deadline = None;
        let deadline = now + Duration::from_millis(self.playout.waiting_ms()) + DRAIN_GRACE;
        self.state = State::Draining { deadline, played_at: None, end };
        self.line_moved(now);
    }

    pub(super) fn end(&mut self, end: End) {
        if !matches!(self.state, State::Idle | State::Draining { .. }) {
            self.outputs.push_back(Output::Close);
        }
        self.playout.abandon();
        self.outputs.push_back(Output::Flush);
        self.tell_cut_offs();
        self.state = State::Ended;
        self.error_deadline = None;
        self.event(Event::Ended(end));
    }
}
