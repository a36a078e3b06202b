//! Two user agents and a network between them that loses, repeats and reorders, by a seed.

use crate::base::time::any_instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::script::{address, short};
use crate::base::{CallId, CallIds, Rng};
use crate::sip::{Command, Event, Input, Options, Output, Ua};

/// Percent of datagrams that are lost, and that come twice; each takes up to `delay_ms`.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost: u32,
    pub(super) repeated: u32,
    pub(super) delay_ms: u32,
}

pub(super) struct Network {
    pub(super) ends: [Ua; 2],
    pub(super) events: [Vec<Event>; 2],
    weather: Weather,
    rng: Rng,
    now: Instant,
    serial: u64,
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
}

fn address_of(end: usize) -> SocketAddr {
    address(["192.0.2.1:5060", "192.0.2.2:5060"][end])
}

impl Network {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        let mut rng = Rng::from_u64(seed);
        let options = Options { accept_strangers: true, user: None };
        let ends = [0, 1].map(|_| Ua::new(options.clone(), CallIds::default(), rng.fork()));
        let now = any_instant();
        Self { ends, events: [Vec::new(), Vec::new()], weather, rng, now, serial: 0, flying: BTreeMap::new() }
    }

    pub(super) fn call(&mut self) -> CallId {
        let call = CallId(100);
        let (to, local) = (address_of(1), address_of(0));
        let target = "sip:b@192.0.2.2".into();
        self.command(0, Command::Call { call, target, to, local, body: b"offer".into() });
        call
    }

    pub(super) fn command(&mut self, end: usize, command: Command) {
        self.ends[end].handle_input(self.now, Input::Command(command));
    }

    /// Runs for `ms`; `react` sees each event and may answer with commands for the end that had it.
    pub(super) fn run(&mut self, ms: u64, mut react: impl FnMut(usize, &Event) -> Vec<Command>) {
        let end_time = self.now + Duration::from_millis(ms);
        loop {
            let mut next: Option<Instant> = None;
            for end in 0..2 {
                loop {
                    match self.ends[end].poll_output() {
                        Output::Transmit(transmit) => self.fly(1 - end, &transmit.bytes),
                        Output::Event(event) => {
                            for command in react(end, &event) {
                                self.command(end, command);
                            }
                            self.events[end].push(event);
                        }
                        Output::Timeout(deadline) => {
                            next = crate::base::time::earlier(next, deadline.map(|(at, _)| at));
                            break;
                        }
                    }
                }
            }
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let Some(at) = crate::base::time::earlier(next, arrival).filter(|at| *at <= end_time) else {
                break;
            };
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, (end, bytes)) = self.flying.pop_first().unwrap();
                let (from, local) = (address_of(1 - end), address_of(end));
                self.ends[end].handle_input(self.now, Input::Datagram { from, local, bytes: &bytes });
            } else {
                self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
            }
        }
        self.now = end_time;
    }

    fn fly(&mut self, to: usize, bytes: &[u8]) {
        let copies = 1 + u32::from(self.rng.below(100) < self.weather.repeated);
        for _ in 0..copies {
            if self.rng.below(100) < self.weather.lost {
                continue;
            }
            let delay = Duration::from_millis(u64::from(self.rng.below(self.weather.delay_ms + 1)));
            self.serial += 1;
            self.flying.insert((self.now + delay, self.serial), (to, bytes.to_vec()));
        }
    }

    /// The events of one end, in short.
    pub(super) fn told(&self, end: usize) -> Vec<String> {
        self.events[end].iter().map(short).collect()
    }
}
