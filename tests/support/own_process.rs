//! A test in a process of its own: for what concerns the whole process, as its descriptors do.

use std::process::Command;

/// Runs `body` in a process of this test's own; `name` is the test's whole path within its program.
pub(crate) fn in_own_process(name: &str, body: impl FnOnce()) {
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
