//! All transactions of one user agent, found by their keys.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::matching::{ServerKey, reply_address};
use super::server::Server;
use crate::base::CallId;
use crate::base::time::earlier;
use crate::sip::field::{Via, list};
use crate::sip::msg::{Method, Name, Request, Response};
use crate::sip::timer::Timer;

/// Requests of ours under way at most; beyond that a new one fails as if nobody answered.
pub const CLIENTS_MAX: usize = 256;
/// Requests of others under way at most; beyond that a new one is answered 503 without a memory of it.
pub const SERVERS_MAX: usize = 512;

/// Bytes for the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Destination.
    pub to: SocketAddr,
    /// One datagram.
    pub bytes: Arc<[u8]>,
}

pub(super) type Transmits = VecDeque<Transmit>;

/// Who sent a request and learns of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session of this call.
    Session(CallId),
    /// The registration of this generation.
    Registration(u64),
}

/// What a request is to the transaction layer.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A retransmission, or the ACK of a failure: dealt with.
    Absorbed,
    /// A new one; `open` its transaction to remember it.
    New(ServerKey),
    /// An ACK of a 2xx, or of nothing: for the session.
    Ack,
}

enum AnyClient {
    Invite(InviteClient),
    Other(Client),
}

enum AnyServer {
    Invite(InviteServer),
    Other(Server),
}

/// The transaction layer.
#[derive(Default)]
pub struct Transactions {
    clients: BTreeMap<(String, Method), (Owner, AnyClient)>,
    servers: BTreeMap<ServerKey, AnyServer>,
    transmits: Transmits,
    repetitions: Repetitions,
}

/// What was said more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repetitions {
    /// Messages of ours that were sent again because nobody had answered.
    pub retransmitted: u64,
    /// Requests of others that came again.
    pub repeated: u64,
}

impl Transactions {
    /// Sends a request whose topmost Via holds a fresh branch (a CANCEL: that of its INVITE). `false` when
    /// `CLIENTS_MAX` are under way: nothing was sent.
    pub fn send(&mut self, now: Instant, request: Request, to: SocketAddr, owner: Owner) -> bool {
        let branch = top_branch(request.headers.first(Name::Via));
        if self.clients.len() >= CLIENTS_MAX {
            return false;
        }
        let method = request.method.clone();
        let client = if method == Method::Invite {
            AnyClient::Invite(InviteClient::start(now, request, to, &mut self.transmits))
        } else {
            AnyClient::Other(Client::start(now, &request, to, &mut self.transmits))
        };
        self.clients.insert((branch, method), (owner, client));
        true
    }

    /// Sends what has no transaction: an ACK of a 2xx, a keep-alive, a stateless refusal.
    pub fn send_plain(&mut self, to: SocketAddr, bytes: Arc<[u8]>) {
        self.transmits.push_back(Transmit { to, bytes });
    }

    /// Finds the request that a response answers (17.1.3); its owner, when the owner must see it.
    pub fn on_response(&mut self, now: Instant, response: &Response) -> Option<(Owner, Method)> {
        // More than one Via: it was not meant for us (8.1.3.3).
        if response.headers.all(Name::Via).flat_map(list).count() != 1 {
            return None;
        }
        let branch = top_branch(response.headers.first(Name::Via));
        let key = (branch, response.cseq()?.method);
        let (owner, client) = self.clients.get_mut(&key)?;
        let pass = match client {
            AnyClient::Invite(client) => client.on_response(now, response, &mut self.transmits),
            AnyClient::Other(client) => client.on_response(now, response),
        };
        pass.then_some((*owner, key.1))
    }

    /// Matches a request to its transaction.
    pub fn on_request(&mut self, now: Instant, request: &Request) -> Option<Seen> {
        let key = ServerKey::of(request)?;
        Some(match self.servers.get_mut(&key) {
            Some(AnyServer::Invite(server)) if request.method == Method::Ack => {
                if server.on_ack(now) {
                    Seen::Ack
                } else {
                    Seen::Absorbed
                }
            }
            Some(AnyServer::Invite(server)) => {
                self.repetitions.repeated += 1;
                server.on_retransmission(&mut self.transmits);
                Seen::Absorbed
            }
            Some(AnyServer::Other(server)) => {
                self.repetitions.repeated += 1;
                server.on_retransmission(&mut self.transmits);
                Seen::Absorbed
            }
            None if request.method == Method::Ack => Seen::Ack,
            None => Seen::New(key),
        })
    }

