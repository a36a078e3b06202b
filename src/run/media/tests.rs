//! Media threads over real sockets: two calls talk to each other, strangers, DTMF, hold, and no allocation.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::*;
use crate::base::{CallId, Rng};
use crate::call::audio::Block;
use crate::call::leg::{LineAudio, LineCodec};
use crate::dsp::{Tone, level_at};
use crate::rtp::packet::{self, Header};
use crate::run::link::TalkerEnd;
use crate::sys::clock::mono;
use crate::sys::thread::Spawner;
use crate::sys::wait::{Interest, on, wait};
use std::os::fd::AsFd as _;

fn pool(seed: u64) -> MediaPool {
    let (deaths, _) = crossbeam_channel::unbounded();
    MediaPool::new(Spawner::new(deaths), Rng::from_u64(seed))
}

fn line(port: u16, codec: LineCodec) -> LineAudio {
    LineAudio {
        remote: ([127, 0, 0, 1], port).into(),
        codec,
        payload_type: if codec == LineCodec::Pcmu { 0 } else { 8 },
        telephone_event: Some(101),
        ptime_ms: 20,
        send: true,
        receive: true,
    }
}

/// Waits for the talker's wake, at most until nothing came for 2 s.
fn wake(talker: &TalkerEnd) {
    let deadline = mono() + Duration::from_secs(2);
    assert!(wait(&mut [on(talker.wake().as_fd(), Interest::READ)], Some(deadline)).unwrap(), "no audio came");
    talker.wake().lower();
}

/// Says a tone and listens until it heard so many samples.
fn talk(talker: &mut TalkerEnd, hz: f32, samples: usize) -> Vec<i16> {
    let (mut tone, mut heard) = (Tone::new(hz, 16000, -12.0), Vec::new());
    while heard.len() < samples {
        while talker.room() > 0 {
            let mut block = [0; 320];
            tone.fill(&mut block);
            talker.push(Block::pcm16k(&block));
        }
        wake(talker);
        while let Some(block) = talker.pop() {
            heard.extend_from_slice(block.samples());
        }
    }
    heard
}

fn packet_to(socket: &UdpSocket, to: u16, payload_type: u8, sequence: u16, payload: &[u8]) {
    let header =
        Header { marker: false, payload_type, sequence, timestamp: u32::from(sequence) * 160, ssrc: 7 };
    let mut datagram = [0; 1200];
    let len = packet::write(&header, payload, &mut datagram);
    socket.send_to(&datagram[..len], (Ipv4Addr::LOCALHOST, to)).unwrap();
}

fn peer() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// The next packet that our side sent.
fn received(socket: &UdpSocket) -> (Header, Vec<u8>, SocketAddr) {
    let mut datagram = [0; 1500];
    let (len, from) = socket.recv_from(&mut datagram).unwrap();
    let (header, payload) = packet::parse(&datagram[..len]).unwrap();
    (header, payload.to_vec(), from)
}

/// Reads reports until one satisfies `done`.
fn until(pool: &MediaPool, call: CallId, done: impl Fn(&MediaReport) -> bool) -> MediaReport {
    for _ in 0..200 {
        let report = pool.report(call).unwrap();
        if done(&report) {
            return report;
        }
        wait(&mut [], Some(mono() + Duration::from_millis(10))).unwrap();
    }
    panic!("it never came: {:?}", pool.report(call));
}

