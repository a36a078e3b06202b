//! The voice thread over real packet sockets, against a phone with a pace of its own.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use ringbuf::HeapRb;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::base::CallId;
use crate::call::audio::Block;
use crate::call::leg_audio::VoiceLink;
use crate::dsp::{Meter, Tone, level_at};
use crate::hfp::Codec::{self, Cvsd, Msbc};
use crate::hfp::host::Address;
use crate::port::sco::{self, Received};
use crate::run::link::{self, TalkerEnd};
use crate::sys::clock::mono;
use crate::sys::mailbox::Wake;
use crate::sys::thread::Spawner;
use crate::sys::wait::{Interest, on, wait};

mod ends;

const PHONE: Address = Address::new([1, 2, 3, 4, 5, 6]);

fn pool() -> VoicePool {
    let (deaths, _) = crossbeam_channel::unbounded();
    VoicePool::new(Spawner::new(deaths)).unwrap()
}

fn sockets() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// A call that has entered, and its talker.
fn call(pool: &mut VoicePool, call: u64) -> TalkerEnd {
    let (media, talker) = link::link().unwrap();
    talker.open_uplink();
    pool.enter(CallId(call), media).unwrap();
    talker
}

/// The next event, which is there within the time.
fn event(pool: &mut VoicePool, within: Duration) -> Option<VoiceEvent> {
    let deadline = mono() + within;
    loop {
        if let Some(event) = pool.next_event() {
            return Some(event);
        }
        if !wait(&mut [on(pool.as_fd(), Interest::READ)], Some(deadline)).unwrap() {
            return None;
        }
        pool.lower();
    }
}

fn level(samples: &[i16]) -> f32 {
    let mut meter = Meter::default();
    meter.add(samples);
    meter.take_dbfs()
}

/// The phone's end of a link. Its clock is `speed` times as fast as ours.
struct Phone {
    socket: OwnedFd,
    audio: VoiceLink,
    codec: Codec,
    size: usize,
    next: Instant,
    speed: u32,
    tone: Tone,
    heard: Vec<i16>,
    answers: usize,
    /// What becomes of each packet.
    spoil: fn(usize, &mut Vec<u8>),
    sent: usize,
}

impl Phone {
    /// It calls, and the pool has our end.
    fn linked(pool: &mut VoicePool, codec: Codec, size: usize) -> Self {
        let (ours, socket) = sockets();
        pool.link(PHONE, ours, codec).unwrap();
        Self {
            socket,
            audio: VoiceLink::new(codec).unwrap(),
            codec,
            size,
            next: mono(),
            speed: 1,
            tone: Tone::new(700.0, 16_000, -12.0),
            heard: Vec::new(),
            answers: 0,
            spoil: |_, _| (),
            sent: 0,
        }
    }

    fn packet_time(&self) -> Duration {
        let bytes_in_ms = if self.codec == Cvsd { 16 } else { 8 };
        Duration::from_micros((self.size * 1000 / bytes_in_ms) as u64) / self.speed
    }

    /// Waits for the next packet's time, sends it, and hears the answers that have come.
    fn beat(&mut self) {
        wait(&mut [], Some(self.next)).unwrap();
        self.next += self.packet_time();
        let mut packet = vec![0; self.size];
        let tone = &mut self.tone;
        self.audio.speak(&mut packet, || {
            let mut samples = [0; 320];
            tone.fill(&mut samples);
            Some(Block::pcm16k(&samples))
        });
        (self.spoil)(self.sent, &mut packet);
        self.sent += 1;
        if !packet.is_empty() {
            sco::send(self.socket.as_fd(), &packet);
        }
        self.hear();
    }

    fn hear(&mut self) {
        let mut packet = [0; 255];
        while let Received::Packet { length, .. } = sco::receive(self.socket.as_fd(), &mut packet) {
            assert_eq!(length, self.size, "an answer is as long as what it answers");
            self.answers += 1;
            let heard = &mut self.heard;
            self.audio
                .hear(mono(), &packet[..length], false, |block| heard.extend_from_slice(block.samples()));
        }
    }
}

