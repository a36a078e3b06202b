//! A test in a process of its own, where descriptors can run out without harm to other tests.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs `body` in a process of this test's own; `name` is the test's whole path within the crate.
pub(super) fn in_own_process(name: &str, body: impl FnOnce()) {
    const CHILD: &str = "CALLSCOOT_TEST_CHILD";
    if std::env::var(CHILD).as_deref() == Ok(name) {
        return body();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}

/// Takes every descriptor that this process may still open; dropped, they are free again.
pub(super) fn hoard() -> Vec<File> {
    let limit = Rlimit { current: Some(128), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
