//! Why the program ends badly, and the exit code for it (sysexits.h).

use std::process::ExitCode;

use thiserror::Error;

use crate::call::command::Conflict;
use crate::port::rest_local::ApiError;
use crate::sys::thread::Death;

/// A fault that ends the program.
#[derive(Debug, Error)]
pub enum Fault {
    /// A setting is missing or wrong.
    #[error("{0}")]
    Config(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The state folder or the database cannot be used.
    #[error("{0}")]
    Store(String),
    /// The system refused a thread, a socket or a signal handler.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread died; the start after this one closes what was open.
    #[error("thread {} ended: {}", .0.role.name(), .0.panic.as_deref().unwrap_or("without being asked"))]
    ThreadDied(Death),
    /// The running service could not be asked, or refused.
    #[error("{0}")]
    Service(#[from] ApiError),
    /// The command line means nothing.
    #[error("{0}")]
    Usage(String),
    /// There is no call that this could be done with.
    #[error("{0}")]
    NoCall(String),
    /// The call that was watched ended before anybody answered.
    #[error("{sentence}")]
    NotAnswered {
        /// Its `end_reason`.
        reason: String,
        /// What happened.
        sentence: String,
    },
    /// The person pressed Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
    /// `doctor` found something, and has told it; the number is the exit code.
    #[error("told already")]
    Told(u8),
    /// Whoever read standard output has left. No fault, but an end.
    #[error("nobody reads the output")]
    NobodyReads,
    /// Standard output takes nothing.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// What was to be shown did not happen.
    #[error("{0}")]
    Failed(String),
}

impl Fault {
    /// For `map_err`: the system refused this.
    pub fn refused(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// The code as `--help` lists it: those of sysexits.h, and small ones for the outcomes of calls.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The same as a number.
    pub fn code(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            Self::Failed(_) => 1,
            Self::Told(code) => *code,
            Self::NoCall(_) => NO_CALL,
            Self::NotAnswered { reason, .. } => match reason.as_str() {
                "no_answer" | "cancelled" => 10,
                "busy" => 11,
                "rejected" | "policy_denied" => 12,
                _ => 13,
            },
            Self::Usage(_) => EX_USAGE,
            Self::Service(error) => of_service(error),
            Self::ThreadDied(_) => EX_SOFTWARE,
            Self::Bind { .. } | Self::System { .. } => EX_OSERR,
            Self::Store(_) | Self::Output(_) => EX_IOERR,
            Self::Config(_) => EX_CONFIG,
            Self::Interrupted(_) => 130,
        }
    }

    /// What to do about it, where the sentence itself does not say.
    pub fn next_step(&self) -> Option<&'static str> {
        let Self::Service(ApiError::Refused { status, message, reason, .. }) = self else { return None };
        match (status, message.as_str()) {
            (401, _) => Some(
                "set CALLSCOOT_API_TOKEN to the service's token, in the environment or in the service's \
                 elevenagents.env",
            ),
            (403 | 421, _) => {
                Some("`callscoot configure allowed_hosts+=NAME`, or ask for it by its IP address")
            }
            (404, "pending request not found") => Some("`callscoot pending` lists the requests that wait"),
            (404, "phone not found") => Some("`callscoot devices` lists the phones"),
            (404, _) => Some("`callscoot calls` lists the sessions"),
            (409, _) if *reason == Some(Conflict::NoLine) => Some(
                "`callscoot status` shows the call; `callscoot configure max_concurrent_calls=2` allows more",
            ),
            (502, _) => Some("`callscoot doctor` tells what is missing, and the command that mends it"),
            (503, _) => Some("try again in a second"),
            _ => None,
        }
    }
}

/// No code of sysexits.h: programs must tell this from a fault.
const NO_CALL: u8 = 3;
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;
const EX_NOINPUT: u8 = 66;
const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_OSERR: u8 = 71;
const EX_IOERR: u8 = 74;
const EX_TEMPFAIL: u8 = 75;
const EX_PROTOCOL: u8 = 76;
const EX_NOPERM: u8 = 77;
const EX_CONFIG: u8 = 78;

fn of_service(error: &ApiError) -> u8 {
    match error {
        ApiError::Unreachable { .. } => EX_UNAVAILABLE,
        ApiError::Answer(_) => EX_PROTOCOL,
        // Never, while other conflicts pass.
        ApiError::Refused {
            reason: Some(Conflict::EmergencyNumber | Conflict::PremiumNumber | Conflict::ShortNumber),
            ..
        } => EX_NOPERM,
        ApiError::Refused { status, .. } => match status {
            400 | 413 | 415 | 431 => EX_DATAERR,
            401 | 403 | 421 => EX_NOPERM,
            404 => EX_NOINPUT,
            408 | 409 | 429 | 503 => EX_TEMPFAIL,
            502 => EX_CONFIG,
            _ => EX_SOFTWARE,
        },
    }
}
