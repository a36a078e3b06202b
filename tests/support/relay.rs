//! A wire with faults: passes datagrams between one caller and one callee, and loses those that a rule names.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::sip;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Pass,
    /// It is lost.
    Lose,
    /// It arrives twice.
    Double,
    /// It is kept, and the relay itself answers it with 200: a registrar that takes everybody.
    Accept,
}

/// A relay in its own thread; stops when dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(String, Fate)>>>,
}

impl Relay {
    /// Passes what comes from anyone to `callee`, and what `callee` sends to whom it heard last. `rule` decides by
    /// the first line of each datagram.
    pub fn to(callee: u16, mut rule: impl FnMut(&str) -> Fate + Send + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let callee = SocketAddr::from((Ipv4Addr::LOCALHOST, callee));
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Arc<Mutex<Vec<(String, Fate)>>> = Arc::default();
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&seen));
        thread::spawn(move || {
            let mut caller = None;
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let datagram = &buffer[..length];
                let to = if from == callee {
                    caller
                } else {
                    caller = Some(from);
                    Some(callee)
                };
                let first = String::from_utf8_lossy(datagram).lines().next().unwrap_or("").to_owned();
                let fate = rule(&first);
                told.lock().unwrap().push((first, fate));
                let times = match fate {
                    Fate::Pass => 1,
                    Fate::Lose => 0,
                    Fate::Accept => {
                        let own = socket.local_addr().unwrap();
                        let answer = sip::ok(&String::from_utf8_lossy(datagram), own, "");
                        let _ = socket.send_to(answer.as_bytes(), from);
                        0
                    }
                    Fate::Double => 2,
                };
                for _ in 0..times {
                    if let Some(to) = to {
                        let _ = socket.send_to(datagram, to);
                    }
                }
            }
        });
        Self { port, stop, seen }
    }

    /// Where to send what should pass through it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// First line and fate of each datagram so far.
    pub fn seen(&self) -> Vec<(String, Fate)> {
        self.seen.lock().unwrap().clone()
    }

    /// How many datagrams whose first line starts so had this fate.
    pub fn count(&self, start: &str, fate: Fate) -> usize {
        self.seen().iter().filter(|(line, had)| line.starts_with(start) && *had == fate).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
