//! One open link in the voice thread: its descriptor, its audio, and whether it lives.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::call::Call;
use super::event::{Events, LinkNumber, VoiceEvent};
use super::report::add;
use crate::call::leg_audio::VoiceLink;
use crate::call::leg_audio::voice_link::PACKET_BYTES_MAX;
use crate::hfp::Codec;
use crate::hfp::host::Address;
use crate::port::sco::{self, Received, Sent};

/// No packet for so long: the link is mute.
const MUTE_AFTER: Duration = Duration::from_secs(2);
/// Packets that are read in a while. A link that has more is left alone until the next one: a flood must not keep a
/// real-time thread from ever waiting. The shortest packets of a real link come 14 times in that time.
const PACKETS_MAX: u32 = 64;
const WHILE: Duration = Duration::from_millis(20);
/// Of packets that waited, so much is answered at once. After a longer stall the adapter has run dry and has gone on
/// without us: what is sent beyond this would be late for ever.
const ANSWERED_MS_MAX: usize = 60;

/// A device's link.
pub(super) struct Wire {
    pub(super) device: Address,
    pub(super) number: LinkNumber,
    socket: OwnedFd,
    audio: VoiceLink,
    /// When the last packet came, or the link itself.
    last_packet: Instant,
    is_mute: bool,
    was_heard: bool,
    told_unusable: bool,
    /// Packets that may still be read before `while_ends`.
    budget: u32,
    while_ends: Instant,
}

impl Wire {
    pub(super) fn new(
        now: Instant,
        device: Address,
        number: LinkNumber,
        socket: OwnedFd,
        audio: VoiceLink,
    ) -> Self {
        Self {
            device,
            number,
            socket,
            audio,
            last_packet: now,
            is_mute: false,
            was_heard: false,
            told_unusable: false,
            budget: PACKETS_MAX,
            while_ends: now + WHILE,
        }
    }

    /// What is to be polled: nothing in a flood.
    pub(super) fn poll(&self) -> Option<BorrowedFd<'_>> {
        (self.budget > 0).then(|| self.socket.as_fd())
    }

    /// When it is to be looked at, packets or not.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mute = (!self.is_mute).then_some(self.last_packet + MUTE_AFTER);
        let flood = (self.budget == 0).then_some(self.while_ends);
        crate::base::time::earlier(mute, flood)
    }

    /// Another call is on the link, or none: what is left of the old words is not to be heard.
    pub(super) fn rerouted(&mut self) {
        self.audio.rerouted();
    }

    /// Time has passed.
    pub(super) fn beat(&mut self, now: Instant, events: &mut Events) {
        if now >= self.while_ends {
            (self.budget, self.while_ends) = (PACKETS_MAX, now + WHILE);
        }
        if !self.is_mute && now >= self.last_packet + MUTE_AFTER {
            self.is_mute = events.tell(self.number, VoiceEvent::Mute(self.device));
        }
    }

    /// Reads what is there, and answers it; false when the link is gone. `hung_up`: the wait found that its end has
    /// come, which is so once everything is read.
    pub(super) fn read(
        &mut self,
        now: Instant,
        hung_up: bool,
        mut call: Option<&mut Call>,
        events: &mut Events,
    ) -> bool {
        let mut packet = [0; PACKET_BYTES_MAX];
        let (mut answered_bytes, bytes_in_ms) = (0, bytes_in_ms(self.audio.codec()));
        while self.budget > 0 {
            let (length, damaged) = match sco::receive(self.socket.as_fd(), &mut packet) {
                Received::Packet { length, damaged } => (length, damaged),
                Received::Nothing if hung_up => return false,
                Received::Nothing => break,
                Received::Closed => return false,
            };
            self.budget -= 1;
            self.last_packet = now;
            if !self.was_heard || self.is_mute {
                self.was_heard = events.tell(self.number, VoiceEvent::Heard(self.device));
                self.is_mute = false;
            }
            let packet = &mut packet[..length];
            self.audio.hear(now, packet, damaged, |block| {
                if let Some(call) = call.as_deref_mut() {
                    call.heard(now, &block);
                }
            });
            answered_bytes += length;
            let answer = answered_bytes <= ANSWERED_MS_MAX * bytes_in_ms;
            let sent = if answer { self.answer(packet, call.as_deref_mut()) } else { Sent::NoRoom };
            if sent == Sent::Closed {
                return false;
            }
            let sent = sent == Sent::Taken;
            if let Some(call) = call.as_deref() {
                add(&call.counters.packets_received, 1);
                add(&call.counters.packets_sent, u64::from(sent));
                add(&call.counters.unsent, u64::from(!sent));
                call.counters.packet_bytes.store(length as u64, Relaxed);
            }
        }
        self.publish(now, call.as_deref());
        if !self.told_unusable && self.audio.is_unusable() {
            self.told_unusable = events.tell(self.number, VoiceEvent::Unusable(self.device));
        }
        true
    }

    /// Sends a packet of the same size.
    fn answer(&mut self, packet: &mut [u8], call: Option<&mut Call>) -> Sent {
        match call {
            Some(call) => {
                if call.was_interrupted() {
                    self.audio.interrupt();
                }
                self.audio.speak(packet, || call.next());
            }
            None => self.audio.speak(packet, || None),
        }
        sco::send(self.socket.as_fd(), packet)
    }

    /// Puts the counters where the hands-free thread reads them.
    fn publish(&mut self, now: Instant, call: Option<&Call>) {
        let counts = self.audio.take_counts();
        let Some(call) = call else { return };
        let counters = &call.counters;
        add(&counters.frames, counts.frames);
        add(&counters.frames_lost, counts.frames_lost);
        add(&counters.frames_bad, counts.frames_bad);
        add(&counters.bad_bytes, counts.bad_bytes);
        add(&counters.concealed_micros, counts.concealed_micros);
        add(&counters.underruns, counts.underruns);
        counters.heard(now);
        counters.codec(self.audio.codec());
        counters.drift(self.audio.drift_ppm());
        counters.levels.set(self.audio.caller(), self.audio.line());
    }
}

/// Bytes of the link in a millisecond.
fn bytes_in_ms(codec: Codec) -> usize {
    match codec {
        Codec::Cvsd => 16,
        Codec::Msbc => 8,
    }
}
