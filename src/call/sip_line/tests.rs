//! Lines against a scripted peer: offers, answers, ends, and the life of an account.

use crate::base::time::any_instant;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Input, OpenLine, Output, Route, SipLine};
use crate::base::{CallId, CallIds, Number, Pii, Rng, Secret};
use crate::call::leg::{DialTarget, LegCommand, LegEvent, RejectWhy, SipAccount, SipStatus};
use crate::sip::msg::{Message, Name, Request, Response, read};

const PEER: &str = "192.0.2.1:5060";
const US: &str = "198.51.100.1:5060";
const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8 0\r\n";

struct Bench {
    line: SipLine,
    now: Instant,
    sent: Vec<Message>,
    events: Vec<LegEvent>,
    opened: Vec<u16>,
    queries: Vec<(u64, String)>,
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Bench {
    fn new(open: Option<OpenLine>) -> Self {
        let line = SipLine::new(open, CallIds::default(), Rng::from_u64(1));
        let now = any_instant();
        let mut bench = Self { line, now, sent: vec![], events: vec![], opened: vec![], queries: vec![] };
        bench.drain();
        bench
    }

    /// A phone with an open socket.
    fn phone() -> Self {
        let mut bench = Self::new(Some(OpenLine::default()));
        bench.input(Input::Opened(Ok(address("0.0.0.0:5060"))));
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(self.now, input);
        self.drain();
    }

    fn command(&mut self, command: LegCommand) {
        self.input(Input::Command(command));
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.line.poll_output() {
                Output::Transmit(transmit) => self.sent.push(read(&transmit.bytes).unwrap().message),
                Output::Event(event) => self.events.push(event),
                Output::Open { port } => self.opened.push(port),
                Output::Resolve { query, host, port } => self.queries.push((query, format!("{host}:{port}"))),
                Output::Timeout(deadline) => return deadline.map(|(at, _)| at),
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.drain().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.line.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn resolved(&mut self, found: Result<&str, &str>) {
        let (query, _) = self.queries.pop().unwrap();
        let route = |text: &str| Route { addresses: vec![address(text)], local: address(US).ip() };
        self.input(Input::Resolved { query, found: found.map(route).map_err(str::to_owned) });
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.input(Input::Datagram { from: address(PEER), local: address(US), bytes });
    }

    fn invite(&mut self, body: &str) {
        let text = format!(
            "INVITE sip:us@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKx\r\n\
             From: \"Bob\" <sip:+4930123@example.com>;tag=them\r\nTo: <sip:us@198.51.100.1>\r\nCall-ID: x\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:bob@{PEER}>\r\nContent-Type: application/sdp\r\n\r\n{body}"
        );
        self.hear(text.as_bytes());
    }

    fn request(&self) -> Request {
        let requests = self.sent.iter().rev().filter_map(|message| match message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        });
        requests.into_iter().next().unwrap().clone()
    }

    fn response(&self) -> Response {
        match self.sent.last().unwrap() {
            Message::Response(response) => response.clone(),
            Message::Request(request) => panic!("{request:?}"),
        }
    }

    fn answer(&mut self, code: u16, body: &str) {
        let mut response = self.request().respond(code, "them");
        response.headers.push(Name::Contact, format!("<sip:bob@{PEER}>"));
        response.body = body.into();
        self.hear(&response.print());
    }

    fn dial(&mut self, uri: &str) -> CallId {
        let target = DialTarget::Uri(Pii(uri.into()));
        self.command(LegCommand::Dial { call: CallId(9), target, rtp_port: 4000 });
        CallId(9)
    }

    fn told(&mut self) -> Vec<String> {
        let short = |event: LegEvent| match event {
            LegEvent::Incoming { remote, .. } => format!("incoming {}", remote.number.unwrap().as_str()),
            LegEvent::Progress { code, .. } => format!("progress {code}"),
            LegEvent::Audio { line, .. } => format!("audio {} {}", line.remote, line.send),
            LegEvent::Ended { end, code, .. } => format!("ended {end:?} {code:?}"),
            LegEvent::Status(_) => "status".into(),
            LegEvent::Closed => "closed".into(),
        };
        std::mem::take(&mut self.events).into_iter().map(short).filter(|told| told != "status").collect()
    }

    fn status(&mut self) -> SipStatus {
        let mut statuses = self.events.drain(..).filter_map(|event| match event {
            LegEvent::Status(status) => Some(status),
            LegEvent::Incoming { .. }
            | LegEvent::Progress { .. }
            | LegEvent::Audio { .. }
            | LegEvent::Ended { .. }
            | LegEvent::Closed => None,
        });
        statuses.next_back().unwrap()
    }
}

fn body_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_uri_is_resolved_dialled_and_its_audio_told_when_it_is_acknowledged() {
    let mut bench = Bench::phone();
    assert_eq!(bench.opened, [0]);
    bench.dial("sip:bob@pbx.example:5080;user=phone?Subject=x");
    assert_eq!(bench.queries[0].1, "pbx.example:5080");
    bench.resolved(Ok(PEER));
    let invite = bench.request();
    assert_eq!(invite.uri, "sip:bob@pbx.example:5080;user=phone");
    let offer = body_of(&invite.body);
    assert!(offer.contains("c=IN IP4 198.51.100.1") && offer.contains("m=audio 4000 "), "{offer}");
    bench.answer(180, "");
    bench.answer(200, SDP);
    assert_eq!(bench.request().method.as_str(), "ACK");
    assert_eq!(bench.told(), ["progress 180", "audio 192.0.2.1:7000 true"]);
    bench.command(LegCommand::Hangup { call: CallId(9) });
    assert_eq!(bench.told(), ["ended LocalHangup None"]);
}

#[test]
fn an_answer_without_audio_ends_the_call_as_failed_rfc3264_6() {
    for body in ["", "nonsense", &SDP.replace("audio 7000", "audio 0")] {
        let mut bench = Bench::phone();
        bench.dial("sip:bob@pbx.example");
        bench.resolved(Ok(PEER));
        bench.answer(200, body);
        let methods: Vec<_> = bench.sent.iter().map(|message| format!("{message:?}")).collect();
        assert_eq!(methods, ["Request(Request(INVITE))", "Request(Request(ACK))", "Request(Request(BYE))"]);
        assert_eq!(bench.told(), ["ended Failed None"]);
    }
}

#[test]
fn what_cannot_be_dialled_ends_at_once() {
    let mut bench = Bench::phone();
    for (uri, end) in [("tel:+4930", "Failed"), ("sips:b@h", "Failed"), ("sip:b@h;transport=tcp", "Failed")] {
        bench.dial(uri);
        assert_eq!(bench.told(), [format!("ended {end} None")], "{uri}");
    }
    bench.dial("sip:b@nowhere");
    bench.resolved(Err("no such name"));
    assert_eq!(bench.told(), ["ended NetworkError None"]);
    // Given up while the name is asked for: the late answer changes nothing.
    let call = bench.dial("sip:b@slow");
    bench.command(LegCommand::Hangup { call });
    bench.resolved(Ok(PEER));
    assert_eq!(bench.told(), ["ended Cancelled None"]);
    let target = DialTarget::Number(Number::parse("123").unwrap());
    bench.command(LegCommand::Dial { call, target, rtp_port: 4000 });
    assert_eq!(bench.told(), ["ended NetworkError None"]);
    let mut closed = Bench::new(None);
    closed.dial("sip:b@h");
    assert_eq!(closed.told(), ["ended NetworkError None"]);
    assert!(bench.sent.is_empty() && closed.opened.is_empty());
}

#[test]
fn an_incoming_call_is_named_answered_and_its_audio_told_with_the_200() {
    let mut bench = Bench::phone();
    bench.invite(SDP);
    assert_eq!(bench.told(), ["incoming +4930123"]);
    bench.command(LegCommand::Ring { call: CallId(1) });
    bench.command(LegCommand::Answer { call: CallId(1), rtp_port: 4000 });
    let answer = body_of(&bench.response().body);
    assert!(
        answer.contains("c=IN IP4 198.51.100.1") && answer.contains("m=audio 4000 RTP/AVP 8"),
        "{answer}"
    );
    assert_eq!(bench.told(), ["audio 192.0.2.1:7000 true"]);
}

#[test]
fn an_offer_without_common_audio_is_488_and_told_as_a_call_that_failed_rfc3261_13_3_1_3() {
    for (offer, code) in [(SDP.replace("RTP/AVP 8 0", "RTP/AVP 18"), 488), ("nonsense".to_owned(), 400)] {
        let mut bench = Bench::phone();
        bench.invite(&offer);
        assert_eq!(bench.response().code, code);
        assert_eq!(bench.told(), ["incoming +4930123".to_owned(), format!("ended Failed Some({code})")]);
    }
}

#[test]
fn each_refusal_has_its_code() {
    for (why, code, end) in [
        (RejectWhy::Busy, 486, "Busy"),
        (RejectWhy::Declined, 603, "Rejected"),
        (RejectWhy::NoAnswer, 480, "NoAnswer"),
        (RejectWhy::Failed, 500, "Failed"),
    ] {
        let mut bench = Bench::phone();
        bench.invite(SDP);
        bench.command(LegCommand::Reject { call: CallId(1), why });
        assert_eq!(bench.response().code, code);
        assert_eq!(bench.told(), ["incoming +4930123".to_owned(), format!("ended {end} Some({code})")]);
    }
}

#[test]
fn hold_by_re_invite_is_answered_with_a_new_version_and_told_rfc3264_8() {
    let mut bench = Bench::phone();
    bench.dial("sip:bob@192.0.2.1");
    bench.resolved(Ok(PEER));
    let invite = bench.request();
    bench.answer(200, SDP);
    bench.told();
    let us = invite.headers.first(Name::From).unwrap();
    let call_id = invite.headers.first(Name::CallId).unwrap();
    let change = |number: u32, body: &str| {
        format!(
            "INVITE sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP {PEER};branch=z9hG4bKr{number}\r\n\
             From: <sip:bob@192.0.2.1>;tag=them\r\nTo: {us}\r\nCall-ID: {call_id}\r\nCSeq: {number} INVITE\r\n\
             Contact: <sip:bob@{PEER}>\r\nContent-Type: application/sdp\r\n\r\n{body}"
        )
    };
    let ack = |number: u32, body: &str| {
        change(number, body).replace("INVITE", "ACK").replace("z9hG4bKr", "z9hG4bKa")
    };
    bench.hear(change(1, &format!("{SDP}a=sendonly\r\n")).as_bytes());
    let answer = body_of(&bench.response().body);
    assert!(answer.contains("a=recvonly"), "{answer}");
    assert_eq!(bench.told(), ["audio 192.0.2.1:7000 false"]);
    bench.hear(ack(1, "").as_bytes());
    // Without an offer we make one, and the ACK answers it.
    bench.hear(change(2, "").as_bytes());
    assert!(body_of(&bench.response().body).contains("m=audio 4000"));
    bench.hear(ack(2, SDP).as_bytes());
    assert_eq!(bench.told(), ["audio 192.0.2.1:7000 true"]);
    bench.hear(change(3, "nonsense").as_bytes());
    assert_eq!((bench.response().code, bench.told().len()), (488, 0));
}

fn account() -> SipAccount {
    SipAccount {
        server: "pbx.example".into(),
        port: 5061,
        username: Some("alice".into()),
        password: Some(Secret::new("secret")),
        local_port: 5060,
    }
}

#[test]
fn an_account_opens_the_socket_finds_its_server_and_registers() {
    let mut bench = Bench::new(None);
    bench.command(LegCommand::Configure(Some(account())));
    assert_eq!((bench.opened.as_slice(), bench.queries[0].1.as_str()), (&[5060][..], "pbx.example:5061"));
    bench.input(Input::Opened(Ok(address("0.0.0.0:5060"))));
    bench.resolved(Err("try again"));
    assert!(!bench.status().started);
    bench.wait(2000);
    bench.resolved(Ok(PEER));
    let register = bench.request();
    assert_eq!(register.uri, "sip:pbx.example:5061");
    assert_eq!(register.headers.first(Name::Contact), Some("<sip:alice@198.51.100.1:5060>"));
    bench.answer(200, "");
    let status = bench.status();
    assert!(status.started && status.registered && status.last_error.is_none(), "{status:?}");
    // A number goes to the server without asking for its name again.
    let target = DialTarget::Number(Number::parse("+4930123").unwrap());
    bench.command(LegCommand::Dial { call: CallId(9), target, rtp_port: 4000 });
    let invite = bench.request();
    assert_eq!(invite.uri, "sip:+4930123@pbx.example:5061");
    assert!(invite.headers.first(Name::From).unwrap().starts_with("<sip:alice@pbx.example:5061>;tag="));
    bench.answer(486, "");
    assert_eq!(bench.told(), ["ended Busy Some(486)"]);
    // A refused registration is told in the server's words.
    bench.command(LegCommand::Configure(Some(SipAccount { username: Some("carol".into()), ..account() })));
    bench.resolved(Ok(PEER));
    bench.answer(403, "");
    let status = bench.status();
    assert_eq!((status.registered, status.registration_status_code), (false, Some(403)));
    assert!(status.last_error.unwrap().contains("403"));
}

#[test]
fn a_new_port_waits_for_the_last_call_and_a_busy_port_is_tried_again() {
    let mut bench = Bench::new(None);
    bench.command(LegCommand::Configure(Some(account())));
    bench.input(Input::Opened(Err("in use".into())));
    assert!(bench.status().last_error.unwrap().contains("in use"));
    bench.wait(2000);
    assert_eq!(bench.opened, [5060, 5060]);
    bench.input(Input::Opened(Ok(address("0.0.0.0:5060"))));
    bench.resolved(Ok(PEER));
    bench.answer(200, "");
    bench.invite(SDP);
    bench.command(LegCommand::Configure(Some(SipAccount { local_port: 5070, ..account() })));
    assert_eq!(bench.opened.len(), 2);
    bench.command(LegCommand::Hangup { call: CallId(1) });
    assert_eq!(bench.opened, [5060, 5060, 5070]);
}

#[test]
fn closing_ends_everything_once() {
    let mut bench = Bench::phone();
    bench.invite(SDP);
    bench.dial("sip:b@slow");
    bench.command(LegCommand::Close);
    bench.wait(1500);
    assert_eq!(
        bench.told(),
        ["incoming +4930123", "ended Cancelled None", "ended Rejected Some(603)", "closed"]
    );
}
