//! How good and how fast the audio of a Bluetooth call is: speech through both codecs with losses (PESQ), and the way
//! between the voice link and whoever talks, beside a bare thread. `make long-voice` writes it to `docs/measurements`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock")]

mod support;

use std::fmt::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use callscoot::base::{CallId, Rng};
use callscoot::call::audio::Block;
use callscoot::call::leg_audio::VoiceLink;
use callscoot::hfp::Codec;
use callscoot::hfp::host::Address;
use callscoot::port::sco::{self, Received};
use callscoot::run::link;
use callscoot::run::voice::VoicePool;
use callscoot::sys::mailbox::Wake;
use callscoot::sys::thread::Spawner;
use callscoot::sys::wait::{Interest, on, wait};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use support::measurements;
use support::sound::Sound;
use support::speech::{score, spoken};

const TEXT: &str = "The quick brown fox jumps over the lazy dog. Seven ships sailed slowly past the harbour at noon. \
                    Please call me back tomorrow morning, some time before half past nine.";
const PHONE: Address = Address::new([1, 2, 3, 4, 5, 6]);
const LOSSES_PERCENT: [u32; 4] = [0, 1, 5, 10];
/// Packets that are timed, and times that a voice begins and is interrupted.
const PACKETS: usize = 800;
const TURNS: usize = 60;

/// Bytes of 7.5 ms.
fn frame_bytes(codec: Codec) -> usize {
    if codec == Codec::Cvsd { 120 } else { 60 }
}

/// What is heard of a speech when so many of a hundred frames are lost; the adapter says so (CVSD), or there are zeros
/// (mSBC). And the control: what is heard of it whole, with the same frames silent.
fn through(codec: Codec, speech: &Sound, percent: u32) -> (Sound, Sound) {
    let mut talks = VoiceLink::new(codec).unwrap();
    let [mut hears, mut hears_all] = [codec; 2].map(|codec| VoiceLink::new(codec).unwrap());
    let (mut rng, now) = (Rng::from_u64(u64::from(percent) + 1), Instant::now());
    let (mut heard, mut control) = (Vec::new(), Vec::new());
    let mut blocks = speech.samples.chunks(320).map(Block::pcm16k);
    for number in 0..speech.samples.len() / 120 {
        let mut packet = vec![0; frame_bytes(codec)];
        talks.speak(&mut packet, || blocks.next());
        let now = now + Duration::from_micros(7500) * number as u32;
        let before = control.len();
        hears_all.hear(now, &packet, false, |block| control.extend_from_slice(block.samples()));
        let lost = rng.below(100) < percent;
        if lost {
            control[before..].fill(0);
            packet.fill(0);
        }
        hears.hear(now, &packet, lost && codec == Codec::Cvsd, |block| {
            heard.extend_from_slice(block.samples());
        });
    }
    (Sound { rate: 16_000, samples: heard }, Sound { rate: 16_000, samples: control })
}

/// A score for both bands.
fn scores(speech: &Sound, heard: &Sound) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let (reference, degraded) = (folder.path().join("said.wav"), folder.path().join("heard.wav"));
    speech.write_wav(&reference);
    heard.write_wav(&degraded);
    (score(16_000, &reference, &degraded).pesq, score(8000, &reference, &degraded).pesq)
}

fn sockets() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Median, 95th percentile and greatest.
fn row(what: &str, mut values: Vec<f64>) -> (String, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    let line = format!("{what:<62} {:>7.3} {:>7.3} {:>7.3}", at(0.5), at(0.95), at(1.0));
    (line, at(0.5))
}

/// What happens at the phone's end, on its own beat: a packet goes out, and the answers are looked at.
struct Phone {
    socket: OwnedFd,
    size: usize,
    beat: Duration,
    hears: VoiceLink,
}

impl Phone {
    /// Sends so many packets, and tells each frame of the answers: when it came, and the loudest sample in it.
    fn run(mut self, packets: usize) -> (Vec<Instant>, Vec<(Instant, u16)>) {
        let (mut talks, mut sent, mut answers) =
            (VoiceLink::new(self.hears.codec()).unwrap(), Vec::new(), Vec::new());
        let origin = Instant::now();
        for number in 0..packets {
            let due = origin + self.beat * number as u32;
            while wait(&mut [on(self.socket.as_fd(), Interest::READ)], Some(due)).unwrap() {
                self.answers(&mut answers);
            }
            let mut packet = vec![0; self.size];
            talks.speak(&mut packet, || Some(Block::pcm16k(&[3000; 320])));
            sent.push(Instant::now());
            sco::send(self.socket.as_fd(), &packet);
        }
        (sent, answers)
    }

