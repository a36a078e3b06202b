//! A message bus of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::process::Process;

/// Starts a bus with its socket in this folder, and its address.
pub fn bus(folder: &Path) -> (Process, String) {
    let socket = folder.join("bus");
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--nopidfile", "--print-address"]);
    command.arg(format!("--address=unix:path={}", socket.display()));
    let mut bus = Process::start("the bus", &command);
    let address = bus.until("its address", || {
        fs::exists(&socket).unwrap().then(|| format!("unix:path={}", socket.display()))
    });
    (bus, address)
}