#[test]
fn two_calls_hear_each_others_tones_with_level_and_without_loss() {
    for codec in [LineCodec::Pcmu, LineCodec::Pcma] {
        let (mut here, mut there) = (pool(1), pool(2));
        let localhost = [127, 0, 0, 1].into();
        let (a, b) = (CallId(1), CallId(2));
        let (port_a, mut talker_a) = here.open(a, localhost).unwrap();
        let (port_b, mut talker_b) = there.open(b, localhost).unwrap();
        talker_a.open_uplink();
        talker_b.open_uplink();
        here.start(a, line(port_b, codec));
        there.start(b, line(port_a, codec));
        let other = std::thread::Builder::new().spawn(move || talk(&mut talker_b, 700.0, 24000)).unwrap();
        let heard_a = talk(&mut talker_a, 440.0, 24000);
        let heard_b = other.join().unwrap();
        for (heard, hz, other_hz) in [(heard_a, 700.0, 440.0), (heard_b, 440.0, 700.0)] {
            let settled = &heard[8000..24000];
            let level = level_at(settled, 16000, hz);
            assert!((level + 12.0).abs() < 0.5, "{codec:?} {hz} Hz: {level} dBFS");
            assert!(level_at(settled, 16000, other_hz) < -45.0, "{codec:?}: an echo of {other_hz} Hz");
        }
        let report = here.close(a).unwrap();
        assert!(report.packets_received > 70 && report.packets_sent > 70, "{report:?}");
        assert_eq!((report.lost, report.strangers, report.dropped, report.send_failures), (0, 0, 0, 0));
        assert!(
            (report.caller_dbfs + 12.0).abs() < 0.5 && (report.line_dbfs + 12.0).abs() < 1.0,
            "{report:?}"
        );
        assert!(report.silent_for.unwrap() < Duration::from_millis(500));
        assert!(here.report(a).is_none() && here.close(a).is_none());
    }
}

