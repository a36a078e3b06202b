//! The agent's voice between its arrival, in bursts, and the line's beat: a bounded queue of bytes that knows
//! which of them belong to which reply, and how much of each reply was really heard.
//!
//! ```text
//!  push ──▶ queue (wire bytes) ──take_block──▶ ring to the line ──beat──▶ heard
//!                └──────────────── flush: all of this becomes void ────────┘
//! ```
//!
//! A block's position in the ring is its absolute number from 1: every block that was taken is pushed there, in
//! order. The line tells how many blocks left the ring and how many of those were played; what is missing was void.

use std::collections::{BTreeMap, VecDeque};

use super::format::AudioFormat;

/// Audio that waits at most (the service sends whole replies at once); what comes beyond is dropped and counted.
pub const QUEUE_MS_MAX: u64 = 120_000;
/// Replies whose hearing is remembered; the oldest is forgotten.
const REPLIES_MAX: usize = 64;
/// Milliseconds of a block.
const BLOCK_MS: u64 = 20;

/// Bytes of one reply that wait in the queue.
#[derive(Clone, Copy, Debug)]
struct Segment {
    reply: u64,
    bytes: usize,
}

/// A block that is on its way to the line. The last of a reply may hold less voice than 20 ms.
#[derive(Clone, Copy, Debug)]
struct InRing {
    position: u64,
    reply: u64,
    micros: u64,
}

/// What became of a reply's audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hearing {
    heard_micros: u64,
    /// Some of it was flushed.
    cut: bool,
}

/// The queue. See the module's page.
#[derive(Debug)]
pub struct Playout {
    format: AudioFormat,
    bytes: VecDeque<u8>,
    segments: VecDeque<Segment>,
    /// Half a sample that came at the end of a message, and whose it is.
    odd: Option<(u64, u8)>,
    in_ring: VecDeque<InRing>,
    /// Absolute position of the last block that was taken.
    pushed: u64,
    /// Blocks up to this position were made void by the last flush.
    void_to: u64,
    /// Void blocks that were accounted for.
    void_seen: u64,
    hearings: BTreeMap<u64, Hearing>,
    dropped_ms: u64,
}

impl Playout {
    /// An empty queue for audio in `format`.
    pub fn new(format: AudioFormat) -> Self {
        Self {
            format,
            bytes: VecDeque::new(),
            segments: VecDeque::new(),
            odd: None,
            in_ring: VecDeque::new(),
            pushed: 0,
            void_to: 0,
            void_seen: 0,
            hearings: BTreeMap::new(),
            dropped_ms: 0,
        }
    }

    /// The format in which audio is given and taken.
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// The metadata named another format; what waited in the old one is gone (nothing waits before metadata).
    pub fn set_format(&mut self, format: AudioFormat) {
        self.format = format;
        self.bytes.clear();
        self.segments.clear();
        self.odd = None;
    }

    /// Appends audio of a reply; returns how many milliseconds of it found no room.
    pub fn push(&mut self, reply: u64, audio: &[u8]) -> u64 {
        let sample = self.format.sample_bytes();
        let capacity = self.format.block_bytes() * (QUEUE_MS_MAX / BLOCK_MS) as usize;
        let odd = self.odd.take().filter(|(of, _)| *of == reply).map(|(_, byte)| byte);
        let mut whole = usize::from(odd.is_some()) + audio.len();
        if !whole.is_multiple_of(sample) {
            whole -= 1;
            self.odd = audio.last().map(|byte| (reply, *byte));
        }
        let room = capacity.saturating_sub(self.bytes.len());
        let kept = whole.min(room - room % sample);
        self.bytes.extend(odd.into_iter().chain(audio.iter().copied()).take(kept));
        if kept > 0 {
            self.remember(reply);
            match self.segments.back_mut().filter(|segment| segment.reply == reply) {
                Some(segment) => segment.bytes += kept,
                None => self.segments.push_back(Segment { reply, bytes: kept }),
            }
        }
        let dropped = self.format.millis(whole - kept);
        self.dropped_ms += dropped;
        dropped
    }

