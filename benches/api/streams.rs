//! Event streams: from the bus to a client's socket, with one client and with a hundred. The control is a thread for
//! each client that takes the same text from a channel and writes it to the same kind of socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::fixture::{Api, eventually};
use super::ms;
use super::table::{Aim, Row};

const SESSION: &str = "20261122-085107-+49";
const EVENTS: u64 = 300;
const CLIENTS: usize = 100;
/// Between two events: more often than in the liveliest call.
const PAUSE: Duration = Duration::from_millis(10);
/// Something that somebody said.
const TEXT: &str = "Yes, tomorrow at ten would suit me well, thank you very much.";

/// All rows.
pub fn rows() -> Vec<Row> {
    let one = both(1, PAUSE);
    let many = both(CLIENTS, PAUSE * 3);
    let row = |what, (values, control), aim| Row { what, unit: "ms", values, control, aim };
    vec![
        row("event on the bus to bytes at the one client", one.first, Aim::AtMost(2.0)),
        row("event on the bus to bytes at each of 100 clients", many.first, Aim::AtMost(20.0)),
        row("event on the bus to bytes at the last of 100 clients", many.last, Aim::Told),
    ]
}

/// Product and control.
struct Both {
    first: (Vec<f64>, Vec<f64>),
    last: (Vec<f64>, Vec<f64>),
}

fn both(clients: usize, pause: Duration) -> Both {
    let api = Api::start();
    api.open_session(SESSION);
    let (tell, told) = unbounded();
    for _ in 0..clients {
        let mut client = api.connect();
        let head = format!("GET /v1/events/stream?session_id={SESSION} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        listen(client, tell.clone());
    }
    eventually("all streams listen", || api.bus.subscribers() == clients);
    let (product, product_last) = measure(clients, pause, &told, |seq| {
        let event = api.commit_events(SESSION, "transcript_final", seq..=seq, TEXT).remove(0);
        let begin = Instant::now();
        api.bus.publish(&event);
        begin
    });
    let text = format!("id: 1\ndata: {{\"text\":\"{TEXT}\"}}\n\n");
    let (tell, told) = unbounded();
    let bare: Vec<Sender<String>> = (0..clients).map(|_| bare_stream(tell.clone())).collect();
    let (control, control_last) = measure(clients, pause, &told, |_| {
        let begin = Instant::now();
        for stream in &bare {
            stream.send(text.clone()).unwrap();
        }
        begin
    });
    Both { first: (product, control), last: (product_last, control_last) }
}

/// Sends events one after the other, each when all clients have the one before; every client's latency, and the
/// last one's of each event.
fn measure(
    clients: usize,
    pause: Duration,
    told: &Receiver<Instant>,
    mut send: impl FnMut(u64) -> Instant,
) -> (Vec<f64>, Vec<f64>) {
    let (mut all, mut last) = (Vec::new(), Vec::new());
    for seq in 1..=EVENTS {
        thread::sleep(pause);
        let begin = send(seq);
        let arrived: Vec<f64> = (0..clients).map(|_| ms(told.recv().unwrap() - begin)).collect();
        last.push(arrived.iter().copied().fold(0.0, f64::max));
        all.extend(arrived);
    }
    (all, last)
}

/// Tells when the data of each event has come.
fn listen(client: TcpStream, tell: Sender<Instant>) {
    thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || {
            for line in BufReader::new(client).lines() {
                if line.is_ok_and(|line| line.starts_with("data: ")) && tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        })
        .unwrap();
}

fn bare_stream(tell: Sender<Instant>) -> Sender<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listen(TcpStream::connect(listener.local_addr().unwrap()).unwrap(), tell);
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_nodelay(true).unwrap();
    let (give, take) = bounded::<String>(256);
    thread::spawn(move || {
        while let Ok(text) = take.recv() {
            if socket.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    });
    give
}
