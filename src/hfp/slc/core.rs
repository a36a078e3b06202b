//! What the connection holds, what goes in and what comes out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::audio::{Step, Watch};
use super::report::{Counters, Fault, Phone, Refusal};
use crate::base::Number;
use crate::base::time::earlier;
use crate::hfp::at::{CallFailure, FinalResult, Lines};
use crate::hfp::call::{CallState, Calls, Change};
use crate::hfp::feature::{AgFeatures, Codec, HfFeatures};
use crate::hfp::indicator::Indicators;

/// A command without an answer for this long has none.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The question that puts the two in step again: what the user wants may be waiting behind it.
const PROBE_ANSWER_MAX: Duration = Duration::from_secs(2);
/// A command that may be repeated is sent so often.
const TRIES_MAX: u8 = 2;
/// `AT+BCS` waits for the command before it no longer than this: the phone wants it within a second.
const CODEC_ANSWER_MAX: Duration = Duration::from_millis(500);
/// Commands that wait at most; one more is refused.
const WAITING_MAX: usize = 32;

/// What the user wants. Before the connection is up it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Call this number.
    Dial(Number),
    /// Take the call that comes in.
    Answer,
    /// Refuse the call that comes in, or end the one that is made or active.
    Hangup,
    /// Refuse the call that waits (or release the held ones) and leave the active one alone.
    RefuseWaiting,
    /// End this call and leave every other one alone. Refused when the phone cannot do that (`Slc::releases_one`).
    Release {
        /// Its index on the phone.
        index: u8,
    },
    /// Press a key: `0`-`9`, `*`, `#`, `A`-`D`; others are refused.
    Dtmf(char),
    /// The audio is wanted here, whatever calls the phone lists, or left to the phone. Before it is said: wanted for
    /// an active call.
    Audio {
        /// Here.
        here: bool,
    },
    /// Ask for the audio link now, without waiting for it to stay away.
    OpenAudio,
    /// mSBC does not work over this link: offer CVSD alone, and open the link again.
    CvsdOnly,
}

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for RFCOMM.
    Transmit(Vec<u8>),
    /// Something to know.
    Event(Event),
    /// Nothing more until this time (and why), or until an input.
    Timeout(Option<(Instant, Why)>),
}

/// Why the core wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A command may stay without an answer.
    Answer,
    /// `AT+BCS` has waited long enough.
    CodecAnswer,
    /// An active call may be without audio.
    Audio,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is set up.
    Up(AgFeatures),
    /// What the phone says about itself has changed.
    Phone(Phone),
    /// A call is new, stands elsewhere or is over.
    Call(Change),
    /// The audio link that comes next uses this codec. It is told before the phone is: the link may come at once.
    Codec(Codec),
    /// The phone took `Command::Answer`.
    Answered,
    /// The phone said, unasked, how a call failed.
    CallFailed(CallFailure),
    /// Open the audio link from this side: the phone has no other way to be asked.
    OpenAudio,
    /// A call is active and its audio is not here, whatever was tried.
    AudioLost,
    /// Whether the phone rings through the audio link.
    InBandRing(bool),
    /// A command was not done.
    Refused(Command, Refusal),
    /// The connection cannot be used; nothing more comes.
    Down(Fault),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Setup,
    Up,
    Down,
}

pub(super) struct Outstanding {
    pub(super) ask: Ask,
    pub(super) tries: u8,
    since: Instant,
    /// The line that only this command is answered with has come.
    pub(super) reported: bool,
}

/// The connection with one phone.
pub struct Slc {
    own: HfFeatures,
    phones: AgFeatures,
    pub(super) codecs: Vec<Codec>,
    pub(super) state: State,
    pub(super) lines: Lines,
    pub(super) indicators: Indicators,
    pub(super) calls: Calls,
    /// The phone answers `AT+CLCC`.
    pub(super) lists_calls: bool,
    /// It takes `AT+CHLD=1x`.
    pub(super) releases_one: bool,
    pub(super) phone: Phone,
    pub(super) outstanding: VecDeque<Outstanding>,
    /// Commands given up whose ends may still come: the next end is perhaps not the outstanding command's.
    pub(super) stale: u8,
    waiting: VecDeque<(Ask, u8)>,
    codec_answer: Option<(Codec, Instant)>,
    audio: Watch,
    audio_here: Option<bool>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    pub(super) counters: Counters,
}

