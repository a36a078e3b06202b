//! The four state machines in virtual time, one rule of RFC 3261 section 17 a test.

use crate::base::time::any_instant;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::base::CallId;
use crate::sip::msg::{Message, Method, Request, Response, read};
use crate::sip::timer::Timer;

const OWNER: Owner = Owner::Session(CallId(1));

struct Bench {
    tx: Transactions,
    start: Instant,
    lost: Vec<(Owner, Method)>,
}

impl Bench {
    fn new() -> Self {
        Self { tx: Transactions::default(), start: any_instant(), lost: Vec::new() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Runs to `ms`; returns when something was sent, in milliseconds, and its first words.
    fn run(&mut self, ms: u64) -> Vec<(u64, String)> {
        let mut sent = Vec::new();
        let mut now = self.start;
        loop {
            while let Some(transmit) = self.tx.poll_transmit() {
                let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
                let words = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
                sent.push(((now - self.start).as_millis() as u64, words));
            }
            match self.tx.deadline() {
                Some((at, _)) if at <= self.at(ms) => {
                    now = at.max(now);
                    self.lost.extend(self.tx.handle_timeout(now));
                }
                Some(_) | None => return sent,
            }
        }
    }

    fn times(&mut self, ms: u64) -> Vec<u64> {
        self.run(ms).into_iter().map(|(at, _)| at).collect()
    }
}

fn peer() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn request(method: &str) -> Request {
    let text = format!(
        "{method} sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 7 {method}\r\nRoute: <sip:r;lr>\r\n\r\n"
    );
    match read(text.as_bytes()).unwrap().message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn response(method: &str, code: u16) -> Response {
    request(method).respond(code, "there")
}

#[test]
fn timer_a_doubles_and_timer_b_gives_up_after_64_t1_rfc3261_17_1_1_2() {
    let mut bench = Bench::new();
    assert!(bench.tx.send(bench.start, request("INVITE"), peer(), OWNER));
    assert_eq!(bench.times(60_000), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(bench.lost, [(OWNER, Method::Invite)]);
    assert_eq!(bench.tx.counts(), (0, 0));
}

#[test]
fn a_provisional_response_ends_timers_a_and_b_rfc3261_17_1_1_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("INVITE"), peer(), OWNER);
    let seen = bench.tx.on_response(bench.at(100), &response("INVITE", 100));
    assert_eq!(seen, Some((OWNER, Method::Invite)));
    assert_eq!(bench.times(600_000), [0]);
    assert!(bench.lost.is_empty());
}

#[test]
fn a_failure_is_acknowledged_each_time_until_timer_d_rfc3261_17_1_1_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("INVITE"), peer(), OWNER);
    assert!(bench.tx.on_response(bench.start, &response("INVITE", 486)).is_some());
    assert!(bench.tx.on_response(bench.start, &response("INVITE", 486)).is_none());
    let sent: Vec<_> = std::iter::from_fn(|| bench.tx.poll_transmit()).collect();
    let ack = match read(&sent[1].bytes).unwrap().message {
        Message::Request(ack) => ack,
        Message::Response(_) => panic!("a response"),
    };
    // 17.1.1.3: same branch and Route, the To of the response, the number of the INVITE.
    assert_eq!(ack.headers.first(crate::sip::msg::Name::Via), Some("SIP/2.0/UDP h;branch=z9hG4bKa"));
    assert_eq!(ack.headers.first(crate::sip::msg::Name::Route), Some("<sip:r;lr>"));
    assert_eq!(ack.headers.first(crate::sip::msg::Name::To), Some("<sip:c@d>;tag=there"));
    assert_eq!(ack.headers.first(crate::sip::msg::Name::CSeq), Some("7 ACK"));
    assert_eq!(sent[1], sent[2]);
    assert_eq!(bench.tx.deadline(), Some((bench.at(32_000), Timer::D)));
    bench.run(32_000);
    assert_eq!(bench.tx.counts(), (0, 0));
}

#[test]
fn every_2xx_reaches_the_session_until_timer_m_rfc6026_7_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("INVITE"), peer(), OWNER);
    for at in [100, 600, 31_000] {
        let seen = bench.tx.on_response(bench.at(at), &response("INVITE", 200));
        assert_eq!(seen, Some((OWNER, Method::Invite)));
    }
    assert!(bench.tx.on_response(bench.at(31_500), &response("INVITE", 486)).is_none());
    assert_eq!(bench.tx.deadline(), Some((bench.at(32_100), Timer::M)));
    bench.run(32_100);
    assert!(bench.tx.on_response(bench.at(33_000), &response("INVITE", 200)).is_none());
}

#[test]
fn timer_e_doubles_to_t2_and_timer_f_gives_up_rfc3261_17_1_2_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("BYE"), peer(), OWNER);
    let expected = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(bench.times(60_000), expected);
    assert_eq!(bench.lost, [(OWNER, Method::Bye)]);
}

#[test]
fn a_provisional_response_slows_timer_e_to_t2_rfc3261_17_1_2_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("BYE"), peer(), OWNER);
    bench.tx.on_response(bench.at(100), &response("BYE", 100));
    assert_eq!(bench.times(10_000), [0, 500, 4500, 8500]);
}

