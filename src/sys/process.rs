//! What the system says of this process.

use std::time::Duration;
use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};

/// What this process uses now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Asks the kernel (`/proc`).
pub fn usage() -> io::Result<Usage> {
    let status = fs::read_to_string("/proc/self/status")?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .ok_or_else(|| io::Error::other(format!("/proc/self/status has no {name}")))
    };
    // The directory itself is open while it is read.
    let descriptors = fs::read_dir("/proc/self/fd")?.count().saturating_sub(1) as u64;
    Ok(Usage { resident_bytes: number("VmRSS")? * 1024, threads: number("Threads")?, descriptors })
}

/// Processor time of all threads so far.
pub fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.max(0) as u64, spent.tv_nsec.clamp(0, 999_999_999) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_threads_descriptors_and_has_used_the_processor() {
        let before = usage().unwrap();
        let files: Vec<fs::File> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = usage().unwrap();
        assert!(after.descriptors >= 200 && after.threads >= 2, "{before:?} {after:?}");
        assert!(after.resident_bytes > 1 << 20 && cpu() > Duration::ZERO, "{after:?}");
        drop(files);
    }
}
