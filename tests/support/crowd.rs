//! Many clients of one event stream: most read it to its end, some never read a byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::wait::PATIENCE;

/// Clients that read.
pub const READERS: usize = 90;
/// Clients that do not.
pub const DEAF: usize = 10;

/// All of them, connected.
#[derive(Debug)]
pub struct Crowd {
    readers: Vec<JoinHandle<Vec<String>>>,
    deaf: Vec<TcpStream>,
}

impl Crowd {
    /// Opens all streams of the session.
    pub fn join(port: u16, session: &str) -> Self {
        // Of the deaf only the request is sent: they see nothing of the answer.
        let deaf = (0..DEAF).map(|_| ask(port, session)).collect();
        let readers = (0..READERS)
            .map(|_| {
                let mut stream = BufReader::new(ask(port, session));
                let mut first = [0; 12];
                stream.read_exact(&mut first).unwrap();
                assert_eq!(&first, b"HTTP/1.1 200");
                thread::Builder::new().stack_size(256 << 10).spawn(move || read(stream)).unwrap()
            })
            .collect();
        Self { readers, deaf }
    }

    /// Waits until each reader's stream has ended; the `event_id` of all that it was told, in order.
    pub fn everything(&mut self) -> Vec<Vec<String>> {
        self.readers.drain(..).map(|reader| reader.join().unwrap()).collect()
    }

    /// The clients that do not read.
    pub fn deaf(&self) -> &[TcpStream] {
        &self.deaf
    }
}

fn ask(port: u16, session: &str) -> TcpStream {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        client,
        "GET /v1/events/stream?session_id={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        session.replace('+', "%2B")
    )
    .unwrap();
    client
}

fn read(stream: BufReader<TcpStream>) -> Vec<String> {
    let mut told = Vec::new();
    for line in stream.lines() {
        if let Some(event) = line.unwrap().strip_prefix("data: ") {
            let event: Value = serde_json::from_str(event).unwrap();
            told.push(event["event_id"].as_str().unwrap().to_owned());
        }
    }
    told
}
