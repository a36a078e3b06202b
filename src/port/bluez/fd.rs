//! The connection's descriptor, which libdbus lends as a number.

use std::os::fd::BorrowedFd;

use dbus::channel::Channel;

use crate::sys::wait::Interest;

/// The descriptor, and what is waited for on it. The channel must have its watch enabled.
#[expect(unsafe_code, reason = "libdbus gives a number; the channel that owns it outlives the loan")]
pub(in crate::port) fn lend(channel: &Channel) -> (BorrowedFd<'_>, Interest) {
    let watch = channel.watch();
    // SAFETY: libdbus keeps the descriptor open until the channel is dropped, and the loan ends before.
    let fd = unsafe { BorrowedFd::borrow_raw(watch.fd) };
    (fd, Interest { read: watch.read, write: watch.write })
}