    /// Remembers a new request until it is answered and forgotten. `false` when `SERVERS_MAX` are.
    pub fn open(&mut self, key: &ServerKey, request: &Request, from: SocketAddr) -> bool {
        if self.servers.len() >= SERVERS_MAX {
            return false;
        }
        let to = reply_address(request, from);
        let server = if request.method == Method::Invite {
            AnyServer::Invite(InviteServer::new(to))
        } else {
            AnyServer::Other(Server::new(to))
        };
        self.servers.insert(key.clone(), server);
        true
    }

    /// Whether the transaction is remembered.
    pub fn knows(&self, key: &ServerKey) -> bool {
        self.servers.contains_key(key)
    }

    /// Answers a request that was opened.
    pub fn respond(&mut self, now: Instant, key: &ServerKey, response: &Response) {
        match self.servers.get_mut(key) {
            Some(AnyServer::Invite(server)) => server.respond(now, response, &mut self.transmits),
            Some(AnyServer::Other(server)) => server.respond(now, response, &mut self.transmits),
            None => {}
        }
    }

    /// The same response once more, because its ACK has not come.
    pub fn respond_again(&mut self, now: Instant, key: &ServerKey, response: &Response) {
        self.repetitions.retransmitted += 1;
        self.respond(now, key, response);
    }

    /// Runs every timer that is due; returns the requests that were given up.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(Owner, Method)> {
        let mut lost = Vec::new();
        let before = self.transmits.len();
        for ((_, method), (owner, client)) in &mut self.clients {
            let given_up = match client {
                AnyClient::Invite(client) => client.on_timeout(now, &mut self.transmits),
                AnyClient::Other(client) => client.on_timeout(now, &mut self.transmits),
            };
            if given_up {
                lost.push((*owner, method.clone()));
            }
        }
        for server in self.servers.values_mut() {
            match server {
                AnyServer::Invite(server) => server.on_timeout(now, &mut self.transmits),
                AnyServer::Other(server) => server.on_timeout(now),
            }
        }
        // Timers send nothing new.
        self.repetitions.retransmitted += (self.transmits.len() - before) as u64;
        self.clients.retain(|_, (_, client)| match client {
            AnyClient::Invite(client) => !client.is_terminated(),
            AnyClient::Other(client) => !client.is_terminated(),
        });
        self.servers.retain(|_, server| match server {
            AnyServer::Invite(server) => !server.is_terminated(),
            AnyServer::Other(server) => !server.is_terminated(),
        });
        lost
    }

    /// Nobody wants the responses to this owner's requests any more.
    pub fn forget(&mut self, owner: Owner) {
        self.clients.retain(|_, (own, _)| *own != owner);
    }

    /// Whether a request of ours still waits for its final response.
    pub fn is_waiting(&self) -> bool {
        self.clients.values().any(|(_, client)| match client {
            AnyClient::Invite(client) => client.is_waiting(),
            AnyClient::Other(client) => client.is_waiting(),
        })
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When the next timer runs out.
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        let clients = self.clients.values().filter_map(|(_, client)| match client {
            AnyClient::Invite(client) => client.deadline(),
            AnyClient::Other(client) => client.deadline(),
        });
        let servers = self.servers.values().filter_map(|server| match server {
            AnyServer::Invite(server) => server.deadline(),
            AnyServer::Other(server) => server.deadline(),
        });
        earlier(clients.min(), servers.min())
    }

    /// What was said more than once.
    pub fn repetitions(&self) -> Repetitions {
        self.repetitions
    }

    /// Transactions remembered, ours and others'.
    pub fn counts(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }
}

fn top_branch(via: Option<&str>) -> String {
    let via = via.and_then(|value| list(value).next()).and_then(Via::parse);
    via.map(|via| via.branch().to_owned()).unwrap_or_default()
}
