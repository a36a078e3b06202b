//! Registration (RFC 3261 section 10): telling one server where we are, again and again, until we leave.
//!
//! ```text
//!  Asking ──2xx──▶ Resting ──refresh──▶ Asking        leave: Leaving ──answer──▶ Gone
//!    └─failure──▶ Waiting (back-off, Retry-After) ──▶ Asking
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::dialog::{Here, RequestTo, retry_after, soonest};
use super::digest::{Credentials, Digest};
use super::field::{NameAddr, Via, list};
use super::msg::{Method, Name, Response};
use super::session::{Context, Event};
use super::timer::Timer;
use super::tx::Owner;
use crate::base::{Backoff, Secret};

/// What we ask for; the server may give less (or, by 423, demand more).
const EXPIRES_SEC: u32 = 600;
/// The longest binding that a 423 can make us ask for (a day).
const EXPIRES_SEC_MAX: u32 = 86_400;
/// The shortest binding that we refresh in time; a server that gives less is asked again after this.
const EXPIRES_SEC_MIN: u32 = 10;
/// Failures wait from 2 s up to 5 min: a wrong password must not look like an attack.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Behind a NAT the binding is kept open; UDP bindings live 30 s and more (RFC 4787 4.3).
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How often a new address of ours, as the server sees it, is registered; a NAT that changes it on each packet is
/// left alone after that.
const MOVES_MAX: u8 = 8;

/// An account at a server whose name is resolved.
#[derive(Clone, Debug)]
pub struct Account {
    /// The server as it is written in URIs: host name or IP address, `:port` when it is not 5060.
    pub server: String,
    /// Its addresses, best first; never empty.
    pub addresses: Vec<SocketAddr>,
    /// Our address that faces it.
    pub local: SocketAddr,
    /// User of the address of record and of digest; without one nothing is registered.
    pub username: Option<String>,
    /// Digest password.
    pub password: Option<Secret>,
}

impl Account {
    /// `sip:USER@SERVER`.
    pub fn address_of_record(&self) -> String {
        format!("sip:{}@{}", self.user(), self.server)
    }

    /// User part for Contact and From.
    pub fn user(&self) -> &str {
        self.username.as_deref().unwrap_or("callscoot")
    }

    /// What answers challenges, when there is a user and a password.
    pub fn credentials(&self) -> Option<Credentials> {
        let (username, password) = (self.username.clone()?, self.password.clone()?);
        Some(Credentials { username, password })
    }
}

/// What is known about the registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationStatus {
    /// A binding was accepted and has not run out.
    pub registered: bool,
    /// Status of the last response.
    pub code: Option<u16>,
    /// Its reason phrase, as the server wrote it.
    pub reason: Option<String>,
    /// The last failure, in words; none after a success.
    pub fault: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asking,
    Resting { refresh: Instant },
    Waiting { again: Instant },
    Leaving,
    Gone,
}

/// One registration, from the first REGISTER to the one with `Expires: 0`.
pub(super) struct Registration {
    id: u64,
    account: Account,
    here: Here,
    server_index: usize,
    call_id: String,
    from: String,
    number: u32,
    digest: Digest,
    expires_sec: u32,
    state: State,
    until: Option<Instant>,
    keep_alive: Option<Instant>,
    moves: u8,
    backoff: Backoff,
    status: RegistrationStatus,
}

