//! One leg in virtual time: formats, gaps, a hostile network, and no allocation.

use crate::base::time::any_instant;
use std::time::{Duration, Instant};

use super::*;
use crate::base::Rng;
use crate::call::audio::{Block, BlockFormat};
use crate::call::leg::LineCodec::{self, Pcma, Pcmu};
use crate::codec::Law;
use crate::dsp::{Meter, Tone, level_at};
use crate::rtp::Receiver;
use crate::rtp::packet::Header;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A tone in a law, 440 Hz at -12 dBFS.
fn tone_in(codec: LineCodec, octets: usize) -> Vec<u8> {
    let (mut samples, mut out) = (vec![0; octets], vec![0; octets]);
    Tone::new(440.0, 8000, -12.0).fill(&mut samples);
    uplink::law(codec).encode(&samples, &mut out);
    out
}

struct Caller {
    uplink: Uplink,
    now: Instant,
    wanted: BlockFormat,
    blocks: Vec<Block>,
}

impl Caller {
    fn new(wanted: BlockFormat) -> Self {
        Self { uplink: Uplink::default(), now: any_instant(), wanted, blocks: Vec::new() }
    }

    fn payload(&mut self, timestamp: u32, codec: LineCodec, octets: &[u8]) {
        let payload = Payload { timestamp, codec, octets };
        self.uplink.payload(self.now, self.wanted, &payload, |block| self.blocks.push(block));
    }

    fn beat(&mut self) {
        self.uplink.beat(self.now, self.wanted, Pcmu, |block| self.blocks.push(block));
    }

    fn samples(&self) -> Vec<i16> {
        self.blocks.iter().flat_map(|block| block.samples().to_vec()).collect()
    }

    fn heard_ms(&self) -> u64 {
        self.blocks.iter().map(Block::micros).sum::<u64>() / 1000
    }
}

#[test]
fn mu_law_passes_untouched_where_line_and_talker_speak_it() {
    let mut caller = Caller::new(BlockFormat::Ulaw8k);
    let octets: Vec<u8> = (0..=255).cycle().take(320).collect();
    caller.payload(0, Pcmu, &octets);
    let passed: Vec<u8> = caller.blocks.iter().flat_map(Block::ulaw).collect();
    assert_eq!(passed, octets);
    caller.payload(320, Pcma, &octets[..160]);
    assert_eq!(caller.blocks.last().unwrap().format(), BlockFormat::Pcm16k, "the line has no mu-law to give");
}

#[test]
fn both_laws_become_16_khz_with_their_tone_and_level() {
    for codec in [Pcmu, Pcma] {
        let mut caller = Caller::new(BlockFormat::Pcm16k);
        for (number, octets) in tone_in(codec, 1600).chunks(160).enumerate() {
            caller.payload(number as u32 * 160, codec, octets);
            caller.now += ms(20);
        }
        let samples = caller.samples();
        assert_eq!(samples.len(), 3200);
        let level = level_at(&samples[320..], 16000, 440.0);
        assert!((level + 12.0).abs() < 0.3, "{codec:?}: {level} dBFS");
        assert_eq!(caller.uplink.made_up_ms(), 0);
    }
}

#[test]
fn packet_times_other_than_20_ms_become_blocks_of_at_most_20_ms() {
    for (packet_ms, blocks) in [(10, vec![10]), (20, vec![20]), (30, vec![20, 10]), (60, vec![20, 20, 20])] {
        let mut caller = Caller::new(BlockFormat::Pcm16k);
        caller.payload(0, Pcmu, &tone_in(Pcmu, packet_ms * 8));
        let lengths: Vec<u64> = caller.blocks.iter().map(|block| block.micros() / 1000).collect();
        assert_eq!(lengths, blocks);
    }
}

#[test]
fn a_lost_packet_is_made_up_at_its_place() {
    let mut caller = Caller::new(BlockFormat::Pcm16k);
    for (number, octets) in tone_in(Pcmu, 3200).chunks(160).enumerate() {
        if number != 10 {
            caller.payload(number as u32 * 160, Pcmu, octets);
        }
        caller.now += ms(20);
    }
    assert_eq!((caller.heard_ms(), caller.uplink.made_up_ms()), (400, 20));
    let hole = &caller.samples()[3200..3520];
    assert!(level_at(hole, 16000, 440.0) > -15.0, "{}", level_at(hole, 16000, 440.0));
}

#[test]
fn nothing_is_made_before_the_first_packet_and_silence_flows_when_packets_stop() {
    let mut caller = Caller::new(BlockFormat::Pcm16k);
    for _ in 0..50 {
        caller.beat();
        caller.now += ms(20);
    }
    assert_eq!(caller.heard_ms(), 0);
    caller.payload(0, Pcmu, &tone_in(Pcmu, 160));
    for _ in 0..100 {
        caller.now += ms(20);
        caller.beat();
    }
    // Two seconds less the 100 ms in which it might have been jitter.
    assert!((1900..=1940).contains(&caller.heard_ms()), "{}", caller.heard_ms());
    let samples = caller.samples();
    assert!(samples[samples.len() - 16000..].iter().all(|sample| *sample == 0));
}

