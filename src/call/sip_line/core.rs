//! What the line holds, what goes in and what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::account::Registrar;
use super::calls::Call;
use crate::base::{CallId, CallIds, Rng};
use crate::call::leg::{LegCommand, LegEvent, RejectWhy, SipStatus};
use crate::sip::timer::Timer;
use crate::sip::{self, Command, Transmit, Ua};

/// What goes in.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Input<'a> {
    /// What the switch wants.
    Command(LegCommand),
    /// One datagram from `from`; `local` is our address that faces it.
    Datagram { from: SocketAddr, local: SocketAddr, bytes: &'a [u8] },
    /// `Output::Open` was done: the address of the socket, or why there is none.
    Opened(Result<SocketAddr, String>),
    /// The answer to `Output::Resolve`.
    Resolved { query: u64, found: Result<Route, String> },
}

/// A way to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its addresses that can be reached from here, best first; at least one.
    pub addresses: Vec<SocketAddr>,
    /// Our address that faces the first of them.
    pub local: IpAddr,
}

/// What comes out.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Output {
    /// One datagram to send.
    Transmit(Transmit),
    /// Something the switch must know.
    Event(LegEvent),
    /// Open the UDP socket on this port (0: any) in place of the one that is open, and say so by `Input::Opened`.
    Open { port: u16 },
    /// Find the way to a host name or IP address, and say so by `Input::Resolved`.
    Resolve { query: u64, host: String, port: u16 },
    /// Nothing more until this time (and why), or until an input.
    Timeout(Option<(Instant, Why)>),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A timer of SIP.
    Sip(Timer),
    /// The server's name is asked for again.
    Resolve,
}

/// One SIP line: an account, or a phone without one, and its calls.
pub struct SipLine {
    pub(super) ua: Ua,
    pub(super) rng: Rng,
    pub(super) registrar: Registrar,
    pub(super) calls: BTreeMap<CallId, Call>,
    pub(super) status: SipStatus,
    pub(super) told: SipStatus,
    pub(super) outputs: VecDeque<Output>,
    pub(super) queries: u64,
}

/// A line that needs no account: it opens its socket at once and takes calls from anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenLine {
    /// UDP port; 0 lets the system choose.
    pub port: u16,
    /// User part of its address: the number that those whom it calls see.
    pub user: Option<String>,
}

impl SipLine {
    /// A line without an account: an open one, or one that waits for its account.
    pub fn new(open: Option<OpenLine>, ids: CallIds, mut rng: Rng) -> Self {
        let port = open.as_ref().map(|open| open.port);
        let options =
            sip::Options { accept_strangers: open.is_some(), user: open.and_then(|open| open.user) };
        let ua = Ua::new(options, ids, rng.fork());
        let outputs = port.map(|port| Output::Open { port }).into_iter().collect();
        Self {
            ua,
            registrar: Registrar::new(port),
            rng,
            calls: BTreeMap::new(),
            status: SipStatus::default(),
            told: SipStatus::default(),
            outputs,
            queries: 0,
        }
    }

    /// Takes one input; then `poll_output` until it answers with a time-out.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Command(command) => self.on_command(now, command),
            Input::Datagram { from, local, bytes } => {
                self.ua.handle_input(now, sip::Input::Datagram { from, local, bytes });
            }
            Input::Opened(opened) => self.on_opened(now, opened),
            Input::Resolved { query, found } => {
                if self.registrar.is_asking(query) {
                    self.on_server_resolved(now, found);
                } else {
                    self.on_peer_resolved(now, query, found);
                }
            }
        }
        self.settle(now);
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ua.handle_timeout(now);
        self.ask_again(now);
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let next = match self.ua.poll_output() {
            sip::Output::Transmit(transmit) => return Output::Transmit(transmit),
            // `settle` took every event.
            sip::Output::Event(_) => None,
            sip::Output::Timeout(deadline) => deadline.map(|(at, timer)| (at, Why::Sip(timer))),
        };
        let again = self.registrar.again().map(|at| (at, Why::Resolve));
        Output::Timeout(next.into_iter().chain(again).min())
    }

    /// What was counted instead of being answered or told.
    pub fn counters(&self) -> sip::Counters {
        self.ua.counters()
    }

    fn on_command(&mut self, now: Instant, command: LegCommand) {
        match command {
            LegCommand::Configure(account) => self.configure(now, account),
            LegCommand::Dial { call, target, rtp_port } => self.dial(now, call, &target, rtp_port),
            LegCommand::Ring { call } => self.sip(now, Command::Ring { call }),
            LegCommand::Answer { call, rtp_port } => self.answer(now, call, rtp_port),
            LegCommand::Reject { call, why } => {
                let code = match why {
                    RejectWhy::Busy => 486,
                    RejectWhy::Declined => 603,
                    RejectWhy::NoAnswer => 480,
                    RejectWhy::Failed => 500,
                };
                self.sip(now, Command::Reject { call, code });
            }
            LegCommand::Hangup { call } => self.hang_up(now, call),
            LegCommand::Close => {
                self.give_up_unsent();
                self.registrar.close();
                self.sip(now, Command::Close);
            }
        }
    }

    pub(super) fn sip(&mut self, now: Instant, command: Command) {
        self.ua.handle_input(now, sip::Input::Command(command));
    }

    pub(super) fn tell(&mut self, event: LegEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn query(&mut self, host: String, port: u16) -> u64 {
        self.queries += 1;
        self.outputs.push_back(Output::Resolve { query: self.queries, host, port });
        self.queries
    }

    /// Takes everything that the user agent has to say, and acts on it, until it has nothing more.
    fn settle(&mut self, now: Instant) {
        loop {
            match self.ua.poll_output() {
                sip::Output::Transmit(transmit) => self.outputs.push_back(Output::Transmit(transmit)),
                sip::Output::Event(event) => self.on_event(now, event),
                sip::Output::Timeout(_) => break,
            }
        }
        self.move_socket();
        if self.status != self.told {
            self.told = self.status.clone();
            self.tell(LegEvent::Status(self.status.clone()));
        }
    }
}
