//! How loud one direction of a call is, second by second.

use crate::dsp::{Meter, SILENCE_DBFS};

/// Levels of one direction: the last whole second, and the loudest one so far.
#[derive(Clone, Copy, Debug)]
pub struct Loudness {
    meter: Meter,
    rate_hz: u32,
    last_dbfs: f32,
    loudest_dbfs: f32,
}

impl Loudness {
    /// For samples at this rate; both levels are the floor until a second was heard.
    pub fn new(rate_hz: u32) -> Self {
        Self { meter: Meter::default(), rate_hz, last_dbfs: SILENCE_DBFS, loudest_dbfs: SILENCE_DBFS }
    }

    /// For other samples at the same rate.
    pub fn anew(&self) -> Self {
        Self::new(self.rate_hz)
    }

    /// Samples that were heard.
    pub fn add(&mut self, samples: &[i16]) {
        self.meter.add(samples);
        self.tell();
    }

    /// So many samples of silence.
    pub fn add_silence(&mut self, samples: u32) {
        self.meter.add_silence(samples);
        self.tell();
    }

    fn tell(&mut self) {
        if self.meter.samples() >= self.rate_hz {
            self.last_dbfs = self.meter.take_dbfs();
            self.loudest_dbfs = self.loudest_dbfs.max(self.last_dbfs);
        }
    }

    /// Level of the last whole second.
    pub fn last_dbfs(&self) -> f32 {
        self.last_dbfs
    }

    /// Level of the loudest second.
    pub fn loudest_dbfs(&self) -> f32 {
        self.loudest_dbfs
    }
}
