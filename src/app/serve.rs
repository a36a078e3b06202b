//! `callscoot serve`: every room wired to its neighbours, then supervision until a signal or a death.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, select, unbounded};
use jiff::tz::TimeZone;

use super::environment::Environment;
use super::fault::Fault;
use super::metrics;
use super::phones;
use crate::base::CallIds;
use crate::call::config::Config;
use crate::call::switch::{Input, Setup, Switch};
use crate::port::config_file::{self, ConfigFile};
use crate::port::session_files::SessionFiles;
use crate::port::store::Writer;
use crate::run::bus::Bus;
use crate::run::http::{self, Allowed, AllowedNames, Http, HttpOptions};
use crate::run::media::MediaPool;
use crate::run::resolver::Resolver;
use crate::run::sip::{self, SipOptions};
use crate::run::store::{self, Parts};
use crate::run::switch::{self, Places, SwitchEnds, SwitchHandle};
use crate::sys::clock;
use crate::sys::memory;
use crate::sys::signal::{self, Signal};
use crate::sys::thread::{Death, Spawner};

/// How long the switch may take to hang everything up; its own limit is shorter.
const SWITCH_STOP_MAX: Duration = Duration::from_millis(1900);
/// How long the store may take after that to write what it was given.
const STORE_STOP_MAX: Duration = Duration::from_secs(5);

/// Runs the service until it is told to stop. `Ok` means that everything ended in order.
pub fn run() -> Result<(), Fault> {
    let environment = Environment::read()?;
    memory::share_heaps();
    let (died, deaths) = unbounded();
    let spawner = Spawner::new(died);
    let (tell, signals) = unbounded();
    signal::listen(&spawner, move |signal| tell.send(signal).is_ok())
        .map_err(Fault::refused("signal handlers"))?;
    let service = Service::start(&spawner, &environment)?;
    log::info!("API on http://{}", service.http.address);
    service.supervise(&signals, &deaths)
}

struct Service {
    http: Http,
    switch: SwitchHandle,
    config_path: PathBuf,
    switch_thread: JoinHandle<Option<()>>,
    store_thread: JoinHandle<Option<()>>,
}

