//! The account of a line: its socket, its server's name, its registration, and what is said about them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::core::{Output, Route, SipLine};
use super::words::bounded;
use crate::base::Backoff;
use crate::call::leg::SipAccount;
use crate::sip::{Account, Command, RegistrationStatus};

/// A name that is not found is asked for again after 2 s, up to a minute.
const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_MAX: Duration = Duration::from_secs(60);

/// The way from a configured account to a registered one.
pub(super) struct Registrar {
    account: Option<SipAccount>,
    /// The open socket, and the port that was asked for when it was opened.
    local: Option<SocketAddr>,
    opened_port: Option<u16>,
    wanted_port: Option<u16>,
    asking: Option<u64>,
    again: Option<Instant>,
    backoff: Backoff,
    route: Option<Route>,
    closing: bool,
}

impl Registrar {
    pub(super) fn new(port: Option<u16>) -> Self {
        Self {
            account: None,
            local: None,
            opened_port: port,
            wanted_port: port,
            asking: None,
            again: None,
            backoff: Backoff::new(ASK_FIRST, ASK_MAX),
            route: None,
            closing: false,
        }
    }

    pub(super) fn account(&self) -> Option<&SipAccount> {
        self.account.as_ref()
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    pub(super) fn is_asking(&self, query: u64) -> bool {
        self.asking == Some(query)
    }

    pub(super) fn again(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
        self.again = None;
        self.asking = None;
    }
}

impl SipLine {
    pub(super) fn configure(&mut self, now: Instant, account: Option<SipAccount>) {
        if self.registrar.closing || account == self.registrar.account {
            return;
        }
        self.registrar.account = account;
        self.registrar.route = None;
        self.registrar.again = None;
        self.registrar.asking = None;
        self.registrar.backoff.reset();
        self.status.registered = false;
        self.status.registration_status_code = None;
        self.status.registration_status_text = None;
        self.status.last_error = None;
        self.status.started = false;
        match &self.registrar.account {
            Some(account) => {
                self.registrar.wanted_port = Some(account.local_port);
                self.ask_for_server();
            }
            None => self.sip(now, Command::Use(None)),
        }
    }

    fn ask_for_server(&mut self) {
        let Some(account) = &self.registrar.account else { return };
        let (host, port) = (account.server.clone(), account.port);
        self.registrar.asking = Some(self.query(host, port));
    }

    /// Asks again for a name that was not found, or whose addresses do not answer; and for a socket.
    pub(super) fn ask_again(&mut self, now: Instant) {
        if self.registrar.again.is_some_and(|at| now >= at) {
            self.registrar.again = None;
            if self.registrar.local.is_none() {
                self.registrar.opened_port = None;
            }
            self.ask_for_server();
        }
    }

    /// Opens the socket, or another one when the port changed: not while a call uses the old one.
    pub(super) fn move_socket(&mut self) {
        let wanted = self.registrar.wanted_port;
        if wanted != self.registrar.opened_port && self.calls.is_empty() && !self.registrar.closing {
            self.registrar.opened_port = wanted;
            self.outputs.extend(wanted.map(|port| Output::Open { port }));
        }
    }

    pub(super) fn on_opened(&mut self, now: Instant, opened: Result<SocketAddr, String>) {
        match opened {
            Ok(local) => {
                self.registrar.local = Some(local);
                self.status.local = Some(local);
                self.use_route(now);
            }
            Err(fault) => {
                self.registrar.local = None;
                self.status.local = None;
                self.status.started = false;
                self.status.last_error = Some(bounded(&format!("the SIP port cannot be opened: {fault}")));
                self.registrar.again = Some(now + self.registrar.backoff.next_delay(&mut self.rng));
            }
        }
    }

    pub(super) fn on_server_resolved(&mut self, now: Instant, found: Result<Route, String>) {
        self.registrar.asking = None;
        match found {
            Ok(route) => {
                self.registrar.backoff.reset();
                if self.registrar.route.as_ref() != Some(&route) {
                    self.registrar.route = Some(route);
                    self.use_route(now);
                }
            }
            Err(fault) => {
                let delay = self.registrar.backoff.next_delay(&mut self.rng);
                self.registrar.again = Some(now + delay);
                // An address that was found before is better than none.
                if self.registrar.route.is_none() {
                    self.status.last_error = Some(bounded(&format!("the SIP server is not found: {fault}")));
                }
            }
        }
    }

    /// Socket and addresses are there: the account is used from now on.
    fn use_route(&mut self, now: Instant) {
        let (Some(account), Some(route), Some(local)) =
            (&self.registrar.account, &self.registrar.route, self.registrar.local)
        else {
            self.status.started = self.registrar.account.is_none() && self.registrar.local.is_some();
            return;
        };
        let account = Account {
            server: server_in_uri(account),
            addresses: route.addresses.clone(),
            local: SocketAddr::new(route.local, local.port()),
            username: account.username.clone(),
            password: account.password.clone(),
        };
        self.status.started = true;
        self.status.last_error = None;
        self.sip(now, Command::Use(Some(account)));
    }

    pub(super) fn on_registration(&mut self, now: Instant, status: RegistrationStatus) {
        self.status.registered = status.registered;
        self.status.registration_status_code = status.code;
        self.status.registration_status_text = status.reason.as_deref().map(bounded);
        self.status.last_error = match (&status.fault, status.code) {
            (Some(fault), Some(code)) => {
                Some(bounded(&format!("{fault}: {code} {}", status.reason.as_deref().unwrap_or_default())))
            }
            (fault, _) => fault.clone(),
        };
        if status.fault.is_some() && status.code.is_none() && self.registrar.asking.is_none() {
            // Nobody answers there: the name may mean another address by now.
            let delay = self.registrar.backoff.next_delay(&mut self.rng);
            self.registrar.again = Some(now + delay);
        }
    }
}

/// `HOST` or `HOST:PORT` as a URI writes it.
pub(super) fn server_in_uri(account: &SipAccount) -> String {
    let host = if account.server.contains(':') && !account.server.starts_with('[') {
        format!("[{}]", account.server)
    } else {
        account.server.clone()
    };
    if account.port == 5060 { host } else { format!("{host}:{}", account.port) }
}