impl Slc {
    /// Begins the set-up at once. `codecs` in the order in which they are liked; CVSD is always among them.
    pub fn start(now: Instant, codecs: &[Codec]) -> Self {
        let mut codecs = codecs.to_vec();
        if !codecs.contains(&Codec::Cvsd) {
            codecs.push(Codec::Cvsd);
        }
        let mut own = HfFeatures::THREE_WAY
            | HfFeatures::CLI
            | HfFeatures::REMOTE_VOLUME
            | HfFeatures::ENHANCED_CALL_STATUS
            | HfFeatures::HF_INDICATORS
            | HfFeatures::ESCO_S4;
        if codecs.len() > 1 {
            own = own | HfFeatures::CODEC_NEGOTIATION;
        }
        let mut slc = Self {
            own,
            phones: AgFeatures::default(),
            codecs,
            state: State::Setup,
            lines: Lines::default(),
            indicators: Indicators::default(),
            calls: Calls::default(),
            lists_calls: true,
            releases_one: false,
            phone: Phone::default(),
            outstanding: VecDeque::new(),
            stale: 0,
            waiting: VecDeque::new(),
            codec_answer: None,
            audio: Watch::default(),
            audio_here: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        };
        slc.send(now, Ask::Features, 1);
        slc
    }

    /// What this unit said that it can do.
    pub fn hf_features(&self) -> HfFeatures {
        self.own
    }

    /// What the phone said that it can do.
    pub fn ag_features(&self) -> AgFeatures {
        self.phones
    }

    /// The calls on the phone.
    pub fn calls(&self) -> &[crate::hfp::Call] {
        self.calls.known()
    }

    /// The indicators tell of a call, whether it is known which or not yet.
    pub fn has_calls(&self) -> bool {
        let values = self.indicators.values();
        !self.calls.known().is_empty() || (values.call, values.call_setup, values.call_held) != (0, 0, 0)
    }

    /// The phone can release one call of several (`AT+CHLD=1x`).
    pub fn releases_one(&self) -> bool {
        self.releases_one
    }

    /// What the phone says about itself.
    pub fn phone(&self) -> &Phone {
        &self.phone
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        Counters { too_long: self.lines.dropped(), ..self.counters }
    }

    /// The user wants something.
    pub fn command(&mut self, now: Instant, command: Command) {
        let ask = match command.clone() {
            Command::Dial(number) => Ask::Dial(number),
            Command::Answer => Ask::Answer,
            Command::Hangup => Ask::Hangup,
            Command::RefuseWaiting => Ask::RefuseWaiting,
            Command::Release { index } if self.releases_one => Ask::Release(index),
            Command::Dtmf(tone @ ('0'..='9' | '*' | '#' | 'A'..='D')) => Ask::Dtmf(tone),
            Command::Release { .. } | Command::Dtmf(_) => {
                return self.tell(Event::Refused(command, Refusal::Here));
            }
            Command::Audio { here } => {
                self.audio_here = Some(here);
                return self.watch_audio(now);
            }
            Command::OpenAudio => {
                self.open_audio();
                return self.pump(now);
            }
            Command::CvsdOnly => {
                self.codecs = vec![Codec::Cvsd];
                if self.negotiates_codecs() {
                    self.ask(Ask::Codecs);
                }
                self.open_audio();
                return self.pump(now);
            }
        };
        if self.state == State::Down || self.waiting.len() >= WAITING_MAX {
            return self.tell(Event::Refused(command, Refusal::Here));
        }
        self.ask(ask);
        self.pump(now);
    }

