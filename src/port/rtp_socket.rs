//! The two UDP sockets of an RTP session: media on an even port, control on the next (RFC 3550 11).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::base::Rng;

/// Ports to choose from: below the range from which Linux serves outgoing connections (32768 on).
const PORTS: std::ops::Range<u16> = 16384..32768;
/// Pairs that are tried before giving up.
const TRIES: u32 = 64;
/// Octets that wait in the kernel for a stalled media thread: some seconds of G.711.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;
/// Expedited forwarding (RFC 3246), as the octet of the IP header.
const DSCP_EF: u8 = 46 << 2;

/// A pair of non-blocking sockets.
#[derive(Debug)]
pub struct RtpSockets {
    /// Media, on an even port.
    pub rtp: UdpSocket,
    /// Control, on the port after it.
    pub rtcp: UdpSocket,
    port: u16,
}

impl RtpSockets {
    /// Binds a pair on `address`, at a port by chance: what nobody can guess nobody can disturb.
    pub fn bind(address: IpAddr, rng: &mut Rng) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let port = PORTS.start + 2 * rng.below(u32::from(PORTS.end - PORTS.start) / 2) as u16;
            match bind_one(address, port).and_then(|rtp| Ok((rtp, bind_one(address, port + 1)?))) {
                Ok((rtp, rtcp)) => return Ok(Self { rtp, rtcp, port }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The even port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn bind_one(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Best effort, both: a system that refuses them still carries calls.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    let _ = match address {
        IpAddr::V4(_) => rustix::net::sockopt::set_ip_tos(&socket, DSCP_EF),
        IpAddr::V6(_) => rustix::net::sockopt::set_ipv6_tclass(&socket, u32::from(DSCP_EF)),
    };
    socket.bind(&SocketAddr::new(address, port).into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_even_and_odd_and_marked_for_expedited_forwarding() {
        let mut rng = Rng::from_u64(1);
        for address in ["127.0.0.1", "::1"] {
            let sockets = RtpSockets::bind(address.parse().unwrap(), &mut rng).unwrap();
            let (rtp, rtcp) = (sockets.rtp.local_addr().unwrap(), sockets.rtcp.local_addr().unwrap());
            assert_eq!((rtp.port() % 2, rtcp.port()), (0, rtp.port() + 1));
            assert!(PORTS.contains(&sockets.port()));
            let error = sockets.rtp.recv_from(&mut [0; 9]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            if rtp.is_ipv4() {
                assert_eq!(rustix::net::sockopt::ip_tos(&sockets.rtp).unwrap(), DSCP_EF);
            }
        }
    }

    #[test]
    fn a_pair_in_use_is_passed_over_and_a_foreign_address_is_an_error() {
        let (first, mut rng) = (Rng::from_u64(2), Rng::from_u64(2));
        let taken = RtpSockets::bind([127, 0, 0, 1].into(), &mut first.clone()).unwrap();
        let next = RtpSockets::bind([127, 0, 0, 1].into(), &mut rng).unwrap();
        assert_ne!(taken.port(), next.port());
        let error = RtpSockets::bind([192, 0, 2, 1].into(), &mut rng).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