#[test]
fn a_final_response_is_passed_once_and_absorbed_until_timer_k_rfc3261_17_1_2_2() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("BYE"), peer(), OWNER);
    assert!(bench.tx.on_response(bench.start, &response("BYE", 200)).is_some());
    assert!(bench.tx.on_response(bench.start, &response("BYE", 200)).is_none());
    assert_eq!(bench.tx.deadline(), Some((bench.at(5000), Timer::K)));
    bench.run(5000);
    assert_eq!(bench.tx.counts(), (0, 0));
}

#[test]
fn responses_with_another_branch_method_or_two_vias_match_nothing_rfc3261_17_1_3() {
    let mut bench = Bench::new();
    bench.tx.send(bench.start, request("BYE"), peer(), OWNER);
    assert!(bench.tx.on_response(bench.start, &response("INVITE", 200)).is_none());
    let mut other = response("BYE", 200);
    other.headers.push(crate::sip::msg::Name::Via, "SIP/2.0/UDP z;branch=z9hG4bKb");
    assert!(bench.tx.on_response(bench.start, &other).is_none());
    other = response("BYE", 200);
    other.headers.set(crate::sip::msg::Name::Via, "SIP/2.0/UDP h;branch=z9hG4bKb");
    assert!(bench.tx.on_response(bench.start, &other).is_none());
}

fn opened(bench: &mut Bench, method: &str) -> ServerKey {
    let request = request(method);
    let Some(Seen::New(key)) = bench.tx.on_request(bench.start, &request) else { panic!("not new") };
    assert!(bench.tx.open(&key, &request, peer()));
    key
}

#[test]
fn an_invite_that_comes_again_is_told_the_last_provisional_rfc3261_17_2_1() {
    let mut bench = Bench::new();
    let key = opened(&mut bench, "INVITE");
    bench.tx.respond(bench.start, &key, &response("INVITE", 100));
    bench.tx.respond(bench.start, &key, &response("INVITE", 180));
    assert_eq!(bench.tx.on_request(bench.start, &request("INVITE")), Some(Seen::Absorbed));
    let sent: Vec<_> = bench.run(0).into_iter().map(|(_, words)| words).collect();
    assert_eq!(sent, ["SIP/2.0 100", "SIP/2.0 180", "SIP/2.0 180"]);
}

#[test]
fn timer_g_repeats_a_failure_until_timer_h_rfc3261_17_2_1() {
    let mut bench = Bench::new();
    let key = opened(&mut bench, "INVITE");
    bench.tx.respond(bench.start, &key, &response("INVITE", 486));
    let expected = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(bench.times(60_000), expected);
    assert_eq!(bench.tx.counts(), (0, 0));
}

#[test]
fn the_ack_of_a_failure_ends_it_and_timer_i_absorbs_more_rfc3261_17_2_1() {
    let mut bench = Bench::new();
    let key = opened(&mut bench, "INVITE");
    bench.tx.respond(bench.start, &key, &response("INVITE", 486));
    for _ in 0..2 {
        assert_eq!(bench.tx.on_request(bench.start, &request("ACK")), Some(Seen::Absorbed));
    }
    assert_eq!(bench.tx.deadline(), Some((bench.at(5000), Timer::I)));
    assert_eq!(bench.times(5000), [0]);
    assert_eq!(bench.tx.counts(), (0, 0));
}

#[test]
fn after_a_2xx_invites_are_absorbed_until_timer_l_rfc6026_7_1() {
    let mut bench = Bench::new();
    let key = opened(&mut bench, "INVITE");
    bench.tx.respond(bench.start, &key, &response("INVITE", 200));
    assert_eq!(bench.tx.on_request(bench.start, &request("INVITE")), Some(Seen::Absorbed));
    assert_eq!(bench.tx.on_request(bench.start, &request("ACK")), Some(Seen::Ack));
    bench.tx.respond(bench.start, &key, &response("INVITE", 486));
    assert_eq!(bench.times(31_999), [0]);
    assert_eq!(bench.tx.deadline(), Some((bench.at(32_000), Timer::L)));
}

#[test]
fn a_request_that_comes_again_gets_the_same_answer_until_timer_j_rfc3261_17_2_2() {
    let mut bench = Bench::new();
    let key = opened(&mut bench, "OPTIONS");
    assert_eq!(bench.tx.on_request(bench.start, &request("OPTIONS")), Some(Seen::Absorbed));
    bench.tx.respond(bench.start, &key, &response("OPTIONS", 200));
    assert_eq!(bench.tx.on_request(bench.start, &request("OPTIONS")), Some(Seen::Absorbed));
    assert_eq!(bench.times(31_999), [0, 0]);
    assert_eq!(bench.tx.repetitions(), Repetitions { retransmitted: 0, repeated: 2 });
    assert_eq!(bench.tx.deadline(), Some((bench.at(32_000), Timer::J)));
    bench.run(32_000);
    assert!(matches!(bench.tx.on_request(bench.at(33_000), &request("OPTIONS")), Some(Seen::New(_))));
}

#[test]
fn full_tables_take_nothing_more() {
    let mut bench = Bench::new();
    for number in 0..=CLIENTS_MAX.max(SERVERS_MAX) {
        let mut request = request("OPTIONS");
        let via = format!("SIP/2.0/UDP h;branch=z9hG4bK{number}");
        request.headers.set(crate::sip::msg::Name::Via, via);
        let sent = bench.tx.send(bench.start, request.clone(), peer(), OWNER);
        assert_eq!(sent, number < CLIENTS_MAX);
        let key = ServerKey::of(&request).unwrap();
        assert_eq!(bench.tx.open(&key, &request, peer()), number < SERVERS_MAX);
    }
}