/// Talks with the phone for so many packets; what the talker heard.
fn talk(phone: &mut Phone, talker: &mut TalkerEnd, packets: usize, hz: Option<f32>) -> Vec<i16> {
    let mut tone = hz.map(|hz| Tone::new(hz, 16_000, -12.0));
    let mut heard = Vec::new();
    for _ in 0..packets {
        while let Some(tone) = tone.as_mut().filter(|_| talker.room() > 0) {
            let mut block = [0; 320];
            tone.fill(&mut block);
            talker.push(Block::pcm16k(&block));
        }
        phone.beat();
        while let Some(block) = talker.pop() {
            heard.extend_from_slice(block.samples());
        }
    }
    heard
}

/// So many packets are a time.
fn packets(codec: Codec, size: usize, ms: usize) -> usize {
    ms * if codec == Cvsd { 16 } else { 8 } / size
}

#[test]
fn both_ends_hear_each_other_in_both_codecs_and_packets_of_every_size() {
    let mut pool = pool();
    for codec in [Cvsd, Msbc] {
        for size in [24, 48, 60, 64, 72] {
            let mut talker = call(&mut pool, 1);
            let mut phone = Phone::linked(&mut pool, codec, size);
            phone.speed = 3;
            pool.route(PHONE, Some(CallId(1)));
            let heard = talk(&mut phone, &mut talker, packets(codec, size, 1200), Some(440.0));
            for (heard, hz) in [(&heard, 700.0), (&phone.heard, 440.0)] {
                let settled = &heard[3200..];
                let level = level_at(settled, 16_000, hz);
                assert!(
                    settled.len() > 9600 && (level + 12.0).abs() < 0.6,
                    "{codec:?} {size} {hz}: {level} dBFS"
                );
                assert!(level_at(settled, 16_000, 1140.0 - hz) < -45.0, "an echo");
            }
            let report = pool.leave(CallId(1)).unwrap();
            assert_eq!((report.codec, report.packet_bytes, report.links), (Some(codec), size as u64, 1));
            assert!(report.packets_received as usize >= phone.sent - 2, "{report:?} of {}", phone.sent);
            assert_eq!((report.lost, report.bad, report.bad_bytes), (0, 0, 0), "{report:?}");
            // On a busy machine some may be too late to be sent: those are counted.
            let answered = report.packets_sent + report.unsent;
            assert!(answered + 2 >= report.packets_received, "{report:?}");
            assert!(pool.report(CallId(1)).is_none() && pool.leave(CallId(1)).is_none());
            assert_eq!(event(&mut pool, Duration::from_secs(2)), Some(VoiceEvent::Heard(PHONE)));
            pool.unlink(PHONE);
        }
    }
}

#[test]
fn at_its_own_pace_the_talker_gets_steady_audio_through_losses() {
    let mut pool = pool();
    let mut talker = call(&mut pool, 1);
    let mut phone = Phone::linked(&mut pool, Msbc, 60);
    // Of ten packets one is nothing but zeros, and one does not come at all.
    phone.spoil = |number, packet| match number % 20 {
        5 => packet.fill(0),
        12 => packet.truncate(0),
        _ => {}
    };
    pool.route(PHONE, Some(CallId(1)));
    let begin = mono();
    let heard = talk(&mut phone, &mut talker, packets(Msbc, 60, 1500), None);
    let (elapsed, heard_ms) = (begin.elapsed().as_millis() as usize, heard.len() / 16);
    assert!(heard_ms + 80 > elapsed && heard_ms < elapsed + 80, "{heard_ms} ms of audio in {elapsed} ms");
    let level = level_at(&heard[1600..], 16_000, 700.0);
    assert!((level + 12.0).abs() < 1.5, "{level} dBFS");
    let report = pool.report(CallId(1)).unwrap();
    assert!((15..=20).contains(&report.lost) && report.concealed_ms >= 100, "{report:?}");
    assert_eq!(report.silence_ms, 0);
}

