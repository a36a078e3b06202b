//! `callscoot sim …` on the command line: options, wiring, one JSON line for each thing that happens.

use std::io::{self, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;

#[cfg(feature = "bluez")]
use super::handset_args;
use super::phone::{Input, PhoneOptions, Role};
use super::{agent, over_sip};
use crate::app::fault::Fault;
use crate::base::{Metrics, Number, Pii};
use crate::call::leg::{DialTarget, RejectWhy};
use crate::call::sip_line::OpenLine;
use crate::port::wav;
use crate::run::sip::SipOptions;
use crate::sys::thread::{self, Spawner};
use crate::sys::{clock, signal};

/// A simulated peer.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The agent service on loopback: signed URLs, the socket, a script.
    Agent(agent::Options),
    /// A SIP phone that answers or calls, plays a WAV and records one; or with --hfp a phone behind Bluetooth.
    #[cfg_attr(feature = "bluez", command(after_long_help = after_help()))]
    Phone(PhoneArgs),
}

/// How the simulated phone behaves. Without --call or --refuse it answers.
#[derive(Debug, clap::Args)]
pub struct PhoneArgs {
    /// UDP port for SIP; 0 takes a free one and tells it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The address for SIP and RTP; only this machine reaches the default.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Call this `sip:` URI at the start, instead of answering; with --hfp: the number of somebody who calls the phone.
    #[arg(long, value_name = "URI", conflicts_with = "refuse")]
    pub(super) call: Option<String>,
    /// The number that those whom it calls see.
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    from: Option<String>,
    /// Refuse every call.
    #[arg(long, value_enum)]
    refuse: Option<Refusal>,
    /// Ring for so long before answering; with --hfp this is the one whom the phone calls.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(super) ring_ms: u64,
    /// Say this WAV file after the answer (8 to 48 kHz, any number of channels).
    #[arg(long, value_name = "FILE")]
    pub(super) play: Option<PathBuf>,
    /// Record what is heard into this WAV file; each call overwrites it.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Record in stereo: what is heard left, what is said right.
    #[arg(long, requires = "record")]
    stereo: bool,
    /// Hang up so long after the answer.
    #[arg(long, value_name = "MS")]
    pub(super) hang_up_ms: Option<u64>,
    /// End after the first call.
    #[arg(long)]
    pub(super) once: bool,
    #[cfg(feature = "bluez")]
    #[command(flatten)]
    pub(super) handset: handset_args::HandsetArgs,
}

/// How a call is refused.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Refusal {
    /// 486.
    Busy,
    /// 603.
    Declined,
}

#[cfg(feature = "bluez")]
fn after_help() -> String {
    format!("With --hfp the phone is steered by lines on standard input:\n\n{}", super::handset::HELP)
}

/// Runs a simulated peer until it is done, or told to stop.
pub fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Agent(options) => agent_service(&options),
        Command::Phone(args) => phone(args),
    }
}

/// Until a signal comes.
fn agent_service(options: &agent::Options) -> Result<(), Fault> {
    let (died, _deaths) = unbounded();
    let spawner = Spawner::new(died);
    let (tell, ended) = unbounded();
    let stopped = tell.clone();
    signal::listen(&spawner, move |signal| match signal {
        signal::Signal::Stop => stopped.send(Ok(())).is_ok(),
        signal::Signal::Reload => true,
    })
    .map_err(Fault::refused("signal handlers"))?;
    let (options, served_by) = (options.clone(), spawner.clone());
    spawner
        .spawn(thread::Role::Sim, move || tell.send(agent::run(&options, &served_by)))
        .map_err(Fault::refused("a thread"))?;
    match ended.recv() {
        Ok(Err(error)) => Err(Fault::Config(error.to_string())),
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

/// A number as callers have one: what it shows is what policies are tried on.
pub(super) fn number(text: &str) -> Result<String, String> {
    Number::parse(text).map(|number| number.as_str().to_owned()).map_err(|error| error.to_string())
}

/// What is said: the samples of this file, or nothing.
pub(super) fn words(file: Option<&Path>) -> Result<Vec<i16>, Fault> {
    let read =
        |path: &Path| wav::read(path).map_err(|error| Fault::Config(format!("{}: {error}", path.display())));
    file.map_or(Ok(Vec::new()), read)
}

fn phone(args: PhoneArgs) -> Result<(), Fault> {
    #[cfg(feature = "bluez")]
    if args.handset.hfp {
        return handset_args::run(args);
    }
    let say = words(args.play.as_deref())?;
    let role = match (args.call, args.refuse) {
        (Some(uri), _) => Role::Call(DialTarget::Uri(Pii(uri))),
        (None, Some(Refusal::Busy)) => Role::Refuse(RejectWhy::Busy),
        (None, Some(Refusal::Declined)) => Role::Refuse(RejectWhy::Declined),
        (None, None) => Role::Answer { ring_for: Duration::from_millis(args.ring_ms) },
    };
    let options = PhoneOptions {
        role,
        bind: args.bind,
        say: Arc::from(say),
        record: args.record,
        stereo: args.stereo,
        hang_up_after: args.hang_up_ms.map(Duration::from_millis),
        once: args.once,
    };

    let (died, _deaths) = unbounded();
    let spawner = Spawner::new(died);
    let (inputs, input) = unbounded();
    let stop = inputs.clone();
    signal::listen(&spawner, move |signal| match signal {
        signal::Signal::Stop => stop.send(Input::Stop).is_ok(),
        signal::Signal::Reload => true,
    })
    .map_err(Fault::refused("signal handlers"))?;
    let rng = clock::rng().map_err(Fault::refused("randomness"))?;
    let metrics = Metrics::new().map_err(|error| Fault::Failed(error.to_string()))?;
    let open = Some(OpenLine { port: args.port, user: args.from });
    let sip = SipOptions { bind: args.bind, open, metrics };
    // A closed pipe means that nobody listens any more: that is the end, and no fault.
    match over_sip(&spawner, rng, options, sip, (inputs, input), &mut stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::refused("the phone's line")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