impl Service {
    fn start(spawner: &Spawner, environment: &Environment) -> Result<Self, Fault> {
        let metrics = metrics::of_process()?;
        let config_path = environment.config_file();
        let (object, seen) =
            config_file::read(&config_path).map_err(|error| Fault::Config(error.to_string()))?;
        let (config, ignored) = Config::from_json(&object);
        for sentence in ignored {
            log::warn!("config.json: {sentence}");
        }

        let store_fault = |error: &dyn std::fmt::Display| Fault::Store(error.to_string());
        let (mut writer, recovered) =
            Writer::open(&environment.state_dir, clock::now()).map_err(|error| store_fault(&error))?;
        let files = SessionFiles::open(&environment.state_dir).map_err(|error| store_fault(&error))?;
        let mut rng = clock::rng().map_err(Fault::refused("randomness"))?;
        let ids = CallIds::default();
        let agent = environment.agent.clone();
        let setup = Setup {
            ids: ids.clone(),
            rng: rng.fork(),
            config,
            zones: Box::new(zone),
            agent,
            recovered,
            metrics: metrics.clone(),
        };
        let mut core = Switch::new(clock::now(), setup);
        // Before the first client can read; what the disk does not take now, the store tries again.
        let unsaved = core
            .take_recovery()
            .filter(|batch| writer.commit(std::slice::from_ref(batch)).iter().any(Result::is_err));

        let bus = Bus::default();
        let (switch, inbox) = SwitchHandle::new();
        let parts = Parts {
            writer,
            files,
            config: ConfigFile::new(config_path.clone(), Some(seen)),
            phone_memory: environment.phone_memory(),
            bus: bus.clone(),
            metrics: metrics.clone(),
        };
        let to_switch = switch.clone();
        let (store, store_thread) = store::spawn(spawner, parts, move |commit, result| {
            to_switch.tell(Input::Committed { commit, result });
        })
        .map_err(Fault::refused("the store's thread"))?;
        if let Some(batch) = unsaved {
            store.send(batch).map_err(|fault| store_fault(&fault))?;
        }

        // Before anything dials or registers: an address in use is the commonest reason not to start.
        let allowed = Allowed::default();
        let api = HttpOptions {
            listen: environment.api,
            token: environment.api_token.clone(),
            state_dir: environment.state_dir.clone(),
            socket_dir: environment.state_dir.join("run"),
            allowed: allowed.clone(),
            metrics: metrics.clone(),
        };
        let http = start_http(spawner, api, &switch, bus)?;

        let resolver = Resolver::start(spawner).map_err(Fault::refused("the resolver's threads"))?;
        let to_switch = switch.clone();
        let options =
            SipOptions { bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED), open: None, metrics: metrics.clone() };
        let legs = sip::spawn(spawner, options, resolver.clone(), ids.clone(), rng.fork(), move |event| {
            to_switch.tell(Input::Leg(event));
        })
        .map_err(Fault::refused("the SIP thread"))?;
        let media = MediaPool::new(spawner.clone(), rng.fork());
        let totals = media.totals();
        metrics.at_scrape(move |metrics| totals.report(metrics));
        let ends = SwitchEnds {
            legs,
            phones: phones::start(spawner, environment, (ids, rng.fork()), &metrics, &switch)?,
            store,
            media,
            media_bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            resolver,
            spawner: spawner.clone(),
            places: Places {
                config_file: config_path.clone(),
                env_file: environment.env_file.clone(),
                state_dir: environment.state_dir.clone(),
            },
            metrics,
            config_changed: Box::new(move |config| {
                allowed.set(AllowedNames {
                    hosts: config.allowed_hosts.clone(),
                    origins: config.allowed_origins.clone(),
                });
            }),
        };
        let switch_thread =
            switch::spawn(core, inbox, ends).map_err(Fault::refused("the switch's thread"))?;
        Ok(Self { http, switch, config_path, switch_thread, store_thread })
    }

    /// Waits for signals and deaths; ends the service in order on the first that asks for it.
    fn supervise(self, signals: &Receiver<Signal>, deaths: &Receiver<Death>) -> Result<(), Fault> {
        let fault = loop {
            select! {
                recv(signals) -> signal => match signal {
                    Ok(Signal::Reload) => self.reload(),
                    Ok(Signal::Stop) | Err(_) => break None,
                },
                recv(deaths) -> death => match death {
                    Ok(death) => {
                        let fault = Fault::ThreadDied(death);
                        log::error!("{fault}");
                        break Some(fault);
                    }
                    Err(_) => break None,
                },
            }
        };
        let in_order = self.stop(signals);
        match (fault, in_order) {
            (Some(fault), _) => Err(fault),
            (None, true) => Ok(()),
            (None, false) => Err(Fault::Failed("stopped before everything had ended".into())),
        }
    }

    fn reload(&self) {
        log::info!("config.json is read again");
        self.switch.config_was_read(config_file::read(&self.config_path).map_err(|error| error.to_string()));
    }

    /// Hang up, un-register, flush: within two seconds. A second signal forces. True when all ended by themselves.
    fn stop(self, signals: &Receiver<Signal>) -> bool {
        self.switch.tell(Input::Stop);
        let switch = joined(self.switch_thread, SWITCH_STOP_MAX, signals);
        if switch == Joined::Forced {
            return false;
        }
        // The store ends when the switch, its only client, is gone; then the bus closes, and with it the streams.
        let store = joined(self.store_thread, STORE_STOP_MAX, signals);
        self.http.stop();
        switch == Joined::InOrder && store == Joined::InOrder
    }
}

/// How waiting for a thread came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// It ended by itself.
    InOrder,
    /// It panicked, or time is up.
    InDisorder,
    /// The operator insists: nothing more is waited for.
    Forced,
}

/// Waits for a thread to end.
fn joined(thread: JoinHandle<Option<()>>, within: Duration, signals: &Receiver<Signal>) -> Joined {
    let deadline = clock::mono() + within;
    while !thread.is_finished() {
        let left = deadline.saturating_duration_since(clock::mono());
        if left.is_zero() {
            return Joined::InDisorder;
        }
        select! {
            recv(signals) -> signal => match signal {
                Ok(Signal::Stop) => return Joined::Forced,
                Ok(Signal::Reload) | Err(_) => {}
            },
            recv(after(left.min(Duration::from_millis(5)))) -> _ => {}
        }
    }
    match thread.join() {
        Ok(Some(())) => Joined::InOrder,
        Ok(None) | Err(_) => Joined::InDisorder,
    }
}

fn start_http(
    spawner: &Spawner,
    options: HttpOptions,
    switch: &SwitchHandle,
    bus: Bus,
) -> Result<Http, Fault> {
    let address = options.listen.to_string();
    let ask = switch.clone();
    let ask = Arc::new(move |command| ask.ask(command));
    http::spawn(spawner, options, ask, bus).map_err(|source| {
        if source.kind() == io::ErrorKind::InvalidInput {
            Fault::Config(source.to_string())
        } else {
            Fault::Bind { address, source }
        }
    })
}

/// A zone by name, or the system's.
fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        Some(name) => TimeZone::get(name).ok(),
        None => Some(TimeZone::system()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_the_system_are_known_by_name_and_others_are_not() {
        let berlin = zone(Some("Europe/Berlin")).unwrap();
        let summer = jiff::Timestamp::from_second(1_782_000_000).unwrap();
        assert_eq!(berlin.to_offset(summer).seconds(), 7200);
        assert!(zone(Some("Mars/Olympus")).is_none() && zone(None).is_some());
    }
}
