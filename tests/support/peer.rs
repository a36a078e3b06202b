//! A telephone with a stop-watch: answers one call over SIP and sends numbered audio packets on an exact beat, noting
//! when each left and when each of the other side's came.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};

use super::sip::ok;
use super::wait::until;

/// Length of an audio packet.
pub const BEAT: Duration = Duration::from_millis(20);
/// Samples in it: 8000 a second.
pub const FRAME: usize = 160;
/// Packet number `n` holds the byte `n % NUMBERS` and nothing else, so a sample tells whose it is.
pub const NUMBERS: usize = 120;
/// Silence in mu-law, both zeros.
const SILENCE: [u8; 2] = [0xff, 0x7f];

/// A packet that came from the other side.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// When the kernel took it, by its real-time clock (SO_TIMESTAMPNS): however late this program was to look.
    pub stamped: Duration,
    /// Its number (RFC 3550 5.1, `sequence number`).
    pub number: u16,
    /// Whether it held nothing but silence.
    pub silent: bool,
}

/// The telephone.
#[derive(Debug)]
pub struct Peer {
    sip_port: u16,
    media: UdpSocket,
    other: Arc<Mutex<Option<SocketAddr>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
    sent: Arc<Mutex<Vec<Instant>>>,
    stop: Arc<AtomicBool>,
}

impl Peer {
    /// Waits for a call.
    pub fn new() -> Self {
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let media = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = Self {
            sip_port: sip.local_addr().unwrap().port(),
            media,
            other: Arc::default(),
            heard: Arc::default(),
            sent: Arc::default(),
            stop: Arc::default(),
        };
        let (media_port, other) = (peer.media_port(), Arc::clone(&peer.other));
        thread::spawn(move || answer_calls(&sip, media_port, &other));
        let (media, heard) = (peer.media.try_clone().unwrap(), Arc::clone(&peer.heard));
        thread::spawn(move || listen(&media, &heard));
        peer
    }

    /// Where it is called.
    pub fn sip_port(&self) -> u16 {
        self.sip_port
    }

    /// Where it wants audio.
    pub fn media_port(&self) -> u16 {
        self.media.local_addr().unwrap().port()
    }

    /// Sends audio to `to` instead of waiting for a call: for the control.
    pub fn talk_to(&self, to: SocketAddr) {
        *self.other.lock().unwrap() = Some(to);
    }

    /// Begins to send numbered packets, on an absolute beat, until dropped.
    pub fn begin_to_talk(&self) {
        let (media, other) = (self.media.try_clone().unwrap(), Arc::clone(&self.other));
        let (sent, stop) = (Arc::clone(&self.sent), Arc::clone(&self.stop));
        let to = until("an address for audio", || *other.lock().unwrap());
        thread::spawn(move || {
            let origin = Instant::now();
            let mut number = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let due = origin + BEAT * number;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let packet = packet(number);
                let mut sent = sent.lock().unwrap();
                sent.push(Instant::now());
                let _ = media.send_to(&packet, to);
                number += 1;
            }
        });
    }

    /// When each packet left.
    pub fn sent(&self) -> Vec<Instant> {
        self.sent.lock().unwrap().clone()
    }

    /// Every packet of audio that came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits for the first packet after `since` that is silent, or not; when it came.
    pub fn first_after(&self, since: Instant, silent: bool) -> Instant {
        until("a packet", || {
            let heard = self.heard.lock().unwrap();
            let late = heard.iter().rev().take_while(|packet| packet.at >= since);
            late.filter(|packet| packet.silent == silent).last().map(|packet| packet.at)
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// RFC 3550 5.1, payload type 0 (PCMU).
fn packet(number: u32) -> [u8; 12 + FRAME] {
    let mut packet = [(number as usize % NUMBERS) as u8; 12 + FRAME];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(number * FRAME as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&0x0b5e_55ed_u32.to_be_bytes());
    packet
}

fn listen(media: &UdpSocket, heard: &Mutex<Vec<Heard>>) {
    setsockopt(media, ReceiveTimestampns, &true).unwrap();
    let mut buffer = [0; 2048];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let came = recvmsg::<()>(media.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let at = Instant::now();
        let Ok(came) = came else { return };
        let stamped = came.cmsgs().unwrap().find_map(|message| {
            let ControlMessageOwned::ScmTimestampns(time) = message else { return None };
            Some(Duration::from(time))
        });
        let length = came.bytes;
        // Control packets (RTCP on the same port) have types that audio never has.
        if length > 12 && buffer[1] & 0x7f < 64 {
            let silent = buffer[12..length].iter().all(|sample| SILENCE.contains(sample));
            let number = u16::from_be_bytes([buffer[2], buffer[3]]);
            heard.lock().unwrap().push(Heard { at, stamped: stamped.unwrap(), number, silent });
        }
    }
}

/// Just enough of RFC 3261 to be called: 200 to everything, with a description to INVITE.
fn answer_calls(sip: &UdpSocket, media_port: u16, other: &Mutex<Option<SocketAddr>>) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = sip.recv_from(&mut buffer) {
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if request.starts_with("ACK ") || request.starts_with("SIP/2.0 ") {
            continue;
        }
        let mut body = String::new();
        if request.starts_with("INVITE ") {
            let number = |start: &str| {
                let line = request.lines().find_map(|line| line.strip_prefix(start));
                line.and_then(|line| line.split(' ').next()).map(str::to_owned)
            };
            let port = number("m=audio ").and_then(|port| port.parse().ok()).unwrap();
            let address: Ipv4Addr = number("c=IN IP4 ").and_then(|address| address.parse().ok()).unwrap();
            *other.lock().unwrap() = Some((address, port).into());
            body = format!(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio {media_port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
            );
        }
        let answer = ok(&request, sip.local_addr().unwrap(), &body);
        let _ = sip.send_to(answer.as_bytes(), from);
    }
}
