//! The control: what a bare thread does with the same packets, messages and beat on this machine at this moment.
//! What callscoot adds is its figure less this one.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::support::frames::{self, Frame};
use super::support::peer::{BEAT, FRAME};

/// Two bare threads: packets to messages as they come, and messages to packets on the beat.
#[derive(Debug)]
pub struct Control {
    media: SocketAddr,
    agent: TcpStream,
    stop: Arc<AtomicBool>,
}

impl Control {
    /// Sends packets to `peer`. The agent's end of its connection is `agent`.
    pub fn new(peer: u16) -> Self {
        let media = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = media.local_addr().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let agent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        for end in [&agent, &socket] {
            end.set_nodelay(true).unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        // Frames still to be played; a frame is a frame, so their number is all.
        let queue = Arc::new(AtomicU64::new(0));

        let (from, mut to) = (media.try_clone().unwrap(), socket.try_clone().unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok(length) = from.recv(&mut buffer) {
                let audio = BASE64.encode(&buffer[12..length]);
                if write_masked(&mut to, &format!("{{\"user_audio_chunk\":\"{audio}\"}}")).is_err() {
                    return;
                }
            }
        });

        let filled = Arc::clone(&queue);
        let mut from = socket;
        thread::spawn(move || {
            while let Ok(Frame::Text(text)) = frames::read(&mut from) {
                let message: serde_json::Value = serde_json::from_str(&text).unwrap();
                match message["audio_event"]["audio_base_64"].as_str() {
                    Some(audio) => {
                        let length = BASE64.decode(audio).unwrap().len();
                        filled.fetch_add((length / FRAME) as u64, Ordering::Relaxed);
                    }
                    None => filled.store(0, Ordering::Relaxed),
                }
            }
        });

        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let origin = Instant::now();
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep((origin + BEAT * number).saturating_duration_since(Instant::now()));
                let left =
                    queue.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                let mut packet = [if left.is_ok() { 0x10 } else { 0xff }; 12 + FRAME];
                packet[..2].copy_from_slice(&[0x80, 0]);
                let _ = media.send_to(&packet, (Ipv4Addr::LOCALHOST, peer));
                number += 1;
            }
        });
        Self { media: address, agent, stop }
    }

    /// Where it takes packets.
    pub fn media(&self) -> SocketAddr {
        self.media
    }

    /// Sends it a message as the agent does, in a client's frame, as its reader is the tests' server side.
    pub fn send(&mut self, text: &str) {
        write_masked(&mut self.agent, text).unwrap();
    }

    /// The agent's end.
    pub fn agent(&self) -> TcpStream {
        self.agent.try_clone().unwrap()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.agent.shutdown(std::net::Shutdown::Both);
    }
}

/// A whole text frame with a mask of zeros: a client's frame, as cheap as it gets.
fn write_masked(to: &mut TcpStream, text: &str) -> std::io::Result<()> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    to.write_all(&frame)
}
