//! Two threads for what blocks and cannot be polled: name resolution and REST. Nobody waits for them: whoever asks
//! gives a closure that carries the answer home. They end when every handle is gone; at shutdown they are abandoned.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::base::Secret;
use crate::call::conversation::AgentService;
use crate::port::rest::{self, RestError};
use crate::sys::thread::{Role, Spawner};

/// One slow name server must not hold up the other question.
const THREADS: usize = 2;
/// Jobs that wait at most; one more is answered at once with an error.
pub const JOBS_MAX: usize = 32;
/// Addresses of one name that are passed on at most; the rest is dropped.
pub const ADDRESSES_MAX: usize = 8;

type Answer<T, E> = Box<dyn FnOnce(Result<T, E>) + Send>;

enum Job {
    Addresses { host: String, port: u16, answer: Answer<Vec<SocketAddr>, io::Error> },
    SignedUrl { service: AgentService, answer: Answer<Secret, RestError> },
}

impl Job {
    fn run(self) {
        match self {
            Self::Addresses { host, port, answer } => answer(addresses(&host, port)),
            Self::SignedUrl { service, answer } => answer(rest::signed_url(&service)),
        }
    }

    fn refuse(self) {
        match self {
            Self::Addresses { answer, .. } => {
                answer(Err(io::Error::new(io::ErrorKind::WouldBlock, "too many names wait to be resolved")));
            }
            Self::SignedUrl { answer, .. } => answer(Err(RestError::Overloaded)),
        }
    }
}

/// A handle to the pool; clones share it.
#[derive(Clone, Debug)]
pub struct Resolver {
    jobs: Sender<Job>,
}

impl Resolver {
    /// Starts the pool.
    pub fn start(spawner: &Spawner) -> io::Result<Self> {
        let (jobs, waiting) = bounded::<Job>(JOBS_MAX);
        for _ in 0..THREADS {
            let waiting: Receiver<Job> = waiting.clone();
            spawner.spawn(Role::Resolver, move || waiting.iter().for_each(Job::run))?;
        }
        Ok(Self { jobs })
    }

    /// Asks for the addresses of a host name or an IP address, at least one on success. `answer` runs on a thread
    /// of the pool, or on the caller's when the pool is full: it should only send, never block.
    pub fn resolve(
        &self,
        host: String,
        port: u16,
        answer: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static,
    ) {
        self.submit(Job::Addresses { host, port, answer: Box::new(answer) });
    }

    /// Asks the agent service for a signed URL, under the same rules.
    pub fn signed_url(
        &self,
        service: AgentService,
        answer: impl FnOnce(Result<Secret, RestError>) + Send + 'static,
    ) {
        self.submit(Job::SignedUrl { service, answer: Box::new(answer) });
    }

    fn submit(&self, job: Job) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job.refuse(),
        }
    }
}

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawner() -> Spawner {
        Spawner::new(crossbeam_channel::unbounded().0)
    }

    #[test]
    fn names_and_addresses_are_resolved_and_nonsense_is_an_error() {
        let resolver = Resolver::start(&spawner()).unwrap();
        let (tx, rx) = bounded(3);
        for host in ["127.0.0.1", "localhost", "no such host"] {
            let tx = tx.clone();
            resolver.resolve(host.into(), 7, move |answer| tx.send((host, answer)).unwrap());
        }
        for _ in 0..3 {
            let (host, answer) = rx.recv().unwrap();
            let found = answer.map(|found| found.iter().all(|a| a.ip().is_loopback() && a.port() == 7));
            assert_eq!(found.ok(), (host != "no such host").then_some(true), "{host}");
        }
    }

    #[test]
    fn a_full_pool_answers_at_once_with_an_error() {
        let resolver = Resolver::start(&spawner()).unwrap();
        let (release, held) = bounded::<()>(0);
        let (started_tx, started) = bounded(THREADS);
        for _ in 0..THREADS {
            let (held, started_tx) = (held.clone(), started_tx.clone());
            resolver.resolve("127.0.0.1".into(), 1, move |_| {
                started_tx.send(()).unwrap();
                let _ = held.recv();
            });
        }
        (0..THREADS).for_each(|_| started.recv().unwrap());
        for _ in 0..JOBS_MAX {
            resolver.resolve("127.0.0.1".into(), 1, |_| ());
        }
        let (tx, rx) = bounded(2);
        let names = tx.clone();
        resolver.resolve("127.0.0.1".into(), 1, move |answer| names.send(answer.is_err()).unwrap());
        let service =
            AgentService { base_url: "http://127.0.0.1:1".into(), agent_id: "a".into(), api_key: None };
        resolver.signed_url(service, move |answer| {
            tx.send(answer.unwrap_err() == RestError::Overloaded).unwrap();
        });
        assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(true), Ok(true)));
        drop(release);
    }

    #[test]
    fn the_threads_end_when_every_handle_is_gone() {
        let (deaths, told) = crossbeam_channel::unbounded();
        drop(Resolver::start(&Spawner::new(deaths)).unwrap());
        assert_eq!(told.iter().count(), THREADS);
    }
}
