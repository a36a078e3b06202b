//! mSBC against an implementation that is not libsbc, and libsbc's own use of memory.
//!
//! `msbc/ffmpeg.msbc` is what ffmpeg 5.1 made of `signal()`, written as 16 kHz s16:
//! `ffmpeg -f s16le -ar 16000 -ac 1 -i signal.raw -c:a sbc -msbc 1 -f sbc ffmpeg.msbc`; it decodes ours alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

use std::cell::Cell;
use std::ffi::c_void;

use callscoot::codec::msbc::{FRAME_BYTES, FRAME_SAMPLES};
use callscoot::codec::{MsbcDecoder, MsbcEncoder};

const FFMPEG: &[u8] = include_bytes!("msbc/ffmpeg.msbc");
/// From a sample that goes in to the same sample coming out.
const DELAY_SAMPLES: usize = 73;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "declared as in the C library")]
unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
}

/// In front of the C library's, for the whole process: libsbc's calls come here too.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the C library's own allocator, counted")]
extern "C" fn malloc(size: usize) -> *mut c_void {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    // SAFETY: the same contract, passed on.
    unsafe { __libc_malloc(size) }
}

/// A sweeping triangle and noise, in whole numbers: the same on every machine.
fn signal() -> Vec<i16> {
    let mut chance = 1u32;
    let sample = |n: u32| {
        chance = (chance.wrapping_mul(1_103_515_245).wrapping_add(12_345)) & 0x7fff_ffff;
        let phase = (n * n / 37 + n * 31) % 2048;
        let triangle = phase.abs_diff(1024) as i32 * 16 - 8192;
        (triangle + ((chance >> 16) % 801) as i32 - 400) as i16
    };
    (0..(FFMPEG.len() / FRAME_BYTES * FRAME_SAMPLES) as u32).map(sample).collect()
}

fn decoded(frames: &[u8]) -> Vec<i16> {
    let mut decoder = MsbcDecoder::new().unwrap();
    let frames = frames.chunks_exact(FRAME_BYTES);
    frames.flat_map(|frame| decoder.decode(frame.try_into().unwrap()).unwrap()).collect()
}

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut encoder = MsbcEncoder::new().unwrap();
    let frames = samples.chunks_exact(FRAME_SAMPLES);
    frames.flat_map(|frame| encoder.encode(frame.try_into().unwrap())).collect()
}

/// Signal to noise in dB.
fn snr(right: &[i16], heard: &[i16]) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|sample| sample * sample).sum::<f64>();
    let noise = energy(&mut right.iter().zip(heard).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    10.0 * (energy(&mut right.iter().map(|sample| f64::from(*sample))) / noise.max(1.0)).log10()
}

#[test]
fn frames_of_another_encoder_are_heard_as_they_were_said() {
    let heard = decoded(FFMPEG);
    let snr = snr(&signal(), &heard[DELAY_SAMPLES..]);
    assert!(snr > 28.0, "{snr} dB");
}

#[test]
fn our_frames_are_those_of_another_encoder() {
    let frames = encoded(&signal());
    assert_eq!(frames.len(), FFMPEG.len());
    // Octet for octet on x86; other processors may round otherwise.
    let snr = snr(&decoded(FFMPEG), &decoded(&frames));
    assert!(snr > 40.0, "{snr} dB");
}

#[test]
fn libsbc_takes_memory_at_construction_only() {
    let before = ALLOCATIONS.get();
    let (mut encoder, mut decoder) = (MsbcEncoder::new().unwrap(), MsbcDecoder::new().unwrap());
    let constructed = ALLOCATIONS.get();
    assert!(constructed >= before + 2, "the library's memory is not counted: the test is blind");
    for round in 0..200 {
        let frame = encoder.encode(&[round; FRAME_SAMPLES]);
        decoder.decode(&frame).unwrap();
        decoder.decode(&[0xad; FRAME_BYTES]).unwrap_err();
        decoder.run_dry();
    }
    assert_eq!(ALLOCATIONS.get(), constructed);
}
