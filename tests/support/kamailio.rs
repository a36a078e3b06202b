//! kamailio: a registrar and proxy of another make, as a telephone company has it. REGISTER is challenged with 401,
//! INVITE with 407; every user's password is `PASSWORD`.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::ports::Lease;
use super::process::Process;
use super::sip;

/// Everybody's password, at the realm 127.0.0.1.
pub const PASSWORD: &str = "secret";

/// A running kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    ports: Lease,
    _folder: TempDir,
}

impl Kamailio {
    /// Starts it with digests of this algorithm (`MD5`, `SHA-256`) and waits until it answers.
    pub fn start(algorithm: &str) -> Self {
        let ports = Lease::new();
        let folder = TempDir::new().unwrap();
        let place = folder.path().display();
        let config = format!(
            include_str!("../sip/kamailio.cfg"),
            port = ports.at(0),
            password = PASSWORD,
            algorithm = algorithm,
        );
        fs::write(folder.path().join("kamailio.cfg"), config).unwrap();
        let mut command = Command::new(sbin("kamailio"));
        command.args(["-DD", "-E", "-m", "32", "-M", "4", "-f"]).arg(folder.path().join("kamailio.cfg"));
        command.args(["-P", &format!("{place}/pid"), "-Y", &place.to_string(), "-w", &place.to_string()]);
        let mut process = Process::start("kamailio", &command);
        let port = ports.at(0);
        process.until("its first answer", || sip::ask("OPTIONS", port));
        Self { process, ports, _folder: folder }
    }

    /// The port on which it speaks SIP.
    pub fn port(&self) -> u16 {
        self.ports.at(0)
    }
}

impl Drop for Kamailio {
    /// In order, so that it ends and reaps its own children.
    fn drop(&mut self) {
        self.process.terminate();
    }
}

/// Debian puts daemons where a user's PATH does not reach.
fn sbin(name: &str) -> String {
    let path = format!("/usr/sbin/{name}");
    if fs::metadata(&path).is_ok() { path } else { name.to_owned() }
}
