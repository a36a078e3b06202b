//! Sequence numbers of one source, extended beyond their 16 bits (RFC 3550 A.1).

/// A jump forward of more than this many packets is believed only when it continues (RFC 3550 A.1).
const DROPOUT_MAX: u16 = 3000;
/// A packet this far back is late; further back it is a jump.
const MISORDER_MAX: u16 = 100;

/// What a sequence number means beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Its extended number.
    At(u64),
    /// The source started over here: everything before is void.
    Restarted(u64),
    /// A huge jump that nothing has confirmed yet: not to be played.
    Unbelievable,
}

/// The highest number so far, and how often it wrapped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequence {
    highest: Option<u64>,
    /// The number that would confirm a jump.
    bad: Option<u16>,
}

impl Sequence {
    /// Places a sequence number as it arrived.
    pub fn place(&mut self, sequence: u16) -> Placed {
        let Some(highest) = self.highest else {
            // One cycle up, so that a packet from before the first one has a number too.
            return self.restart(0x1_0000 + u64::from(sequence));
        };
        let ahead = sequence.wrapping_sub(highest as u16);
        if ahead < DROPOUT_MAX {
            self.bad = None;
            self.highest = Some(highest + u64::from(ahead));
            return Placed::At(highest + u64::from(ahead));
        }
        let behind = ahead.wrapping_neg();
        if behind <= MISORDER_MAX {
            return Placed::At(highest.saturating_sub(u64::from(behind)));
        }
        if self.bad == Some(sequence) {
            return self.restart(((highest >> 16) + 1) << 16 | u64::from(sequence));
        }
        self.bad = Some(sequence.wrapping_add(1));
        Placed::Unbelievable
    }

    fn restart(&mut self, extended: u64) -> Placed {
        *self = Self { highest: Some(extended), bad: None };
        Placed::Restarted(extended)
    }

    /// The highest number so far, as a reception report carries it (RFC 3550 6.4.1): cycles, then 16 bits.
    pub fn extended_highest(&self) -> u32 {
        self.highest.map_or(0, |highest| (highest - 0x1_0000) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(numbers: &[u16]) -> Vec<Placed> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|number| sequence.place(*number)).collect()
    }

    #[test]
    fn numbers_go_on_beyond_the_wrap_rfc3550_a_1() {
        let at = placed(&[65534, 65535, 0, 65533, 2]);
        let base = 0x1_0000 + 65534;
        assert_eq!(
            at,
            [
                Placed::Restarted(base),
                Placed::At(base + 1),
                Placed::At(base + 2),
                Placed::At(base - 1),
                Placed::At(base + 4)
            ]
        );
    }

    #[test]
    fn a_packet_from_before_the_first_one_has_a_number() {
        assert_eq!(placed(&[0, 65535])[1], Placed::At(0xffff));
    }

    #[test]
    fn a_huge_jump_needs_a_second_packet_rfc3550_a_1() {
        let at = placed(&[10, 30000, 11, 40000, 40001, 40002]);
        assert_eq!(at[1..4], [Placed::Unbelievable, Placed::At(0x1_000b), Placed::Unbelievable]);
        assert_eq!(at[4..], [Placed::Restarted(0x2_0000 + 40001), Placed::At(0x2_0000 + 40002)]);
    }

    #[test]
    fn the_report_counts_cycles_from_zero() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.extended_highest(), 0);
        for number in [65535, 0] {
            sequence.place(number);
        }
        assert_eq!(sequence.extended_highest(), 0x1_0000);
    }
}
