//! UDP: a non-blocking socket that notices cut datagrams, and the local address that faces a peer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, recvfrom};

/// A bound socket.
#[derive(Debug)]
pub struct UdpSocket(StdSocket);

/// One datagram that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its sender.
    pub from: SocketAddr,
    /// Bytes of the buffer that it fills.
    pub len: usize,
    /// It was longer than the buffer; the rest is lost.
    pub is_cut: bool,
}

impl UdpSocket {
    /// Binds; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = StdSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Reads one datagram; `None` when none waits. An error that an earlier datagram of ours brought back (ICMP) is
    /// passed over.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        loop {
            match recvfrom(&self.0, &mut *buffer, RecvFlags::TRUNC) {
                Ok((_, len, from)) => {
                    let Some(from) = from.and_then(|from| SocketAddr::try_from(from).ok()) else { continue };
                    let (is_cut, len) = (len > buffer.len(), len.min(buffer.len()));
                    return Ok(Some(Datagram { from, len, is_cut }));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNREFUSED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one datagram, whole or not at all; `WouldBlock` when the system's buffer is full.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(bytes, to).map(drop)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The address of the interface through which `peer` is reached. Nothing is sent.
pub fn facing(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = StdSocket::bind(SocketAddr::new(any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wait::{Interest, on, wait};

    fn loopback() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn datagrams_arrive_whole_or_are_known_to_be_cut() {
        let (a, b) = (loopback(), loopback());
        let mut buffer = [0; 4];
        assert_eq!(b.receive(&mut buffer).unwrap(), None);
        for bytes in [&b"abc"[..], b"abcdef", b""] {
            a.send(bytes, b.local_address().unwrap()).unwrap();
        }
        let from = a.local_address().unwrap();
        for (len, is_cut) in [(3, false), (4, true), (0, false)] {
            wait(&mut [on(b.as_fd(), Interest::READ)], None).unwrap();
            assert_eq!(b.receive(&mut buffer).unwrap(), Some(Datagram { from, len, is_cut }));
        }
    }

    #[test]
    fn a_closed_port_at_the_other_end_is_not_an_error_of_the_socket() {
        let a = loopback();
        let closed = loopback().local_address().unwrap();
        for _ in 0..3 {
            a.send(b"x", closed).unwrap();
        }
        assert_eq!(a.receive(&mut [0; 4]).unwrap(), None);
    }

    #[test]
    fn loopback_faces_loopback() {
        assert_eq!(facing("127.0.0.1:9".parse().unwrap()).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
