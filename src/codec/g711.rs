//! G.711: eight bits a sample at 8 kHz, in two laws. The arithmetic is that of `audio-codec-algorithms`.

use audio_codec_algorithms::{
    convert_alaw_to_ulaw, convert_ulaw_to_alaw, decode_alaw, decode_ulaw, encode_alaw, encode_ulaw,
};

/// Samples (and octets) in a second.
pub const RATE_HZ: u32 = 8000;

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// mu-law: PCMU.
    Mu,
    /// A-law: PCMA.
    A,
}

impl Law {
    /// The octet that sounds like nothing.
    pub fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xff,
            Self::A => 0xd5,
        }
    }

    /// Decodes as many as both slices hold.
    pub fn decode(self, octets: &[u8], samples: &mut [i16]) {
        let pairs = samples.iter_mut().zip(octets);
        match self {
            Self::Mu => pairs.for_each(|(sample, octet)| *sample = decode_ulaw(*octet)),
            Self::A => pairs.for_each(|(sample, octet)| *sample = decode_alaw(*octet)),
        }
    }

    /// Encodes as many as both slices hold.
    pub fn encode(self, samples: &[i16], octets: &mut [u8]) {
        let pairs = octets.iter_mut().zip(samples);
        match self {
            Self::Mu => pairs.for_each(|(octet, sample)| *octet = encode_ulaw(*sample)),
            Self::A => pairs.for_each(|(octet, sample)| *octet = encode_alaw(*sample)),
        }
    }

    /// An octet of mu-law in this law (G.711 table 3 for the other one).
    pub fn from_mu(self, octet: u8) -> u8 {
        match self {
            Self::Mu => octet,
            Self::A => convert_ulaw_to_alaw(octet),
        }
    }

    /// An octet of this law in mu-law (G.711 table 4 for the other one).
    pub fn to_mu(self, octet: u8) -> u8 {
        match self {
            Self::Mu => octet,
            Self::A => convert_alaw_to_ulaw(octet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_then_encoding_gives_the_same_octet() {
        for law in [Law::Mu, Law::A] {
            for octet in 0..=255u8 {
                let (mut sample, mut again) = ([0], [0]);
                law.decode(&[octet], &mut sample);
                law.encode(&sample, &mut again);
                // mu-law has two zeros; the positive one is sent.
                let expected = if law == Law::Mu && octet == 0x7f { 0xff } else { octet };
                assert_eq!(again[0], expected, "{law:?} {octet:#x}");
            }
        }
    }

    #[test]
    fn the_error_is_that_of_companding_and_silence_is_nearly_zero() {
        for law in [Law::Mu, Law::A] {
            for sample in (i16::MIN..i16::MAX).step_by(37) {
                let (mut octet, mut back) = ([0], [0]);
                law.encode(&[sample], &mut octet);
                law.decode(&octet, &mut back);
                let error = (i32::from(back[0]) - i32::from(sample)).abs();
                assert!(error <= 16 + i32::from(sample).abs() / 30, "{law:?}: {sample} became {}", back[0]);
            }
            let mut silence = [99];
            law.decode(&[law.silence()], &mut silence);
            assert!(silence[0].abs() <= 8, "{law:?}: {}", silence[0]);
        }
    }

    #[test]
    fn from_one_law_to_the_other_the_sound_stays() {
        let heard = |law: Law, octet| {
            let mut sample = [0];
            law.decode(&[octet], &mut sample);
            i32::from(sample[0])
        };
        for octet in 0..=255u8 {
            for (mu, a) in [(octet, Law::A.from_mu(octet)), (Law::A.to_mu(octet), octet)] {
                let (mu, a) = (heard(Law::Mu, mu), heard(Law::A, a));
                assert!((mu - a).abs() <= 24 + mu.abs() / 20, "mu {mu}, A {a}");
            }
            assert_eq!((Law::Mu.from_mu(octet), Law::Mu.to_mu(octet)), (octet, octet));
        }
        assert_eq!(Law::A.from_mu(Law::Mu.silence()), Law::A.silence());
    }
}
