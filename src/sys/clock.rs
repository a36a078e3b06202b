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

/// Whether the kernel's clock is disciplined (NTP, PTP, an RTC that was trusted): a Pi starts without one.
pub fn is_synchronised() -> bool {
    // systemd-timesyncd, chrony and ntpd all clear STA_UNSYNC; timesyncd also leaves this file.
    std::path::Path::new("/run/systemd/timesync/synchronized").exists()
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
