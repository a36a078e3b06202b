//! One audio stream as the two ends agree on it.

use std::net::SocketAddr;

/// Where we receive, and which version of our description this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address and port of our RTP socket, as the peer can reach it.
    pub address: SocketAddr,
    /// `sess-id` of `o=`: the same for the whole dialog.
    pub session_id: u64,
    /// `sess-version` of `o=`: one more whenever the description changes (RFC 3264 8).
    pub version: u64,
}

/// A codec that the line can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz, static payload type 0.
    Pcmu,
    /// G.711 A-law, 8 kHz, static payload type 8.
    Pcma,
}

impl Codec {
    /// The payload type that RFC 3551 table 4 gives it.
    pub fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name of `a=rtpmap`.
    pub(super) fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// What was agreed: where the peer receives, how it sounds, who may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where the peer receives RTP. On the old way of holding a call the address is unspecified, and `send` is off.
    pub remote: SocketAddr,
    /// The codec both ways.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// Payload type of telephone-event at 8 kHz (RFC 4733).
    pub telephone_event: Option<u8>,
    /// Milliseconds of audio in a packet that we send: 10, 20, 40 or 60.
    pub ptime_ms: u8,
    /// Whether the peer wants to receive.
    pub send: bool,
    /// Whether the peer sends.
    pub receive: bool,
}

/// A direction attribute as its writer sees it (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    pub(super) sends: bool,
    pub(super) receives: bool,
}

impl Direction {
    pub(super) const SENDRECV: Self = Self { sends: true, receives: true };

    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SENDRECV),
            "sendonly" => Some(Self { sends: true, receives: false }),
            "recvonly" => Some(Self { sends: false, receives: true }),
            "inactive" => Some(Self { sends: false, receives: false }),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    /// The same stream as the other end sees it (RFC 3264 6.1).
    pub(super) fn mirrored(self) -> Self {
        Self { sends: self.receives, receives: self.sends }
    }
}
