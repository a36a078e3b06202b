//! One user agent and a peer that says exactly what a test makes it say.

use crate::base::time::any_instant;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::base::{CallId, CallIds, Rng, Secret};
use crate::sip::msg::{Message, Name, Request, Response, Unreadable, read};
use crate::sip::{Account, Command, Event, Input, Options, Output, Ua};

pub(super) const US: &str = "198.51.100.1:5060";
pub(super) const PEER: &str = "192.0.2.1:5060";

pub(super) struct Script {
    pub(super) ua: Ua,
    pub(super) now: Instant,
    pub(super) sent: Vec<(SocketAddr, Message)>,
    pub(super) events: Vec<Event>,
    pub(super) keep_alives: usize,
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn account() -> Account {
    Account {
        server: "example.com".into(),
        addresses: vec![address(PEER), address("192.0.2.2:5060")],
        local: address(US),
        username: Some("alice".into()),
        password: Some(Secret::new("secret")),
    }
}

impl Script {
    pub(super) fn new() -> Self {
        Self::with(Options { accept_strangers: true, user: None })
    }

    pub(super) fn with(options: Options) -> Self {
        let ua = Ua::new(options, CallIds::default(), Rng::from_u64(1));
        Self { ua, now: any_instant(), sent: Vec::new(), events: Vec::new(), keep_alives: 0 }
    }

    pub(super) fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.ua.poll_output() {
                Output::Transmit(transmit) => match read(&transmit.bytes) {
                    Ok(received) => {
                        assert_eq!(received.fault, None);
                        self.sent.push((transmit.to, received.message));
                    }
                    Err(unreadable) => {
                        assert_eq!(unreadable, Unreadable::KeepAlive);
                        self.keep_alives += 1;
                    }
                },
                Output::Event(event) => self.events.push(event),
                Output::Timeout(deadline) => return deadline.map(|(at, _)| at),
            }
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.ua.handle_input(self.now, Input::Command(command));
        self.drain();
    }

    pub(super) fn call(&mut self) -> CallId {
        let call = CallId(1000);
        let (to, local) = (address(PEER), address(US));
        self.command(Command::Call {
            call,
            target: "sip:bob@192.0.2.1".into(),
            to,
            local,
            body: b"offer".into(),
        });
        call
    }

    /// The peer sends this text; each line end becomes CRLF.
    pub(super) fn hear(&mut self, text: &str) {
        self.hear_from(PEER, text.replace('\n', "\r\n").as_bytes());
    }

    pub(super) fn hear_from(&mut self, from: &str, bytes: &[u8]) {
        let input = Input::Datagram { from: address(from), local: address(US), bytes };
        self.ua.handle_input(self.now, input);
        self.drain();
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.drain().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.ua.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Everything sent since the last look: methods of requests, codes of responses with their CSeq method.
    pub(super) fn look(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent).iter().map(|(_, message)| summary(message)).collect()
    }

    /// The last request of this method that was sent.
    pub(super) fn request(&self, method: &str) -> Request {
        let requests = self.sent.iter().rev().filter_map(|(_, message)| match message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        });
        requests.into_iter().find(|request| request.method.as_str() == method).unwrap().clone()
    }

    /// The last response that was sent.
    pub(super) fn response(&self) -> Response {
        let responses = self.sent.iter().rev().filter_map(|(_, message)| match message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        });
        responses.into_iter().next().unwrap().clone()
    }

    /// The peer answers a request of ours, with more header lines and a body.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        code: u16,
        tag: &str,
        more: &[(Name, &str)],
        body: &str,
    ) {
        let mut response = request.respond(code, tag);
        for (name, value) in more {
            response.headers.push(*name, *value);
        }
        response.body = body.into();
        self.hear_from(PEER, &response.print());
    }

    /// Events since the last look, in short.
    pub(super) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events).iter().map(short).collect()
    }
}

pub(super) fn summary(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method.as_str().to_owned(),
        Message::Response(response) => {
            let method = response.cseq().map(|cseq| cseq.method.as_str().to_owned()).unwrap_or_default();
            format!("{} {method}", response.code)
        }
    }
}

pub(super) fn short(event: &Event) -> String {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    match event {
        Event::Incoming { body, .. } => format!("incoming {}", text(body)),
        Event::Progress { code, .. } => format!("progress {code}"),
        Event::Accepted { body, .. } => format!("accepted {}", text(body)),
        Event::Answered { body, .. } => format!("answered {}", text(body)),
        Event::Offered { body, .. } => format!("offered {}", text(body)),
        Event::Ended { cause, .. } => format!("ended {cause:?}"),
        Event::Registration(status) => format!("registered {} {:?}", status.registered, status.code),
        Event::Closed => "closed".into(),
    }
}