    /// The next 20 ms for the ring, all of one reply; the caller must push them there. The rest of a reply that
    /// is shorter waits for more to come as long as the ring is not about to run dry, then is filled with silence.
    pub fn take_block(&mut self, ring_is_low: bool) -> Option<Vec<u8>> {
        let block = self.format.block_bytes();
        let reply_is_complete = self.segments.len() > 1;
        let segment = self.segments.front_mut()?;
        if segment.bytes < block && !ring_is_low && !reply_is_complete {
            return None;
        }
        let reply = segment.reply;
        let taken = segment.bytes.min(block);
        segment.bytes -= taken;
        if segment.bytes == 0 {
            self.segments.pop_front();
        }
        let mut bytes: Vec<u8> = self.bytes.drain(..taken).collect();
        bytes.resize(block, self.format.silence());
        self.pushed += 1;
        let micros = taken as u64 * BLOCK_MS * 1000 / block as u64;
        self.in_ring.push_back(InRing { position: self.pushed, reply, micros });
        Some(bytes)
    }

    /// The line's report: the position up to which blocks have left the ring, and how many of all were played.
    pub fn heard(&mut self, taken: u64, played: u64) {
        let void = taken.saturating_sub(played).saturating_sub(self.void_seen);
        self.void_seen += void;
        let left = self.in_ring.iter().take_while(|block| block.position <= taken).count();
        let voidable = self.in_ring.iter().take(left).filter(|block| block.position <= self.void_to).count();
        // Blocks leave in order and the flush voids all that were left: so the void ones are the last of them.
        let played_before_flush = voidable.saturating_sub(void as usize);
        for (index, block) in self.in_ring.drain(..left).enumerate() {
            let is_void = index >= played_before_flush && index < voidable;
            if let Some(hearing) = self.hearings.get_mut(&block.reply) {
                if is_void {
                    hearing.cut = true;
                } else {
                    hearing.heard_micros += block.micros;
                }
            }
        }
    }

    /// Makes void everything that was not played yet, here and (with the ring's own flush) in the ring.
    pub fn flush(&mut self) {
        for segment in &self.segments {
            if let Some(hearing) = self.hearings.get_mut(&segment.reply) {
                hearing.cut = true;
            }
        }
        self.bytes.clear();
        self.segments.clear();
        self.odd = None;
        self.void_to = self.pushed;
    }

    /// The line will report no more: what it has not taken yet was not heard.
    pub fn abandon(&mut self) {
        self.flush();
        for block in self.in_ring.drain(..) {
            if let Some(hearing) = self.hearings.get_mut(&block.reply) {
                hearing.cut = true;
            }
        }
    }

    /// Whether the line has passed the last flush, so that what was cut off is known.
    pub fn is_settled(&self) -> bool {
        self.in_ring.front().is_none_or(|block| block.position > self.void_to)
    }

    /// Replies that were cut off, with the milliseconds of them that were heard; each is told once.
    pub fn cut_off(&mut self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        for (reply, hearing) in &mut self.hearings {
            if std::mem::take(&mut hearing.cut) {
                all.push((*reply, hearing.heard_micros / 1000));
            }
        }
        all
    }

