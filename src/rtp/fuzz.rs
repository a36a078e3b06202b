//! The bodies of the fuzz targets for packets of strangers.

use crate::base::time::any_instant;
use std::time::Duration;

use super::packet::{self, Header};
use super::{CONTROL_BYTES_MAX, Control, Digits, Receiver, ReportNumbers, Sent};
use crate::base::Rng;

/// Datagrams, each after an octet of its length and one of the milliseconds before it: whatever they hold, frames
/// come out in order and every packet is accounted for.
pub fn packet(data: &[u8]) {
    let mut receiver = Receiver::new(8000);
    let mut digits = Digits::default();
    let (mut now, mut rest, mut frames) = (any_instant(), data, 0);
    while let [len, wait, after @ ..] = rest {
        let (datagram, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(*wait));
        if let Some((header, payload)) = packet::parse(datagram) {
            receiver.handle_packet(now, &header, payload);
        }
        while let Some(frame) = receiver.poll_output(now) {
            frames += 1;
            digits.packet(frame.timestamp, frame.payload);
        }
        assert!(receiver.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
    }
    let counters = receiver.counters();
    assert!(frames <= counters.packets, "more came out than went in");
}

/// A control datagram: read, and answered with a report that can be written.
pub fn control(data: &[u8]) {
    let now = any_instant();
    let mut control = Control::new(now, &mut Rng::from_u64(1));
    control.handle_packet(now, 1, data);
    let mut out = [0; CONTROL_BYTES_MAX];
    let sent = Sent { ssrc: 1, timestamp: 0, packets: 1, octets: 160 };
    let len = control.write(now, &sent, Some((2, ReportNumbers::default())), true, &mut out);
    assert_eq!(len, 28 + 24 + 28 + 8);
    let mut packet = [0; 64];
    let header = Header { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc: 1 };
    assert_eq!(packet::write(&header, &data[..data.len().min(52)], &mut packet), 12 + data.len().min(52));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_datagrams_never_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
            super::packet(&data);
            super::control(&data);
        }

        #[test]
        fn any_order_of_numbers_and_times_is_accounted_for(
            packets in prop::collection::vec((0u8..60, 0u8..30, prop::bool::weighted(0.05)), 0..200),
        ) {
            let mut data = Vec::new();
            for (wait, number, restart) in packets {
                let high = if restart { 90 } else { 0 };
                data.extend([13, wait, 0x80, 0, high, number, 0, 0, number, 0, 0, 0, 0, 1, number]);
            }
            super::packet(&data);
        }
    }
}
