//! `callscoot sim phone`: one line that answers or calls, over any leg. It speaks the words of `call::leg`; the
//! SIP thread turns them into messages.
//!
//! ```text
//!  answering: Idle ─Incoming─▶ Ringing ─time─▶ Answering ─Audio─▶ Talking ─Ended─▶ Idle (or done)
//!  calling:   Idle ─start────▶ Dialing ─────────────────Audio─▶ Talking ─Ended─▶ done
//! ```

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde_json::{Value, json};

use super::voice::{Voice, VoiceEvent};
use crate::base::{CallId, CallIds};
use crate::call::leg::{DialTarget, LegCommand, LegEvent, LineAudio, LineCodec, RejectWhy, SipStatus};
use crate::port::wav::Recording;
use crate::run::link::TalkerEnd;
use crate::run::media::MediaPool;
use crate::sys::clock;
use crate::sys::thread::Spawner;

/// What the phone does by itself.
#[derive(Clone, Debug)]
pub enum Role {
    /// Takes calls, each after ringing for so long.
    Answer {
        /// Time between 180 and 200.
        ring_for: Duration,
    },
    /// Refuses calls.
    Refuse(RejectWhy),
    /// Calls once, at the start.
    Call(DialTarget),
}

/// How the phone behaves.
#[derive(Clone, Debug)]
pub struct PhoneOptions {
    /// What it does by itself.
    pub role: Role,
    /// Where it receives RTP.
    pub bind: IpAddr,
    /// What it says, 16 kHz mono.
    pub say: Arc<[i16]>,
    /// Where it records what it hears; overwritten by each call.
    pub record: Option<PathBuf>,
    /// In stereo: what it hears left, what it says right.
    pub stereo: bool,
    /// Hangs up so long after the answer.
    pub hang_up_after: Option<Duration>,
    /// Ends after the first call.
    pub once: bool,
}

/// What the phone's thread gets.
#[derive(Debug)]
pub enum Input {
    /// From the leg.
    Leg(LegEvent),
    /// From the voice of a call.
    Voice(CallId, VoiceEvent),
    /// Hang up and end.
    Stop,
}

struct Line {
    call: CallId,
    /// Until the audio is agreed.
    talker: Option<TalkerEnd>,
    voice: Option<Voice>,
    rtp_port: u16,
    answer_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    audio_since: Option<Instant>,
}

/// One simulated phone with one line; a second caller is busy.
pub struct Phone {
    options: PhoneOptions,
    pool: MediaPool,
    spawner: Spawner,
    ids: CallIds,
    voices: Sender<Input>,
    started: Instant,
    line: Option<Line>,
    commands: VecDeque<LegCommand>,
    told: VecDeque<Value>,
    status: SipStatus,
    closing: bool,
    done: bool,
    fault: Option<String>,
}

impl Phone {
    /// A phone at rest; `voices` is the sending end of its own input.
    pub fn new(
        now: Instant,
        options: PhoneOptions,
        pool: MediaPool,
        spawner: Spawner,
        ids: CallIds,
        voices: Sender<Input>,
    ) -> Self {
        Self {
            options,
            pool,
            spawner,
            ids,
            voices,
            started: now,
            line: None,
            commands: VecDeque::new(),
            told: VecDeque::new(),
            status: SipStatus::default(),
            closing: false,
            done: false,
            fault: None,
        }
    }

    /// Calls, when that is its role.
    pub fn start(&mut self, now: Instant) {
        let Role::Call(target) = self.options.role.clone() else { return };
        let call = self.ids.mint();
        match self.open(call) {
            Ok(rtp_port) => {
                self.commands.push_back(LegCommand::Dial { call, target, rtp_port });
                self.tell(now, "dialing", json!({ "rtp_port": rtp_port }));
            }
            Err(error) => self.fail(now, &error),
        }
    }

