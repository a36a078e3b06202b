//! Real-time priority for the audio threads, where the system grants it.
//!
//! For: SCHED_FIFO with reset-on-fork, and RLIMIT_RTTIME so that a runaway loop cannot take the machine.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Above everything that is not audio, below the kernel's own threads (50).
pub const PRIORITY: i32 = 10;
/// An audio thread that computes so long without waiting is broken: the kernel ends the process, and systemd
/// starts it again. A beat is 20 ms.
const RUNAWAY_MICROS: u64 = 500_000;

/// Gives the calling thread real-time priority. An error means that it keeps its normal one; nothing else
/// depends on it.
pub fn request() -> io::Result<()> {
    // First the limit, then the priority: never one without the other.
    let old = getrlimit(Resource::Rttime);
    let lower = |limit: Option<u64>| Some(limit.map_or(RUNAWAY_MICROS, |limit| limit.min(RUNAWAY_MICROS)));
    setrlimit(Resource::Rttime, Rlimit { current: lower(old.current), maximum: old.maximum })?;
    set_fifo()
}

#[expect(unsafe_code, reason = "no safe wrapper of sched_setscheduler exists in our dependencies")]
fn set_fifo() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: `parameters` is a valid sched_param that the kernel only reads during the call; pid 0 is the
    // calling thread.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread::{Role, Spawner};

    #[test]
    fn it_is_granted_with_its_limit_or_refused_with_a_reason() {
        let (deaths, _told) = crossbeam_channel::unbounded();
        let result = Spawner::new(deaths).spawn(Role::Sim, request).unwrap().join().unwrap().unwrap();
        match result {
            Ok(()) => {
                assert!(getrlimit(Resource::Rttime).current.is_some_and(|limit| limit <= RUNAWAY_MICROS));
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }
}
