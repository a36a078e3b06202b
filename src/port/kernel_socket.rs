//! Sockets of families that no library knows: their addresses and options, as bytes for the kernel.

#![expect(
    unsafe_code,
    reason = "sockaddr_sco, sockaddr_hci and the options of SOL_BLUETOOTH and SOL_HCI are in no crate"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use socket2::{SockAddr, SockAddrStorage};

/// The family of every Bluetooth socket.
pub(super) const AF_BLUETOOTH: i32 = 31;
/// The level of the options that all of them have.
pub(super) const SOL_BLUETOOTH: i32 = 274;

/// An address of the kernel's own form, `#[repr(C)]`, that begins with the family.
///
/// # Safety
/// The type has no padding, and any bytes are a value of it.
pub(super) unsafe trait RawAddress: Copy {
    /// The family that every address of this form has.
    const FAMILY: i32;
}

/// The address for `bind` and `connect`.
pub(super) fn address<A: RawAddress>(raw: A) -> SockAddr {
    const { assert!(size_of::<A>() <= size_of::<SockAddrStorage>()) };
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large enough, and aligned for every address.
    unsafe { std::ptr::write((&raw mut storage).cast::<A>(), raw) };
    // SAFETY: so many bytes were just written as an address of its family.
    unsafe { SockAddr::new(storage, size_of::<A>() as libc::socklen_t) }
}

/// The address in the kernel's own form; `None` when it is of another family, or too short.
pub(super) fn raw<A: RawAddress>(address: &SockAddr) -> Option<A> {
    let fits = address.len() as usize >= size_of::<A>() && i32::from(address.family()) == A::FAMILY;
    // SAFETY: it is so long, and any bytes are a value.
    fits.then(|| unsafe { std::ptr::read_unaligned(address.as_ptr().cast::<A>()) })
}

/// `setsockopt` with a value of the kernel's own form.
pub(super) fn set_option(socket: &impl AsFd, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let len = value.len() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `value`.
    let result = unsafe { libc::setsockopt(fd, level, option, value.as_ptr().cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
