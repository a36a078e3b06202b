//! Puts packets back in order without making those wait that are in order.
//!
//! Towards the agent, order matters and a steady beat does not: a packet that is next is passed on at once.
//! Only behind a gap do packets wait, a little, for the missing one; then it counts as lost.
//!
//! ```text
//!  1 2 3 · 5 6        5 arrives: 4 is missing, 5 waits
//!        └ 4 comes within GAP_WAIT: 4 5 6 go at once    else: 5 (lost before it: 1) 6
//! ```

use std::time::{Duration, Instant};

/// How long a gap waits for its packet after a later one came.
pub const GAP_WAIT: Duration = Duration::from_millis(40);
/// Packets that wait at most; one that comes too far ahead ends the wait of the gap before it.
const SLOTS: usize = 16;
/// Octets of a payload at most: 120 ms of G.711. Longer ones are refused and counted by the caller.
pub const PAYLOAD_BYTES_MAX: usize = 960;

/// A payload with what the next floor must know of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packets that never came between the frame before and this one.
    pub lost_before: u16,
    /// Payload type.
    pub payload_type: u8,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// As it was received.
    pub payload: &'a [u8],
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It will come out in its turn.
    InTurn,
    /// It comes behind a gap, or filled one.
    Reordered,
    /// Its turn is over.
    Late,
    /// It is here already.
    Duplicate,
}

#[derive(Clone, Copy)]
struct Slot {
    sequence: u64,
    /// When its packet came; `None` while it is free.
    arrived: Option<Instant>,
    payload_type: u8,
    marker: bool,
    timestamp: u32,
    len: u16,
    payload: [u8; PAYLOAD_BYTES_MAX],
}

impl Slot {
    fn holds(&self, sequence: u64) -> bool {
        self.arrived.is_some() && self.sequence == sequence
    }
}

/// The packets of one source that wait for their turn.
pub struct Reorder {
    slots: [Slot; SLOTS],
    /// The number that is next; `None` before the first packet.
    next: Option<u64>,
    held: usize,
}

impl Default for Reorder {
    fn default() -> Self {
        let slot = Slot {
            sequence: 0,
            arrived: None,
            payload_type: 0,
            marker: false,
            timestamp: 0,
            len: 0,
            payload: [0; PAYLOAD_BYTES_MAX],
        };
        Self { slots: [slot; SLOTS], next: None, held: 0 }
    }
}

impl std::fmt::Debug for Reorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reorder(next {:?}, {} held)", self.next, self.held)
    }
}

impl Reorder {
    /// Takes a packet with its extended number. `frame.lost_before` is not read. The payload must not exceed
    /// `PAYLOAD_BYTES_MAX`; what exceeds is cut off.
    pub fn insert(&mut self, now: Instant, sequence: u64, frame: &Frame<'_>) -> Kept {
        let next = *self.next.get_or_insert(sequence);
        if sequence < next {
            return Kept::Late;
        }
        let index = index_of(sequence);
        if self.slots[index].holds(sequence) {
            return Kept::Duplicate;
        }
        let mut kept = if sequence == next && self.held == 0 { Kept::InTurn } else { Kept::Reordered };
        let mut arrived = now;
        if sequence >= next + SLOTS as u64 {
            // More was lost than the buffer is long: what waits is void, and nothing is worth waiting for.
            self.slots.iter_mut().for_each(|slot| slot.arrived = None);
            self.held = 0;
            arrived = now.checked_sub(GAP_WAIT).unwrap_or(now);
            kept = Kept::InTurn;
        }
        let len = frame.payload.len().min(PAYLOAD_BYTES_MAX);
        let slot = &mut self.slots[index];
        slot.sequence = sequence;
        slot.arrived = Some(arrived);
        slot.payload_type = frame.payload_type;
        slot.marker = frame.marker;
        slot.timestamp = frame.timestamp;
        slot.len = len as u16;
        slot.payload[..len].copy_from_slice(&frame.payload[..len]);
        self.held += 1;
        kept
    }

