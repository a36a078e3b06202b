//! One call's media in its thread: the sockets, the RTP cores, the leg's audio, and the link to whoever talks.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::report::Counters;
use crate::base::{CallId, Rng};
use crate::call::leg::{LineAudio, LineCodec};
use crate::call::leg_audio::{BEAT_OCTETS, Downlink, Payload, Uplink};
use crate::codec::g711::RATE_HZ;
use crate::port::rtp_socket::RtpSockets;
use crate::rtp::{
    CONTROL_BYTES_MAX, Control, Digits, Frame, Latch, REPORT_INTERVAL, Receiver, Sender, Sent, packet,
};
use crate::run::link::MediaEnd;

/// Datagrams read from one socket in a beat. A socket that has more is left alone until the next beat: a flood
/// must not keep a real-time thread from ever waiting. What waits too long in the kernel is dropped there.
const DATAGRAMS_PER_BEAT: usize = 64;
/// The longest datagram that is looked at; what is longer is cut off and dropped as broken.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Payload types of comfort noise (RFC 3389), the second of them by older devices: silence, as its absence is.
const COMFORT_NOISE: [u8; 2] = [13, 19];
/// Octets of the longest packet we send: 60 ms.
const PACKET_OCTETS_MAX: usize = 3 * BEAT_OCTETS;

/// A call that was given to this thread for life.
pub(super) struct Session {
    pub(super) call: CallId,
    pub(super) sockets: RtpSockets,
    link: MediaEnd,
    counters: Arc<Counters>,
    rng: Rng,
    /// `None` until the line's audio was agreed: until then nothing is read or sent.
    line: Option<LineAudio>,
    latch: Latch,
    receiver: Receiver,
    digits: Digits,
    control: Control,
    sender: Sender,
    uplink: Uplink,
    downlink: Downlink,
    /// Octets of the packet being filled, when packets are longer than a beat.
    packet: [u8; PACKET_OCTETS_MAX],
    filled: usize,
    report_at: Instant,
    /// Datagrams that may still be read before the next beat.
    rtp_budget: usize,
    rtcp_budget: usize,
}

impl Session {
    pub(super) fn new(
        now: Instant,
        call: CallId,
        sockets: RtpSockets,
        link: MediaEnd,
        counters: Arc<Counters>,
        mut rng: Rng,
    ) -> Self {
        Self {
            call,
            sockets,
            link,
            counters,
            line: None,
            latch: Latch::new(([0, 0, 0, 0], 0).into()),
            receiver: Receiver::new(RATE_HZ),
            digits: Digits::default(),
            control: Control::new(now, &mut rng),
            sender: Sender::new(&mut rng),
            uplink: Uplink::default(),
            downlink: Downlink::default(),
            packet: [0; PACKET_OCTETS_MAX],
            filled: 0,
            report_at: now,
            rtp_budget: DATAGRAMS_PER_BEAT,
            rtcp_budget: DATAGRAMS_PER_BEAT,
            rng,
        }
    }

    /// Whether the beat matters to it.
    pub(super) fn is_started(&self) -> bool {
        self.line.is_some()
    }

    /// Whether its two sockets are to be read: not before the start (what comes then is drained at the start),
    /// and not in a flood.
    pub(super) fn wants_to_read(&self) -> (bool, bool) {
        (self.is_started() && self.rtp_budget > 0, self.is_started() && self.rtcp_budget > 0)
    }

    /// The audio that was agreed, at first and whenever it changes.
    pub(super) fn start(&mut self, now: Instant, line: LineAudio) {
        if self.line.is_none() {
            // What came before the call was up is stale.
            let mut datagram = [0; 16];
            while self.sockets.rtp.recv_from(&mut datagram).is_ok() {}
            while self.sockets.rtcp.recv_from(&mut datagram).is_ok() {}
            self.counters.heard(now);
            self.schedule_report(now);
        }
        self.latch.signal(line.remote);
        self.filled = 0;
        self.line = Some(line);
    }