#[test]
fn a_link_that_is_lost_and_opened_again_in_another_codec_goes_on_and_between_there_is_silence() {
    let mut pool = pool();
    let mut talker = call(&mut pool, 1);
    pool.route(PHONE, Some(CallId(1)));
    let mut phone = Phone::linked(&mut pool, Msbc, 60);
    talk(&mut phone, &mut talker, 40, Some(440.0));
    assert_eq!(event(&mut pool, Duration::from_secs(2)), Some(VoiceEvent::Heard(PHONE)));
    assert!(pool.is_linked(PHONE));
    drop(phone);
    assert_eq!(event(&mut pool, Duration::from_secs(2)), Some(VoiceEvent::Lost(PHONE)));
    assert!(!pool.is_linked(PHONE));

    while talker.pop().is_some() {}
    let (begin, taken, mut silence) = (mono(), talker.taken(), 0);
    while begin.elapsed() < Duration::from_millis(600) {
        wait(&mut [on(talker.wake().as_fd(), Interest::READ)], Some(mono() + Duration::from_millis(200)))
            .unwrap();
        talker.wake().lower();
        while let Some(block) = talker.pop() {
            assert!(block.samples().iter().all(|sample| *sample == 0));
            silence += block.samples().len() / 16;
        }
    }
    assert!((400..=640).contains(&silence), "{silence} ms of silence");
    assert_eq!(talker.taken(), taken, "what is to be said waits");

    let mut phone = Phone::linked(&mut pool, Cvsd, 48);
    let heard = talk(&mut phone, &mut talker, packets(Cvsd, 48, 500), Some(440.0));
    for (heard, hz) in [(&heard, 700.0), (&phone.heard, 440.0)] {
        let level = level_at(&heard[3200..], 16_000, hz);
        assert!((level + 12.0).abs() < 0.6, "{hz} Hz: {level} dBFS");
    }
    let report = pool.leave(CallId(1)).unwrap();
    assert_eq!((report.links, report.codec, report.packet_bytes), (2, Some(Cvsd), 48));
    assert!(report.silence_ms as usize >= silence - 20 && report.silence_ms < 1000, "{report:?}");
}

#[test]
fn after_an_interruption_the_phone_hears_silence_within_25_ms_of_packets() {
    for (codec, size) in [(Cvsd, 48), (Cvsd, 60), (Msbc, 24), (Msbc, 60), (Msbc, 72)] {
        let mut pool = pool();
        let mut talker = call(&mut pool, 1);
        pool.route(PHONE, Some(CallId(1)));
        let mut phone = Phone::linked(&mut pool, codec, size);
        talk(&mut phone, &mut talker, packets(codec, size, 400), Some(440.0));
        // All that was said before is answered; from here on packets are counted.
        wait(&mut [], Some(mono() + Duration::from_millis(50))).unwrap();
        phone.hear();
        while talker.push(Block::pcm16k(&[9000; 320])).is_some() {}
        phone.next = mono();
        phone.beat();
        wait(&mut [], Some(mono() + Duration::from_millis(50))).unwrap();
        phone.hear();
        talker.flush();
        phone.heard.clear();
        phone.next = mono();
        talk(&mut phone, &mut talker, packets(codec, size, 200), None);
        // What is heard after the flush: at most 25 ms of it are not silent.
        let loud = phone.heard.iter().rposition(|sample| sample.abs() > 100).map_or(0, |at| at / 16 + 1);
        assert!(loud <= 25, "{codec:?} in packets of {size}: {loud} ms");
        assert!(phone.heard.len() > 1600);
    }
}

#[test]
fn a_link_carries_the_call_that_is_routed_and_nobody_elses() {
    let mut pool = pool();
    let (mut first, mut second) = (call(&mut pool, 1), call(&mut pool, 2));
    let mut phone = Phone::linked(&mut pool, Msbc, 60);
    phone.speed = 3;
    // Nobody is on the link: it is answered with silence.
    assert!(level(&talk(&mut phone, &mut first, 60, Some(440.0))) < -90.0);
    assert!(phone.answers >= 58 && level(&phone.heard) < -90.0);
    while let Some(block) = second.pop() {
        assert!(level(block.samples()) < -90.0);
    }

    pool.route(PHONE, Some(CallId(1)));
    assert!(level(&talk(&mut phone, &mut first, 100, Some(440.0))) > -20.0);
    pool.route(PHONE, Some(CallId(2)));
    wait(&mut [], Some(mono() + Duration::from_millis(20))).unwrap();
    phone.hear();
    while first.pop().is_some() {}
    phone.heard.clear();
    phone.next = mono();
    let heard = talk(&mut phone, &mut second, 100, Some(1000.0));
    assert!(level_at(&heard[1600..], 16_000, 700.0) > -13.0);
    let settled = &phone.heard[1600..];
    assert!(level_at(settled, 16_000, 1000.0) > -13.0 && level_at(settled, 16_000, 440.0) < -60.0);
    while let Some(block) = first.pop() {
        assert!(level(block.samples()) < -90.0, "the other call gets silence");
    }
    let reports = [pool.leave(CallId(1)).unwrap(), pool.leave(CallId(2)).unwrap()];
    assert!(reports.iter().all(|report| report.links == 1 && report.packets_received > 80), "{reports:?}");
}

