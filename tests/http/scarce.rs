//! When descriptors run out, and whether all come back.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::fixture::{Api, eventually};
use super::own_process::in_own_process;

const STATUS: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Opens files until no descriptor is left.
fn hoard() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn limit_descriptors(current: u64) {
    let limit = Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn ten_thousand_connections_opened_and_dropped_leave_no_descriptor() {
    in_own_process("scarce::ten_thousand_connections_opened_and_dropped_leave_no_descriptor", || {
        let api = Api::start();
        api.open_session("s");
        api.check_health();
        eventually("the first request's descriptors are closed", || descriptors() < 60);
        let before = descriptors();
        for round in 0..10_000 {
            let mut client = TcpStream::connect(api.http.address).unwrap();
            match round % 5 {
                0 => {}
                1 => client.write_all(&STATUS[..20]).unwrap(),
                2 => client.write_all(STATUS).unwrap(),
                3 => client
                    .write_all(b"GET /v1/events/stream?session_id=s HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    .unwrap(),
                _ => client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{").unwrap(),
            }
        }
        eventually("the API answers", || api.get("/v1/health").status == 200);
        eventually("every descriptor is back", || descriptors() <= before);
        eventually("every stream has ended", || api.bus.subscribers() == 0);
        api.check_health();
    });
}

/// Connects without waiting to be taken, and says a little if it was.
fn knock(api: &Api) -> Socket {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.set_nonblocking(true).unwrap();
    let _ = client.connect(&api.http.address.into());
    let _ = client.send(&STATUS[..20]);
    client
}

#[test]
fn ten_thousand_connections_held_by_several_clients_at_once_end_and_leave_nothing() {
    in_own_process(
        "scarce::ten_thousand_connections_held_by_several_clients_at_once_end_and_leave_nothing",
        || {
            let api = Api::start();
            api.check_health();
            eventually("the first request's descriptors are closed", || descriptors() < 60);
            let before = descriptors();
            // Both ends of those that are taken are in this process.
            let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(6000);
            limit_descriptors(limit);
            let held_at_once = limit as usize / 2;
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..=10_000 / held_at_once {
                            drop((0..held_at_once / 4).map(|_| knock(&api)).collect::<Vec<Socket>>());
                        }
                    });
                }
            });
            eventually("the API answers", || api.get("/v1/health").status == 200);
            eventually("every descriptor is back", || descriptors() <= before);
            api.check_health();
        },
    );
}

#[test]
fn the_api_survives_when_no_descriptor_is_left() {
    in_own_process("scarce::the_api_survives_when_no_descriptor_is_left", || {
        limit_descriptors(128);
        let api = Api::start();
        api.check_health();
        // From none left to just enough: each step of taking a request meets the end of the descriptors once.
        for left in 0..12 {
            let clients: Vec<TcpStream> = (0..3).map(|_| api.connect()).collect();
            let mut hoarded = hoard();
            hoarded.truncate(hoarded.len() - left);
            for mut client in &clients {
                client.write_all(STATUS).unwrap();
                client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let _ = client.read(&mut [0; 500]);
            }
            drop((hoarded, clients));
            eventually("the API answers again", || api.get("/v1/status").status == 200);
        }
        // Others take and give back the last descriptors at any moment: the server behind the gate may fail then.
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(hoard());
                }
            });
            for _ in 0..300 {
                if let Ok(mut client) = TcpStream::connect(api.http.address) {
                    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                    let _ = client.write_all(STATUS);
                    let _ = client.read(&mut [0; 500]);
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        eventually("the API answers after all that", || api.get("/v1/status").status == 200);
        api.check_health();
    });
}
