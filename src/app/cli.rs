//! The command line: what `callscoot` is told to do, and the exit code for how it went.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::fault::Fault;
use super::{demo, echo, serve, sim};

/// A telephone line for programs: make and take calls with an AI agent through a small local HTTP API.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
    let cli = Cli::parse();
    let done = match cli.command {
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
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            fault.exit_code()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a command line program")]
fn complain(fault: &Fault) {
    eprintln!("callscoot: {fault}");
}
