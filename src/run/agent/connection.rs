//! The way to an open socket: signed URL, addresses, TCP, TLS, upgrade, and all of it again after a loss.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::agent::endpoint::Endpoint;
use crate::base::{Backoff, Rng, Secret};
use crate::call::conversation::AgentService;
use crate::port::rest::RestError;
use crate::port::websocket::{Client, Received};
use crate::run::resolver::Resolver;
use crate::sys::mailbox::MailSender;
use crate::sys::wait::Interest;

/// TCP, TLS and upgrade together, for one address.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Attempts for one call at most: two minutes of ringing at a service that closes every idle socket.
const ATTEMPTS_MAX: u32 = 30;

/// An answer of the resolver, with the attempt that asked.
#[derive(Debug)]
pub(super) enum Answer {
    /// A signed URL, or why there is none.
    Signed(u32, Result<Secret, RestError>),
    /// Addresses of the endpoint's host.
    Addresses(u32, io::Result<Vec<SocketAddr>>),
}

/// What the attempt came to.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// A new attempt began, the `count`th after the first.
    Again { count: u32 },
    /// The socket is open, or a message came.
    Received(Received),
    /// No way to the service; the sentence says what to do.
    GivenUp(String),
}

enum State {
    /// Until the next attempt.
    Pausing {
        until: Instant,
    },
    /// The resolver works.
    Asking {
        endpoint: Option<Endpoint>,
    },
    Opening {
        endpoint: Endpoint,
        others: VecDeque<SocketAddr>,
        client: Client,
        deadline: Instant,
    },
    Open {
        client: Client,
    },
    /// For good.
    Over,
}

/// The connection of one conversation.
pub(super) struct Connection {
    service: AgentService,
    resolver: Resolver,
    answers: MailSender<Answer>,
    rng: Rng,
    backoff: Backoff,
    attempt: u32,
    /// Why the last attempt failed.
    failure: String,
    /// From then on it is too late for another attempt: a person is waiting.
    deadline: Option<Instant>,
    state: State,
}

impl Connection {
    /// Begins the first attempt.
    pub(super) fn begin(
        service: AgentService,
        resolver: Resolver,
        answers: MailSender<Answer>,
        rng: Rng,
    ) -> Self {
        let backoff = Backoff::new(PAUSE.0, PAUSE.1);
        let state = State::Asking { endpoint: None };
        let failure = String::new();
        Self { service, resolver, answers, rng, backoff, attempt: 0, failure, deadline: None, state }
    }

    /// Asks for what the attempt needs. To be called once after `begin`; later attempts begin by themselves.
    pub(super) fn ask(&mut self) -> Step {
        let attempt = self.attempt;
        if self.service.api_key.is_some() {
            let answers = self.answers.clone();
            self.state = State::Asking { endpoint: None };
            self.resolver.signed_url(self.service.clone(), move |answer| {
                // A thread that is gone needs no answer.
                let _ = answers.send(Answer::Signed(attempt, answer));
            });
            return Step::Wait;
        }
        match Endpoint::conversation(&self.service.base_url, &self.service.agent_id) {
            Ok(endpoint) => {
                self.resolve(endpoint);
                Step::Wait
            }
            Err(error) => self.give_up(format!("{error}; check ELEVENLABS_BASE_URL")),
        }
    }

    /// No attempt begins after this.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Takes an answer of the resolver; one for an older attempt is passed over.
    pub(super) fn answered(&mut self, now: Instant, answer: Answer) -> Step {
        let State::Asking { endpoint } = &mut self.state else { return Step::Wait };
        let endpoint = endpoint.take();
        match answer {
            Answer::Signed(attempt, _) | Answer::Addresses(attempt, _) if attempt != self.attempt => {
                self.state = State::Asking { endpoint };
                Step::Wait
            }
            Answer::Signed(_, Ok(url)) => match Endpoint::parse(url.expose()) {
                Ok(endpoint) => {
                    self.resolve(endpoint);
                    Step::Wait
                }
                Err(error) => self.give_up(error.to_string()),
            },
            Answer::Signed(_, Err(error)) if error.is_worth_a_retry() => self.failed(now, error.to_string()),
            Answer::Signed(_, Err(error)) => self.give_up(error.to_string()),
            Answer::Addresses(_, found) => match (endpoint, found) {
                (Some(endpoint), Ok(addresses)) => self.open(now, endpoint, addresses.into()),
                (_, Err(error)) => {
                    self.failed(now, format!("its name cannot be resolved ({error}); check the network"))
                }
                (None, Ok(_)) => Step::Wait,
            },
        }
    }

