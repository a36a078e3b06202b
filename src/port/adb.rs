//! The adb server of this machine: where it listens, and one connection to it that never blocks.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys::wait::Interest;

/// The port of the server, unless said otherwise.
pub const PORT: u16 = 5037;
/// Bytes that may wait to be sent: requests are short, and a server that takes none is of no use.
const UNSENT_BYTES_MAX: usize = 4096;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdbAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The variables do not say where the server is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAdbAddress {
    /// `ADB_SERVER_SOCKET`.
    #[error("ADB_SERVER_SOCKET must be tcp:PORT, tcp:IP-ADDRESS:PORT or localfilesystem:PATH")]
    Socket,
    /// `ANDROID_ADB_SERVER_PORT`.
    #[error("ANDROID_ADB_SERVER_PORT must be a port number")]
    Port,
}

impl Default for AdbAddress {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))
    }
}

impl AdbAddress {
    /// By the variables that adb's own programs know: `ADB_SERVER_SOCKET` first, then `ANDROID_ADB_SERVER_PORT`.
    pub fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, NoAdbAddress> {
        let set = |name| get(name).filter(|value| !value.is_empty());
        if let Some(socket) = set("ADB_SERVER_SOCKET") {
            return Self::of_socket(&socket).ok_or(NoAdbAddress::Socket);
        }
        let Some(port) = set("ANDROID_ADB_SERVER_PORT") else { return Ok(Self::default()) };
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(NoAdbAddress::Port)?;
        Ok(Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }

    fn of_socket(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("localfilesystem:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let (host, port) = match text.strip_prefix("tcp:")?.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None => ("localhost", text.strip_prefix("tcp:")?),
        };
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            // A name would have to be resolved, which takes its time.
            host => host.trim_matches(['[', ']']).parse().ok()?,
        };
        let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
        Some(Self::Tcp(SocketAddr::new(ip, port)))
    }
}

/// What happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing more for now.
    Nothing,
    /// It is open.
    Connected,
    /// So many bytes of the buffer.
    Bytes(usize),
    /// It is over: the server closed it, or why it broke.
    Closed(Result<(), String>),
}

/// A connection to the server.
#[derive(Debug)]
pub struct AdbConnection {
    socket: Socket,
    is_open: bool,
    unsent: Vec<u8>,
}

impl AdbConnection {
    /// Begins to connect.
    pub fn connect(address: &AdbAddress) -> io::Result<Self> {
        let (domain, to) = match address {
            AdbAddress::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            AdbAddress::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        match socket.connect(&to) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { socket, is_open: false, unsent: Vec::new() })
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        Interest { read: self.is_open, write: !self.is_open || !self.unsent.is_empty() }
    }

    /// The next thing that happened; to be called after each wake until it answers `Nothing` or `Closed`.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        if !self.is_open {
            return self.connecting();
        }
        if let Err(error) = self.flush() {
            return Received::Closed(Err(error.to_string()));
        }
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Received::Closed(Ok(())),
                Ok(read) => return Received::Bytes(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
                Err(error) => return Received::Closed(Err(error.to_string())),
            }
        }
    }

    fn connecting(&mut self) -> Received {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Received::Closed(Err(error.to_string())),
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                self.is_open = true;
                Received::Connected
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Received::Nothing,
            Err(error) => Received::Closed(Err(error.to_string())),
        }
    }

    /// Sends, now or as soon as the server takes it. What went wrong is learnt by receiving.
    pub fn send(&mut self, bytes: &[u8]) {
        let room = UNSENT_BYTES_MAX.saturating_sub(self.unsent.len());
        if bytes.len() <= room {
            self.unsent.extend_from_slice(bytes);
        }
        // An error comes again with the next read.
        let _ = self.flush();
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.is_open && !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for AdbConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;
    use crate::sys::clock;
    use crate::sys::wait::{on, wait};

    fn of(variables: &[(&str, &str)]) -> Result<AdbAddress, NoAdbAddress> {
        let find = |name: &str| variables.iter().find(|(other, _)| *other == name);
        AdbAddress::of_environment(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn tcp(text: &str) -> AdbAddress {
        AdbAddress::Tcp(text.parse().unwrap())
    }

    #[test]
    fn the_server_is_where_adbs_own_variables_say() {
        assert_eq!(of(&[]), Ok(tcp("127.0.0.1:5037")));
        assert_eq!(
            of(&[("ANDROID_ADB_SERVER_PORT", "6000"), ("ADB_SERVER_SOCKET", "")]),
            Ok(tcp("127.0.0.1:6000"))
        );
        for (text, address) in [
            ("tcp:6001", "127.0.0.1:6001"),
            ("tcp:localhost:6001", "127.0.0.1:6001"),
            ("tcp:10.0.0.7:6001", "10.0.0.7:6001"),
            ("tcp:[::1]:6001", "[::1]:6001"),
        ] {
            assert_eq!(
                of(&[("ADB_SERVER_SOCKET", text), ("ANDROID_ADB_SERVER_PORT", "x")]),
                Ok(tcp(address))
            );
        }
        let unix = of(&[("ADB_SERVER_SOCKET", "localfilesystem:/run/adb")]);
        assert_eq!(unix, Ok(AdbAddress::Unix("/run/adb".into())));
        for text in
            ["5037", "tcp:", "tcp:0", "tcp:host.example:5037", "tcp:1:99999", "localfilesystem:", "vsock:1:2"]
        {
            assert_eq!(of(&[("ADB_SERVER_SOCKET", text)]), Err(NoAdbAddress::Socket), "{text}");
        }
        assert_eq!(of(&[("ANDROID_ADB_SERVER_PORT", "usb")]), Err(NoAdbAddress::Port));
    }

    fn next(connection: &mut AdbConnection, buffer: &mut [u8]) -> Received {
        loop {
            let deadline = clock::mono() + Duration::from_secs(5);
            let mut fds = [on(connection.as_fd(), connection.interest())];
            assert!(wait(&mut fds, Some(deadline)).unwrap(), "nothing happened");
            let received = connection.receive(buffer);
            if received != Received::Nothing {
                return received;
            }
        }
    }

    #[test]
    fn what_is_sent_and_said_goes_through_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adb");
        let listener = UnixListener::bind(&path).unwrap();
        let mut buffer = [0; 16];
        let mut connection = AdbConnection::connect(&AdbAddress::Unix(path)).unwrap();
        connection.send(b"before");
        assert_eq!(next(&mut connection, &mut buffer), Received::Connected);
        connection.send(b" after");
        let (mut server, _) = listener.accept().unwrap();
        let mut heard = [0; 12];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"before after");
        server.write_all(b"OKAY").unwrap();
        drop(server);
        assert_eq!(next(&mut connection, &mut buffer), Received::Bytes(4));
        assert_eq!(next(&mut connection, &mut buffer), Received::Closed(Ok(())));
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_as_such() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = match AdbConnection::connect(&AdbAddress::Tcp(free)) {
            Ok(mut connection) => next(&mut connection, &mut [0; 16]),
            Err(error) => Received::Closed(Err(error.to_string())),
        };
        assert!(matches!(&refused, Received::Closed(Err(why)) if why.contains("refused")), "{refused:?}");
    }
}
