//! Clients that mean harm, or know no better.

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};

use callscoot::port::http::CONNECTIONS_MAX;

use super::fixture::{Api, answer};

#[test]
fn a_head_or_body_that_drips_is_408_and_delays_nobody() {
    let api = Api::start();
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut client = api.connect();
            client.write_all(b"GET /v1/status HTTP/1.1\r\nHost: loc").unwrap();
            client
        })
        .collect();
    let mut half = api.connect();
    half.write_all(b"POST /v1/current-call/hangup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        .unwrap();
    api.check_health();
    // Who came later was answered first.
    slow[0].set_nonblocking(true).unwrap();
    assert_eq!(slow[0].peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    slow[0].set_nonblocking(false).unwrap();
    assert_eq!(answer(slow.remove(0)).status, 408);
    drop(slow);
    half.shutdown(Shutdown::Write).unwrap();
    let incomplete = answer(half);
    assert_eq!((incomplete.status, &incomplete.json()["error"]), (400, &"the body is incomplete".into()));
    api.check_health();
}

#[test]
fn a_hundred_megabytes_are_413_and_the_client_can_read_it() {
    let api = Api::start();
    for head in ["Content-Length: 104857600", "Transfer-Encoding: chunked"] {
        let mut client = api.connect();
        write!(client, "PATCH /v1/config HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n").unwrap();
        let mut chunk = b"40000\r\n".to_vec();
        chunk.resize(0x40000 + 7, b' ');
        chunk.extend_from_slice(b"\r\n");
        for _ in 0..400 {
            // The gate reads on for a moment so that the answer is not lost; then it may close.
            if client.write_all(&chunk).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Write);
        assert_eq!(answer(client).status, 413, "{head}");
    }
    api.check_health();
}

#[test]
fn an_announced_petabyte_is_413_before_a_byte_of_it_comes() {
    let api = Api::start();
    for length in ["1000000000000000", "18446744073709551616", "1048577"] {
        let mut client = api.connect();
        write!(
            client,
            "POST /v1/outbound-calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        )
        .unwrap();
        // Waiting for the body would end in 408.
        assert_eq!(answer(client).status, 413);
    }
    api.check_health();
}

#[test]
fn garbage_in_heads_and_bodies_is_400_and_what_follows_a_request_is_ignored() {
    let api = Api::start();
    let garbage: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for bytes in [
        &garbage[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_eq!(api.raw(bytes).status, 400, "{:?}", String::from_utf8_lossy(bytes));
    }
    let deep = "[".repeat(100_000);
    for body in [deep.as_bytes(), b"{\"text\":\"\xff\"}", br#"{"text":"\ud800"}"#, b"{\"text\":", &garbage] {
        let mut bytes = b"POST /v1/current-call/user-message HTTP/1.1\r\nHost: localhost\r\n".to_vec();
        bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        bytes.extend_from_slice(body);
        assert_eq!(api.raw(&bytes).json()["error"], "invalid json");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(api.raw(long.as_bytes()).status, 431);
    let mut pipelined = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    pipelined.extend_from_slice(&garbage);
    let answered = api.raw(&pipelined);
    assert_eq!((answered.status, answered.json()["ok"].as_bool()), (200, Some(true)));
    api.check_health();
}

#[test]
fn one_connection_too_many_is_503_and_is_served_when_there_is_room() {
    let api = Api::start();
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| api.connect()).collect();
    let busy = api.get("/v1/health");
    assert_eq!((busy.status, busy.field("retry-after")), (503, Some("1")));
    idle.truncate(CONNECTIONS_MAX - 10);
    super::fixture::eventually("there is room again", || api.get("/v1/health").status == 200);
    // Those that say nothing are sent away in the end.
    assert_eq!(answer(idle.remove(0)).status, 408);
    api.check_health();
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let api = Api::start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(api.get("/v1/status").status, 200);
                }
            });
        }
    });
}
