//! SIGTERM, SIGINT and SIGHUP as values, told by a thread of their own.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::thread::{Role, Spawner};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end in order; the second one ends at once.
    Stop,
    /// SIGHUP: read the configuration file again.
    Reload,
}

/// Tells each signal to `tell`, until `tell` returns false.
pub fn listen(spawner: &Spawner, mut tell: impl FnMut(Signal) -> bool + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    spawner.spawn(Role::Signals, move || {
        for number in &mut signals {
            if !tell(if number == SIGHUP { Signal::Reload } else { Signal::Stop }) {
                break;
            }
        }
    })?;
    Ok(())
}
