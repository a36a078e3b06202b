//! Two ends of a link against each other: both codecs, packets of every size, losses, interruptions, no allocation.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::base::Rng;
use crate::base::time::any_instant;
use crate::call::audio::Block;
use crate::codec::Law;
use crate::dsp::{Meter, Tone, level_at};
use crate::hfp::Codec::{self, Cvsd, Msbc};

/// Bytes of the air in a millisecond.
fn bytes_in_ms(codec: Codec) -> usize {
    match codec {
        Cvsd => 16,
        Msbc => 8,
    }
}

/// Blocks of 20 ms of a tone, as many as are asked for.
fn tone(hz: f32) -> impl FnMut() -> Option<Block> {
    let mut tone = Tone::new(hz, 16_000, -12.0);
    move || {
        let mut samples = [0; 320];
        tone.fill(&mut samples);
        Some(Block::pcm16k(&samples))
    }
}

fn level(samples: &[i16]) -> f32 {
    let mut meter = Meter::default();
    meter.add(samples);
    meter.take_dbfs()
}

/// One end talks to the other in packets of one size.
struct Pair {
    codec: Codec,
    talks: VoiceLink,
    hears: VoiceLink,
    size: usize,
    now: Instant,
}

impl Pair {
    fn new(codec: Codec, size: usize) -> Self {
        let link = || VoiceLink::new(codec).unwrap();
        Self { codec, talks: link(), hears: link(), size, now: any_instant() }
    }

    fn packets(&self, ms: usize) -> usize {
        ms * bytes_in_ms(self.codec) / self.size
    }

    /// What is heard in so many milliseconds; `arrives` may spoil a packet, and tells whether it is damaged.
    fn talk(
        &mut self,
        ms: usize,
        mut next: impl FnMut() -> Option<Block>,
        mut arrives: impl FnMut(&mut [u8]) -> bool,
    ) -> Vec<i16> {
        let mut heard = Vec::new();
        for _ in 0..self.packets(ms) {
            let mut packet = vec![0; self.size];
            self.talks.speak(&mut packet, &mut next);
            self.now += Duration::from_micros((self.size * 1000 / bytes_in_ms(self.codec)) as u64);
            let damaged = arrives(&mut packet);
            self.hears.hear(self.now, &packet, damaged, |block| heard.extend_from_slice(block.samples()));
        }
        heard
    }
}

#[test]
fn a_tone_goes_through_in_both_codecs_and_packets_of_every_size() {
    for codec in [Cvsd, Msbc] {
        for size in [24, 48, 60, 64, 72] {
            let mut pair = Pair::new(codec, size);
            let heard = pair.talk(1000, tone(440.0), |_| false);
            assert!((15_600..=16_000).contains(&heard.len()), "{codec:?} {size}: {} samples", heard.len());
            let level = level_at(&heard[1600..], 16_000, 440.0);
            assert!((level + 12.0).abs() < 0.3, "{codec:?} {size}: {level} dBFS");
            let counts = pair.hears.take_counts();
            assert!(counts.frames >= 130 && counts.frames_lost + counts.frames_bad + counts.bad_bytes == 0);
            assert_eq!(pair.hears.take_counts(), Counts::default());
            pair.talk(100, tone(440.0), |_| false);
            for level in [pair.talks.line().loudest_dbfs(), pair.hears.caller().loudest_dbfs()] {
                assert!((level + 12.0).abs() < 0.5, "{codec:?} {size}: {level} dBFS");
            }
        }
    }
}

#[test]
fn mu_law_blocks_are_heard_in_both_codecs() {
    for codec in [Cvsd, Msbc] {
        let mut wide = tone(440.0);
        let narrow = move || {
            let samples: Vec<i16> = wide()?.samples().iter().step_by(2).copied().collect();
            let mut octets = [0; 160];
            Law::Mu.encode(&samples, &mut octets);
            Some(Block::ulaw8k(&octets))
        };
        let heard = Pair::new(codec, 60).talk(500, narrow, |_| false);
        let level = level_at(&heard[1600..], 16_000, 440.0);
        assert!((level + 12.0).abs() < 0.3, "{codec:?}: {level} dBFS");
    }
}

#[test]
fn lost_packets_are_made_up_and_the_sum_of_the_audio_keeps_the_time() {
    for (codec, absent) in [(Cvsd, false), (Msbc, false), (Msbc, true)] {
        let (mut pair, mut number) = (Pair::new(codec, 60), 0);
        let heard = pair.talk(2000, tone(440.0), |packet| {
            number += 1;
            let lost = number % 20 == 0;
            if lost && absent {
                packet.fill(0);
            }
            lost && !absent
        });
        assert!((31_500..=32_000).contains(&heard.len()), "{} samples", heard.len());
        let level = level_at(&heard[1600..], 16_000, 440.0);
        assert!((level + 12.0).abs() < 1.0, "{codec:?}: {level} dBFS");
        let counts = pair.hears.take_counts();
        // Each lies in one frame.
        assert_eq!(counts.frames_lost + counts.frames_bad, number / 20, "{codec:?}: {counts:?}");
        assert_eq!(counts.concealed_micros, number / 20 * 7500);
    }
}

