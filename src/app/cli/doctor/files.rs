//! The files of the service: readable, valid, closed to others, on a disk with room.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use super::check::Check;
use super::examine::Places;
use crate::app::cli::text::size;
use crate::app::fault::Fault;
use crate::call::config::Config;
use crate::port::{config_file, env_file, machine};

/// Below this the next calls cannot be recorded.
const FREE_BYTES_MIN: u64 = 50_000_000;
/// Below this they soon cannot.
const FREE_BYTES_WATCHED: u64 = 500_000_000;
/// Others may do nothing with what holds secrets.
const OTHERS: u32 = 0o077;

/// The environment could not even be read.
pub(super) fn environment(fault: &Fault) -> Check {
    Check::fail("environment", fault.to_string(), "env | grep -E '^(CALLSCOOT|ELEVENLABS|XDG|HOME)'")
}

pub(super) fn check(places: &Places, running: bool, checks: &mut Vec<Check>) {
    checks.push(configuration(&places.config_file));
    checks.push(env(&places.env_file));
    checks.push(state(&places.state_dir, running));
}

fn configuration(path: &Path) -> Check {
    const NAME: &str = "configuration";
    let shown = path.display();
    match config_file::read(path) {
        Err(config_file::ConfigFileError::File { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Check::skip(NAME, format!("{shown} belongs to another user"))
        }
        Err(error) => Check::fail(NAME, error.to_string(), format!("nano {shown}")),
        Ok(_) if !path.exists() => {
            Check::pass(NAME, format!("{shown} is not there yet: every key has its default"))
        }
        Ok((object, _)) => match Config::from_json(&object).1.first() {
            Some(sentence) => Check::warn(
                NAME,
                format!("{shown}: {sentence}"),
                format!("nano {shown} && callscoot configure"),
            ),
            None => closed(NAME, path)
                .unwrap_or_else(|| Check::pass(NAME, format!("{shown} is valid, and closed to others"))),
        },
    }
}

fn env(path: &Path) -> Check {
    const NAME: &str = "env file";
    let shown = path.display();
    match env_file::Environment::new(|_| None, path) {
        Err(env_file::EnvFileError::File { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Check::skip(NAME, format!("{shown} belongs to another user"))
        }
        Err(error) => Check::fail(NAME, error.to_string(), format!("nano {shown}")),
        Ok(_) if !path.exists() => Check::skip(NAME, format!("there is no {shown}")),
        Ok(_) => closed(NAME, path)
            .unwrap_or_else(|| Check::pass(NAME, format!("{shown} is valid, and closed to others"))),
    }
}

/// A fault when other users may read what holds secrets.
fn closed(name: &'static str, path: &Path) -> Option<Check> {
    let mode = fs::metadata(path).ok()?.mode() & 0o777;
    let found = format!("{} can be read by others (mode {mode:o}), and may hold secrets", path.display());
    (mode & OTHERS != 0).then(|| Check::fail(name, found, format!("chmod 600 {}", path.display())))
}

fn state(path: &Path, running: bool) -> Check {
    const NAME: &str = "state folder";
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !running => {
            Check::pass(NAME, format!("{shown} is not there yet: the service makes it"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Check::skip(NAME, format!("{shown} belongs to another user"))
        }
        Err(error) => Check::fail(NAME, format!("{shown}: {error}"), format!("ls -ld {shown}")),
        Ok(found) if !found.is_dir() => {
            Check::fail(NAME, format!("{shown} is no folder"), format!("mv {shown} {shown}.old"))
        }
        Ok(found) if found.mode() & OTHERS != 0 => Check::fail(
            NAME,
            format!("{shown} is open to others, and holds calls"),
            format!("chmod 700 {shown}"),
        ),
        Ok(found) if running && found.uid() != own => {
            Check::pass(NAME, format!("{shown} belongs to the service"))
        }
        Ok(_) => match tempfile_in(path) {
            Ok(()) => Check::pass(NAME, format!("{shown} can be written")),
            Err(error) => Check::fail(
                NAME,
                format!("{shown} cannot be written: {error}"),
                format!("sudo chown -R $(id -un) {shown}"),
            ),
        },
    }
}

/// A file that is made and removed: permissions, a read-only file system and a full disk all show.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&path, b"x");
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// Room, as the service sees it, else as this machine does.
pub(super) fn disk(places: &Places, status: Option<&Value>, here: bool, checks: &mut Vec<Check>) {
    const NAME: &str = "disk";
    let told = status.and_then(|status| {
        let service = &status["service"];
        let (free_bytes, total_bytes) =
            (service["disk_free_bytes"].as_u64()?, service["disk_total_bytes"].as_u64()?);
        Some(machine::Space { free_bytes, total_bytes })
    });
    let looked = || machine::space(&places.state_dir).ok().filter(|_| here);
    let Some(space) = told.or_else(looked) else {
        return checks.push(Check::skip(NAME, "how much room there is could not be learnt"));
    };
    let found = format!(
        "{} of {} are free below {}",
        size(space.free_bytes),
        size(space.total_bytes),
        places.state_dir.display()
    );
    let mend = "sudo journalctl --vacuum-size=50M && sudo apt-get clean";
    checks.push(match space.free_bytes {
        0..FREE_BYTES_MIN => Check::fail(NAME, found, mend),
        FREE_BYTES_MIN..FREE_BYTES_WATCHED => Check::warn(NAME, found, mend),
        _ => Check::pass(NAME, found),
    });
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::super::check::State;
    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_are_read_as_the_service_reads_them_and_must_be_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(configuration(&path).state, State::Pass);
        for (text, mode, state) in [
            ("{}", 0o600, State::Pass),
            (r#"{"sip_port": 5070}"#, 0o400, State::Pass),
            (r#"{"sip_port": "hunter2"}"#, 0o600, State::Warn),
            ("{hunter2", 0o600, State::Fail),
            ("{}", 0o640, State::Fail),
            ("{}", 0o604, State::Fail),
        ] {
            write(&path, text, mode);
            let check = configuration(&path);
            assert_eq!(check.state, state, "{text} {mode:o}: {check:?}");
            assert!(!format!("{check:?}").contains("hunter2"), "{check:?}");
            let _ = fs::remove_file(&path);
        }
        let path = folder.path().join("elevenagents.env");
        assert_eq!(env(&path).state, State::Skip);
        write(&path, "A=1\nno assignment", 0o600);
        assert!(env(&path).found.contains("line 2"));
        write(&path, "A=1", 0o644);
        assert_eq!(env(&path).mend, Some(format!("chmod 600 {}", path.display())));
    }

    #[test]
    fn the_state_folder_must_be_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(state(&path, false).state, State::Pass);
        assert_eq!(state(&path, true).state, State::Fail);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(state(&path, true).mend, Some(format!("chmod 700 {}", path.display())));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(state(&path, true).state, State::Pass);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_disk_that_fills_is_told_before_it_is_full() {
        let places = Places { config_file: "c".into(), env_file: "e".into(), state_dir: "/state".into() };
        let state_of = |free: u64| {
            let mut checks = Vec::new();
            let status =
                json!({"service": {"disk_free_bytes": free, "disk_total_bytes": 64_000_000_000_u64}});
            disk(&places, Some(&status), false, &mut checks);
            checks.pop().unwrap().state
        };
        assert_eq!(
            [49_000_000, 51_000_000, 501_000_000].map(state_of),
            [State::Fail, State::Warn, State::Pass]
        );
    }
}