    /// The audio link is there, or not any more.
    pub fn audio_linked(&mut self, now: Instant, linked: bool) {
        self.audio.linked(now, linked);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.answer_by().is_some_and(|by| now >= by)
            && let Some(late) = self.outstanding.pop_front()
        {
            self.counters.unanswered += 1;
            self.stale = self.stale.saturating_add(1);
            if self.is_probe(&late.ask) {
                // It answers nothing at all now: what waits goes out all the same.
            } else if late.ask.may_be_repeated() && late.tries < TRIES_MAX {
                self.waiting.push_front((late.ask, late.tries + 1));
                self.probe();
            } else {
                self.unanswered(now, late.ask);
                self.probe();
            }
        }
        match self.audio.handle_timeout(now) {
            Some(Step::Open) => self.open_audio(),
            Some(Step::Lost) => self.tell(Event::AudioLost),
            None => {}
        }
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        // A codec is told before the line that takes it goes out.
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(bytes) = self.transmits.pop_front() {
            return Output::Transmit(bytes);
        }
        if self.state == State::Down {
            return Output::Timeout(None);
        }
        let answer = self.answer_by().map(|by| (by, Why::Answer));
        let codec = self.codec_answer.map(|(_, by)| (by, Why::CodecAnswer));
        let audio = self.audio.deadline().map(|at| (at, Why::Audio));
        Output::Timeout(earlier(earlier(answer, codec), audio))
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn tell_calls(&mut self, now: Instant, changes: Vec<Change>) {
        self.events.extend(changes.into_iter().map(Event::Call));
        self.watch_audio(now);
    }

    /// A command for its turn; the same question is not asked twice in a row.
    pub(super) fn ask(&mut self, ask: Ask) {
        let once = matches!(ask, Ask::ListCalls | Ask::OpenAudio | Ask::Codecs);
        if self.state != State::Down && !(once && self.waiting.iter().any(|(other, _)| *other == ask)) {
            self.waiting.push_back((ask, 1));
        }
    }

    /// After a command without an answer: a question whose answer is known by its line, so that an end that comes late
    /// is told from the one that is waited for.
    fn probe(&mut self) {
        let waits = self.waiting.iter().any(|(ask, _)| *ask == Ask::IndicatorValues);
        if self.state == State::Up && !waits {
            self.waiting.push_front((Ask::IndicatorValues, 1));
        }
    }

    fn is_probe(&self, ask: &Ask) -> bool {
        self.state == State::Up && *ask == Ask::IndicatorValues
    }

    fn answer_by(&self) -> Option<Instant> {
        let first = self.outstanding.front()?;
        Some(first.since + if self.is_probe(&first.ask) { PROBE_ANSWER_MAX } else { ANSWER_MAX })
    }

    pub(super) fn take_codec(&mut self, now: Instant, codec: Codec) {
        self.tell(Event::Codec(codec));
        self.codec_answer = Some((codec, now + CODEC_ANSWER_MAX));
    }

    /// Sends what may be sent now.
    pub(super) fn pump(&mut self, now: Instant) {
        let free = self.outstanding.is_empty();
        if let Some((codec, by)) = self.codec_answer
            && (free || now >= by)
        {
            self.codec_answer = None;
            self.send(now, Ask::TakeCodec(codec), 1);
        }
        // While it is set up, only a step that is tried again waits here with its turn.
        let again = self.waiting.front().is_some_and(|(_, tries)| *tries > 1);
        if self.outstanding.is_empty()
            && (self.state == State::Up || again)
            && let Some((ask, tries)) = self.waiting.pop_front()
        {
            self.send(now, ask, tries);
        }
    }

    fn send(&mut self, now: Instant, ask: Ask, tries: u8) {
        self.transmits.push_back(ask.line(self.own, &self.codecs).into_bytes());
        self.outstanding.push_back(Outstanding { ask, tries, since: now, reported: false });
    }

    /// A step of the set-up is done, or could not be.
    pub(super) fn go_on(&mut self, now: Instant, done: &Ask) {
        if let Some(next) = self.after(done) {
            return self.send(now, next, 1);
        }
        self.state = State::Up;
        self.tell(Event::Up(self.phones));
        self.tell(Event::Phone(self.phone.clone()));
        // Questions of our own come before what the user has wanted meanwhile: dialling too early is what hangs phones.
        for (at, ask) in self.first_questions().into_iter().enumerate() {
            self.waiting.insert(at.min(self.waiting.len()), (ask, 1));
        }
        self.follow_calls(now);
    }

    pub(super) fn set_features(&mut self, features: AgFeatures) {
        self.phones = features;
    }

    pub(super) fn down(&mut self, fault: Fault) {
        self.state = State::Down;
        let changes = self.calls.clear();
        self.events.extend(changes.into_iter().map(Event::Call));
        self.waiting.clear();
        self.outstanding.clear();
        self.transmits.clear();
        self.codec_answer = None;
        self.tell(Event::Down(fault));
    }

    fn unanswered(&mut self, now: Instant, ask: Ask) {
        if self.state == State::Setup && !matches!(ask, Ask::TakeCodec(_)) {
            self.down(Fault::Silent);
        } else {
            self.not_done(now, ask, Refusal::NoAnswer);
        }
    }

    /// A command of the user failed: he is told. One of our own: it was worth a try.
    pub(super) fn not_done(&mut self, now: Instant, ask: Ask, why: Refusal) {
        if ask == Ask::ListCalls {
            return self.not_listed(now, why);
        }
        if let Some(command) = ask.command() {
            self.tell(Event::Refused(command, why));
        }
    }

    fn not_listed(&mut self, now: Instant, why: Refusal) {
        self.calls.abandon();
        // Some phones refuse when there is nothing to list; only with calls it means that they cannot.
        let values = self.indicators.values();
        if why != Refusal::NoAnswer && (values.call, values.call_setup) != (0, 0) {
            self.lists_calls = false;
        }
        let changes = self.calls.follow(values);
        self.tell_calls(now, changes);
    }

    pub(super) fn refusal(result: FinalResult) -> Refusal {
        match result {
            FinalResult::CmeError(code) => Refusal::ByPhone(Some(code)),
            FinalResult::CallFailed(failure) => Refusal::Call(failure),
            FinalResult::Ok | FinalResult::Error => Refusal::ByPhone(None),
        }
    }

    /// HFP 4.11.3 and 4.11.2: a phone that negotiates codecs opens the link itself when asked; for another one it is
    /// opened from here.
    fn open_audio(&mut self) {
        if self.negotiates_codecs() {
            self.ask(Ask::OpenAudio);
        } else {
            self.tell(Event::OpenAudio);
        }
    }

    fn watch_audio(&mut self, now: Instant) {
        let active = || self.calls.known().iter().any(|call| call.state == CallState::Active);
        self.audio.wanted(now, self.audio_here.unwrap_or_else(active));
    }
}