    /// Takes one input; then `poll_command` and `poll_line` until both are empty.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Leg(event) => self.leg_event(now, event),
            Input::Voice(call, event) => {
                if self.line.as_ref().is_some_and(|line| line.call == call) {
                    self.voice_event(now, event);
                }
            }
            Input::Stop => self.close(),
        }
    }

    /// The deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(line) = &mut self.line else { return };
        let (call, rtp_port) = (line.call, line.rtp_port);
        if line.answer_at.take_if(|at| *at <= now).is_some() {
            self.commands.push_back(LegCommand::Answer { call, rtp_port });
            self.tell(now, "answering", json!({ "rtp_port": rtp_port }));
        } else if line.hang_up_at.take_if(|at| *at <= now).is_some() {
            self.commands.push_back(LegCommand::Hangup { call });
            self.tell(now, "hanging_up", json!({}));
        }
    }

    /// When to call `handle_timeout`.
    pub fn deadline(&self) -> Option<Instant> {
        let line = self.line.as_ref()?;
        crate::base::time::earlier(line.answer_at, line.hang_up_at)
    }

    /// The next command for the leg.
    pub fn poll_command(&mut self) -> Option<LegCommand> {
        self.commands.pop_front()
    }

    /// The next thing that happened, as a JSON object.
    pub fn poll_line(&mut self) -> Option<Value> {
        self.told.pop_front()
    }

    /// Whether the leg is closed and nothing more will happen.
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn leg_event(&mut self, now: Instant, event: LegEvent) {
        match event {
            LegEvent::Incoming { call, remote } => {
                self.tell(now, "incoming", json!({ "from": remote.uri.map(|uri| uri.0) }));
                self.incoming(now, call);
            }
            LegEvent::Progress { code, .. } => self.tell(now, "progress", json!({ "code": code })),
            LegEvent::Audio { call, line } => self.audio(now, call, line),
            LegEvent::Ended { call, end, code, detail } => {
                if self.line.as_ref().is_some_and(|line| line.call == call) {
                    let report = self.hang_up_media(call);
                    let end = format!("{end:?}");
                    self.tell(
                        now,
                        "ended",
                        json!({ "end": end, "code": code, "detail": detail, "media": report }),
                    );
                    if self.options.once || matches!(self.options.role, Role::Call(_)) {
                        self.close();
                    }
                }
            }
            LegEvent::Status(status) => {
                if status != self.status {
                    let local = status.local.map(|local| local.to_string());
                    let about = json!({ "local": local, "registered": status.registered, "error": status.last_error });
                    self.tell(now, "status", about);
                    // A line that cannot be opened stays closed: there is no configuration that could change.
                    if !status.started && status.last_error.is_some() {
                        self.fault.clone_from(&status.last_error);
                        self.done = true;
                    }
                    self.status = status;
                }
            }
            LegEvent::Closed => self.done = true,
        }
    }

    fn incoming(&mut self, now: Instant, call: CallId) {
        let why = match self.options.role {
            Role::Answer { ring_for } if self.line.is_none() && !self.closing => match self.open(call) {
                Ok(_) => {
                    self.commands.push_back(LegCommand::Ring { call });
                    if let Some(line) = &mut self.line {
                        line.answer_at = Some(now + ring_for);
                    }
                    return;
                }
                Err(error) => {
                    self.fail(now, &error);
                    RejectWhy::Failed
                }
            },
            Role::Refuse(why) => why,
            Role::Answer { .. } | Role::Call(_) => RejectWhy::Busy,
        };
        self.commands.push_back(LegCommand::Reject { call, why });
        self.tell(now, "refusing", json!({ "why": format!("{why:?}") }));
    }

    fn open(&mut self, call: CallId) -> io::Result<u16> {
        let (rtp_port, talker) = self.pool.open(call, self.options.bind)?;
        self.line = Some(Line {
            call,
            talker: Some(talker),
            voice: None,
            rtp_port,
            answer_at: None,
            hang_up_at: None,
            audio_since: None,
        });
        Ok(rtp_port)
    }

    fn audio(&mut self, now: Instant, call: CallId, audio: LineAudio) {
        let Some(line) = self.line.as_mut().filter(|line| line.call == call) else { return };
        self.pool.start(call, audio);
        let again = line.audio_since.replace(line.audio_since.unwrap_or(now)).is_some();
        if let Some(talker) = line.talker.take() {
            line.hang_up_at = self.options.hang_up_after.map(|after| now + after);
            let channels = if self.options.stereo { 2 } else { 1 };
            let recording =
                self.options.record.as_ref().map(|path| Recording::create(path, channels)).transpose();
            let voices = self.voices.clone();
            let report = move |event| _ = voices.send(Input::Voice(call, event));
            let recording = match recording {
                Ok(recording) => recording,
                Err(error) => {
                    report(VoiceEvent::RecordingFailed(error.to_string()));
                    None
                }
            };
            match Voice::start(&self.spawner, talker, self.options.say.clone(), recording, report) {
                Ok(voice) => line.voice = Some(voice),
                Err(error) => self.fail(now, &error),
            }
        }
        let codec = match audio.codec {
            LineCodec::Pcmu => "PCMU",
            LineCodec::Pcma => "PCMA",
        };
        let name = if again { "audio_changed" } else { "answered" };
        let direction = json!({
            "codec": codec, "remote": audio.remote.to_string(), "send": audio.send, "receive": audio.receive,
        });
        self.tell(now, name, direction);
    }

    fn voice_event(&mut self, now: Instant, event: VoiceEvent) {
        let since = self.line.as_ref().and_then(|line| line.audio_since).unwrap_or(now);
        let after_ms = |at: Instant| at.saturating_duration_since(since).as_millis() as u64;
        match event {
            VoiceEvent::Heard(at) => self.tell(now, "heard", json!({ "after_answer_ms": after_ms(at) })),
            VoiceEvent::Said(at) => self.tell(now, "said", json!({ "after_answer_ms": after_ms(at) })),
            VoiceEvent::RecordingFailed(error) => {
                self.tell(now, "recording_failed", json!({ "error": error }));
            }
        }
    }

    /// Ends the voice first, so that the recording holds everything, then the media.
    fn hang_up_media(&mut self, call: CallId) -> Option<Value> {
        self.line = None;
        self.pool.close(call).map(|report| report.to_json().into())
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.commands.push_back(LegCommand::Close);
        }
    }

    fn fail(&mut self, now: Instant, error: &io::Error) {
        self.tell(now, "error", json!({ "error": error.to_string() }));
        if matches!(self.options.role, Role::Call(_)) {
            self.close();
        }
    }

    fn tell(&mut self, now: Instant, event: &str, about: Value) {
        let at_ms = now.saturating_duration_since(self.started).as_millis() as u64;
        let mut line = json!({ "event": event, "at_ms": at_ms });
        if let (Some(line), Value::Object(about)) = (line.as_object_mut(), about) {
            line.extend(about);
        }
        self.told.push_back(line);
    }
}

/// The phone's thread: until the leg is closed, or nobody is left to tell of anything. An error when the line cannot be
/// opened.
pub fn run(
    mut phone: Phone,
    inputs: &Receiver<Input>,
    mut command: impl FnMut(LegCommand),
    out: &mut impl Write,
) -> io::Result<()> {
    phone.start(clock::mono());
    while !phone.is_done() {
        while let Some(next) = phone.poll_command() {
            command(next);
        }
        while let Some(line) = phone.poll_line() {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        let input = match phone.deadline() {
            Some(deadline) => inputs.recv_deadline(deadline),
            None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match input {
            Ok(input) => phone.handle_input(clock::mono(), input),
            Err(RecvTimeoutError::Timeout) => phone.handle_timeout(clock::mono()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    while let Some(line) = phone.poll_line() {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    phone.fault.map_or(Ok(()), |fault| Err(io::Error::other(fault)))
}
