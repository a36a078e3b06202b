//! The audio link of one call: two rings of blocks between the media thread and whoever talks, and the few
//! atomics beside them. Neither side ever waits for the other.
//!
//! ```text
//!  media ──uplink──▶ talker   as packets arrive; `wake_talker` is raised; a full ring drops the new block
//!  media ◀─downlink─ talker   at most 60 ms ahead; one block per beat; `void_before` empties it at once
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringbuf::traits::{Consumer as _, Observer as _, Producer as _, Split as _};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::call::audio::{Block, BlockFormat};
use crate::sys::mailbox::Wake;

/// Blocks that wait for the talker at most (1 s): beyond that the new one is dropped and counted.
pub const UPLINK_BLOCKS_MAX: usize = 50;
/// Blocks that wait for the line at most (60 ms): so an interruption is heard at the next beat.
pub const DOWNLINK_BLOCKS_MAX: usize = 3;

/// What both sides read and one side writes.
#[derive(Debug, Default)]
struct Shared {
    /// Downlink blocks before this absolute position are void. Written by the talker.
    void_before: AtomicU64,
    /// Downlink blocks that left the ring, played or void. Written by media.
    taken: AtomicU64,
    /// Downlink blocks that were really played. Written by media.
    played: AtomicU64,
    /// Whether the talker wants mu-law untouched, where the line speaks it. Written by the talker.
    wants_ulaw: AtomicBool,
    /// Whether media may pass caller audio up (set when the call is active). Written by the talker.
    uplink_open: AtomicBool,
    /// Uplink blocks dropped because the ring was full. Written by media.
    uplink_dropped: AtomicU64,
}

/// The media thread's end.
pub struct MediaEnd {
    uplink: HeapProd<Block>,
    downlink: HeapCons<Block>,
    shared: Arc<Shared>,
    wake_talker: Wake,
}

/// The end of the agent thread, the echo, or a simulated phone.
pub struct TalkerEnd {
    uplink: HeapCons<Block>,
    downlink: HeapProd<Block>,
    pushed: u64,
    shared: Arc<Shared>,
    wake_talker: Wake,
}

/// A new link; all memory it will ever use is allocated here.
pub fn link() -> io::Result<(MediaEnd, TalkerEnd)> {
    let (up_tx, up_rx) = HeapRb::new(UPLINK_BLOCKS_MAX).split();
    let (down_tx, down_rx) = HeapRb::new(DOWNLINK_BLOCKS_MAX).split();
    let shared = Arc::new(Shared::default());
    let wake_talker = Wake::new()?;
    Ok((
        MediaEnd {
            uplink: up_tx,
            downlink: down_rx,
            shared: shared.clone(),
            wake_talker: wake_talker.clone(),
        },
        TalkerEnd { uplink: up_rx, downlink: down_tx, pushed: 0, shared, wake_talker },
    ))
}

impl MediaEnd {
    /// The format in which the talker wants the caller's audio, if the line can give it.
    pub fn wanted(&self) -> BlockFormat {
        if self.shared.wants_ulaw.load(Ordering::Relaxed) { BlockFormat::Ulaw8k } else { BlockFormat::Pcm16k }
    }

    /// Whether caller audio may be passed up.
    pub fn uplink_is_open(&self) -> bool {
        self.shared.uplink_open.load(Ordering::Acquire)
    }