    /// The RTP socket can be read.
    pub(super) fn read_rtp(&mut self, now: Instant) {
        let Some(line) = self.line else { return };
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        while self.rtp_budget > 0 {
            let Ok((len, from)) = self.sockets.rtp.recv_from(&mut datagram) else { break };
            self.rtp_budget -= 1;
            self.datagram(now, &line, from, &datagram[..len]);
        }
        self.pass_frames(now, &line);
    }

    fn datagram(&mut self, now: Instant, line: &LineAudio, from: SocketAddr, datagram: &[u8]) {
        let Some((header, payload)) = packet::parse(datagram) else {
            add(&self.counters.dropped, 1);
            return;
        };
        let events = line.telephone_event == Some(header.payload_type);
        let agreed = events || codec_of(line, header.payload_type).is_some();
        if !self.latch.admit(now, from, agreed) {
            add(&self.counters.strangers, 1);
            return;
        }
        self.counters.heard(now);
        self.receiver.handle_packet(now, &header, payload);
    }

    /// Passes on what is in order. Comfort noise only keeps its place, as do unknown payload types.
    fn pass_frames(&mut self, now: Instant, line: &LineAudio) {
        while let Some(frame) = self.receiver.poll_output(now) {
            let Frame { timestamp, payload, payload_type, .. } = frame;
            if line.telephone_event == Some(payload_type) {
                if let Some(digit) = self.digits.packet(timestamp, payload) {
                    self.counters.digit(digit);
                }
            } else if let Some(codec) = codec_of(line, payload_type) {
                if line.receive {
                    let payload = Payload { timestamp, codec, octets: payload };
                    let (open, wanted, link) =
                        (self.link.uplink_is_open(), self.link.wanted(), &mut self.link);
                    self.uplink.payload(now, wanted, &payload, |block| {
                        if open {
                            link.push(block);
                        }
                    });
                }
            } else if !COMFORT_NOISE.contains(&payload_type) {
                add(&self.counters.dropped, 1);
            }
        }
    }

    /// The RTCP socket can be read.
    pub(super) fn read_rtcp(&mut self, now: Instant) {
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        while self.rtcp_budget > 0 {
            let Ok((len, from)) = self.sockets.rtcp.recv_from(&mut datagram) else { break };
            self.rtcp_budget -= 1;
            if self.latch.knows_host_of(from) {
                self.control.handle_packet(now, self.sender.ssrc(), &datagram[..len]);
            } else {
                add(&self.counters.strangers, 1);
            }
        }
    }

    /// One beat of 20 ms; `skipped` beats were missed before it.
    pub(super) fn beat(&mut self, now: Instant, skipped: u32) {
        let Some(line) = self.line else { return };
        (self.rtp_budget, self.rtcp_budget) = (DATAGRAMS_PER_BEAT, DATAGRAMS_PER_BEAT);
        if skipped > 0 {
            add(&self.counters.skipped_beats, u64::from(skipped));
            self.sender.skip(skipped * BEAT_OCTETS as u32);
        }
        self.pass_frames(now, &line);
        let (open, wanted, link) = (self.link.uplink_is_open(), self.link.wanted(), &mut self.link);
        self.uplink.beat(now, wanted, line.codec, |block| {
            if open {
                link.push(block);
            }
        });
        if line.send {
            self.send(&line);
        } else {
            // On hold what waits to be said goes on waiting.
            self.sender.skip(BEAT_OCTETS as u32);
        }
        if now >= self.report_at {
            self.send_report(now, false);
            self.schedule_report(now);
        }
        self.publish();
    }

    /// So many of the next beats were due before.
    pub(super) fn late(&self, beats: u32) {
        if self.line.is_some() {
            add(&self.counters.late_beats, u64::from(beats));
        }
    }