    fn answers(&mut self, answers: &mut Vec<(Instant, u16)>) {
        let mut packet = [0; 255];
        while let Received::Packet { length, .. } = sco::receive(self.socket.as_fd(), &mut packet) {
            let (now, mut loudest) = (Instant::now(), None);
            self.hears.hear(now, &packet[..length], false, |block| {
                let samples = block.samples().iter().map(|sample| sample.unsigned_abs());
                loudest = loudest.max(samples.max());
            });
            // A packet that completes no frame tells nothing yet.
            answers.extend(loudest.map(|loudest| (now, loudest)));
        }
    }
}

/// The time from each event to the first later answer that is loud, or silent.
fn first_after(events: &[Instant], answers: &[(Instant, u16)], loud: bool) -> Vec<f64> {
    let after = |event: &Instant| {
        answers
            .iter()
            .find(|(at, loudest)| at > event && (*loudest > 500) == loud)
            .map(|(at, _)| ms(*at - *event))
    };
    events.iter().filter_map(after).collect()
}

/// Between link and ring, in milliseconds: packet to block, voice to packet, interruption to silence.
fn ways(codec: Codec, size: usize) -> [Vec<f64>; 3] {
    let (deaths, _told) = crossbeam_channel::unbounded();
    let mut pool = VoicePool::new(Spawner::new(deaths)).unwrap();
    let (media, mut talker) = link::link().unwrap();
    talker.open_uplink();
    pool.enter(CallId(1), media).unwrap();
    pool.route(PHONE, Some(CallId(1)));
    let (ours, socket) = sockets();
    pool.link(PHONE, ours, codec).unwrap();
    let beat = Duration::from_micros(7500) * size as u32 / frame_bytes(codec) as u32;
    let phone = Phone { socket, size, beat, hears: VoiceLink::new(codec).unwrap() };
    let packets = PACKETS.max((TURNS * 200 * 1000) / beat.as_micros() as usize);
    let phone = thread::spawn(move || phone.run(packets));

    let (mut blocks, mut begins, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let (origin, mut chance) = (Instant::now(), Rng::from_u64(9));
    let (mut speaks, mut next) = (false, origin + Duration::from_millis(100));
    while !phone.is_finished() {
        wait(&mut [on(talker.wake().as_fd(), Interest::READ)], Some(next)).unwrap();
        talker.wake().lower();
        while talker.pop().is_some() {
            blocks.push(Instant::now());
        }
        if Instant::now() >= next {
            next += Duration::from_micros(u64::from(80_000 + chance.below(20_000)));
            speaks = !speaks;
            if speaks {
                begins.push(Instant::now());
            } else {
                ends.push(Instant::now());
                talker.flush();
            }
        }
        while speaks && talker.push(Block::pcm16k(&loud())).is_some() {}
    }
    let (sent, answers) = phone.join().unwrap();
    let up = sent.iter().enumerate().filter_map(|(number, at)| {
        let block = ((number + 1) * size - 1) / frame_bytes(codec);
        Some(ms(blocks.get(block)?.saturating_duration_since(*at)))
    });
    [up.collect(), first_after(&begins, &answers, true), first_after(&ends, &answers, false)]
}

/// A square wave: loud from its first sample.
fn loud() -> [i16; 320] {
    std::array::from_fn(|index| if index / 20 % 2 == 0 { 8000 } else { -8000 })
}

/// The same by a bare thread that answers packets and raises a flag: packet to flag, word to packet.
fn bare(beat: Duration, size: usize) -> [Vec<f64>; 2] {
    let (ours, theirs) = sockets();
    let (wake, woken) = (Wake::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let (raised, said) = (wake.clone(), woken.clone());
    thread::spawn(move || {
        let mut packet = [0; 255];
        loop {
            wait(&mut [on(ours.as_fd(), Interest::READ)], None).unwrap();
            let Received::Packet { length, .. } = sco::receive(ours.as_fd(), &mut packet) else { return };
            packet.fill(u8::from(said.load(Ordering::Relaxed)));
            raised.raise();
            sco::send(ours.as_fd(), &packet[..length]);
        }
    });
    let phone = thread::spawn(move || {
        let (mut sent, mut answers, origin) = (Vec::new(), Vec::new(), Instant::now());
        for number in 0..PACKETS {
            let due = origin + beat * number as u32;
            while wait(&mut [on(theirs.as_fd(), Interest::READ)], Some(due)).unwrap() {
                let mut packet = [0; 255];
                sco::receive(theirs.as_fd(), &mut packet);
                answers.push((Instant::now(), u16::from(packet[0]) * 1000));
            }
            sent.push(Instant::now());
            sco::send(theirs.as_fd(), &vec![0; size]);
        }
        (sent, answers)
    });
    let (mut flags, mut begins, mut next) = (Vec::new(), Vec::new(), Instant::now());
    while !phone.is_finished() {
        if wait(&mut [on(wake.as_fd(), Interest::READ)], Some(next)).unwrap() {
            wake.lower();
            flags.push(Instant::now());
        }
        if Instant::now() >= next {
            next += Duration::from_micros(43_700);
            if !woken.fetch_xor(true, Ordering::Relaxed) {
                begins.push(Instant::now());
            }
        }
    }
    let (sent, answers) = phone.join().unwrap();
    let up = sent.iter().filter_map(|at| flags.iter().find(|flag| *flag > at).map(|flag| ms(*flag - *at)));
    [up.collect(), first_after(&begins, &answers, true)]
}

#[test]
#[ignore = "a minute of measuring; make long-voice"]
fn speech_is_good_and_the_ways_are_short() {
    let speech = spoken("en", TEXT);
    let mut figures = format!(
        "Speech of {:.1} s through both codecs of a voice link, mean opinion score (PESQ) against what was said, in\n\
         the wide band (P.862.2) and in that of the telephone (P.862). CVSD is what the socket carries, 8 kHz\n\
         samples: the adapter's own coding is not in it. A lost frame is 7.5 ms; control: the same with these\n\
         frames silent.\n\n\
         codec  lost  wide  narrow   control wide  narrow\n",
        speech.ms() as f64 / 1000.0
    );
    for codec in [Codec::Cvsd, Codec::Msbc] {
        for percent in LOSSES_PERCENT {
            let (heard, control) = through(codec, &speech, percent);
            let ((wide, narrow), control) = (scores(&speech, &heard), scores(&speech, &control));
            let name = if codec == Codec::Cvsd { "CVSD" } else { "mSBC" };
            writeln!(
                figures,
                "{name}  {percent:>3} %  {wide:.2}    {narrow:.2}           {:.2}    {:.2}",
                control.0, control.1
            )
            .unwrap();
            let least = match (codec, percent) {
                (Codec::Msbc, 0) => 3.4,
                (Codec::Cvsd, 0) => 2.5,
                _ => 1.2,
            };
            assert!(wide > least, "{name}, {percent} % lost: {wide}");
            if percent >= 5 {
                assert!(wide > control.0 + 0.5, "{name}, {percent} % lost: {wide} against {}", control.0);
            }
        }
    }
    figures.push_str(
        "\nMilliseconds between the voice link and the ring, over a socket pair: median, 95 %, greatest.\n",
    );
    for (codec, size) in [(Codec::Cvsd, 48), (Codec::Cvsd, 60), (Codec::Msbc, 24), (Codec::Msbc, 60)] {
        let beat = Duration::from_micros(7500) * size as u32 / frame_bytes(codec) as u32;
        let [up, voice, silence] = ways(codec, size);
        let [bare_up, bare_voice] = bare(beat, size);
        let name = if codec == Codec::Cvsd { "CVSD" } else { "mSBC" };
        let mut median = |what: &str, values| {
            let (line, median) = row(&format!("{name} in packets of {size}: {what}"), values);
            writeln!(figures, "{line}").unwrap();
            median
        };
        let added = median("packet in, its block out", up) - median("  control", bare_up);
        assert!(added <= 15.0, "{added} ms from the link to the ring");
        let added = median("voice in, first packet with it", voice) - median("  control", bare_voice);
        assert!(added <= 15.0, "{added} ms from the ring to the link");
        let silent = median("interruption, first silent packet", silence);
        assert!(silent <= 25.0, "{silent} ms from an interruption to silence");
    }
    println!("{figures}");
    if std::env::var_os("CALLSCOOT_RECORD").is_some() {
        measurements::record("voice", &figures);
    }
}