    /// Passes caller audio up and wakes the talker. A full ring drops it and counts.
    pub fn push(&mut self, block: Block) {
        if self.uplink.try_push(block).is_err() {
            self.shared.uplink_dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake_talker.raise();
    }

    /// The next block for the line; void ones are passed over. `None` plays silence. The talker is woken when
    /// one was taken, because there is room again.
    pub fn pop(&mut self) -> Option<Block> {
        let void_before = self.shared.void_before.load(Ordering::Acquire);
        let mut taken = self.shared.taken.load(Ordering::Relaxed);
        let mut next = None;
        while let Some(block) = self.downlink.try_pop() {
            taken += 1;
            if taken > void_before {
                self.shared.played.fetch_add(1, Ordering::Release);
                next = Some(block);
                break;
            }
        }
        if taken != self.shared.taken.load(Ordering::Relaxed) {
            self.shared.taken.store(taken, Ordering::Release);
            self.wake_talker.raise();
        }
        next
    }

    /// Whether the block that was popped last has become void since: a line that still holds a part of it drops it.
    pub fn last_is_void(&self) -> bool {
        self.shared.void_before.load(Ordering::Acquire) >= self.shared.taken.load(Ordering::Relaxed)
    }
}

impl TalkerEnd {
    /// Raised when caller audio came or the line took a block.
    pub fn wake(&self) -> &Wake {
        &self.wake_talker
    }

    /// Asks for mu-law blocks where the line speaks mu-law (both ways they are then passed untouched).
    pub fn want_ulaw(&self, yes: bool) {
        self.shared.wants_ulaw.store(yes, Ordering::Relaxed);
    }

    /// Lets caller audio pass from now on.
    pub fn open_uplink(&self) {
        self.shared.uplink_open.store(true, Ordering::Release);
    }

    /// The oldest caller audio.
    pub fn pop(&mut self) -> Option<Block> {
        self.uplink.try_pop()
    }

    /// Caller blocks waiting.
    pub fn waiting(&self) -> usize {
        self.uplink.occupied_len()
    }

    /// Caller blocks that were dropped because the talker did not take them.
    pub fn dropped(&self) -> u64 {
        self.shared.uplink_dropped.load(Ordering::Relaxed)
    }

    /// Room for the line, in blocks.
    pub fn room(&self) -> usize {
        self.downlink.vacant_len()
    }

    /// Gives the line a block and returns its absolute position (from 1); `None` when there is no room.
    pub fn push(&mut self, block: Block) -> Option<u64> {
        self.downlink.try_push(block).ok()?;
        self.pushed += 1;
        Some(self.pushed)
    }

    /// Absolute position of the last block that was pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Makes everything pushed so far void: the next beat plays what comes after, or silence.
    pub fn flush(&self) {
        self.shared.void_before.store(self.pushed, Ordering::Release);
    }

    /// Absolute position up to which blocks have left the ring, played or void.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Acquire)
    }

    /// How many blocks were really played.
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for MediaEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaEnd")
    }
}

impl std::fmt::Debug for TalkerEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TalkerEnd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(level: i16) -> Block {
        Block::pcm16k(&[level; 320])
    }

    #[test]
    fn an_interruption_makes_the_next_beat_silent_and_later_audio_plays() {
        let (mut media, mut talker) = link().unwrap();
        assert_eq!(
            (talker.push(tone(1)), talker.push(tone(2)), talker.push(tone(3))),
            (Some(1), Some(2), Some(3))
        );
        assert_eq!(talker.push(tone(4)), None);
        assert_eq!(media.pop().map(|b| b.samples()[0]), Some(1));
        assert!(!media.last_is_void());
        talker.flush();
        assert!(media.last_is_void(), "what is left of it is not to be heard");
        assert!(media.pop().is_none());
        assert_eq!((talker.taken(), talker.played(), talker.room()), (3, 1, DOWNLINK_BLOCKS_MAX));
        assert_eq!(talker.push(tone(5)), Some(4));
        assert_eq!(media.pop().map(|b| b.samples()[0]), Some(5));
        assert!(!media.last_is_void());
    }

    #[test]
    fn a_talker_that_sleeps_loses_the_newest_audio_and_it_is_counted() {
        let (mut media, mut talker) = link().unwrap();
        for level in 0..=UPLINK_BLOCKS_MAX as i16 {
            media.push(tone(level));
        }
        assert_eq!((talker.dropped(), talker.waiting()), (1, UPLINK_BLOCKS_MAX));
        assert_eq!(talker.pop().map(|b| b.samples()[0]), Some(0));
    }
}
