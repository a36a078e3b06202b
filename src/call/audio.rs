//! The unit of audio between a leg and whoever talks on it: at most 20 ms, tagged with its format.

/// Samples in 20 ms at 16 kHz.
pub const BLOCK_SAMPLES_MAX: usize = 320;
/// Milliseconds in a full block.
pub const BLOCK_MS: u64 = 20;

/// Format of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFormat {
    /// 16 kHz linear, signed 16 bit, mono: the house format. 320 samples are 20 ms.
    Pcm16k,
    /// G.711 mu-law at 8 kHz, passed through untouched when line and agent both speak it. 160 bytes are 20 ms.
    Ulaw8k,
}

/// Up to 20 ms of audio, by value: it crosses a lock-free ring without allocation.
#[derive(Clone, Copy)]
pub struct Block {
    format: BlockFormat,
    len: u16,
    samples: [i16; BLOCK_SAMPLES_MAX],
}

impl Block {
    /// A block of 16 kHz samples; what exceeds 20 ms is cut off.
    pub fn pcm16k(samples: &[i16]) -> Self {
        let len = samples.len().min(BLOCK_SAMPLES_MAX);
        let mut block =
            Self { format: BlockFormat::Pcm16k, len: len as u16, samples: [0; BLOCK_SAMPLES_MAX] };
        block.samples[..len].copy_from_slice(&samples[..len]);
        block
    }

    /// A block of mu-law bytes; what exceeds 20 ms is cut off.
    pub fn ulaw8k(bytes: &[u8]) -> Self {
        let len = bytes.len().min(BLOCK_SAMPLES_MAX / 2);
        let mut block =
            Self { format: BlockFormat::Ulaw8k, len: len as u16, samples: [0; BLOCK_SAMPLES_MAX] };
        for (slot, byte) in block.samples.iter_mut().zip(&bytes[..len]) {
            *slot = i16::from(*byte);
        }
        block
    }

    /// The format that says how to read the rest.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// The samples of a `Pcm16k` block; empty for the other format.
    pub fn samples(&self) -> &[i16] {
        match self.format {
            BlockFormat::Pcm16k => &self.samples[..usize::from(self.len)],
            BlockFormat::Ulaw8k => &[],
        }
    }

    /// The bytes of a `Ulaw8k` block; empty for the other format.
    pub fn ulaw(&self) -> impl ExactSizeIterator<Item = u8> + '_ {
        let len = match self.format {
            BlockFormat::Pcm16k => 0,
            BlockFormat::Ulaw8k => usize::from(self.len),
        };
        self.samples[..len].iter().map(|sample| *sample as u8)
    }

    /// Duration in microseconds.
    pub fn micros(&self) -> u64 {
        match self.format {
            BlockFormat::Pcm16k => u64::from(self.len) * 1000 / 16,
            BlockFormat::Ulaw8k => u64::from(self.len) * 1000 / 8,
        }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({:?}, {} µs)", self.format, self.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_come_back_as_they_went_in_and_are_cut_at_20_ms() {
        let pcm = Block::pcm16k(&[1, -2, 3]);
        assert_eq!((pcm.samples(), pcm.ulaw().len(), pcm.micros()), (&[1, -2, 3][..], 0, 187));
        let ulaw = Block::ulaw8k(&[0xff; 500]);
        assert_eq!((ulaw.ulaw().len(), ulaw.samples().len(), ulaw.micros()), (160, 0, 20_000));
        assert!(ulaw.ulaw().all(|byte| byte == 0xff));
        assert_eq!(Block::pcm16k(&[0; 999]).micros(), 20_000);
    }
}
