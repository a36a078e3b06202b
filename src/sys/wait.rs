//! The one wait of a thread: its file descriptors and its deadline, in one `ppoll` with nanoseconds.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a thread waits for on one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Wake when it can be read (or the peer closed).
    pub read: bool,
    /// Wake when it can be written: asked for only while a write is pending.
    pub write: bool,
}

impl Interest {
    /// Read only.
    pub const READ: Self = Self { read: true, write: false };
    /// Read and write.
    pub const BOTH: Self = Self { read: true, write: true };
    /// Neither: only errors and hang-ups wake.
    pub const NONE: Self = Self { read: false, write: false };
}

/// One descriptor of a wait, and afterwards what it was found ready for.
pub type Waiting<'fd> = PollFd<'fd>;

/// A descriptor to wait on.
pub fn on(fd: BorrowedFd<'_>, interest: Interest) -> Waiting<'_> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.read);
    flags.set(PollFlags::OUT, interest.write);
    PollFd::from_borrowed_fd(fd, flags)
}

/// Something can be read, or an error or hang-up is to be learnt by reading.
pub fn readable(waiting: &Waiting<'_>) -> bool {
    waiting.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

/// The other end is gone, or the descriptor is broken; what came before may still be there to read.
pub fn hung_up(waiting: &Waiting<'_>) -> bool {
    waiting.revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Something can be written, or an error is to be learnt by writing.
pub fn writable(waiting: &Waiting<'_>) -> bool {
    waiting.revents().intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
}

/// Waits until a descriptor is ready (`true`) or the deadline has come (`false`). No deadline waits for ever;
/// a signal in between is not an answer. Does not allocate.
pub fn wait(fds: &mut [Waiting<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(super::clock::mono());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        match poll(fds, timeout.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
