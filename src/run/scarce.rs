//! Descriptors run out, in a process of the test's own: without harm to other tests.

#[path = "../../tests/support/own_process.rs"]
mod own_process;

use std::fs::File;

pub(super) use own_process::in_own_process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes every descriptor that this process may still open; dropped, they are free again.
pub(super) fn hoard() -> Vec<File> {
    let limit = Rlimit { current: Some(128), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