#[test]
fn after_an_interruption_the_phone_hears_at_most_one_frame_more() {
    for codec in [Cvsd, Msbc] {
        for size in [24, 48, 60, 64, 72] {
            let mut pair = Pair::new(codec, size);
            pair.talk(505, tone(440.0), |_| false);
            pair.talks.interrupt();
            let heard = pair.talk(200, || None, |_| false);
            // What was still in the last packets of the old words, and the tail of the filters: 15 ms.
            let silent = &heard[240..];
            assert!(level(silent) < -60.0, "{codec:?} {size}: {} dBFS", level(silent));
            assert_eq!(pair.talks.take_counts().underruns, 0, "an interruption is no underrun");
        }
    }
}

#[test]
fn short_holes_are_underruns_and_pauses_are_not() {
    for codec in [Cvsd, Msbc] {
        let (mut pair, mut voice) = (Pair::new(codec, 60), tone(440.0));
        for silent_ms in [30, 60, 400, 15] {
            pair.talk(200, &mut voice, |_| false);
            pair.talk(silent_ms, || None, |_| false);
        }
        pair.talk(200, &mut voice, |_| false);
        assert_eq!(pair.talks.take_counts().underruns, 3, "{codec:?}");
    }
}

#[test]
fn a_link_of_noise_is_unusable_for_msbc_and_silence_for_nobody() {
    let mut rng = Rng::from_u64(1);
    let mut pair = Pair::new(Msbc, 60);
    pair.talk(1000, tone(440.0), |_| false);
    let heard = pair.talk(
        1000,
        || None,
        |packet| {
            packet.fill_with(|| rng.below(256) as u8);
            false
        },
    );
    assert!(pair.hears.is_unusable());
    assert!(level(&heard[8000..]) < -90.0, "noise is not heard");
    for codec in [Cvsd, Msbc] {
        let mut pair = Pair::new(codec, 48);
        let heard = pair.talk(3000, || None, |_| false);
        assert!(!pair.hears.is_unusable() && heard.iter().all(|sample| sample.abs() <= 1));
    }
}

proptest! {
    #[test]
    fn packets_of_changing_sizes_lose_nothing(
        sizes in prop::collection::vec(1usize..=PACKET_BYTES_MAX, 1..60),
        codec in prop::bool::ANY,
    ) {
        let codec = if codec { Cvsd } else { Msbc };
        let (mut pair, mut voice) = (Pair::new(codec, 60), tone(440.0));
        let (mut heard, total) = (0, sizes.iter().sum::<usize>());
        for size in sizes {
            let mut packet = vec![0; size];
            pair.talks.speak(&mut packet, &mut voice);
            pair.hears.hear(pair.now, &packet, false, |block| heard += block.samples().len());
        }
        let counts = pair.hears.take_counts();
        prop_assert_eq!(heard, total / (bytes_in_ms(codec) * 15 / 2) * 120);
        prop_assert_eq!(counts.frames_lost + counts.frames_bad + counts.bad_bytes, 0);
    }

    #[test]
    fn hostile_packets_are_heard_or_passed_over(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..40),
    ) {
        for codec in [Cvsd, Msbc] {
            let mut pair = Pair::new(codec, 60);
            for (packet, damaged) in &packets {
                pair.hears.hear(pair.now, packet, *damaged, |block| assert_eq!(block.micros(), 7500));
            }
        }
    }
}

#[test]
fn neither_direction_allocates_after_construction() {
    for codec in [Cvsd, Msbc] {
        let (mut pair, mut voice, mut heard) = (Pair::new(codec, 60), tone(440.0), 0);
        assert_no_alloc::assert_no_alloc(|| {
            for number in 0..2000u32 {
                let mut packet = [0; 60];
                if number % 100 == 99 {
                    pair.talks.interrupt();
                }
                let speaks = number % 50 < 40;
                pair.talks.speak(&mut packet, || if speaks { voice() } else { None });
                if number % 9 == 0 {
                    packet.fill(0);
                }
                pair.now += Duration::from_micros(7500);
                pair.hears.hear(pair.now, &packet[..], number % 13 == 0, |block| heard += block.micros());
                pair.hears.take_counts();
            }
        });
        assert!(heard > 5_000_000);
    }
}
