//! What the user agent holds, what goes in and what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::base::{CallId, CallIds, Rng};
use crate::sip::dialog::{Here, soonest};
use crate::sip::msg::{Message, Response, Unreadable, read};
use crate::sip::register::{Account, Registration};
use crate::sip::session::{Context, Event, Session};
use crate::sip::timer::Timer;
use crate::sip::tx::{Owner, Repetitions, Transactions, Transmit};

/// Calls at once, all states; beyond that an INVITE is answered 486 and a call out ends at once.
pub const SESSIONS_MAX: usize = 64;
/// Calls of others that wait for our answer at most; beyond that an INVITE is answered 486.
pub const UNANSWERED_MAX: usize = 16;
/// Sessions that are over and kept for stragglers at most; beyond that the oldest is forgotten early.
const OVER_MAX: usize = 256;

/// What does not change while it runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Calls are taken from any address, account or not: a simulated phone. Otherwise only the addresses of the
    /// account's server may call.
    pub accept_strangers: bool,
    /// User part of our own address where no account gives one; `callscoot` when unset.
    pub user: Option<String>,
}

/// What goes in.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Input<'a> {
    /// One datagram from `from`; `local` is our address that faces it.
    Datagram { from: SocketAddr, local: SocketAddr, bytes: &'a [u8] },
    /// What the user wants.
    Command(Command),
}

/// What the user wants. Calls that are not known (any more) are passed over: their end was reported.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug)]
pub enum Command {
    /// Use this account from now on; the binding of the one before is removed. Calls go on.
    Use(Option<Account>),
    /// Call `target`, a SIP URI, at the address `to`, which `local` faces. `body` is the offer.
    Call { call: CallId, target: String, to: SocketAddr, local: SocketAddr, body: Vec<u8> },
    /// Say 180.
    Ring { call: CallId },
    /// Take a call, with the answer, or the offer where the INVITE had none.
    Accept { call: CallId, body: Vec<u8> },
    /// Refuse a call with this code.
    Reject { call: CallId, code: u16 },
    /// Answer an `Event::Offered`; `None` refuses the change.
    Answer { call: CallId, body: Option<Vec<u8>> },
    /// End a call in whatever state it is.
    Hangup { call: CallId },
    /// Hang up everything, remove the binding, then report `Event::Closed`.
    Close,
}

/// What comes out.
#[derive(Debug)]
pub enum Output {
    /// One datagram to send.
    Transmit(Transmit),
    /// Something to know.
    Event(Event),
    /// Nothing more until this time (and why), or until an input.
    Timeout(Option<(Instant, Timer)>),
}

/// What was counted: what was neither answered nor told, and what came of the registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that are no SIP.
    pub unreadable: u64,
    /// Messages that cannot be answered: responses and ACKs that belong to nothing, requests without a Via.
    pub unmatched: u64,
    /// Requests that broke a rule, answered 4xx or 505.
    pub malformed: u64,
    /// INVITEs refused because their sender is not the account's server.
    pub strangers: u64,
    /// Requests refused because a limit was reached.
    pub overload: u64,
    /// Messages that were sent again, and requests that came again.
    pub repetitions: Repetitions,
    /// Responses to REGISTER by the first digit of their code; at 0 those that never came.
    pub registration: [u64; 7],
}

/// The user agent.
pub struct Ua {
    pub(super) options: Options,
    pub(super) ids: CallIds,
    pub(super) rng: Rng,
    pub(super) tx: Transactions,
    pub(super) sessions: BTreeMap<CallId, Session>,
    pub(super) account: Option<Account>,
    pub(super) registration: Option<Registration>,
    /// Those of accounts before, which are being removed.
    pub(super) leaving: Vec<Registration>,
    pub(super) generation: u64,
    pub(super) events: VecDeque<Event>,
    pub(super) closing: Option<Instant>,
    pub(super) closed: bool,
    pub(super) counters: Counters,
    /// For tags of responses that nobody remembers.
    pub(super) salt: u64,
}

impl Ua {
    /// A user agent without an account.
    pub fn new(options: Options, ids: CallIds, mut rng: Rng) -> Self {
        let salt = rng.u64();
        Self {
            options,
            ids,
            rng,
            tx: Transactions::default(),
            sessions: BTreeMap::new(),
            account: None,
            registration: None,
            leaving: Vec::new(),
            generation: 0,
            events: VecDeque::new(),
            closing: None,
            closed: false,
            counters: Counters::default(),
            salt,
        }
    }