    /// Nothing waits and nothing is on its way to the line.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.in_ring.is_empty()
    }

    /// Milliseconds that wait, the ring included.
    pub fn waiting_ms(&self) -> u64 {
        self.format.millis(self.bytes.len()) + self.in_ring.len() as u64 * BLOCK_MS
    }

    /// Milliseconds that found no room since the beginning.
    pub fn dropped_ms(&self) -> u64 {
        self.dropped_ms
    }

    fn remember(&mut self, reply: u64) {
        self.hearings.entry(reply).or_default();
        if self.hearings.len() > REPLIES_MAX {
            self.hearings.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ulaw() -> Playout {
        Playout::new(AudioFormat::Ulaw8000)
    }

    #[test]
    fn half_a_sample_is_carried_into_the_next_message() {
        let mut playout = Playout::new(AudioFormat::Pcm8000);
        playout.push(1, &[1, 2, 3]);
        playout.push(1, &[4; 317]);
        let block = playout.take_block(false).unwrap();
        assert_eq!((block.len(), &block[..5]), (320, &[1, 2, 3, 4, 4][..]));
        assert!(playout.take_block(true).is_none());
    }

    #[test]
    fn half_a_sample_of_one_reply_never_shifts_the_next_reply() {
        let mut playout = Playout::new(AudioFormat::Pcm8000);
        playout.push(1, &[1, 2, 3]);
        playout.push(2, &[5, 6]);
        assert_eq!(&playout.take_block(true).unwrap()[..3], &[1, 2, 0]);
        assert_eq!(&playout.take_block(true).unwrap()[..3], &[5, 6, 0]);
    }

    #[test]
    fn a_short_rest_waits_for_more_until_the_ring_runs_low() {
        let mut playout = ulaw();
        playout.push(1, &[7; 200]);
        assert_eq!(playout.take_block(false).unwrap(), [7; 160]);
        assert!(playout.take_block(false).is_none());
        let rest = playout.take_block(true).unwrap();
        assert_eq!((&rest[..40], &rest[40..]), (&[7; 40][..], &[0xff; 120][..]));
        playout.heard(2, 2);
        assert!(playout.is_empty());
    }

    #[test]
    fn a_flush_tells_how_much_of_each_reply_was_heard() {
        let mut playout = ulaw();
        playout.push(1, &[0; 320]);
        playout.push(2, &[0; 1600]);
        for _ in 0..5 {
            playout.take_block(false).unwrap();
        }
        playout.heard(2, 2);
        // The line plays one more before it sees the flush, and finds two void.
        playout.flush();
        assert!(!playout.is_settled());
        playout.heard(5, 3);
        assert!(playout.is_settled() && playout.is_empty());
        assert_eq!(playout.cut_off(), [(2, 20)]);
        assert_eq!(playout.cut_off(), []);
        playout.push(3, &[0; 160]);
        playout.take_block(false).unwrap();
        playout.heard(6, 4);
        playout.flush();
        assert_eq!(playout.cut_off(), []);
    }

    #[test]
    fn beyond_two_minutes_audio_is_dropped_and_counted() {
        let mut playout = ulaw();
        assert_eq!(playout.push(1, &vec![0; 8 * 119_000]), 0);
        assert_eq!(playout.push(1, &vec![0; 8 * 3_000]), 2_000);
        assert_eq!((playout.waiting_ms(), playout.dropped_ms()), (QUEUE_MS_MAX, 2_000));
    }

    proptest! {
        #[test]
        fn every_byte_is_taken_heard_or_counted(
            steps in prop::collection::vec((0u64..4, 1usize..2000, 0usize..6, any::<bool>()), 1..60),
        ) {
            let mut playout = Playout::new(AudioFormat::Pcm16000);
            let (mut taken, mut played, mut reply) = (0, 0, 1);
            for (next, bytes, blocks, flush) in steps {
                reply += next;
                playout.push(reply, &vec![1; bytes]);
                for _ in 0..blocks {
                    if let Some(block) = playout.take_block(true) {
                        prop_assert_eq!(block.len(), 640);
                        taken += 1;
                        played += u64::from(!flush);
                    }
                }
                if flush {
                    playout.flush();
                }
                playout.heard(taken, played);
                prop_assert!(playout.is_settled());
                prop_assert_eq!(playout.waiting_ms(), AudioFormat::Pcm16000.millis(playout.bytes.len()));
                prop_assert_eq!(playout.bytes.len(), playout.segments.iter().map(|s| s.bytes).sum::<usize>());
            }
        }
    }
}
