//! Both directions of one link.

use std::time::Instant;

use super::drift::Drift;
use super::hearing::{self, Samples};
use super::speaking::Speaking;
use crate::call::audio::Block;
use crate::call::leg_audio::Loudness;
use crate::codec::g711;
use crate::codec::msbc::{NoMemory, RATE_HZ};
use crate::hfp::Codec;

/// Bytes of a packet, at most: its length has one octet (Core 5.4.3).
pub const PACKET_BYTES_MAX: usize = 255;

/// What was counted since it was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of 7.5 ms that came, in either codec.
    pub frames: u64,
    /// Frames that did not come: by their numbers, or as packets of zeros or noise.
    pub frames_lost: u64,
    /// Frames that came and were damaged.
    pub frames_bad: u64,
    /// Bytes that belonged to no frame of mSBC.
    pub bad_bytes: u64,
    /// Audio that was made up.
    pub concealed_micros: u64,
    /// Short holes in what the phone heard of us.
    pub underruns: u64,
}

/// The audio of one voice link, from its connection to its end.
#[derive(Debug)]
pub struct VoiceLink {
    codec: Codec,
    hearing: Hearing,
    speaking: Speaking,
    counts: Counts,
    drift: Drift,
    caller: Loudness,
    line: Loudness,
}

/// What the phone says.
#[derive(Debug)]
enum Hearing {
    Cvsd(Box<hearing::Cvsd>),
    Msbc(Box<hearing::Msbc>),
}

impl VoiceLink {
    /// A link that begins. Allocates here and never again.
    pub fn new(codec: Codec) -> Result<Self, NoMemory> {
        let (hearing, line_hz) = match codec {
            Codec::Cvsd => (Hearing::Cvsd(Box::new(hearing::Cvsd::new())), g711::RATE_HZ),
            Codec::Msbc => (Hearing::Msbc(Box::new(hearing::Msbc::new()?)), RATE_HZ),
        };
        Ok(Self {
            codec,
            hearing,
            speaking: Speaking::new(codec)?,
            counts: Counts::default(),
            drift: Drift::default(),
            caller: Loudness::new(RATE_HZ),
            line: Loudness::new(line_hz),
        })
    }

    /// Takes a packet that came, `damaged` when the adapter says so, and gives `out` its blocks: of 7.5 ms, as soon
    /// as they are whole.
    pub fn hear(&mut self, now: Instant, packet: &[u8], damaged: bool, mut out: impl FnMut(Block)) {
        let Self { hearing, counts, caller, .. } = self;
        let pass = |samples: Samples| {
            caller.add(&samples);
            out(Block::pcm16k(&samples));
        };
        let micros = match hearing {
            Hearing::Cvsd(cvsd) => cvsd.packet(packet, damaged, counts, pass),
            Hearing::Msbc(msbc) => msbc.packet(packet, damaged, counts, pass),
        };
        self.drift.heard(now, micros);
    }

    /// Fills the packet that answers one that came. `next` gives blocks as they are needed; without one there is
    /// silence.
    pub fn speak(&mut self, packet: &mut [u8], next: impl FnMut() -> Option<Block>) {
        self.speaking.packet(packet, &mut self.counts, &mut self.line, next);
    }

    /// An interruption: what is left of the last block is not to be heard.
    pub fn interrupt(&mut self) {
        self.speaking.interrupt();
    }

    /// Another call is on the link, or none: nothing of the one before is heard, counted or measured any more.
    pub fn rerouted(&mut self) {
        self.interrupt();
        self.take_counts();
        (self.caller, self.line) = (self.caller.anew(), self.line.anew());
    }

    /// What was counted since the last time.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// The codec that it was opened with.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether its codec does not work here, and CVSD would.
    pub fn is_unusable(&self) -> bool {
        match &self.hearing {
            Hearing::Cvsd(_) => false,
            Hearing::Msbc(msbc) => msbc.is_unusable(),
        }
    }

    /// Millionths that the link's clock is fast; `None` before enough was heard.
    pub fn drift_ppm(&self) -> Option<i32> {
        self.drift.ppm()
    }

    /// How loud the caller is.
    pub fn caller(&self) -> &Loudness {
        &self.caller
    }

    /// How loud the phone hears us.
    pub fn line(&self) -> &Loudness {
        &self.line
    }
}
