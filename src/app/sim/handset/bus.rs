//! A message bus for one simulated phone and the programs that use it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The address that the bus prints is one line of this length at most.
const ADDRESS_BYTES_MAX: u64 = 4096;

/// A folder of the phone's own, gone with it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one that no other user can read.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `dbus-daemon`, as long as this lives.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Starts it; its socket and configuration are in this folder. Everybody who reaches the socket may do everything.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let (file, socket) = (folder.join("bus.conf"), folder.join("bus"));
        let configuration = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n",
            socket.display()
        );
        fs::write(&file, configuration)?;
        // Should this process be killed, the kernel ends the bus too.
        let mut child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "TERM",
                "--",
                "dbus-daemon",
                "--nofork",
                "--nopidfile",
                "--print-address=1",
            ])
            .arg("--config-file")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It warns of limits that nobody needs here.
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out.take(ADDRESS_BYTES_MAX)).read_line(&mut line)?;
        }
        let daemon = Self { child, address: line.trim().to_owned() };
        if daemon.address.is_empty() {
            return Err(io::Error::other("dbus-daemon did not start; is it installed?"));
        }
        Ok(daemon)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
