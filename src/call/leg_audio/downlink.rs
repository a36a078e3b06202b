//! From whoever talks to the line: one payload each beat, silence when there is nothing to say.

use super::loudness::Loudness;
use super::uplink::law;
use crate::call::audio::{Block, BlockFormat};
use crate::call::leg::LineCodec;
use crate::codec::{Law, g711};
use crate::dsp::Down2;

/// Octets of G.711 in a beat of 20 ms.
pub const BEAT_OCTETS: usize = 160;
/// A hole of at most so many beats (100 ms) inside speech is an underrun; a longer one is a pause.
const HOLE_BEATS_MAX: u32 = 5;

/// The downlink of one leg.
#[derive(Clone, Debug)]
pub struct Downlink {
    down: Down2,
    /// Beats of silence since the last block; `None` before the first.
    quiet_beats: Option<u32>,
    underruns: u64,
    loudness: Loudness,
}

impl Default for Downlink {
    fn default() -> Self {
        Self {
            down: Down2::default(),
            quiet_beats: None,
            underruns: 0,
            loudness: Loudness::new(g711::RATE_HZ),
        }
    }
}

impl Downlink {
    /// Writes the payload of this beat. A block shorter than 20 ms is followed by silence; without a block
    /// everything is silent at once, filters too: after an interruption nothing of the old words is heard.
    pub fn beat(&mut self, block: Option<&Block>, codec: LineCodec, payload: &mut [u8; BEAT_OCTETS]) {
        let law = law(codec);
        payload.fill(law.silence());
        let Some(block) = block else {
            self.silent_beat();
            return;
        };
        self.count_hole();
        let mut scratch = [0; BEAT_OCTETS];
        match block.format() {
            BlockFormat::Pcm16k => {
                let samples = &mut scratch[..block.samples().len() / 2];
                self.down.process(block.samples(), samples);
                law.encode(samples, payload);
            }
            BlockFormat::Ulaw8k => {
                let octets = block.ulaw();
                for ((octet, slot), sample) in octets.zip(payload.iter_mut()).zip(&mut scratch) {
                    *slot = law.from_mu(octet);
                    Law::Mu.decode(&[octet], std::slice::from_mut(sample));
                }
            }
        }
        self.loudness.add(&scratch);
    }

    fn silent_beat(&mut self) {
        if self.quiet_beats == Some(0) {
            self.down.reset();
        }
        self.quiet_beats = self.quiet_beats.map(|beats| beats.saturating_add(1));
        self.loudness.add_silence(BEAT_OCTETS as u32);
    }

    fn count_hole(&mut self) {
        if self.quiet_beats.is_some_and(|beats| (1..=HOLE_BEATS_MAX).contains(&beats)) {
            self.underruns += 1;
        }
        self.quiet_beats = Some(0);
    }

    /// Short holes inside speech: blocks that came too late for their beat.
    pub fn underruns(&self) -> u64 {
        self.underruns
    }

    /// How loud the line's listener hears us.
    pub fn loudness(&self) -> &Loudness {
        &self.loudness
    }
}