#[test]
fn a_link_without_packets_is_told_as_mute_and_one_of_noise_as_unusable() {
    let mut pool = pool();
    let mut talker = call(&mut pool, 1);
    let mut phone = Phone::linked(&mut pool, Msbc, 60);
    assert_eq!(event(&mut pool, Duration::from_millis(1900)), None);
    assert_eq!(event(&mut pool, Duration::from_millis(500)), Some(VoiceEvent::Mute(PHONE)));
    (phone.speed, phone.next) = (6, mono());
    talk(&mut phone, &mut talker, 10, None);
    assert_eq!(event(&mut pool, Duration::from_secs(1)), Some(VoiceEvent::Heard(PHONE)));
    phone.spoil = |number, packet| packet.fill(number as u8 | 2);
    talk(&mut phone, &mut talker, 120, None);
    assert_eq!(event(&mut pool, Duration::from_secs(1)), Some(VoiceEvent::Unusable(PHONE)));
    talk(&mut phone, &mut talker, 40, None);
    assert_eq!(event(&mut pool, Duration::from_millis(50)), None, "told once");
}

#[test]
fn the_end_of_a_link_that_was_replaced_is_no_news() {
    let mut pool = pool();
    drop(Phone::linked(&mut pool, Msbc, 60));
    assert!(wait(&mut [on(pool.as_fd(), Interest::READ)], Some(mono() + Duration::from_secs(2))).unwrap());
    let mut phone = Phone::linked(&mut pool, Cvsd, 60);
    assert_eq!(event(&mut pool, Duration::from_millis(100)), None);
    phone.beat();
    assert_eq!(event(&mut pool, Duration::from_secs(2)), Some(VoiceEvent::Heard(PHONE)));
    assert!(pool.is_linked(PHONE));
}

#[test]
fn what_is_too_much_is_refused_and_a_flood_does_not_keep_the_thread() {
    let mut pool = pool();
    let mut kept = Vec::new();
    for device in 0..LINKS_MAX as u8 {
        let (ours, theirs) = sockets();
        pool.link(Address::new([device; 6]), ours, Cvsd).unwrap();
        kept.push(theirs);
    }
    assert!(pool.link(PHONE, sockets().0, Cvsd).is_err());
    pool.unlink(Address::new([0; 6]));
    let mut talker = call(&mut pool, 1);
    assert!(pool.enter(CallId(1), link::link().unwrap().0).is_err(), "a call enters once");
    pool.route(PHONE, Some(CallId(1)));
    let phone = Phone::linked(&mut pool, Cvsd, 48);
    let (begin, mut sent) = (mono(), 0);
    while begin.elapsed() < Duration::from_millis(200) {
        sent += usize::from(sco::send(phone.socket.as_fd(), &[0; 48]) == sco::Sent::Taken);
        while talker.pop().is_some() {}
    }
    let report = pool.leave(CallId(1)).unwrap();
    let whiles = begin.elapsed().as_millis() as u64 / 20 + 1;
    assert!(
        report.packets_received <= 64 * (whiles + 1) && sent > 100,
        "{} in {whiles}",
        report.packets_received
    );
}

#[test]
fn after_a_stall_the_answers_are_not_sent_in_a_rush() {
    let (mut pool, (ours, theirs)) = (pool(), sockets());
    // 120 ms of packets wait.
    (0..40).for_each(|_| assert_eq!(sco::send(theirs.as_fd(), &[0; 48]), sco::Sent::Taken));
    let _talker = call(&mut pool, 1);
    pool.route(PHONE, Some(CallId(1)));
    pool.link(PHONE, ours, Cvsd).unwrap();
    let done = |report: VoiceReport| report.packets_sent + report.unsent == 40;
    while !done(pool.report(CallId(1)).unwrap()) {
        wait(&mut [], Some(mono() + Duration::from_millis(1))).unwrap();
    }
    let report = pool.leave(CallId(1)).unwrap();
    assert_eq!((report.packets_sent, report.unsent), (20, 20), "60 ms of them");
}

