//! How a link ends, and what cannot begin.

use std::net::UdpSocket;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{Shutdown, shutdown};

use super::*;
use crate::run::scarce::{hoard, in_own_process};

#[test]
fn an_end_that_is_learnt_by_answering_is_not_missed() {
    let mut pool = pool();
    let mut phone = Phone::linked(&mut pool, Cvsd, 48);
    // As an SCO socket whose one error was told to `send`: there is nothing to read, and no end of it.
    shutdown(&phone.socket, Shutdown::Read).unwrap();
    phone.beat();
    assert_eq!(event(&mut pool, Duration::from_secs(1)), Some(VoiceEvent::Heard(PHONE)));
    assert_eq!(event(&mut pool, Duration::from_secs(1)), Some(VoiceEvent::Lost(PHONE)), "not mute after 2 s");
}

#[test]
fn an_end_that_somebody_else_was_told_is_found_by_waiting() {
    let mut pool = pool();
    let (ours, phone) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    ours.set_nonblocking(true).unwrap();
    ours.connect(phone.local_addr().unwrap()).unwrap();
    // The wait goes on telling of the error; reading does not, once it was told.
    setsockopt(&ours, sockopt::Ipv4RecvErr, &true).unwrap();
    drop(phone);
    ours.send(&[0]).unwrap();
    assert_eq!(ours.take_error().unwrap().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    let mut packet = [0; 48];
    assert_eq!(sco::receive(ours.as_fd(), &mut packet), Received::Nothing);
    pool.link(PHONE, ours.into(), Cvsd).unwrap();
    assert_eq!(event(&mut pool, Duration::from_secs(1)), Some(VoiceEvent::Lost(PHONE)), "not mute after 2 s");
}

#[test]
fn a_call_that_finds_no_thread_has_not_entered() {
    in_own_process("run::voice::tests::ends::a_call_that_finds_no_thread_has_not_entered", || {
        let mut pool = pool();
        let (media, _talker) = link::link().unwrap();
        let hoarded = hoard();
        assert!(pool.enter(CallId(1), media).is_err());
        assert!(pool.report(CallId(1)).is_none());
        drop(hoarded);
        let _talker = call(&mut pool, 1);
        assert!(pool.report(CallId(1)).is_some());
    });
}
