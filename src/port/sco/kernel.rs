//! What of SCO sockets no library knows: their addresses and two options. `BlueZ doc/sco-protocol.rst`.

#![expect(unsafe_code, reason = "sockaddr_sco and the options of SOL_BLUETOOTH are in no crate")]

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::hfp::Codec;
use crate::hfp::host::Address;

const AF_BLUETOOTH: i32 = 31;
const BTPROTO_SCO: i32 = 2;
const SOL_BLUETOOTH: i32 = 274;
const BT_DEFER_SETUP: i32 = 7;
const BT_VOICE: i32 = 11;
/// `BT_VOICE`: 16-bit linear samples to the controller, CVSD on the air.
const VOICE_CVSD_16BIT: u16 = 0x0060;
/// `BT_VOICE`: bytes go on the air as they are.
const VOICE_TRANSPARENT: u16 = 0x0003;

/// `struct sockaddr_sco`; the address with its least significant byte first.
#[repr(C)]
struct SockAddrSco {
    family: libc::sa_family_t,
    address: [u8; 6],
}

/// A new SCO socket that does not block.
pub(super) fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(AF_BLUETOOTH), Type::SEQPACKET, Some(Protocol::from(BTPROTO_SCO)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address of an adapter or a phone.
pub(super) fn address(of: Address) -> SockAddr {
    let mut bytes = of.bytes();
    bytes.reverse();
    let sco = SockAddrSco { family: AF_BLUETOOTH as libc::sa_family_t, address: bytes };
    let len = size_of::<SockAddrSco>() as libc::socklen_t;
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: the storage is larger than any address and aligned for all of them.
    unsafe { std::ptr::write((&raw mut storage).cast::<SockAddrSco>(), sco) };
    // SAFETY: `len` bytes of it were just written as the address of its family.
    unsafe { SockAddr::new(storage, len) }
}

/// Whose address it is; `None` when it is no SCO address.
pub(super) fn whose(address: &SockAddr) -> Option<Address> {
    let long_enough = address.len() as usize >= size_of::<SockAddrSco>();
    if !long_enough || i32::from(address.family()) != AF_BLUETOOTH {
        return None;
    }
    // SAFETY: it is an address of that family, and as long as one.
    let sco = unsafe { std::ptr::read(address.as_ptr().cast::<SockAddrSco>()) };
    let mut bytes = sco.address;
    bytes.reverse();
    Some(Address::new(bytes))
}

/// Incoming links wait for their first `recv` before they are accepted on the air. Before `listen`.
pub(super) fn defer_setup(socket: &Socket) -> io::Result<()> {
    set(socket, BT_DEFER_SETUP, &1u32.to_ne_bytes())
}

/// The air coding: before `connect`, or on an accepted socket before its first `recv`. Other values than these two are
/// refused by some kernels.
pub(super) fn set_voice(socket: &Socket, codec: Codec) -> io::Result<()> {
    let setting = match codec {
        Codec::Cvsd => VOICE_CVSD_16BIT,
        Codec::Msbc => VOICE_TRANSPARENT,
    };
    set(socket, BT_VOICE, &setting.to_ne_bytes())
}

fn set(socket: &Socket, option: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `value.len()` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_BLUETOOTH,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_into_the_kernels_form_and_back() {
        let phone: Address = "00:1A:7D:DA:71:13".parse().unwrap();
        let stored = address(phone);
        assert_eq!((i32::from(stored.family()), stored.len()), (AF_BLUETOOTH, 8));
        assert_eq!(whose(&stored), Some(phone));
        assert_eq!(whose(&SockAddr::unix("/tmp/x").unwrap()), None);
    }
}
