//! The audio formats of the service: the same seven names both ways, set apart for each direction.

use std::fmt;

/// Blocks are 20 ms everywhere; at each of these rates that is a whole number of samples.
pub const BLOCKS_PER_SECOND: usize = 50;

/// How samples are written on the wire. All are mono.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AudioFormat {
    /// G.711 mu-law, 8 kHz, one byte a sample.
    Ulaw8000,
    /// Signed 16 bit little-endian at 8 kHz, as are all below at their rates.
    Pcm8000,
    /// 16 kHz: the service's usual default.
    Pcm16000,
    /// 22.05 kHz.
    Pcm22050,
    /// 24 kHz.
    Pcm24000,
    /// 44.1 kHz.
    Pcm44100,
    /// 48 kHz.
    Pcm48000,
}

impl AudioFormat {
    /// Every format there is.
    pub const ALL: [Self; 7] = [
        Self::Ulaw8000,
        Self::Pcm8000,
        Self::Pcm16000,
        Self::Pcm22050,
        Self::Pcm24000,
        Self::Pcm44100,
        Self::Pcm48000,
    ];

    /// The format of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The service's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ulaw8000 => "ulaw_8000",
            Self::Pcm8000 => "pcm_8000",
            Self::Pcm16000 => "pcm_16000",
            Self::Pcm22050 => "pcm_22050",
            Self::Pcm24000 => "pcm_24000",
            Self::Pcm44100 => "pcm_44100",
            Self::Pcm48000 => "pcm_48000",
        }
    }

    /// Samples per second.
    pub fn rate_hz(self) -> u32 {
        match self {
            Self::Ulaw8000 | Self::Pcm8000 => 8_000,
            Self::Pcm16000 => 16_000,
            Self::Pcm22050 => 22_050,
            Self::Pcm24000 => 24_000,
            Self::Pcm44100 => 44_100,
            Self::Pcm48000 => 48_000,
        }
    }

    /// Bytes in a sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::Ulaw8000 => 1,
            Self::Pcm8000
            | Self::Pcm16000
            | Self::Pcm22050
            | Self::Pcm24000
            | Self::Pcm44100
            | Self::Pcm48000 => 2,
        }
    }

    /// Bytes in 20 ms.
    pub fn block_bytes(self) -> usize {
        self.rate_hz() as usize / BLOCKS_PER_SECOND * self.sample_bytes()
    }

    /// The duration of so many bytes, in whole milliseconds.
    pub fn millis(self, bytes: usize) -> u64 {
        bytes as u64 * 1000 / (u64::from(self.rate_hz()) * self.sample_bytes() as u64)
    }

    /// The byte of which silence is made.
    pub fn silence(self) -> u8 {
        if self == Self::Ulaw8000 { 0xff } else { 0 }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_20_ms_are_whole_samples_in_every_format() {
        let sizes = AudioFormat::ALL.map(AudioFormat::block_bytes);
        assert_eq!(sizes, [160, 320, 640, 882, 960, 1764, 1920]);
        for format in AudioFormat::ALL {
            assert_eq!(AudioFormat::parse(format.name()), Some(format));
            assert_eq!(format.millis(format.block_bytes() * BLOCKS_PER_SECOND), 1000);
        }
        assert_eq!(AudioFormat::parse("alaw_8000"), None);
    }
}
