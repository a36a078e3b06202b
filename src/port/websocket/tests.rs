//! Client and server against each other, and the client against servers that break the rules, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::agent::endpoint::Endpoint;
use crate::sys::clock::mono;
use crate::sys::wait::{on, wait};

/// A server that gets one connection, and the client's way to it.
fn serve<T: Send + 'static>(
    body: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Endpoint, SocketAddr, std::thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::parse(&format!("ws://{address}/talk?agent_id=a")).unwrap();
    let thread = std::thread::Builder::new().spawn(move || body(listener.accept().unwrap().0)).unwrap();
    (endpoint, address, thread)
}

/// The next thing that is not `Nothing`, within five seconds.
fn next(client: &mut Client) -> Received {
    let deadline = mono() + Duration::from_secs(5);
    loop {
        let received = client.receive();
        if received != Received::Nothing {
            return received;
        }
        let interest = client.interest();
        let Some(fd) = client.fd() else { panic!("nothing to wait for") };
        assert!(wait(&mut [on(fd, interest)], Some(deadline)).unwrap(), "nothing came");
    }
}

fn next_of(socket: &mut Socket) -> Received {
    loop {
        let received = socket.receive();
        if received != Received::Nothing {
            return received;
        }
        let (interest, deadline) = (socket.interest(), mono() + Duration::from_secs(5));
        assert!(wait(&mut [on(socket.as_fd(), interest)], Some(deadline)).unwrap(), "nothing came");
    }
}