#[test]
fn before_the_start_nothing_is_sent_and_what_came_is_stale() {
    let mut pool = pool(3);
    let (socket, peer_port) = peer();
    let (port, mut talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    let report = pool.report(CallId(1)).unwrap();
    assert!(report.caller_loudest_dbfs < -90.0 && report.line_loudest_dbfs < -90.0, "{report:?}");
    talker.open_uplink();
    for sequence in 0..20 {
        packet_to(&socket, port, 0, sequence, &[0x10; 160]);
    }
    pool.start(CallId(1), line(peer_port, LineCodec::Pcmu));
    let (first, payload, _) = received(&socket);
    assert!(first.marker && payload == [0xff; 160], "silence, from the first beat on");
    assert_eq!((talker.waiting(), pool.report(CallId(1)).unwrap().packets_received), (0, 0));
    packet_to(&socket, port, 0, 50, &[0x10; 160]);
    wake(&talker);
    assert!(talker.pop().is_some());
}

#[test]
fn an_interruption_is_silent_at_the_next_packet() {
    let mut pool = pool(4);
    let (socket, peer_port) = peer();
    let (_, mut talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    pool.start(CallId(1), line(peer_port, LineCodec::Pcma));
    let loud = Block::pcm16k(&[9000; 320]);
    while talker.push(loud).is_some() {}
    let is_loud = |payload: &[u8]| payload.iter().any(|octet| *octet != 0xd5);
    let mut loud_packets = 0;
    while loud_packets < 5 {
        loud_packets += u64::from(is_loud(&received(&socket).1));
        while talker.push(loud).is_some() {}
    }
    talker.flush();
    // What was played before the flush may still be on its way, and one beat may have run beside it.
    let played = talker.played();
    while is_loud(&received(&socket).1) {
        loud_packets += 1;
    }
    assert!(loud_packets <= played + 1, "{loud_packets} loud packets, {played} played before the flush");
    assert!((0..10).all(|_| !is_loud(&received(&socket).1)));
}

#[test]
fn strangers_are_not_heard_and_a_peer_behind_a_nat_is_answered_where_it_is() {
    let mut pool = pool(5);
    let ((signalled, signalled_port), (nat, _), (stranger, _)) = (peer(), peer(), peer());
    let (port, talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    talker.open_uplink();
    pool.start(CallId(1), line(signalled_port, LineCodec::Pcmu));
    received(&signalled);
    for sequence in 0..6 {
        packet_to(&nat, port, 0, sequence, &[0x10; 160]);
    }
    let (_, _, from) = received(&nat);
    assert_eq!(from.port(), port);
    for sequence in 0..10 {
        packet_to(&stranger, port, 0, sequence, &[0x10; 160]);
    }
    stranger.send_to(b"not RTP at all", (Ipv4Addr::LOCALHOST, port)).unwrap();
    let all_counted =
        |report: &MediaReport| (report.strangers, report.packets_received, report.dropped) == (13, 3, 1);
    assert_eq!(until(&pool, CallId(1), all_counted).lost, 0);
}

#[test]
fn digits_are_told_once_and_unknown_payload_types_are_dropped() {
    let mut pool = pool(6);
    let (socket, peer_port) = peer();
    let (port, _talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    pool.start(CallId(1), line(peer_port, LineCodec::Pcmu));
    received(&socket);
    for (index, code) in [5, 10, 11].into_iter().enumerate() {
        for repeat in 0..5u16 {
            let header = Header {
                marker: repeat == 0,
                payload_type: 101,
                sequence: index as u16 * 5 + repeat,
                timestamp: index as u32 * 1600,
                ssrc: 7,
            };
            let mut datagram = [0; 100];
            let len = packet::write(&header, &[code, 10, 0, 160], &mut datagram);
            socket.send_to(&datagram[..len], (Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
    packet_to(&socket, port, 96, 15, &[0; 20]);
    let report = until(&pool, CallId(1), |report| report.dropped == 1);
    assert_eq!((report.digits.as_str(), report.digits_received), ("5*#", 3));
}

#[test]
fn on_hold_nothing_is_sent_and_the_packet_time_of_the_peer_is_used() {
    let mut pool = pool(7);
    let (socket, peer_port) = peer();
    let (_, mut talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    let agreed = line(peer_port, LineCodec::Pcmu);
    pool.start(CallId(1), LineAudio { ptime_ms: 40, ..agreed });
    assert_eq!(received(&socket).1.len(), 320);
    pool.start(CallId(1), LineAudio { ptime_ms: 10, ..agreed });
    while received(&socket).1.len() != 80 {}
    pool.start(CallId(1), LineAudio { send: false, ..agreed });
    socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    while socket.recv_from(&mut [0; 9]).is_ok() {}
    while talker.push(Block::ulaw8k(&[1; 160])).is_some() {}
    assert!(socket.recv_from(&mut [0; 9]).is_err());
    assert_eq!((talker.taken(), talker.room()), (0, 0), "what is to be said waits");
    pool.start(CallId(1), agreed);
    let (header, payload, _) = received(&socket);
    assert!(header.marker && payload == [1; 160]);
}

#[test]
fn a_flood_is_read_a_little_each_beat_and_our_own_beat_goes_on() {
    let mut pool = pool(10);
    let ((socket, peer_port), (stranger, _)) = (peer(), peer());
    let (port, _talker) = pool.open(CallId(1), [127, 0, 0, 1].into()).unwrap();
    pool.start(CallId(1), line(peer_port, LineCodec::Pcmu));
    received(&socket);
    packet_to(&socket, port, 0, 0, &[0x10; 160]);
    until(&pool, CallId(1), |report| report.packets_received == 1);
    let before = pool.report(CallId(1)).unwrap();
    let begin = mono();
    while begin.elapsed() < Duration::from_millis(200) {
        packet_to(&stranger, port, 0, 9, &[0x10; 160]);
    }
    let beats = begin.elapsed().as_millis() as u64 / 20 + 1;
    let after = pool.report(CallId(1)).unwrap();
    assert!(
        after.strangers > 0 && after.strangers <= 64 * (beats + 1),
        "{} in {beats} beats",
        after.strangers
    );
    assert!(after.packets_sent >= before.packets_sent + 5, "{before:?} {after:?}");
}

#[test]
fn many_calls_share_the_threads_and_ports_are_free_again() {
    let mut pool = pool(8);
    let (socket, peer_port) = peer();
    for round in 0..2 {
        for call in 0..20 {
            pool.open(CallId(call), [127, 0, 0, 1].into()).unwrap();
            pool.start(CallId(call), line(peer_port, LineCodec::Pcmu));
        }
        assert!(pool.open(CallId(3), [127, 0, 0, 1].into()).is_err(), "a call is opened once");
        let mut sources = std::collections::BTreeSet::new();
        while sources.len() < 20 {
            sources.insert(received(&socket).0.ssrc);
        }
        for call in 0..20 {
            assert!(pool.close(CallId(call)).is_some(), "round {round}");
        }
        socket.set_nonblocking(true).unwrap();
        while socket.recv_from(&mut [0; 9]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn a_session_never_allocates_between_its_start_and_its_end() {
    let mut rng = Rng::from_u64(9);
    let (socket, peer_port) = peer();
    let sockets = crate::port::rtp_socket::RtpSockets::bind([127, 0, 0, 1].into(), &mut rng).unwrap();
    let (port, rtcp_port) = (sockets.port(), sockets.port() + 1);
    let (end, mut talker) = crate::run::link::link().unwrap();
    talker.open_uplink();
    let counters = std::sync::Arc::new(report::Counters::new(mono()));
    let mut session = session::Session::new(mono(), CallId(1), sockets, end, counters.clone(), rng);
    let start = mono();
    session.start(start, line(peer_port, LineCodec::Pcma));
    let mut blocks = 0;
    for beat in 0..600u16 {
        let now = start + Duration::from_millis(20) * u32::from(beat);
        if beat % 9 != 0 {
            packet_to(&socket, port, if beat % 50 == 1 { 101 } else { 8 }, beat, &[5, 0, 0, 9]);
        }
        socket.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 7], (Ipv4Addr::LOCALHOST, rtcp_port)).unwrap();
        talker.push(Block::pcm16k(&[500; 320]));
        assert_no_alloc::assert_no_alloc(|| {
            session.read_rtp(now);
            session.read_rtcp(now);
            session.late(u32::from(beat % 50 == 49));
            session.beat(now, u32::from(beat % 100 == 99));
        });
        while talker.pop().is_some() {
            blocks += 1;
        }
    }
    assert_no_alloc::assert_no_alloc(|| session.send_report(start, true));
    let report = counters.report(mono());
    assert!(blocks > 500 && report.packets_sent == 600 && report.lost > 50, "{blocks} blocks, {report:?}");
    assert_eq!((report.late_beats, report.skipped_beats), (12, 6));
}

#[test]
fn totals_of_calls_that_are_over_stay_in_the_sum() {
    let mut pool = pool(11);
    let (socket, peer_port) = peer();
    let metrics = crate::base::Metrics::new().unwrap();
    let totals = pool.totals();
    metrics.at_scrape(move |metrics| totals.report(metrics));
    let received = || {
        let text = metrics.text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("callscoot_rtp_received_packets_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    for call in [1, 2] {
        let (port, _talker) = pool.open(CallId(call), [127, 0, 0, 1].into()).unwrap();
        pool.start(CallId(call), line(peer_port, LineCodec::Pcmu));
        received_from(&socket, port);
        for sequence in 0..5 {
            packet_to(&socket, port, 0, sequence, &[0x10; 160]);
        }
        until(&pool, CallId(call), |report| report.packets_received == 5);
        assert_eq!(received(), 5 * call, "beside those that are over");
        pool.close(CallId(call)).unwrap();
        assert_eq!(received(), 5 * call);
    }
    drop(pool);
    assert_eq!(received(), 10);
}

/// Waits for a packet from this port, and passes over those of others.
fn received_from(socket: &UdpSocket, port: u16) {
    while received(socket).2.port() != port {}
}
