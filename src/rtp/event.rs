//! DTMF as telephone-event (RFC 4733): each digit once, however often its packets are repeated.

/// A digit as it is written: `0`-`9`, `*`, `#`, `A`-`D`.
const DIGITS: &[u8; 16] = b"0123456789*#ABCD";

/// Recognises digits in the packets of one session, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digits {
    /// Timestamp and code of the event that was told last: all packets of an event carry its beginning.
    last: Option<(u32, u8)>,
}

impl Digits {
    /// A telephone-event payload; the digit when this is the first packet of its event that came.
    pub fn packet(&mut self, timestamp: u32, payload: &[u8]) -> Option<u8> {
        let [code, _flags_and_volume, _, _, ..] = payload else { return None };
        let digit = *DIGITS.get(usize::from(*code))?;
        if self.last == Some((timestamp, *code)) {
            return None;
        }
        self.last = Some((timestamp, *code));
        Some(digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_digit_is_told_once_even_when_its_beginning_was_lost_rfc4733_2_5() {
        let mut digits = Digits::default();
        let mut told = Vec::new();
        // 1 with its end three times; 1 again, only its end comes; # in the middle of its life.
        for (timestamp, code, end) in
            [(0, 1, 0), (0, 1, 0), (0, 1, 0x80), (0, 1, 0x80), (0, 1, 0x80), (800, 1, 0x80), (1600, 11, 0)]
        {
            told.extend(digits.packet(timestamp, &[code, end | 0x0a, 0, 160]));
        }
        assert_eq!(told, b"11#");
    }

    #[test]
    fn what_is_no_digit_is_passed_over() {
        let mut digits = Digits::default();
        assert_eq!(digits.packet(0, &[16, 0, 0, 0]), None, "flash");
        assert_eq!(digits.packet(0, &[1, 0]), None, "cut off");
        assert_eq!(digits.packet(0, &[]), None);
    }
}
