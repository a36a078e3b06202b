//! The two clocks and the source of chance.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Now, Rng};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the clock")]
pub fn mono() -> Instant {
    Instant::now()
}

/// Both clocks, read together.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the clock")]
pub fn now() -> Now {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Now { mono: mono(), unix_ms }
}

/// Whether the clock is kept right by NTP or PTP: a Pi starts without the time.
pub fn is_synchronised() -> bool {
    // systemd-timesyncd leaves this file; chrony and ntpd are known by the kernel's own state.
    std::path::Path::new("/run/systemd/timesync/synchronized").exists() || is_disciplined()
}

#[expect(unsafe_code, reason = "no safe wrapper of adjtimex exists in our dependencies")]
fn is_disciplined() -> bool {
    // SAFETY: all-zero is a valid timex, a plain struct of integers; `modes` 0 only reads, into a struct that we own.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    state >= 0 && state != libc::TIME_ERROR
}

/// A generator seeded by the kernel.
pub fn rng() -> std::io::Result<Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(Rng::new(seed))
}

/// Lets time pass on a command's own thread. The service's threads never pause: they wait for something.
#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
pub fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}