    /// Takes one input; then `poll_output` until it answers with a time-out.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram { from, local, bytes } => self.on_datagram(now, from, local, bytes),
            Input::Command(command) => self.on_command(now, command),
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (owner, method) in self.tx.handle_timeout(now) {
            match owner {
                Owner::Session(call) => {
                    self.with_session(now, call, |session, cx| session.on_lost(cx, &method));
                }
                Owner::Registration(id) => {
                    self.counters.registration[0] += 1;
                    self.with_registration(now, id, Registration::on_lost);
                }
            }
        }
        let (sessions, registrations, mut cx) = self.split(now);
        for session in sessions.values_mut() {
            session.handle_timeout(&mut cx);
        }
        for registration in registrations {
            registration.handle_timeout(&mut cx);
        }
        let over: Vec<CallId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_forgotten(now))
            .map(|(id, _)| *id)
            .collect();
        for call in over {
            self.forget(call);
        }
        if self.closing.is_some_and(|at| now >= at) {
            self.close_now();
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(transmit) = self.tx.poll_transmit() {
            return Output::Transmit(transmit);
        }
        self.leaving.retain(|registration| !registration.is_gone());
        if self.closing.is_some() && self.leaving.is_empty() && !self.tx.is_waiting() {
            self.close_now();
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let sessions = self.sessions.values().map(Session::deadline);
        let registrations = self.registration.iter().chain(&self.leaving).map(Registration::deadline);
        let own = [self.tx.deadline(), self.closing.map(|at| (at, Timer::Close))];
        Output::Timeout(soonest(sessions.chain(registrations).chain(own)))
    }

    /// The address of the account's server that is in use.
    pub fn server(&self) -> Option<SocketAddr> {
        let of_registration = self.registration.as_ref().and_then(Registration::server);
        of_registration.or_else(|| self.account.as_ref()?.addresses.first().copied())
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters { repetitions: self.tx.repetitions(), ..self.counters }
    }

    /// Sessions that were not told to be over.
    pub fn live_calls(&self) -> usize {
        self.sessions.values().filter(|session| !session.is_told()).count()
    }

    fn on_datagram(&mut self, now: Instant, from: SocketAddr, local: SocketAddr, bytes: &[u8]) {
        match read(bytes) {
            Ok(received) => match received.message {
                Message::Request(request) => self.on_request(now, from, local, request, received.fault),
                Message::Response(response) if received.fault.is_none() => self.on_response(now, &response),
                Message::Response(_) => self.counters.unmatched += 1,
            },
            Err(Unreadable::KeepAlive) => {}
            Err(Unreadable::NotSip | Unreadable::TooLong) => self.counters.unreadable += 1,
        }
    }

    fn on_response(&mut self, now: Instant, response: &Response) {
        match self.tx.on_response(now, response) {
            Some((Owner::Session(call), method)) => {
                self.with_session(now, call, |session, cx| session.on_response(cx, &method, response));
            }
            Some((Owner::Registration(id), _)) => {
                if let Some(count) = self.counters.registration.get_mut(usize::from(response.code / 100)) {
                    *count += 1;
                }
                self.with_registration(now, id, |registration, cx| registration.on_response(cx, response));
            }
            None => self.counters.unmatched += 1,
        }
    }

    fn close_now(&mut self) {
        if self.closing.take().is_some() {
            self.leaving.clear();
            self.closed = true;
            self.events.push_back(Event::Closed);
        }
    }

    /// Keeps the number of sessions that are only remembered within its limit.
    pub(super) fn make_room(&mut self) {
        let over = self.sessions.iter().filter(|(_, session)| session.is_told());
        let oldest = over.map(|(id, _)| *id).collect::<Vec<_>>();
        if let (true, Some(call)) = (oldest.len() > OVER_MAX, oldest.first()) {
            self.forget(*call);
        }
    }

    fn forget(&mut self, call: CallId) {
        self.sessions.remove(&call);
        self.tx.forget(Owner::Session(call));
    }

    /// Where we are to this peer: at the account's server, as the server sees us.
    pub(super) fn here(&self, peer: SocketAddr, local: SocketAddr) -> Here {
        let at_server = self.account.as_ref().filter(|account| is_address_of(account, peer));
        let own = self.options.user.as_deref().unwrap_or("callscoot");
        let user = at_server.map_or(own, Account::user).to_owned();
        let seen = self.registration.as_ref().filter(|_| at_server.is_some()).map(Registration::contact);
        Here { local, contact: seen.unwrap_or(local), user }
    }

    /// Whether this address is the account's server.
    pub(super) fn is_server(&self, peer: SocketAddr) -> bool {
        self.account.as_ref().is_some_and(|account| is_address_of(account, peer))
    }

    pub(super) fn with_session(
        &mut self,
        now: Instant,
        call: CallId,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        let (sessions, _, mut cx) = self.split(now);
        if let Some(session) = sessions.get_mut(&call) {
            act(session, &mut cx);
        }
    }

    fn with_registration(
        &mut self,
        now: Instant,
        id: u64,
        act: impl FnOnce(&mut Registration, &mut Context<'_>),
    ) {
        let (_, mut registrations, mut cx) = self.split(now);
        if let Some(registration) = registrations.find(|registration| registration.id() == id) {
            act(registration, &mut cx);
        }
    }

    /// The parts that act, and what they act with.
    pub(super) fn split(
        &mut self,
        now: Instant,
    ) -> (&mut BTreeMap<CallId, Session>, impl Iterator<Item = &mut Registration>, Context<'_>) {
        let cx = Context { now, tx: &mut self.tx, rng: &mut self.rng, events: &mut self.events };
        (&mut self.sessions, self.registration.iter_mut().chain(&mut self.leaving), cx)
    }
}

fn is_address_of(account: &Account, peer: SocketAddr) -> bool {
    account.addresses.iter().any(|address| address.ip() == peer.ip())
}
