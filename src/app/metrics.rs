//! The metrics of the running process: what the operating system knows of it is read when somebody asks.

use std::sync::Arc;

use super::fault::Fault;
use crate::base::Metrics;
use crate::sys::{clock, process};

/// All at nothing, with the process as their first source.
pub(super) fn of_process() -> Result<Arc<Metrics>, Fault> {
    let metrics = Metrics::new().map_err(|error| Fault::Failed(error.to_string()))?;
    let started = clock::mono();
    metrics.at_scrape(move |metrics| {
        // By the clock of now: a Pi that starts without one has learnt the time since.
        let now = clock::now();
        let running = now.mono.saturating_duration_since(started);
        let started_unix_sec = now.unix_ms / 1000 - running.as_secs() as i64;
        metrics.process_start_time.set(started_unix_sec.max(0) as u64);
        metrics.process_cpu.advance_to(process::cpu());
        match process::usage() {
            Ok(usage) => {
                metrics.process_resident_memory.set(usage.resident_bytes);
                metrics.process_threads.set(usage.threads);
                metrics.process_open_fds.set(usage.descriptors);
            }
            Err(error) => log::debug!("what the process uses cannot be read: {error}"),
        }
    });
    Ok(metrics)
}