    fn send(&mut self, line: &LineAudio) {
        let mut payload = [0; BEAT_OCTETS];
        let block = self.link.pop();
        self.downlink.beat(block.as_ref(), line.codec, &mut payload);
        self.packet[self.filled..self.filled + BEAT_OCTETS].copy_from_slice(&payload);
        self.filled += BEAT_OCTETS;
        let octets = (usize::from(line.ptime_ms) * 8).clamp(BEAT_OCTETS / 2, PACKET_OCTETS_MAX);
        if self.filled < octets {
            return;
        }
        let filled = std::mem::take(&mut self.filled);
        for octets in self.packet[..filled].chunks(octets) {
            let mut datagram = [0; packet::HEADER_BYTES + PACKET_OCTETS_MAX];
            let len = self.sender.packet(line.payload_type, octets, &mut datagram);
            send_to(&self.sockets.rtp, &datagram[..len], self.latch.destination(), &self.counters);
        }
    }

    fn schedule_report(&mut self, now: Instant) {
        // RFC 3550 6.2: between half and one and a half of the mean, so that reports never march in step.
        let half = REPORT_INTERVAL.as_millis() as u32 / 2;
        self.report_at = now + Duration::from_millis(u64::from(half + self.rng.below(2 * half)));
    }

    /// A report, with BYE when it is the last one.
    pub(super) fn send_report(&mut self, now: Instant, bye: bool) {
        if self.line.is_none() {
            return;
        }
        let sent = Sent {
            ssrc: self.sender.ssrc(),
            timestamp: self.sender.timestamp(),
            packets: self.sender.packets(),
            octets: self.sender.octets(),
        };
        let mut datagram = [0; CONTROL_BYTES_MAX];
        let len = self.control.write(now, &sent, self.receiver.report(), bye, &mut datagram);
        let mut to = self.latch.destination();
        to.set_port(to.port().saturating_add(1));
        send_to(&self.sockets.rtcp, &datagram[..len], to, &self.counters);
    }

    /// Puts the counters where the switch reads them.
    fn publish(&self) {
        let (counters, received) = (&self.counters, self.receiver.counters());
        counters.packets_sent.store(self.sender.packets(), Relaxed);
        counters.octets_sent.store(self.sender.octets(), Relaxed);
        counters.packets_received.store(received.packets, Relaxed);
        counters.octets_received.store(received.octets, Relaxed);
        counters.lost.store(received.lost, Relaxed);
        counters.late.store(received.late, Relaxed);
        counters.reordered.store(received.reordered, Relaxed);
        counters.receiver_dropped.store(received.dropped, Relaxed);
        counters.duplicates.store(received.duplicates, Relaxed);
        counters.made_up_ms.store(self.uplink.made_up_ms(), Relaxed);
        counters.underruns.store(self.downlink.underruns(), Relaxed);
        counters.jitter_us.store(self.receiver.jitter().as_micros() as u64, Relaxed);
        if let Some(round_trip) = self.control.round_trip() {
            counters.round_trip_us.store(round_trip.as_micros() as u64, Relaxed);
        }
        counters.levels.set(self.uplink.loudness(), self.downlink.loudness());
    }
}

/// The codec of a payload type: the agreed one, and both static ones (RFC 3551), because some peers change
/// between them without a word.
fn codec_of(line: &LineAudio, payload_type: u8) -> Option<LineCodec> {
    match payload_type {
        agreed if agreed == line.payload_type => Some(line.codec),
        0 => Some(LineCodec::Pcmu),
        8 => Some(LineCodec::Pcma),
        _ => None,
    }
}

fn send_to(socket: &UdpSocket, datagram: &[u8], to: SocketAddr, counters: &Counters) {
    if to.ip().is_unspecified() || to.port() == 0 {
        return;
    }
    if socket.send_to(datagram, to).is_err() {
        add(&counters.send_failures, 1);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed) + count, Relaxed);
}