#[test]
fn a_pause_of_the_speaker_keeps_the_listeners_clock_whole() {
    let mut caller = Caller::new(BlockFormat::Pcm16k);
    let packet = tone_in(Pcmu, 160);
    for step in 0..500u32 {
        // Silence suppression: one second of speech, one of nothing.
        if step / 50 % 2 == 0 {
            caller.payload(step * 160, Pcmu, &packet);
        }
        caller.now += ms(20);
        caller.beat();
    }
    assert!((9880..=10_000).contains(&caller.heard_ms()), "{}", caller.heard_ms());
}

#[test]
fn a_timestamp_that_starts_over_is_no_gap() {
    let mut caller = Caller::new(BlockFormat::Pcm16k);
    for timestamp in [0x8000_0000, 0x8000_00a0, 5, 165] {
        caller.payload(timestamp, Pcmu, &tone_in(Pcmu, 160));
        caller.now += ms(20);
    }
    assert!(caller.uplink.made_up_ms() <= 100);
    caller.payload(0xffff_ffff, Pcmu, &[]);
    assert!(caller.heard_ms() <= 180);
}

/// A packet every 20 ms for a minute through a network that loses, delays and reorders; the listener's clock stays
/// with time and the tone stays a tone.
#[test]
fn through_a_hostile_network_the_audio_stays_whole() {
    for (seed, loss, jitter_ms) in [(1, 0, 15), (2, 5, 0), (3, 5, 30), (4, 20, 60), (5, 1, 90)] {
        let mut rng = Rng::from_u64(seed);
        let octets = tone_in(Pcmu, 160 * 50);
        let mut arrivals: Vec<(u64, u16)> = (0..3000)
            .map(|number| (u64::from(number) * 20_000 + u64::from(rng.below(jitter_ms * 1000 + 1)), number))
            .collect();
        arrivals.retain(|_| rng.below(100) >= loss);
        arrivals.sort_unstable();
        let mut receiver = Receiver::new(8000);
        let mut caller = Caller::new(BlockFormat::Pcm16k);
        let (start, mut next) = (caller.now, arrivals.iter().peekable());
        for micros in (0..60_000_000).step_by(1000) {
            caller.now = start + Duration::from_micros(micros);
            while let Some((_, number)) = next.next_if(|(at, _)| *at <= micros) {
                let from = usize::from(number % 50) * 160;
                let timestamp = u32::from(*number) * 160;
                let header = Header {
                    marker: false,
                    payload_type: 0,
                    sequence: 65000u16.wrapping_add(*number),
                    timestamp,
                    ssrc: 9,
                };
                receiver.handle_packet(caller.now, &header, &octets[from..from + 160]);
            }
            while let Some(frame) = receiver.poll_output(caller.now) {
                let (timestamp, octets) = (frame.timestamp, frame.payload.to_vec());
                caller.payload(timestamp, Pcmu, &octets);
            }
            if micros % 20_000 == 0 {
                caller.beat();
            }
        }
        let heard = caller.heard_ms();
        assert!((59_700..=60_300).contains(&heard), "seed {seed}: {heard} ms in a minute");
        let counters = receiver.counters();
        let expected_loss = 3000 - arrivals.len() as u64;
        assert!(counters.lost + 5 >= expected_loss, "seed {seed}: {counters:?}, {expected_loss} really lost");
        assert!(caller.uplink.made_up_ms() <= counters.lost * 20 + 200, "seed {seed}: {counters:?}");
        let level = level_at(&caller.samples()[16000..32000], 16000, 440.0);
        assert!(level > if loss > 10 || jitter_ms > 50 { -20.0 } else { -14.0 }, "seed {seed}: {level} dBFS");
    }
}

#[test]
fn each_beat_has_one_payload_in_either_law_from_either_format() {
    let (mut samples, ulaw) = (vec![0; 3200], tone_in(Pcmu, 1600));
    Tone::new(440.0, 16000, -12.0).fill(&mut samples);
    for codec in [Pcmu, Pcma] {
        let blocks = samples.chunks(320).map(Block::pcm16k);
        let from_pcm = play(codec, blocks);
        let from_ulaw = play(codec, ulaw.chunks(160).map(Block::ulaw8k));
        for heard in [from_pcm, from_ulaw] {
            let level = level_at(&heard[160..], 8000, 440.0);
            assert!((level + 12.0).abs() < 0.3, "{codec:?}: {level} dBFS");
        }
    }
}

