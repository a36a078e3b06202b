//! The phone's side of one voice link: paces what is said, records what is heard, in a thread of its own.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::audio::{Decoder, Encoder, pace};
use crate::codec::msbc::FRAME_SAMPLES;
use crate::dsp::Meter;
use crate::hfp::Codec;
use crate::port::wav::Recording;
use crate::sys::clock;
use crate::sys::mailbox::Wake;
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, readable, wait};

/// Louder than this is somebody speaking.
const SPEECH_DBFS: f32 = -50.0;
/// Larger than any packet of a link.
const PACKET_BYTES_MAX: usize = 1024;

/// What outlives a link: a call may have several, one after the other.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// What is said once, 16 kHz.
    pub(super) samples: Arc<[i16]>,
    /// How much of it was.
    pub(super) said: usize,
    pub(super) recording: Option<Recording>,
    pub(super) heard: bool,
}

/// What was counted on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    /// Packets that the other side left no room for.
    pub(super) dropped: u64,
    pub(super) received: u64,
    pub(super) missing: u64,
    pub(super) bad_bytes: u64,
    /// Longest time without a packet, in milliseconds.
    pub(super) silent_ms_max: u64,
}

/// What the voice reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceEvent {
    /// The first sound that is not silence came in.
    Heard(Instant),
    /// Everything that was to be said has left.
    Said(Instant),
    /// The other side has closed the link.
    Closed,
    /// The recording could not be written; the call goes on without it.
    RecordingFailed(String),
}

/// A voice on an open link, until it is ended or dropped.
pub(super) struct Voice {
    stop: Arc<AtomicBool>,
    speaks: Arc<AtomicBool>,
    wake: Wake,
    thread: Option<std::thread::JoinHandle<Option<(Talk, Counts)>>>,
}

impl Voice {
    pub(super) fn start(
        spawner: &Spawner,
        link: OwnedFd,
        codec: Codec,
        packet_bytes: usize,
        talk: Talk,
        report: impl Fn(VoiceEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, speaks, wake) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Wake::new()?);
        let mut body = Body {
            link,
            pace: pace(codec, packet_bytes),
            packet_bytes: packet_bytes.clamp(1, PACKET_BYTES_MAX),
            encoder: Encoder::new(codec).map_err(io::Error::other)?,
            decoder: Decoder::new(codec).map_err(io::Error::other)?,
            speaks: speaks.clone(),
            talk,
            counts: Counts::default(),
            last: clock::mono(),
            report,
        };
        let (stopped, woken) = (stop.clone(), wake.clone());
        let thread = spawner.spawn(Role::Sim, move || {
            body.run(&stopped, &woken);
            let (missing, bad_bytes) = body.decoder.faults();
            (body.talk, Counts { missing, bad_bytes, ..body.counts })
        })?;
        Ok(Self { stop, speaks, wake, thread: Some(thread) })
    }

    /// From now on the words are said; before, it is silent.
    pub(super) fn speak(&self) {
        self.speaks.store(true, Ordering::Release);
    }

    /// Closes the link. What goes on, and what was counted.
    pub(super) fn end(mut self) -> Option<(Talk, Counts)> {
        self.stop();
        self.thread.take()?.join().ok()?
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake.raise();
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.stop();
        // The recording is whole when this returns.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Body<F> {
    link: OwnedFd,
    pace: Duration,
    packet_bytes: usize,
    encoder: Encoder,
    decoder: Decoder,
    speaks: Arc<AtomicBool>,
    talk: Talk,
    counts: Counts,
    last: Instant,
    report: F,
}

impl<F: Fn(VoiceEvent)> Body<F> {
    fn run(&mut self, stop: &AtomicBool, wake: &Wake) {
        let mut next = clock::mono();
        loop {
            let mut fds = [on(self.link.as_fd(), Interest::READ), on(wake.as_fd(), Interest::READ)];
            let ready = wait(&mut fds, Some(next));
            let came = readable(&fds[0]);
            if stop.load(Ordering::Acquire) {
                return;
            }
            if ready.is_err() || (came && !self.hear()) {
                (self.report)(VoiceEvent::Closed);
                return;
            }
            let now = clock::mono();
            while next <= now {
                self.say();
                next += self.pace;
            }
        }
    }

    fn say(&mut self) {
        let mut packet = [0; PACKET_BYTES_MAX];
        let packet = &mut packet[..self.packet_bytes];
        let (talk, speaks) = (&mut self.talk, self.speaks.load(Ordering::Acquire));
        let all_said = talk.said >= talk.samples.len();
        self.encoder.packet(packet, |frame: &mut [i16; FRAME_SAMPLES]| {
            let rest = talk.samples.get(talk.said..).filter(|_| speaks).unwrap_or_default();
            let count = rest.len().min(FRAME_SAMPLES);
            for (to, from) in frame.iter_mut().zip(rest) {
                *to = *from;
            }
            talk.said += count;
        });
        match rustix::io::write(&self.link, packet) {
            Ok(_) => self.counts.sent += 1,
            // The next read tells of a link that is closed.
            Err(_) => self.counts.dropped += 1,
        }
        if !all_said && self.talk.said >= self.talk.samples.len() {
            (self.report)(VoiceEvent::Said(clock::mono()));
        }
    }

    /// Takes every packet that is there; `false` when the link is closed.
    fn hear(&mut self) -> bool {
        let mut packet = [0; PACKET_BYTES_MAX];
        loop {
            let len = match rustix::io::read(&self.link, &mut packet) {
                Ok(0) => return false,
                Ok(len) => len,
                Err(Errno::AGAIN | Errno::INTR) => return true,
                Err(_) => return false,
            };
            let now = clock::mono();
            let silent = now.saturating_duration_since(self.last).as_millis() as u64;
            self.last = now;
            self.counts.silent_ms_max = self.counts.silent_ms_max.max(silent);
            self.counts.received += 1;
            let (talk, report) = (&mut self.talk, &self.report);
            let bytes = packet.get(..len).unwrap_or_default();
            self.decoder.packet(bytes, &mut |samples: &[i16]| heard(talk, samples, report));
        }
    }
}

fn heard(talk: &mut Talk, samples: &[i16], report: &impl Fn(VoiceEvent)) {
    if !talk.heard {
        let mut meter = Meter::default();
        meter.add(samples);
        if meter.take_dbfs() > SPEECH_DBFS {
            talk.heard = true;
            report(VoiceEvent::Heard(clock::mono()));
        }
    }
    if let Some(recording) = &mut talk.recording
        && let Err(error) = recording.write(samples, &[])
    {
        talk.recording = None;
        report(VoiceEvent::RecordingFailed(error.to_string()));
    }
}
