//! The kernel's SCO sockets: their addresses and two options. `BlueZ doc/sco-protocol.rst`.

#![expect(unsafe_code, reason = "to promise that sockaddr_sco is plain bytes")]

use std::io;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::hfp::Codec;
use crate::hfp::host::Address;
use crate::port::kernel_socket::{self, AF_BLUETOOTH, RawAddress, SOL_BLUETOOTH, set_option};

const BTPROTO_SCO: i32 = 2;
const BT_DEFER_SETUP: i32 = 7;
const BT_VOICE: i32 = 11;
/// `BT_VOICE`: 16-bit linear samples to the controller, CVSD on the air.
const VOICE_CVSD_16BIT: u16 = 0x0060;
/// `BT_VOICE`: bytes go on the air as they are.
const VOICE_TRANSPARENT: u16 = 0x0003;

/// `struct sockaddr_sco`; the address with its least significant byte first.
#[derive(Clone, Copy)]
#[repr(C)]
struct SockAddrSco {
    family: libc::sa_family_t,
    address: [u8; 6],
}

// SAFETY: 2 and 6 bytes without padding, of integers.
unsafe impl RawAddress for SockAddrSco {
    const FAMILY: i32 = AF_BLUETOOTH;
}

/// A new SCO socket that does not block.
pub(super) fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(AF_BLUETOOTH), Type::SEQPACKET, Some(Protocol::from(BTPROTO_SCO)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address of an adapter or a phone.
pub(super) fn address(of: Address) -> SockAddr {
    let mut address = of.bytes();
    address.reverse();
    kernel_socket::address(SockAddrSco { family: AF_BLUETOOTH as libc::sa_family_t, address })
}

/// Whose address it is; `None` when it is no SCO address.
pub(super) fn whose(address: &SockAddr) -> Option<Address> {
    let SockAddrSco { mut address, .. } = kernel_socket::raw(address)?;
    address.reverse();
    Some(Address::new(address))
}

/// Incoming links wait for their first `recv` before they are accepted on the air. Before `listen`.
pub(super) fn defer_setup(socket: &Socket) -> io::Result<()> {
    set_option(socket, SOL_BLUETOOTH, BT_DEFER_SETUP, &1u32.to_ne_bytes())
}

/// The air coding: before `connect`, or on an accepted socket before its first `recv`. Other values than these two are
/// refused by some kernels.
pub(super) fn set_voice(socket: &Socket, codec: Codec) -> io::Result<()> {
    let setting = match codec {
        Codec::Cvsd => VOICE_CVSD_16BIT,
        Codec::Msbc => VOICE_TRANSPARENT,
    };
    set_option(socket, SOL_BLUETOOTH, BT_VOICE, &setting.to_ne_bytes())
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
