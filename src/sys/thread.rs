//! The only way to start a thread: with a role, a stack size and someone who learns of its end.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

/// What a thread is for; its name in logs, in `top -H` and in `/v1/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `call::Switch` and its timers.
    Switch,
    /// `sip::Ua` and its socket.
    Sip,
    /// RTP sockets and the 20 ms beat.
    Media,
    /// One agent conversation.
    Agent,
    /// The only writer of the database.
    Store,
    /// The TCP listener of the API.
    Gate,
    /// Answers API requests.
    HttpWorker,
    /// Writes one event stream.
    SseWriter,
    /// Name resolution and REST.
    Resolver,
    /// Phones: the Bluetooth host, their connections, their calls.
    HandsFree,
    /// Audio of the voice links of phones.
    Voice,
    /// The Android Debug Bridge.
    Adb,
    /// Waits for signals.
    Signals,
    /// A simulated peer: `callscoot sim`.
    Sim,
    /// Waits for one thing on behalf of a command: the next event, a reader that leaves.
    Watcher,
}

impl Role {
    /// The thread's name: at most 15 bytes, the kernel's limit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Sip => "sip",
            Self::Media => "media",
            Self::Agent => "agent",
            Self::Store => "store",
            Self::Gate => "http-gate",
            Self::HttpWorker => "http-worker",
            Self::SseWriter => "sse-writer",
            Self::Resolver => "resolver",
            Self::HandsFree => "hands-free",
            Self::Voice => "voice",
            Self::Adb => "adb",
            Self::Signals => "signals",
            Self::Sim => "sim",
            Self::Watcher => "watcher",
        }
    }

    /// Deep enough for what the role does, small enough for a Pi with a hundred event streams.
    fn stack_bytes(self) -> usize {
        match self {
            Self::SseWriter => 128 << 10,
            Self::Gate | Self::Media | Self::Voice | Self::Signals => 256 << 10,
            Self::Switch
            | Self::Sip
            | Self::Agent
            | Self::Store
            | Self::HttpWorker
            | Self::Resolver
            | Self::HandsFree
            | Self::Adb
            | Self::Sim
            | Self::Watcher => 1 << 20,
        }
    }

    /// Whether the process goes on when a thread of this role ends: some live only as long as their call or client.
    fn may_end(self) -> bool {
        matches!(self, Self::Agent | Self::SseWriter | Self::Sim | Self::Watcher)
    }
}

/// How a thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Whose thread it was.
    pub role: Role,
    /// The panic's message; `None` when the thread's body returned.
    pub panic: Option<String>,
}

/// Starts threads and reports their ends to the supervisor (`app::supervise`).
#[derive(Clone, Debug)]
pub struct Spawner {
    deaths: Sender<Death>,
}

impl Spawner {
    /// Ends are told to `deaths`; that channel must be unbounded or drained.
    pub fn new(deaths: Sender<Death>) -> Self {
        Self { deaths }
    }

    /// Starts `body`. A panic is always reported; a return only for roles that must not end by themselves.
    pub fn spawn<T: Send + 'static>(
        &self,
        role: Role,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<Option<T>>> {
        let deaths = self.deaths.clone();
        std::thread::Builder::new().name(role.name().into()).stack_size(role.stack_bytes()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(body));
            let panic = ended.as_ref().err().map(|payload| message_of(payload.as_ref()));
            if panic.is_some() || !role.may_end() {
                let _ = deaths.send(Death { role, panic });
            }
            ended.ok()
        })
    }
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_a_short_life_is_told_where_it_is_wrong() {
        let (deaths, told) = crossbeam_channel::unbounded();
        let spawner = Spawner::new(deaths);
        spawner.spawn(Role::Agent, || ()).unwrap().join().unwrap();
        spawner.spawn(Role::Agent, || panic!("agent broke")).unwrap().join().unwrap();
        spawner.spawn(Role::Store, || ()).unwrap().join().unwrap();
        drop(spawner);
        let all: Vec<Death> = told.iter().collect();
        assert_eq!(
            all,
            [
                Death { role: Role::Agent, panic: Some("agent broke".into()) },
                Death { role: Role::Store, panic: None }
            ]
        );
    }
}