#[test]
fn both_sides_talk_and_close_without_origin_or_subprotocol() {
    let (endpoint, address, server) = serve(|mut tcp| {
        let (request, rest) = read_request(&mut tcp).unwrap();
        assert_eq!((request.path.as_str(), request.parameter("agent_id")), ("/talk", Some("a")));
        assert_eq!((request.header("origin"), request.header("sec-websocket-protocol")), (None, None));
        let mut socket = upgrade(tcp, &request, rest).unwrap();
        let Received::Text(text) = next_of(&mut socket) else { panic!("no text") };
        socket.send(text.repeat(100_000)).unwrap();
        socket.close(1000, "bye");
        next_of(&mut socket)
    });
    let mut client = Client::connect(&endpoint, address).unwrap();
    assert_eq!(client.send("early".into()).unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    assert_eq!(next(&mut client), Received::Opened);
    client.send("hello".into()).unwrap();
    assert_eq!(next(&mut client), Received::Text("hello".repeat(100_000)));
    assert_eq!(next(&mut client), Received::Closed { code: Some(1000), reason: "bye".into() });
    assert!(matches!(next(&mut client), Received::Closed { code: None, .. }));
    assert!(matches!(server.join().unwrap(), Received::Closed { code: Some(1000), .. }));
}

#[test]
fn a_stalled_peer_is_noticed_and_reading_goes_on() {
    let (noticed, was_noticed) = crossbeam_channel::bounded(1);
    let (endpoint, address, server) = serve(move |mut tcp| {
        let (request, rest) = read_request(&mut tcp).unwrap();
        let mut socket = upgrade(tcp, &request, rest).unwrap();
        socket.send("still here".into()).unwrap();
        was_noticed.recv().unwrap();
        let mut total = 0;
        while let Received::Text(text) = next_of(&mut socket) {
            total += text.len();
            if text == "end" {
                break;
            }
        }
        total
    });
    let mut client = Client::connect(&endpoint, address).unwrap();
    assert_eq!(next(&mut client), Received::Opened);
    let mut sent = 0;
    while !client.is_stalled() && sent < 1 << 26 {
        client.send("x".repeat(1 << 20)).unwrap();
        sent += 1 << 20;
    }
    assert!(client.is_stalled() && client.interest().write);
    client.send("end".into()).unwrap();
    assert_eq!(next(&mut client), Received::Text("still here".into()));
    noticed.send(()).unwrap();
    while client.is_stalled() {
        let interest = client.interest();
        wait(&mut [on(client.fd().unwrap(), interest)], Some(mono() + Duration::from_secs(5))).unwrap();
        client.receive();
    }
    assert_eq!(server.join().unwrap(), sent + 3);
}

/// What the client makes of a server that answers its request with these bytes and then closes.
fn answered(bytes: Vec<u8>) -> Received {
    let (endpoint, address, server) = serve(move |mut tcp| {
        let mut head = [0; 2048];
        let _ = tcp.read(&mut head).unwrap();
        tcp.write_all(&bytes).unwrap();
    });
    let mut client = Client::connect(&endpoint, address).unwrap();
    let received = next(&mut client);
    server.join().unwrap();
    received
}

#[test]
fn a_server_that_refuses_or_talks_nonsense_is_an_answer_not_a_panic() {
    assert_eq!(
        answered(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec()),
        Received::Refused { status: 403 }
    );
    let long = vec![0; 90_000];
    for bytes in
        [&b""[..], b"hello\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", &[0x16; 4000], &long]
    {
        assert!(matches!(answered(bytes.to_vec()), Received::Closed { code: None, .. }));
    }
}

/// What the client receives after the upgrade when these bytes follow it.
fn after_upgrade(frames: Vec<u8>) -> Received {
    let (endpoint, address, server) = serve(move |mut tcp| {
        let (request, rest) = read_request(&mut tcp).unwrap();
        let mut raw = tcp.try_clone().unwrap();
        let _socket = upgrade(tcp, &request, rest).unwrap();
        raw.write_all(&frames).unwrap();
    });
    let mut client = Client::connect(&endpoint, address).unwrap();
    assert_eq!(next(&mut client), Received::Opened);
    let received = next(&mut client);
    server.join().unwrap();
    received
}

#[test]
fn broken_frames_lose_the_connection_and_binary_ones_are_counted() {
    assert_eq!(after_upgrade(vec![0x82, 3, 1, 2, 3]), Received::Binary(3));
    // Half a frame; a reserved opcode; text that is not UTF-8; a frame of 2^63 bytes; a masked frame.
    let huge = [0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for frames in [&[0x81, 100, b'x'][..], &[0x83, 0], &[0x81, 1, 0xff], &huge, &[0x81, 0x81, 1, 2, 3, 4, 5]]
    {
        let received = after_upgrade(frames.to_vec());
        assert!(matches!(received, Received::Closed { code: None, .. }), "{frames:?}: {received:?}");
    }
}

#[test]
fn nobody_there_is_a_closed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::parse(&format!("ws://{address}/")).unwrap();
    if let Ok(mut client) = Client::connect(&endpoint, address) {
        assert!(matches!(next(&mut client), Received::Closed { code: None, .. }));
    }
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    let refused = Client::connect(&endpoint, elsewhere).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn over_tls_megabytes_pass_both_ways_without_blocking() {
    let certs = vec![CertificateDer::from_pem_slice(include_bytes!("test_tls/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("test_tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server_config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .unwrap();
    let (_, address, server) = serve(move |tcp| {
        let session = rustls::ServerConnection::new(Arc::new(server_config)).unwrap();
        let mut socket = tungstenite::accept(rustls::StreamOwned::new(session, tcp)).unwrap();
        let message = socket.read().unwrap();
        socket.send(message).unwrap();
        while socket.read().is_ok() {}
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(include_bytes!("test_tls/ca.pem")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let endpoint = Endpoint::parse(&format!("wss://localhost:{}/", address.port())).unwrap();
    let mut client = Client::connect_with(&endpoint, address, Some(Arc::new(config))).unwrap();
    assert_eq!(next(&mut client), Received::Opened);
    let text = "0123456789".repeat(300_000);
    client.send(text.clone()).unwrap();
    assert_eq!(next(&mut client), Received::Text(text));
    assert!(client.close());
    assert!(matches!(next(&mut client), Received::Closed { code: Some(1000), .. }));
    server.join().unwrap();
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let certs = vec![CertificateDer::from_pem_slice(include_bytes!("test_tls/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("test_tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server_config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .unwrap();
    let (_, address, server) = serve(move |mut tcp| {
        let mut session = rustls::ServerConnection::new(Arc::new(server_config)).unwrap();
        while session.is_handshaking() && session.complete_io(&mut tcp).is_ok() {}
    });
    let endpoint = Endpoint::parse(&format!("wss://localhost:{}/", address.port())).unwrap();
    let mut client = Client::connect(&endpoint, address).unwrap();
    let Received::Closed { code: None, reason } = next(&mut client) else { panic!("trusted a stranger") };
    assert!(reason.contains("certificate"), "{reason}");
    server.join().unwrap();
}
