//! What the voice thread tells the hands-free thread: over a ring without a lock, and a flag that wakes a `poll`.

use ringbuf::HeapProd;
use ringbuf::traits::Producer as _;

use crate::hfp::host::Address;
use crate::sys::mailbox::Wake;

/// What happened to a device's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoiceEvent {
    /// Packets come: the first one, or the first after `Mute`.
    Heard(Address),
    /// The link is up, and no packet has come for 2 s.
    Mute(Address),
    /// The other side closed it, or it broke. It is not there any more.
    Lost(Address),
    /// Its mSBC arrives damaged or not at all: CVSD would work. Told once.
    Unusable(Address),
}

impl VoiceEvent {
    /// Whose link it is.
    pub fn device(self) -> Address {
        match self {
            Self::Heard(device) | Self::Mute(device) | Self::Lost(device) | Self::Unusable(device) => device,
        }
    }
}

/// Tells the links that a device has one after the other from each other: what comes late from an old one is void.
pub(super) type LinkNumber = u64;

/// The thread's end of the ring.
pub(super) struct Events {
    ring: HeapProd<(LinkNumber, VoiceEvent)>,
    wake: Wake,
}

impl Events {
    pub(super) fn new(ring: HeapProd<(LinkNumber, VoiceEvent)>, wake: Wake) -> Self {
        Self { ring, wake }
    }

    /// Tells it; false when the ring is full, and it is to be told again later.
    pub(super) fn tell(&mut self, link: LinkNumber, event: VoiceEvent) -> bool {
        let told = self.ring.try_push((link, event)).is_ok();
        self.wake.raise();
        told
    }
}