    /// Reads the next thing from the socket; to be called until it answers `Received(Nothing)` or `Wait`.
    pub(super) fn receive(&mut self, now: Instant) -> Step {
        match &mut self.state {
            State::Open { client } => match client.receive() {
                received @ Received::Closed { .. } => {
                    self.state = State::Over;
                    Step::Received(received)
                }
                received @ (Received::Opened
                | Received::Text(_)
                | Received::Binary(_)
                | Received::Nothing
                | Received::Refused { .. }) => Step::Received(received),
            },
            State::Opening { client, .. } => match client.receive() {
                Received::Opened => {
                    if let State::Opening { client, .. } = std::mem::replace(&mut self.state, State::Over) {
                        self.state = State::Open { client };
                    }
                    Step::Received(Received::Opened)
                }
                Received::Refused { status: status @ (408 | 429 | 500..=599) } => {
                    self.failed(now, format!("it answered with HTTP status {status}; try again later"))
                }
                Received::Refused { status } => self.give_up(format!(
                    "the agent service refused the conversation with HTTP status {status}; check \
                     ELEVENLABS_AGENT_ID and ELEVENLABS_API_KEY"
                )),
                Received::Closed { reason, .. } => self.next_address(now, reason),
                Received::Nothing | Received::Text(_) | Received::Binary(_) => Step::Wait,
            },
            State::Pausing { .. } | State::Asking { .. } | State::Over => Step::Wait,
        }
    }

    /// The open socket was lost before the conversation began: another attempt after a pause.
    pub(super) fn lost(&mut self, now: Instant) -> Step {
        self.failed(now, "it closed the socket before the conversation began".into())
    }

    /// Acts on the deadline if it has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Step {
        match &self.state {
            State::Pausing { until } if *until <= now => {
                let count = self.attempt;
                let asked = self.ask();
                if matches!(asked, Step::Wait) { Step::Again { count } } else { asked }
            }
            State::Opening { deadline, .. } if *deadline <= now => {
                self.next_address(now, "it did not answer in time".into())
            }
            State::Pausing { .. }
            | State::Asking { .. }
            | State::Opening { .. }
            | State::Open { .. }
            | State::Over => Step::Wait,
        }
    }

    /// When to call `handle_timeout`.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Pausing { until } => Some(*until),
            State::Opening { deadline, .. } => Some(*deadline),
            State::Asking { .. } | State::Open { .. } | State::Over => None,
        }
    }

    /// What to wait for.
    pub(super) fn fd(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let client = match &self.state {
            State::Opening { client, .. } | State::Open { client } => client,
            State::Pausing { .. } | State::Asking { .. } | State::Over => return None,
        };
        client.fd().map(|fd| (fd, client.interest()))
    }

    /// The open socket.
    pub(super) fn open_socket(&mut self) -> Option<&mut Client> {
        match &mut self.state {
            State::Open { client } => Some(client),
            State::Pausing { .. } | State::Asking { .. } | State::Opening { .. } | State::Over => None,
        }
    }

    /// Whether the service does not take what was sent.
    pub(super) fn is_stalled(&self) -> bool {
        matches!(&self.state, State::Open { client } if client.is_stalled())
    }

    fn resolve(&mut self, endpoint: Endpoint) {
        let (answers, attempt) = (self.answers.clone(), self.attempt);
        let (host, port) = (endpoint.host.clone(), endpoint.port);
        self.state = State::Asking { endpoint: Some(endpoint) };
        self.resolver.resolve(host, port, move |answer| {
            let _ = answers.send(Answer::Addresses(attempt, answer));
        });
    }

    fn open(&mut self, now: Instant, endpoint: Endpoint, mut others: VecDeque<SocketAddr>) -> Step {
        let mut reason = String::from("it has no address");
        while let Some(address) = others.pop_front() {
            match Client::connect(&endpoint, address) {
                Ok(client) => {
                    let deadline = now + OPEN_TIMEOUT;
                    self.state = State::Opening { endpoint, others, client, deadline };
                    return Step::Wait;
                }
                Err(error) => reason = error.to_string(),
            }
        }
        self.failed(now, format!("{reason}; check the network"))
    }

    fn next_address(&mut self, now: Instant, reason: String) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Opening { endpoint, others, .. } if !others.is_empty() => self.open(now, endpoint, others),
            State::Pausing { .. }
            | State::Asking { .. }
            | State::Opening { .. }
            | State::Open { .. }
            | State::Over => self.failed(now, format!("{reason}; check the network")),
        }
    }

    fn failed(&mut self, now: Instant, reason: String) -> Step {
        self.failure = reason;
        self.attempt += 1;
        let until = now + self.backoff.next_delay(&mut self.rng);
        if self.attempt > ATTEMPTS_MAX || self.deadline.is_some_and(|deadline| until > deadline) {
            let unreachable = "the agent service cannot be reached";
            let said = self.failure.starts_with(unreachable);
            let error = if said { self.failure.clone() } else { format!("{unreachable}: {}", self.failure) };
            return self.give_up(error);
        }
        self.state = State::Pausing { until };
        Step::Wait
    }

    fn give_up(&mut self, error: String) -> Step {
        self.state = State::Over;
        Step::GivenUp(error)
    }
}
