//! The mouth and ear of a simulated phone: says samples on the line's beat, records what it hears.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::call::audio::{BLOCK_SAMPLES_MAX, Block};
use crate::dsp::Meter;
use crate::port::wav::Recording;
use crate::run::link::TalkerEnd;
use crate::sys::clock;
use crate::sys::mailbox::Wake;
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, readable, wait};

/// Louder than this is somebody speaking: comfort noise and line noise stay below.
const SPEECH_DBFS: f32 = -50.0;

/// What the voice reports.
#[derive(Clone, Debug, PartialEq)]
pub enum VoiceEvent {
    /// The first sound that is not silence came in.
    Heard(Instant),
    /// Everything that was to be said has left for the line.
    Said(Instant),
    /// The recording could not be written; the call goes on without it.
    RecordingFailed(String),
}

/// A voice that talks in its own thread until it is dropped.
#[derive(Debug)]
pub(super) struct Voice {
    stop: Arc<AtomicBool>,
    wake: Wake,
    thread: Option<std::thread::JoinHandle<Option<()>>>,
}

impl Voice {
    /// Says `samples` (16 kHz) once, then is silent, and records what it hears; tells `report` what happens.
    pub(super) fn start(
        spawner: &Spawner,
        talker: TalkerEnd,
        samples: Arc<[i16]>,
        recording: Option<Recording>,
        report: impl Fn(VoiceEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, wake) = (Arc::new(AtomicBool::new(false)), Wake::new()?);
        talker.open_uplink();
        let mut body = Body {
            talker,
            samples,
            said: 0,
            recorded: 0,
            last_block: None,
            all_said: false,
            heard: false,
            recording,
            report,
        };
        let (stopped, woken) = (stop.clone(), wake.clone());
        let thread = spawner.spawn(Role::Sim, move || {
            while !stopped.load(Ordering::Acquire) && body.turn(&woken).is_ok() {}
            body.listen();
        })?;
        Ok(Self { stop, wake, thread: Some(thread) })
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake.raise();
        // Its last blocks are in the recording, and the file is whole, when this returns.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Body<F> {
    talker: TalkerEnd,
    samples: Arc<[i16]>,
    said: usize,
    /// Samples of it that are in the recording, in step with what the line played.
    recorded: usize,
    /// Position of the last block in the ring.
    last_block: Option<u64>,
    all_said: bool,
    heard: bool,
    recording: Option<Recording>,
    report: F,
}

impl<F: Fn(VoiceEvent)> Body<F> {
    fn turn(&mut self, stop: &Wake) -> std::io::Result<()> {
        self.say();
        let mut fds = [on(self.talker.wake().as_fd(), Interest::READ), on(stop.as_fd(), Interest::READ)];
        wait(&mut fds, None)?;
        if readable(&fds[0]) {
            self.talker.wake().lower();
        }
        self.listen();
        Ok(())
    }

    fn say(&mut self) {
        while self.said < self.samples.len() && self.talker.room() > 0 {
            let end = (self.said + BLOCK_SAMPLES_MAX).min(self.samples.len());
            self.last_block = self.talker.push(Block::pcm16k(&self.samples[self.said..end]));
            self.said = end;
        }
        let last_is_out = self.last_block.is_some_and(|last| self.talker.taken() >= last);
        if !self.all_said && self.said == self.samples.len() && last_is_out {
            self.all_said = true;
            (self.report)(VoiceEvent::Said(clock::mono()));
        }
    }

    /// What the line has played of our own words and the recording does not have yet: at most one block.
    fn said_meanwhile(&mut self) -> std::ops::Range<usize> {
        let played = (self.talker.played() as usize * BLOCK_SAMPLES_MAX).min(self.said);
        let from = self.recorded;
        self.recorded = played.min(from + BLOCK_SAMPLES_MAX);
        from..self.recorded
    }

    fn listen(&mut self) {
        while let Some(block) = self.talker.pop() {
            if !self.heard {
                let mut meter = Meter::default();
                meter.add(block.samples());
                if meter.take_dbfs() > SPEECH_DBFS {
                    self.heard = true;
                    (self.report)(VoiceEvent::Heard(clock::mono()));
                }
            }
            let said = self.said_meanwhile();
            if let Some(recording) = &mut self.recording
                && let Err(error) = recording.write(block.samples(), &self.samples[said])
            {
                self.recording = None;
                (self.report)(VoiceEvent::RecordingFailed(error.to_string()));
            }
        }
    }
}
