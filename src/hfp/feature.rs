//! What each side can do: the bits of `AT+BRSF` and `+BRSF` (HFP 4.34.2), and the codecs of `AT+BAC` and `+BCS`.

use std::ops::BitOr;

macro_rules! bits {
    ($name:ident) => {
        impl $name {
            /// Whether all of `features` are there.
            pub fn has(self, features: Self) -> bool {
                self.0 & features.0 == features.0
            }
        }

        impl BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

bits!(HfFeatures);
bits!(AgFeatures);

/// What the hands-free unit can do, as it says in `AT+BRSF=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HfFeatures(pub u16);

impl HfFeatures {
    /// Call waiting and three-way calling.
    pub const THREE_WAY: Self = Self(1 << 1);
    /// It shows who calls.
    pub const CLI: Self = Self(1 << 2);
    /// The phone may set its volume.
    pub const REMOTE_VOLUME: Self = Self(1 << 4);
    /// It lists calls (`AT+CLCC`).
    pub const ENHANCED_CALL_STATUS: Self = Self(1 << 5);
    /// It knows more than one codec.
    pub const CODEC_NEGOTIATION: Self = Self(1 << 7);
    /// It tells indicators of its own (`AT+BIND`).
    pub const HF_INDICATORS: Self = Self(1 << 8);
    /// eSCO with the parameters S4.
    pub const ESCO_S4: Self = Self(1 << 9);
}

/// What the phone can do, as it says in `+BRSF:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgFeatures(pub u16);

impl AgFeatures {
    /// Three-way calling.
    pub const THREE_WAY: Self = Self(1);
    /// It rings through the audio link.
    pub const IN_BAND_RING: Self = Self(1 << 3);
    /// It can refuse a call.
    pub const REJECT: Self = Self(1 << 5);
    /// It lists calls (`AT+CLCC`).
    pub const ENHANCED_CALL_STATUS: Self = Self(1 << 6);
    /// It says `+CME ERROR`.
    pub const EXTENDED_ERRORS: Self = Self(1 << 8);
    /// It knows more than one codec.
    pub const CODEC_NEGOTIATION: Self = Self(1 << 9);
    /// It takes the hands-free unit's indicators.
    pub const HF_INDICATORS: Self = Self(1 << 10);
    /// eSCO with the parameters S4.
    pub const ESCO_S4: Self = Self(1 << 11);
}

/// A codec of the audio link; the numbers are those of HFP 4.34.2 (`AT+BAC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// CVSD, 8 kHz, coded by the controller.
    Cvsd = 1,
    /// mSBC, 16 kHz, coded here.
    Msbc = 2,
}

impl Codec {
    /// By its number.
    pub fn of(id: &str) -> Option<Self> {
        match id {
            "1" => Some(Self::Cvsd),
            "2" => Some(Self::Msbc),
            _ => None,
        }
    }
}
