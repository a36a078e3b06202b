//! Packets of an open link, and what the adapter says of each. Neither waits nor allocates: the audio path uses it.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, send as send_to};

use crate::port::kernel_socket::SOL_BLUETOOTH;

const BT_PKT_STATUS: libc::c_int = 16;
/// The control message with a packet's state, one octet; 0: received without error.
const BT_SCM_PKT_STATUS: libc::c_int = 3;

/// What was there to be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet.
    Packet {
        /// Bytes of the buffer that it fills; what does not fit is cut off.
        length: usize,
        /// The adapter says that some of it was damaged or lost in the air.
        damaged: bool,
    },
    /// Nothing yet.
    Nothing,
    /// The other end closed the link, or it broke.
    Closed,
}

/// Receives a packet.
pub fn receive(link: BorrowedFd<'_>, packet: &mut [u8]) -> Received {
    match receive_with_state(link, packet) {
        // A packet without a byte has a state at least.
        Ok((0, None)) => Received::Closed,
        Ok((length, state)) => Received::Packet { length, damaged: state.is_some_and(|state| state != 0) },
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Received::Nothing
        }
        // ECONNRESET is how a phone closes it.
        Err(_) => Received::Closed,
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The system took it.
    Taken,
    /// There is no room for it now.
    NoRoom,
    /// The link is closed. An SCO socket says so once, to whoever asks first: a `receive` after this may say `Nothing`.
    Closed,
}

/// Sends a packet.
pub fn send(link: BorrowedFd<'_>, packet: &[u8]) -> Sent {
    match send_to(link, packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(_) => Sent::Taken,
        Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM | Errno::INTR | Errno::MSGSIZE) => Sent::NoRoom,
        Err(_) => Sent::Closed,
    }
}

/// Room for one control message, aligned as its head is.
#[repr(C)]
struct Control {
    head: libc::cmsghdr,
    data: [u8; 16],
}

/// Asks the kernel for the state of each packet. Not every kernel has it, and no folder: then every packet is good.
#[expect(unsafe_code, reason = "an option of SOL_BLUETOOTH, which no crate knows")]
pub fn ask_for_states(link: BorrowedFd<'_>) {
    let yes = 1u32.to_ne_bytes();
    // SAFETY: the kernel reads `yes.len()` bytes of `yes`.
    let _ = unsafe {
        let len = yes.len() as libc::socklen_t;
        libc::setsockopt(link.as_raw_fd(), SOL_BLUETOOTH, BT_PKT_STATUS, yes.as_ptr().cast(), len)
    };
}

#[expect(unsafe_code, reason = "a control message of SOL_BLUETOOTH, which no crate knows")]
fn receive_with_state(link: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Option<u8>)> {
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
    // SAFETY: all-zero is a valid msghdr and a valid cmsghdr: integers and null pointers.
    let (mut message, mut control) = unsafe { std::mem::zeroed::<(libc::msghdr, Control)>() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the message points to `part`, and so to `packet`, and to `control`: all valid for writes of the lengths
    // that stand beside them.
    let received = unsafe { libc::recvmsg(link.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // The head's length as the kernel wrote it is the message's own, data included.
    let told = message.msg_controllen > 0
        && control.head.cmsg_len > size_of::<libc::cmsghdr>()
        && (control.head.cmsg_level, control.head.cmsg_type) == (SOL_BLUETOOTH, BT_SCM_PKT_STATUS);
    Ok((length.min(packet.len()), told.then_some(control.data[0])))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn packets_of_any_length_come_whole_and_an_end_is_told() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        // Unix sockets do not know it, which harms nothing.
        ask_for_states(ours.as_fd());
        let mut packet = [0; 255];
        assert_eq!(receive(ours.as_fd(), &mut packet), Received::Nothing);
        for length in [24, 60, 1, 255, 300] {
            assert_eq!(send(theirs.as_fd(), &vec![length as u8; length]), Sent::Taken);
            let expected = Received::Packet { length: length.min(255), damaged: false };
            assert_eq!(receive(ours.as_fd(), &mut packet), expected);
            assert_eq!(packet[length.min(255) - 1], length as u8);
        }
        drop(theirs);
        assert_eq!(receive(ours.as_fd(), &mut packet), Received::Closed);
        assert_eq!(send(ours.as_fd(), &packet), Sent::Closed, "and no signal ends the process");
    }
}
