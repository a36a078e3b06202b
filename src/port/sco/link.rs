//! Listening and connecting, over the kernel's sockets or a folder's.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::kernel;
use crate::hfp::Codec;
use crate::hfp::host::Address;

/// Links that wait to be accepted at most: more than a controller carries.
const BACKLOG: i32 = 8;

/// Where voice links are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sco {
    /// The kernel's Bluetooth.
    Kernel,
    /// Unix sockets in this folder: `ADDRESS` listens, who connects does so from `ADDRESS.out`.
    Folder(PathBuf),
}

impl Sco {
    /// Takes the links that phones open to this adapter.
    pub fn listen(&self, adapter: Address) -> io::Result<Listener> {
        let socket = match self {
            Self::Kernel => {
                let socket = kernel::socket()?;
                socket.bind(&kernel::address(adapter))?;
                // Without it the kernel accepts by itself, with CVSD whatever was negotiated.
                kernel::defer_setup(&socket)?;
                socket
            }
            Self::Folder(folder) => bound(&folder.join(adapter.to_string()))?,
        };
        socket.listen(BACKLOG)?;
        Ok(Listener { socket, by_kernel: *self == Self::Kernel })
    }

    /// Opens a link to a phone. It is up when the link is writable, and `finish` says so; a phone that refuses may just
    /// not answer.
    pub fn connect(&self, adapter: Address, phone: Address, codec: Codec) -> io::Result<Link> {
        let (socket, to) = match self {
            Self::Kernel => {
                let socket = kernel::socket()?;
                socket.bind(&kernel::address(adapter))?;
                kernel::set_voice(&socket, codec)?;
                (socket, kernel::address(phone))
            }
            Self::Folder(folder) => {
                let socket = bound(&folder.join(format!("{adapter}.out")))?;
                (socket, SockAddr::unix(folder.join(phone.to_string()))?)
            }
        };
        match socket.connect(&to) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(Link { socket }),
        }
    }
}

/// A socket of the folder at this path; what an earlier one left there is removed.
fn bound(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_nonblocking(true)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Takes links. Readable when one waits.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    by_kernel: bool,
}

impl Listener {
    /// The next link; `None` when none waits.
    pub fn accept(&self) -> io::Result<Option<Incoming>> {
        let (socket, from) = match self.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        let phone = if self.by_kernel { kernel::whose(&from) } else { whose(&from) };
        let phone = phone.ok_or_else(|| io::Error::other("a voice link from an unknown address"))?;
        Ok(Some(Incoming { phone, socket, by_kernel: self.by_kernel }))
    }
}

/// Whose socket of the folder it is.
fn whose(from: &SockAddr) -> Option<Address> {
    from.as_pathname()?.file_name()?.to_str()?.strip_suffix(".out")?.parse().ok()
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A link that a phone wants to open. Dropped, it is refused.
#[derive(Debug)]
pub struct Incoming {
    phone: Address,
    socket: Socket,
    by_kernel: bool,
}

impl Incoming {
    /// Which phone.
    pub fn phone(&self) -> Address {
        self.phone
    }

    /// Takes it with this codec.
    pub fn admit(self, codec: Codec) -> io::Result<Link> {
        if self.by_kernel {
            kernel::set_voice(&self.socket, codec)?;
            // The first `recv` of a deferred link sends the accept; it is empty and says nothing.
            let mut nothing = [0; 1];
            match rustix::io::read(&self.socket, &mut nothing) {
                Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Link { socket: self.socket })
    }
}

/// A link on its way. Dropped, it is given up.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
}

impl Link {
    /// The link is writable: its descriptor, or why there is none.
    pub fn finish(self) -> io::Result<OwnedFd> {
        match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.socket.into()),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wait::{Interest, on, wait, writable};

    const ADAPTER: Address = Address::new([0, 0, 0, 0, 0, 1]);
    const PHONE: Address = Address::new([0x5C, 0, 0, 0, 0, 2]);

    fn up(link: Link) -> OwnedFd {
        let mut fds = [on(link.as_fd(), Interest::BOTH)];
        wait(&mut fds, None).unwrap();
        assert!(writable(&fds[0]));
        link.finish().unwrap()
    }

    #[test]
    fn links_of_a_folder_are_opened_from_either_side_and_keep_the_borders_of_packets() {
        let folder = tempfile::tempdir().unwrap();
        let sco = Sco::Folder(folder.path().to_owned());
        for (listens, connects) in [(ADAPTER, PHONE), (PHONE, ADAPTER), (ADAPTER, PHONE)] {
            let listener = sco.listen(listens).unwrap();
            assert!(listener.accept().unwrap().is_none());
            let one = up(sco.connect(connects, listens, Codec::Msbc).unwrap());
            let incoming = listener.accept().unwrap().unwrap();
            assert_eq!(incoming.phone(), connects);
            let other = up(incoming.admit(Codec::Msbc).unwrap());
            rustix::io::write(&one, &[1; 60]).unwrap();
            rustix::io::write(&one, &[2; 24]).unwrap();
            let mut packet = [0; 100];
            assert_eq!(rustix::io::read(&other, &mut packet).unwrap(), 60);
            assert_eq!(rustix::io::read(&other, &mut packet).unwrap(), 24);
        }
    }

    #[test]
    fn nobody_there_is_an_error_and_a_stranger_is_not_a_phone() {
        let folder = tempfile::tempdir().unwrap();
        let sco = Sco::Folder(folder.path().to_owned());
        assert!(sco.connect(ADAPTER, PHONE, Codec::Cvsd).is_err());
        let listener = sco.listen(ADAPTER).unwrap();
        let stranger = bound(&folder.path().join("stranger")).unwrap();
        stranger.connect(&SockAddr::unix(folder.path().join(ADAPTER.to_string())).unwrap()).unwrap();
        assert!(listener.accept().is_err());
        assert!(listener.accept().unwrap().is_none(), "and it goes on");
    }
}