/// What the line hears of these blocks.
fn play(codec: LineCodec, blocks: impl Iterator<Item = Block>) -> Vec<i16> {
    let mut downlink = Downlink::default();
    let mut heard = Vec::new();
    for block in blocks {
        let (mut payload, mut samples) = ([0; BEAT_OCTETS], [0; BEAT_OCTETS]);
        downlink.beat(Some(&block), codec, &mut payload);
        uplink::law(codec).decode(&payload, &mut samples);
        heard.extend(samples);
    }
    heard
}

#[test]
fn mu_law_blocks_reach_a_mu_law_line_untouched() {
    let octets: [u8; 160] = std::array::from_fn(|index| index as u8);
    let mut payload = [0; BEAT_OCTETS];
    Downlink::default().beat(Some(&Block::ulaw8k(&octets)), Pcmu, &mut payload);
    assert_eq!(payload, octets);
}

#[test]
fn the_frame_after_an_interruption_is_silence_and_holes_are_counted() {
    for codec in [Pcmu, Pcma] {
        let mut downlink = Downlink::default();
        let mut payload = [0; BEAT_OCTETS];
        let loud = Block::pcm16k(&[20_000; 320]);
        downlink.beat(None, codec, &mut payload);
        downlink.beat(Some(&loud), codec, &mut payload);
        downlink.beat(None, codec, &mut payload);
        assert_eq!(payload, [uplink::law(codec).silence(); BEAT_OCTETS]);
        // The filter holds nothing of the old words either.
        downlink.beat(Some(&Block::pcm16k(&[0; 320])), codec, &mut payload);
        assert_eq!(payload, [uplink::law(codec).silence(); BEAT_OCTETS]);
        assert_eq!(downlink.underruns(), 1);
        (0..6).for_each(|_| downlink.beat(None, codec, &mut payload));
        downlink.beat(Some(&loud), codec, &mut payload);
        assert_eq!(downlink.underruns(), 1, "a pause is no underrun");
    }
}

#[test]
fn a_short_block_is_followed_by_silence() {
    let mut payload = [0; BEAT_OCTETS];
    Downlink::default().beat(Some(&Block::ulaw8k(&[1; 40])), Pcmu, &mut payload);
    assert_eq!((&payload[..40], &payload[40..]), (&[1; 40][..], &[0xff; 120][..]));
}

#[test]
fn levels_are_told_for_the_last_second_and_the_loudest_one() {
    let mut caller = Caller::new(BlockFormat::Ulaw8k);
    caller.payload(0, Pcmu, &tone_in(Pcmu, 8000));
    caller.payload(8000, Pcmu, &[0xff; 8000]);
    let loudness = caller.uplink.loudness();
    assert!((loudness.loudest_dbfs() + 12.0).abs() < 0.3 && loudness.last_dbfs() < -90.0, "{loudness:?}");
    let mut downlink = Downlink::default();
    let block = Block::ulaw8k(&tone_in(Pcmu, 160));
    (0..50).for_each(|_| downlink.beat(Some(&block), Pcma, &mut [0; BEAT_OCTETS]));
    (0..50).for_each(|_| downlink.beat(None, Pcma, &mut [0; BEAT_OCTETS]));
    let loudness = downlink.loudness();
    assert!((loudness.loudest_dbfs() + 12.0).abs() < 0.5 && loudness.last_dbfs() < -90.0, "{loudness:?}");
}

#[test]
fn neither_direction_allocates_after_construction() {
    let (mut uplink, mut downlink, mut receiver) =
        (Uplink::default(), Downlink::default(), Receiver::new(8000));
    let (octets, block, start) = (tone_in(Pcma, 160), Block::pcm16k(&[500; 320]), any_instant());
    let (mut heard, mut meter) = (0, Meter::default());
    assert_no_alloc::assert_no_alloc(|| {
        for number in 0..500u16 {
            let now = start + Duration::from_millis(20) * u32::from(number);
            let timestamp = u32::from(number) * 160;
            let header = Header { marker: false, payload_type: 8, sequence: number, timestamp, ssrc: 1 };
            if number % 7 != 0 && number / 50 % 3 != 2 {
                receiver.handle_packet(now, &header, &octets);
            }
            while let Some(frame) = receiver.poll_output(now) {
                for (codec, wanted) in [(Pcma, BlockFormat::Pcm16k), (Pcmu, BlockFormat::Ulaw8k)] {
                    let payload = Payload { timestamp: frame.timestamp, codec, octets: frame.payload };
                    uplink.payload(now, wanted, &payload, |block| heard += block.micros());
                }
            }
            uplink.beat(now, BlockFormat::Pcm16k, Pcma, |block| heard += block.micros());
            let mut payload = [0; BEAT_OCTETS];
            downlink.beat((number % 3 != 0).then_some(&block), Pcma, &mut payload);
            let mut samples = [0; BEAT_OCTETS];
            Law::A.decode(&payload, &mut samples);
            meter.add(&samples);
        }
    });
    assert!(heard > 0 && meter.samples() == 80_000);
}