#[test]
fn totals_of_calls_that_are_over_stay_in_the_sum() {
    let mut pool = pool();
    let metrics = crate::base::Metrics::new().unwrap();
    let totals = pool.totals();
    metrics.at_scrape(move |metrics| totals.report(metrics));
    let frames = || {
        let text = metrics.text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("callscoot_sco_frames_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    for number in [1, 2] {
        let mut talker = call(&mut pool, number);
        pool.route(PHONE, Some(CallId(number)));
        let mut phone = Phone::linked(&mut pool, Msbc, 60);
        talk(&mut phone, &mut talker, 10, None);
        while pool.report(CallId(number)).unwrap().frames < 10 {
            wait(&mut [], Some(mono() + Duration::from_millis(1))).unwrap();
        }
        assert_eq!(frames(), 10 * number, "beside those that are over");
        pool.leave(CallId(number)).unwrap();
        pool.unlink(PHONE);
    }
    drop(pool);
    assert_eq!(frames(), 20);
}

#[test]
fn the_thread_never_allocates_between_its_orders() {
    let (mut orders, orders_rx) = HeapRb::new(16).split();
    let (retired, mut retired_rx) = HeapRb::new(16).split();
    let (events, mut events_rx) = HeapRb::new(4).split();
    let wake = Wake::new().unwrap();
    let events = event::Events::new(events, wake.clone());
    let mut thread = thread::VoiceThread::new(orders_rx, retired, events, wake.clone());
    let start = mono();
    let counters = std::sync::Arc::new(report::Counters::new(start));
    let (media, mut talker) = link::link().unwrap();
    talker.open_uplink();
    let (ours, theirs) = sockets();
    let wire = wire::Wire::new(start, PHONE, 7, ours, VoiceLink::new(Msbc).unwrap());
    let call = call::Call::new(start, CallId(1), media, counters.clone());
    assert!(orders.try_push(thread::Order::Enter(Box::new(call))).is_ok());
    assert!(orders.try_push(thread::Order::Link(Box::new(wire))).is_ok());
    assert!(orders.try_push(thread::Order::Route(PHONE, Some(CallId(1)))).is_ok());
    let ready = |wake, wire: bool| {
        let mut wires = [None; LINKS_MAX];
        wires[0] = wire.then_some(false);
        thread::Ready { wake, wires }
    };
    let mut phone = VoiceLink::new(Msbc).unwrap();
    assert_no_alloc::assert_no_alloc(|| {
        thread.turn(start, ready(true, false));
        for number in 0..1000u32 {
            let now = start + Duration::from_micros(7500) * number;
            let mut packet = [0; 60];
            phone.speak(&mut packet, || Some(Block::pcm16k(&[500; 320])));
            match number {
                200..400 => packet.fill(9),
                _ if number % 9 == 0 => packet.fill(0),
                _ => {}
            }
            let comes = !(500..800).contains(&number);
            if comes {
                sco::send(theirs.as_fd(), &packet);
            }
            talker.push(Block::pcm16k(&[500; 320]));
            if number % 50 == 49 {
                talker.flush();
            }
            assert!(thread.deadline().is_some());
            thread.turn(now, ready(false, comes));
            while talker.pop().is_some() {}
            while let Received::Packet { .. } = sco::receive(theirs.as_fd(), &mut packet) {}
        }
        assert!(orders.try_push(thread::Order::Leave(CallId(1))).is_ok());
        thread.turn(start, ready(true, false));
    });
    drop(theirs);
    assert_no_alloc::assert_no_alloc(|| thread.turn(start, ready(false, true)));
    let told: Vec<_> = events_rx.pop_iter().collect();
    let all = [VoiceEvent::Heard, VoiceEvent::Unusable, VoiceEvent::Mute, VoiceEvent::Heard]
        .map(|event| (7, event(PHONE)));
    assert_eq!(told, all, "the ring has room for four");
    thread.turn(start, ready(false, false));
    assert_eq!(events_rx.try_pop(), Some((7, VoiceEvent::Lost(PHONE))), "as soon as there is room");
    assert_eq!(retired_rx.pop_iter().count(), 2);
    let report = counters.report(start);
    assert!(report.packets_received == 700 && report.lost > 100 && report.silence_ms > 1500, "{report:?}");
}
