//! The states of a connection, in virtual time.

use super::*;
use crate::sys::clock;

const GET: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn wants(exchange: &mut Exchange) -> Wants {
    match exchange.poll_output() {
        Output::Wait(wants) => wants,
        other @ (Output::ShutClient | Output::Close) => panic!("{other:?}"),
    }
}

fn after_input(input: &[&[u8]]) -> (Exchange, Now) {
    let now = clock::now();
    let mut exchange = Exchange::new(now);
    for bytes in input {
        exchange.handle_input(now, Input::Client(bytes));
    }
    (exchange, now)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Takes what the client is to get, the way a client that reads does, and says whether the end was told.
fn drained(exchange: &mut Exchange, now: Now) -> (String, Output) {
    let got = text(exchange.to_client());
    exchange.handle_input(now, Input::ClientTook(exchange.to_client().len()));
    (got, exchange.poll_output())
}

#[test]
fn a_request_is_passed_on_whole_and_its_response_comes_back_with_close() {
    let (mut exchange, now) = after_input(&[&GET[..10], &GET[10..]]);
    assert!(wants(&mut exchange).connection);
    assert!(text(exchange.to_server()).ends_with("Connection: close\r\nContent-Length: 0\r\n\r\n"));
    exchange.handle_input(now, Input::Connected);
    exchange.handle_input(now, Input::ServerTook(exchange.to_server().len()));
    let waits = wants(&mut exchange);
    assert!(exchange.is_asked() && waits.server && waits.client && !waits.connection);
    exchange.handle_input(now, Input::Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"));
    assert!(exchange.to_client().is_empty(), "the head is passed on when it is whole");
    exchange.handle_input(now, Input::Server(b"\r\n{}"));
    exchange.handle_input(now, Input::ServerEnd);
    let (got, then) = drained(&mut exchange, now);
    assert_eq!(got, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(then, Output::ShutClient);
    exchange.handle_input(now, Input::Client(b"GET / HTTP/1.1\r\n pipelined garbage"));
    assert!(wants(&mut exchange).client);
    exchange.handle_input(now, Input::ClientEnd);
    assert_eq!(exchange.poll_output(), Output::Close);
}

#[test]
fn heads_and_bodies_have_their_time_in_all_however_they_drip() {
    let (mut exchange, now) = after_input(&[&GET[..5]]);
    exchange.handle_input(now.plus(HEAD_TIME_MAX * 9 / 10), Input::Client(&GET[5..6]));
    exchange.handle_timeout(now.plus(HEAD_TIME_MAX * 99 / 100));
    assert!(wants(&mut exchange).client && exchange.to_client().is_empty());
    assert_eq!(wants(&mut exchange).until, Some(now.mono + HEAD_TIME_MAX));
    exchange.handle_timeout(now.plus(HEAD_TIME_MAX));
    let (got, then) = drained(&mut exchange, now.plus(HEAD_TIME_MAX));
    assert!(
        got.starts_with("HTTP/1.1 408 Request Timeout\r\nServer: callscoot\r\nDate: ")
            && then == Output::ShutClient,
        "{got}"
    );
    exchange.handle_timeout(now.plus(HEAD_TIME_MAX + LINGER_TIME_MAX));
    assert_eq!(exchange.poll_output(), Output::Close);

    let (mut exchange, now) = after_input(&[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{"]);
    exchange.handle_input(now.plus(BODY_TIME_MAX / 2), Input::Client(b" "));
    exchange.handle_timeout(now.plus(BODY_TIME_MAX));
    assert!(text(exchange.to_client()).starts_with("HTTP/1.1 408"));
}

#[test]
fn a_byte_at_a_time_is_as_good_as_all_at_once() {
    let post = b"POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n";
    let bytes: Vec<&[u8]> = post.chunks(1).collect();
    let (mut slow, _) = after_input(&bytes);
    let (fast, _) = after_input(&[post]);
    assert!(wants(&mut slow).connection);
    assert_eq!(text(slow.to_server()), text(fast.to_server()));
    assert!(text(slow.to_server()).ends_with("Content-Length: 2\r\n\r\n{}"));
}

#[test]
fn garbage_and_endless_heads_are_refused_before_they_end() {
    let (exchange, _) = after_input(&[b"\x16\x03\x01\x02\x00\x01\x00"]);
    assert!(text(exchange.to_client()).starts_with("HTTP/1.1 400 Bad Request"));
    let line = b"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    let mut endless: Vec<&[u8]> = vec![b"GET / HTTP/1.1\r\n"];
    endless.extend([&line[..]; 60]);
    let (mut exchange, now) = after_input(&endless);
    assert!(exchange.to_client().is_empty());
    exchange.handle_input(now, Input::Client(&[b'a'; HEAD_BYTES_MAX]));
    assert!(text(exchange.to_client()).starts_with("HTTP/1.1 431"));
}

#[test]
fn an_announced_petabyte_is_refused_at_once_and_its_bytes_are_dropped() {
    let (mut exchange, now) =
        after_input(&[b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000\r\n\r\n"]);
    let (got, then) = drained(&mut exchange, now);
    assert!(got.starts_with("HTTP/1.1 413") && then == Output::ShutClient);
    let flood = vec![0; 65536];
    for _ in 0..1000 {
        exchange.handle_input(now, Input::Client(&flood));
    }
    assert_eq!((exchange.buffered(), wants(&mut exchange).client), (0, true));
}

#[test]
fn the_client_is_told_to_continue_only_if_it_waits_rfc9110_10_1_1() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut exchange, now) = after_input(&[head]);
    assert_eq!(text(exchange.to_client()), "HTTP/1.1 100 Continue\r\n\r\n");
    exchange.handle_input(now, Input::ClientTook(25));
    exchange.handle_input(now, Input::Client(b"{}"));
    assert!(wants(&mut exchange).connection);
    let (exchange, _) = after_input(&[&[&head[..], b"{"].concat()]);
    assert!(exchange.to_client().is_empty(), "it did not wait");
    let (exchange, _) =
        after_input(&[b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"]);
    assert!(text(exchange.to_client()).starts_with("HTTP/1.1 413"));
}

#[test]
fn who_does_not_read_is_not_read_for_and_is_cut_off_in_the_end() {
    let (mut exchange, now) = after_input(&[GET]);
    exchange.handle_input(now, Input::Connected);
    exchange.handle_input(now, Input::Server(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"));
    exchange.handle_input(now, Input::Server(&vec![b'x'; TO_CLIENT_BYTES_MAX]));
    assert!(!wants(&mut exchange).server);
    exchange.handle_input(now, Input::ClientTook(TO_CLIENT_BYTES_MAX / 2));
    assert!(wants(&mut exchange).server);
    let later = now.plus(STALL_TIME_MAX);
    exchange.handle_timeout(later);
    assert_eq!(exchange.poll_output(), Output::Close);
}

#[test]
fn an_idle_stream_has_no_deadline_and_ends_when_its_reader_leaves() {
    let (mut exchange, now) = after_input(&[GET]);
    exchange.handle_input(now, Input::Connected);
    exchange.handle_input(
        now,
        Input::Server(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n"),
    );
    let (_, then) = drained(&mut exchange, now);
    assert_eq!(then, Output::Wait(Wants { until: None, client: true, server: true, connection: false }));
    exchange.handle_input(now.plus(Duration::from_secs(9)), Input::Server(b": x\n\n"));
    assert_eq!(wants(&mut exchange).until, Some(now.mono + Duration::from_secs(9) + STALL_TIME_MAX));
    exchange.handle_input(now, Input::ClientEnd);
    assert_eq!(exchange.poll_output(), Output::Close);
}

#[test]
fn who_shuts_its_side_after_the_request_still_gets_the_response() {
    let (mut exchange, now) = after_input(&[GET]);
    exchange.handle_input(now, Input::ClientEnd);
    assert!(!wants(&mut exchange).client);
    exchange.handle_input(now, Input::Connected);
    exchange.handle_input(now, Input::Server(b"HTTP/1.1 200 OK\r\n\r\n{}"));
    exchange.handle_input(now, Input::ServerEnd);
    let (got, then) = drained(&mut exchange, now);
    assert!(got.ends_with("{}") && then == Output::Close);
    for half in [&GET[..5], b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n{"] {
        let (mut exchange, now) = after_input(&[half]);
        exchange.handle_input(now, Input::ClientEnd);
        assert!(text(exchange.to_client()).starts_with("HTTP/1.1 400"));
    }
    let (mut exchange, now) = after_input(&[]);
    exchange.handle_input(now, Input::ClientEnd);
    assert_eq!(exchange.poll_output(), Output::Close);
}

#[test]
fn a_server_that_lets_go_or_never_answers_is_an_error_the_client_can_read() {
    let (mut exchange, now) = after_input(&[GET]);
    exchange.handle_input(now, Input::Connected);
    exchange.handle_input(now, Input::ServerEnd);
    assert!(text(exchange.to_client()).starts_with("HTTP/1.1 500"));
    let (mut exchange, now) = after_input(&[GET]);
    exchange.handle_timeout(now.plus(ANSWER_TIME_MAX));
    let got = text(exchange.to_client());
    assert!(got.starts_with("HTTP/1.1 503") && got.contains("\r\nRetry-After: 1\r\n"), "{got}");
    let (mut exchange, now) = after_input(&[b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    exchange.handle_input(now, Input::Refused(Response::busy("full")));
    assert!(text(exchange.to_client()).ends_with("\r\n\r\n"), "a response to HEAD has no body");
}

proptest::proptest! {
    #[test]
    fn no_bytes_in_any_portions_break_it(
        parts in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..40), 0..40)
    ) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (mut exchange, _) = after_input(&parts);
        exchange.poll_output();
    }
}
