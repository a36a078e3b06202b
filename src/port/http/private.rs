//! The directory of the socket between gate and server: only this user may enter it.
//!
//! Sockets in it are named through the open directory (`/proc/self/fd/N/NAME`), because a socket's path may have
//! at most 107 bytes and a state directory may lie deeper.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Descriptors that must be free before the server is connected to: its own two of the connection, ours, and one
/// more, because the server does not survive an `accept` that finds none.
const DESCRIPTORS_FREE_MIN: usize = 4;

/// A directory with mode 0700.
#[derive(Debug)]
pub(super) struct PrivateDir(File);

impl PrivateDir {
    /// Makes the directory where it is missing and clears it of sockets that another run left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let dir = File::open(path)?;
        if dir.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            let text = format!("{} belongs to another user", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        dir.set_permissions(Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("http-") {
                match fs::remove_file(entry.path()) {
                    // Who stops removes its own.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(Self(dir))
    }

    fn path_of(&self, number: u64) -> PathBuf {
        format!("/proc/self/fd/{}/http-{number}.socket", self.0.as_raw_fd()).into()
    }

    /// Listens on a name that was never used before.
    pub(super) fn listen(&self, number: u64) -> io::Result<UnixListener> {
        UnixListener::bind(self.path_of(number))
    }

    /// Connects without waiting. Fails as if there were no descriptor left while there still are a few.
    pub(super) fn connect(&self, number: u64) -> io::Result<UnixStream> {
        let free: Vec<File> =
            (0..DESCRIPTORS_FREE_MIN).map(|_| self.0.try_clone()).collect::<Result<_, _>>()?;
        drop(free);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(self.path_of(number))?)?;
        Ok(OwnedFd::from(socket).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_and_may_lie_deep() {
        let deep = tempfile::tempdir().unwrap();
        let path = deep.path().join("d".repeat(200));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        fs::write(path.join("http-0.socket"), "").unwrap();
        let dir = PrivateDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let listener = dir.listen(0).unwrap();
        let _client = dir.connect(0).unwrap();
        listener.accept().unwrap();
        assert_eq!(dir.connect(1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
