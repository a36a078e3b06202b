//! Why the program ends badly, and the exit code for it (sysexits.h).

use std::process::ExitCode;

use thiserror::Error;

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
    Service(String),
    /// What was to be shown did not happen.
    #[error("{0}")]
    Failed(String),
}

impl Fault {
    /// For `map_err`: the system refused this.
    pub fn refused(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// EX_CONFIG 78, EX_IOERR 74, EX_OSERR 71, EX_SOFTWARE 70, EX_UNAVAILABLE 69, 1 for the rest.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) => 78,
            Self::Store(_) => 74,
            Self::Bind { .. } | Self::System { .. } => 71,
            Self::ThreadDied(_) => 70,
            Self::Service(_) => 69,
            Self::Failed(_) => 1,
        })
    }
}
