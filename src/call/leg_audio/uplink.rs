//! From the line to whoever talks: each payload is passed on as it arrives, what is missing is made up.
//!
//! The listener's clock is the audio itself, so its sum must keep up with time: a gap in the timestamps is
//! filled (concealed at first, then silent), and while nothing arrives silence flows on the beat.

use std::time::{Duration, Instant};

use super::loudness::Loudness;
use crate::call::audio::{Block, BlockFormat};
use crate::call::leg::LineCodec;
use crate::codec::{Law, g711};
use crate::dsp::{Concealment, Up2};

/// When nothing arrived for so long, silence is made. Longer than the wait for a reordered packet, so that a
/// packet that is only late is not made up.
const FILL_AFTER: Duration = Duration::from_millis(100);
/// The same in samples of the line: what one gap is filled with at most when audio goes on.
const GAP_SAMPLES_MAX: u32 = 800;
/// A burst may put the audio so far ahead of time before that is forgotten.
const AHEAD_MAX: Duration = Duration::from_millis(200);
/// Samples of the line in a block.
const BLOCK_OCTETS: usize = 160;

/// One payload of G.711, in its turn.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Timestamp of the first sample, in samples; wraps.
    pub timestamp: u32,
    /// Its law.
    pub codec: LineCodec,
    /// The samples.
    pub octets: &'a [u8],
}

/// The uplink of one leg.
#[derive(Clone, Debug)]
pub struct Uplink {
    concealment: Concealment,
    up: Up2,
    format: BlockFormat,
    /// The time up to which audio was passed on; `None` before the first payload.
    covered: Option<Instant>,
    /// The timestamp after the last payload.
    next_timestamp: u32,
    /// Samples made on the beat since the last payload.
    filled: u32,
    made_up: u64,
    loudness: Loudness,
}

impl Default for Uplink {
    fn default() -> Self {
        Self {
            concealment: Concealment::default(),
            up: Up2::default(),
            format: BlockFormat::Pcm16k,
            covered: None,
            next_timestamp: 0,
            filled: 0,
            made_up: 0,
            loudness: Loudness::new(g711::RATE_HZ),
        }
    }
}

impl Uplink {
    /// Takes a payload and gives `out` its blocks, in `wanted` where the line has it: mu-law stays untouched when
    /// the line speaks it, everything else becomes 16 kHz.
    pub fn payload(
        &mut self,
        now: Instant,
        wanted: BlockFormat,
        payload: &Payload<'_>,
        mut out: impl FnMut(Block),
    ) {
        if payload.octets.is_empty() {
            return;
        }
        if self.covered.is_some() {
            self.fill_gap(wanted, payload, &mut out);
        }
        let law = law(payload.codec);
        for octets in payload.octets.chunks(BLOCK_OCTETS) {
            let mut scratch = [0; BLOCK_OCTETS];
            let samples = &mut scratch[..octets.len()];
            law.decode(octets, samples);
            let changed = self.concealment.good(samples);
            let untouched = (!changed).then_some(octets);
            self.pass(wanted, payload.codec, samples, untouched, &mut out);
        }
        let samples = payload.octets.len() as u32;
        self.next_timestamp = payload.timestamp.wrapping_add(samples);
        self.filled = 0;
        // Late packets put the clock forward: being late once is jitter, not a gap.
        let covered = self.covered.map_or(now, |covered| covered + duration(samples));
        self.covered = Some(covered.clamp(now, now + AHEAD_MAX));
    }

    /// What the timestamps say is missing before this payload, less what the beat has filled in already.
    fn fill_gap(&mut self, wanted: BlockFormat, payload: &Payload<'_>, out: &mut impl FnMut(Block)) {
        let gap = payload.timestamp.wrapping_sub(self.next_timestamp);
        // A timestamp that goes back is a new clock, not a gap.
        if gap == 0 || gap > i32::MAX as u32 {
            return;
        }
        let mut missing = gap.saturating_sub(self.filled).min(GAP_SAMPLES_MAX);
        while missing > 0 {
            let samples = missing.min(BLOCK_OCTETS as u32);
            self.make_up(wanted, payload.codec, samples as usize, out);
            missing -= samples;
        }
    }

    /// The beat: makes silence while nothing arrives. `codec` is that of the line.
    pub fn beat(&mut self, now: Instant, wanted: BlockFormat, codec: LineCodec, mut out: impl FnMut(Block)) {
        // Every 20 ms comes a beat, so one block each keeps up; a stalled beat is not made good.
        let Some(covered) = self.covered else { return };
        if now.saturating_duration_since(covered) < FILL_AFTER {
            return;
        }
        self.make_up(wanted, codec, BLOCK_OCTETS, &mut out);
        self.filled = self.filled.saturating_add(BLOCK_OCTETS as u32);
        let floor = now.checked_sub(FILL_AFTER).unwrap_or(now);
        self.covered = Some((covered + duration(BLOCK_OCTETS as u32)).max(floor));
    }

    fn make_up(
        &mut self,
        wanted: BlockFormat,
        codec: LineCodec,
        samples: usize,
        out: &mut impl FnMut(Block),
    ) {
        let mut scratch = [0; BLOCK_OCTETS];
        let samples = &mut scratch[..samples];
        self.concealment.lost(samples, &[]);
        self.made_up += samples.len() as u64;
        self.pass(wanted, codec, samples, None, out);
    }

    fn pass(
        &mut self,
        wanted: BlockFormat,
        codec: LineCodec,
        samples: &[i16],
        untouched: Option<&[u8]>,
        out: &mut impl FnMut(Block),
    ) {
        self.loudness.add(samples);
        let format = match codec {
            LineCodec::Pcmu => wanted,
            LineCodec::Pcma => BlockFormat::Pcm16k,
        };
        if format != self.format {
            self.format = format;
            self.up.reset();
        }
        match format {
            BlockFormat::Ulaw8k => {
                let mut scratch = [0; BLOCK_OCTETS];
                let octets = untouched.unwrap_or_else(|| {
                    Law::Mu.encode(samples, &mut scratch);
                    &scratch[..samples.len()]
                });
                out(Block::ulaw8k(octets));
            }
            BlockFormat::Pcm16k => {
                let mut scratch = [0; 2 * BLOCK_OCTETS];
                let doubled = &mut scratch[..2 * samples.len()];
                self.up.process(samples, doubled);
                out(Block::pcm16k(doubled));
            }
        }
    }

    /// Milliseconds that were made up so far, by concealment or as silence.
    pub fn made_up_ms(&self) -> u64 {
        self.made_up / 8
    }

    /// How loud the caller is.
    pub fn loudness(&self) -> &Loudness {
        &self.loudness
    }
}

/// The arithmetic for a codec of the line.
pub(super) fn law(codec: LineCodec) -> Law {
    match codec {
        LineCodec::Pcmu => Law::Mu,
        LineCodec::Pcma => Law::A,
    }
}

/// How long samples of the line last.
fn duration(samples: u32) -> Duration {
    Duration::from_micros(u64::from(samples) * 125)
}
