//! What `callscoot` is told to do, and the exit code for how it went.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use super::{
    call, calls, configure, dial, doctor, events, pair, pending, phones, status, talk, text, welcome,
};
use crate::app::fault::Fault;
use crate::app::{demo, echo, out, serve, sim};

/// What programs may rely on.
const EXIT_CODES: &str = "\
Exit codes:
   0  done; dial --wait: answered
   1  `doctor` or `echo` found a fault (2: `doctor --strict`, something to watch)
   3  there is no call to do it with
  10  dial --wait: nobody answered
  11  dial --wait: busy
  12  dial --wait: refused
  13  dial --wait: the call, or its agent, failed
  64  the command line means nothing
  65  the service refused a value
  66  no such session or request
  69  the service cannot be reached
  70  the service failed
  71  the system refused something
  74  files or standard output cannot be used
  75  not now: no line is free, or a limit is reached
  76  what answers is no callscoot
  77  not allowed: token, host, origin, or a number that is never dialled
  78  a setting or the line is not ready: `callscoot doctor`
 130  Ctrl-C

Where the service is found: CALLSCOOT_API_BASE, else CALLSCOOT_API_HOST and
CALLSCOOT_API_PORT, with CALLSCOOT_API_TOKEN; from the environment, else from the
elevenagents.env that the service reads.";

/// A telephone line for programs: make and take calls with an AI agent through a small local HTTP API.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What works, what is missing, the call that is on.
    Status(status::Options),
    /// The last calls, newest first.
    Calls(calls::Options),
    /// One call: how it went, and what was said.
    CallShow(call::Options),
    /// Call a number with the agent.
    Dial(dial::Options),
    /// Answer a call that rings.
    Answer(talk::Which),
    /// End a call.
    Hangup(talk::Which),
    /// Say something to the agent as if the caller had said it.
    Say(talk::Words),
    /// Give the agent something to know, without interrupting.
    Context(talk::Words),
    /// Bring the sound of a call to the phone's handset, or back to the agent.
    Handover(talk::Handover),
    /// Let a phone find this machine and pair with it.
    Pair(pair::Options),
    /// The phones that are paired, and what they say of themselves.
    Devices(phones::Options),
    /// Let a phone connect by itself.
    Trust(phones::Trust),
    /// Connect a phone, and keep it connected.
    Connect(phones::Which),
    /// Disconnect a phone, and leave it alone until it comes by itself.
    Disconnect(phones::Which),
    /// Forget a phone.
    Remove(phones::Which),
    /// Context that waits for a call to come.
    Pending(pending::Options),
    /// What happens in a call, as it happens.
    Events(events::Options),
    /// Show or change the configuration.
    Configure(configure::Options),
    /// Check everything that a call needs, and say how to mend what fails.
    Doctor(doctor::Options),
    /// Run the service in the foreground until SIGTERM.
    Serve,
    /// Call a number without any agent: says a prompt, then echoes; reports round trip, loss and level.
    Echo(echo::Options),
    /// One whole call on this machine, to see and to hear: no account, no key, no phone.
    Demo(demo::Options),
    /// Simulated peers, for building an application without a phone or an account.
    #[command(subcommand)]
    Sim(sim::command::Command),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_run(&error),
    };
    let done = match cli.command {
        None => welcome::run(),
        Some(command) => run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            fault.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Status(options) => status::run(&options),
        Command::Calls(options) => calls::run(&options),
        Command::CallShow(options) => call::run(&options),
        Command::Dial(options) => dial::run(&options),
        Command::Answer(which) => talk::answer(&which),
        Command::Hangup(which) => talk::hang_up(&which),
        Command::Say(words) => talk::say(&words),
        Command::Context(words) => talk::context(&words),
        Command::Handover(handover) => talk::hand_over(&handover),
        Command::Pair(options) => pair::run(&options),
        Command::Devices(options) => phones::list(&options),
        Command::Trust(trust) => phones::trust(&trust),
        Command::Connect(which) => phones::connect(&which),
        Command::Disconnect(which) => phones::disconnect(&which),
        Command::Remove(which) => phones::remove(&which),
        Command::Pending(options) => pending::run(&options),
        Command::Events(options) => events::run(&options),
        Command::Configure(options) => configure::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Serve => {
            crate::sys::log::start();
            serve::run()
        }
        Command::Echo(options) => echo::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Sim(command) => {
            crate::sys::log::start();
            sim::command::run(command)
        }
    }
}

/// Help and version are answers; everything else is a command line that means nothing.
fn not_run(error: &clap::Error) -> ExitCode {
    // A closed pipe or terminal is no reason for another code.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        ExitCode::SUCCESS
    } else {
        Fault::Usage(String::new()).exit_code()
    }
}

fn complain(fault: &Fault) {
    if matches!(fault, Fault::NobodyReads | Fault::Told(_)) {
        return;
    }
    // Sentences of the service, and through it of servers far away.
    for line in fault.to_string().lines() {
        out::remark(&text::clean(line));
    }
    if let Some(next) = fault.next_step() {
        out::remark(next);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_its_help_fits_80_columns() {
        Cli::command().debug_assert();
        let too_wide: Vec<&str> = EXIT_CODES.lines().filter(|line| line.len() > 100).collect();
        assert!(too_wide.is_empty(), "{too_wide:?}");
    }
}
