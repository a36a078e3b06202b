//! What the user wants, done.

use std::time::{Duration, Instant};

use super::core::{Command, SESSIONS_MAX, Ua};
use crate::sip::register::{Account, Registration};
use crate::sip::session::{Cause, Event, Outgoing, Session};

/// Closing takes this long at most; then `Closed` is told whatever is still open.
const CLOSE_MAX: Duration = Duration::from_millis(1400);
/// Removals of earlier bindings under way at most; beyond that the oldest is left to run out.
const LEAVING_MAX: usize = 4;

impl Ua {
    pub(super) fn on_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Use(account) => self.use_account(now, account),
            Command::Call { call, target, to, local, body } => {
                self.make_room();
                if self.live_calls() >= SESSIONS_MAX || self.is_closing() {
                    self.events.push_back(Event::Ended { call, cause: Cause::Overload });
                    return;
                }
                let here = self.here(to, local);
                let account = self.account.as_ref().filter(|_| self.is_server(to));
                let from = account.map_or_else(
                    || format!("sip:{}@{}", here.user, here.contact),
                    Account::address_of_record,
                );
                let credentials = account.and_then(Account::credentials);
                let order = Outgoing { call, target, from, peer: to, here, credentials, body };
                let (sessions, _, mut cx) = self.split(now);
                sessions.insert(call, Session::outgoing(&mut cx, order));
            }
            Command::Ring { call } => self.with_session(now, call, Session::ring),
            Command::Accept { call, body } => {
                self.with_session(now, call, |session, cx| session.accept(cx, body));
            }
            Command::Reject { call, code } => {
                self.with_session(now, call, |session, cx| session.reject(cx, code));
            }
            Command::Answer { call, body } => {
                self.with_session(now, call, |session, cx| session.answer_change(cx, body));
            }
            Command::Hangup { call } => self.with_session(now, call, Session::hang_up),
            Command::Close => self.close(now),
        }
    }

    fn use_account(&mut self, now: Instant, account: Option<Account>) {
        self.retire(now);
        self.account = account.filter(|_| !self.is_closing());
        if let Some(account) = self.account.clone().filter(|account| account.username.is_some()) {
            self.generation += 1;
            let id = self.generation;
            let (_, _, mut cx) = self.split(now);
            let registration = Registration::start(&mut cx, id, account);
            self.registration = Some(registration);
        }
    }

    fn retire(&mut self, now: Instant) {
        let Some(mut old) = self.registration.take() else { return };
        {
            let (_, _, mut cx) = self.split(now);
            old.leave(&mut cx);
        }
        if self.leaving.len() >= LEAVING_MAX {
            self.leaving.remove(0);
        }
        self.leaving.push(old);
    }

    fn close(&mut self, now: Instant) {
        if self.is_closing() {
            return;
        }
        self.closing = Some(now + CLOSE_MAX);
        self.retire(now);
        let (sessions, _, mut cx) = self.split(now);
        for session in sessions.values_mut() {
            session.close(&mut cx);
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some() || self.closed
    }
}