    /// The next frame whose turn it is; call until `None` after each `insert` and at the deadline.
    pub fn pop(&mut self, now: Instant) -> Option<Frame<'_>> {
        let next = self.next?;
        if self.held == 0 {
            return None;
        }
        let sequence = if self.slots[index_of(next)].holds(next) {
            next
        } else if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.waiting().map(|slot| slot.sequence).min()?
        } else {
            return None;
        };
        self.held -= 1;
        self.next = Some(sequence + 1);
        let slot = &mut self.slots[index_of(sequence)];
        slot.arrived = None;
        Some(Frame {
            lost_before: (sequence - next).min(u64::from(u16::MAX)) as u16,
            payload_type: slot.payload_type,
            timestamp: slot.timestamp,
            marker: slot.marker,
            payload: &slot.payload[..usize::from(slot.len)],
        })
    }

    /// When the gap before the waiting packets is given up, and `pop` has one even if nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        if self.held == 0 {
            return None;
        }
        self.waiting().filter_map(|slot| slot.arrived).min().map(|arrived| arrived + GAP_WAIT)
    }

    /// Forgets everything: another source begins.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.arrived = None);
        self.next = None;
        self.held = 0;
    }

    fn waiting(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.arrived.is_some())
    }
}

fn index_of(sequence: u64) -> usize {
    (sequence % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::any_instant;

    struct Bench {
        start: Instant,
        reorder: Reorder,
    }

    impl Bench {
        fn new() -> Self {
            Self { start: any_instant(), reorder: Reorder::default() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn insert(&mut self, ms: u64, sequence: u64) -> Kept {
            let payload = [sequence as u8; 3];
            let frame =
                Frame { lost_before: 0, payload_type: 0, timestamp: 0, marker: false, payload: &payload };
            self.reorder.insert(self.at(ms), sequence, &frame)
        }

        /// What comes out: (number, lost before it).
        fn pop_all(&mut self, ms: u64) -> Vec<(u8, u16)> {
            let now = self.at(ms);
            let mut out = Vec::new();
            while let Some(frame) = self.reorder.pop(now) {
                out.push((frame.payload[0], frame.lost_before));
            }
            out
        }
    }

    #[test]
    fn what_is_in_order_never_waits() {
        let mut bench = Bench::new();
        for number in 7..60 {
            assert_eq!(bench.insert(0, number), Kept::InTurn);
            assert_eq!(bench.pop_all(0), [(number as u8, 0)]);
            assert_eq!(bench.reorder.deadline(), None);
        }
    }

    #[test]
    fn a_gap_waits_for_its_packet_and_all_come_out_in_order() {
        let mut bench = Bench::new();
        bench.insert(0, 1);
        bench.pop_all(0);
        assert_eq!(bench.insert(20, 3), Kept::Reordered);
        assert_eq!(bench.insert(21, 4), Kept::Reordered);
        assert!(bench.pop_all(21).is_empty());
        assert_eq!(bench.insert(59, 2), Kept::Reordered);
        assert_eq!(bench.pop_all(59), [(2, 0), (3, 0), (4, 0)]);
    }

    #[test]
    fn a_gap_is_given_up_40_ms_after_the_packet_behind_it_and_the_next_gap_has_its_own_wait() {
        let mut bench = Bench::new();
        bench.insert(0, 1);
        bench.pop_all(0);
        bench.insert(20, 3);
        bench.insert(50, 6);
        assert_eq!(bench.reorder.deadline(), Some(bench.at(60)));
        assert!(bench.pop_all(59).is_empty());
        assert_eq!(bench.pop_all(60), [(3, 1)]);
        assert_eq!(bench.reorder.deadline(), Some(bench.at(90)));
        assert_eq!(bench.pop_all(90), [(6, 2)]);
        assert_eq!(bench.insert(91, 2), Kept::Late);
        assert_eq!(bench.insert(91, 6), Kept::Late);
    }

    #[test]
    fn a_packet_comes_out_once() {
        let mut bench = Bench::new();
        bench.insert(0, 1);
        bench.pop_all(0);
        bench.insert(1, 3);
        assert_eq!(bench.insert(2, 3), Kept::Duplicate);
        bench.insert(3, 2);
        assert_eq!(bench.pop_all(3), [(2, 0), (3, 0)]);
    }

    #[test]
    fn a_loss_longer_than_the_buffer_is_not_waited_for() {
        let mut bench = Bench::new();
        bench.insert(0, 1);
        bench.pop_all(0);
        assert_eq!(bench.insert(20, 101), Kept::InTurn);
        assert_eq!(bench.pop_all(20), [(101, 99)]);
    }
}