impl Registration {
    /// Asks for a binding at once. The account has a user name.
    pub(super) fn start(cx: &mut Context<'_>, id: u64, account: Account) -> Self {
        let here = Here { local: account.local, contact: account.local, user: account.user().to_owned() };
        let mut registration = Self {
            id,
            from: format!("<{}>;tag={}", account.address_of_record(), cx.rng.hex(16)),
            here,
            account,
            server_index: 0,
            call_id: cx.rng.hex(32),
            number: 0,
            digest: Digest::default(),
            expires_sec: EXPIRES_SEC,
            state: State::Asking,
            until: None,
            keep_alive: None,
            moves: 0,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            status: RegistrationStatus::default(),
        };
        registration.ask(cx);
        registration
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Where we are, as the server sees it.
    pub(super) fn contact(&self) -> SocketAddr {
        self.here.contact
    }

    /// The address of the server that is in use.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        let addresses = &self.account.addresses;
        addresses.get(self.server_index % addresses.len().max(1)).copied()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Removes the binding, if there is one.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>) {
        if self.until.is_none() {
            self.state = State::Gone;
            cx.tx.forget(Owner::Registration(self.id));
        } else if !matches!(self.state, State::Leaving | State::Gone) {
            self.state = State::Leaving;
            cx.tx.forget(Owner::Registration(self.id));
            self.send(cx);
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        self.state = State::Asking;
        self.send(cx);
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        self.number += 1;
        let aor = format!("<{}>", self.account.address_of_record());
        let uri = format!("sip:{}", self.account.server);
        let addressing =
            RequestTo { uri: &uri, from: &self.from, to: &aor, call_id: &self.call_id, number: self.number };
        let mut request = self.here.request(Method::Register, addressing, cx.rng);
        let expires_sec = if self.state == State::Leaving { 0 } else { self.expires_sec };
        request.headers.push(Name::Expires, expires_sec.to_string());
        if let Some(credentials) = self.account.credentials() {
            self.digest.authorize(&mut request, &credentials, cx.rng);
        }
        let sent =
            self.server().is_some_and(|to| cx.tx.send(cx.now, request, to, Owner::Registration(self.id)));
        if !sent {
            self.failed(cx, None, None, "too many requests are under way");
        }
    }

    pub(super) fn on_response(&mut self, cx: &mut Context<'_>, response: &Response) {
        if response.code < 200 {
            return;
        }
        if matches!(response.code, 401 | 407)
            && self.account.password.is_some()
            && self.digest.challenged(response)
        {
            self.send(cx);
            return;
        }
        if self.state == State::Leaving {
            self.state = State::Gone;
            return;
        }
        let demanded = response.headers.first(Name::MinExpires).and_then(|text| text.parse::<u32>().ok());
        match (response.code, demanded) {
            (200..300, _) => self.accepted(cx, response),
            (423, Some(least)) if least > self.expires_sec && least <= EXPIRES_SEC_MAX => {
                self.expires_sec = least;
                self.send(cx);
            }
            (code, _) => {
                self.digest.accepted();
                let wait = retry_after(&response.headers);
                self.status.reason = Some(response.reason.clone());
                if !matches!(code, 408 | 500..600) {
                    // The server knows us and says no.
                    self.until = None;
                }
                self.failed(cx, Some(code), wait, "the server refused the registration");
            }
        }
    }

    fn accepted(&mut self, cx: &mut Context<'_>, response: &Response) {
        self.digest.accepted();
        self.backoff.reset();
        let granted = self.granted_sec(response).clamp(EXPIRES_SEC_MIN, EXPIRES_SEC_MAX);
        let lifetime = Duration::from_secs(u64::from(granted));
        self.until = Some(cx.now + lifetime);
        // Early enough for a whole round of retransmissions where the binding is long enough.
        let early = Duration::from_secs(u64::from((granted / 2).min(40)));
        self.state = State::Resting { refresh: cx.now + lifetime.saturating_sub(early) };
        let reason = Some(response.reason.clone());
        self.tell(
            cx,
            RegistrationStatus { registered: true, code: Some(response.code), reason, fault: None },
        );
        let behind_nat = self.here.contact != self.here.local;
        self.keep_alive = behind_nat.then_some(cx.now + KEEP_ALIVE);
        if let Some(seen) = seen(response, self.here.local)
            && seen != self.here.contact
            && self.moves < MOVES_MAX
        {
            self.moves += 1;
            self.here.contact = seen;
            self.ask(cx);
        }
    }

    /// 10.3: the expiry of our own binding; else that of the response; else what we asked for.
    fn granted_sec(&self, response: &Response) -> u32 {
        let own = format!("{}@{}", self.here.user, self.here.contact);
        let contacts = response.headers.all(Name::Contact).flat_map(list).filter_map(NameAddr::parse);
        let ours = contacts.into_iter().find(|contact| contact.uri.contains(&own));
        let of_contact = ours.as_ref().and_then(|contact| contact.params.get("expires"));
        let text = of_contact.or_else(|| response.headers.first(Name::Expires));
        text.and_then(|text| text.parse().ok()).unwrap_or(self.expires_sec)
    }

    pub(super) fn on_lost(&mut self, cx: &mut Context<'_>) {
        if self.state == State::Leaving {
            self.state = State::Gone;
            return;
        }
        // Another address of the same server may answer.
        self.server_index += 1;
        self.status.reason = None;
        self.failed(cx, None, None, "the server does not answer");
    }

    fn failed(&mut self, cx: &mut Context<'_>, code: Option<u16>, wait: Option<Duration>, fault: &str) {
        if self.state == State::Leaving {
            self.state = State::Gone;
            return;
        }
        let delay = self.backoff.next_delay(cx.rng).max(wait.unwrap_or_default());
        self.state = State::Waiting { again: cx.now + delay };
        let status = RegistrationStatus {
            registered: self.until.is_some(),
            code,
            reason: self.status.reason.take(),
            fault: Some(fault.to_owned()),
        };
        self.tell(cx, status);
    }

    fn tell(&mut self, cx: &mut Context<'_>, status: RegistrationStatus) {
        if status != self.status {
            self.status = status.clone();
            cx.events.push_back(Event::Registration(status));
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.until.is_some_and(|until| cx.now >= until) && self.state != State::Leaving {
            self.until = None;
            let fault = Some("the registration ran out".to_owned());
            let status = RegistrationStatus { registered: false, fault, ..self.status.clone() };
            self.tell(cx, status);
        }
        match self.state {
            State::Resting { refresh: at } | State::Waiting { again: at } if cx.now >= at => self.ask(cx),
            State::Resting { .. } | State::Waiting { .. } | State::Asking | State::Leaving | State::Gone => {}
        }
        if self.keep_alive.is_some_and(|at| cx.now >= at) {
            self.keep_alive = Some(cx.now + KEEP_ALIVE);
            if let Some(to) = self.server() {
                cx.tx.send_plain(to, b"\r\n\r\n".as_slice().into());
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        let next = match self.state {
            State::Resting { refresh: at } | State::Waiting { again: at } => Some((at, Timer::Register)),
            State::Asking | State::Leaving | State::Gone => None,
        };
        let until = self.until.filter(|_| self.state != State::Leaving);
        soonest([
            next,
            until.map(|at| (at, Timer::Register)),
            self.keep_alive.map(|at| (at, Timer::KeepAlive)),
        ])
    }
}

/// Our address as the server saw it (RFC 3581 4), when it says so.
fn seen(response: &Response, local: SocketAddr) -> Option<SocketAddr> {
    let via = response.headers.first(Name::Via).and_then(Via::parse)?;
    let port = via.params.get("rport").and_then(|port| port.parse().ok()).unwrap_or(local.port());
    let ip = via.params.get("received").map_or(Some(local.ip()), |text| text.parse().ok())?;
    Some(SocketAddr::new(ip, port))
}
