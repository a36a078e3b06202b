//! The stream to one phone that carries AT lines: the descriptor that BlueZ hands over with `NewConnection`.
//! bluetoothd keeps one of its own, so that closing ours alone would leave the link open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::{Errno, FdFlags};

use crate::sys::wait::Interest;

/// Bytes that wait for a phone that does not read; one that is further behind is lost.
const PENDING_BYTES_MAX: usize = 8192;

/// An open stream; it never blocks. Dropped, the link is shut down.
#[derive(Debug)]
pub struct Rfcomm {
    stream: OwnedFd,
    pending: Vec<u8>,
}

impl Rfcomm {
    /// Takes the descriptor as it came.
    pub fn new(stream: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&stream)?;
        rustix::fs::fcntl_setfl(&stream, flags | OFlags::NONBLOCK)?;
        rustix::io::fcntl_setfd(&stream, FdFlags::CLOEXEC)?;
        Ok(Self { stream, pending: Vec::new() })
    }

    /// What came: `None` when there is nothing now, an error when the phone is gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.stream, buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends, now or when there is room.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.pending.len() + bytes.len() > PENDING_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the phone does not read"));
        }
        self.pending.extend_from_slice(bytes);
        self.flush()
    }

    /// There is room.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.stream, &self.pending) {
                Ok(len) => {
                    self.pending.drain(..len);
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest {
        if self.pending.is_empty() { Interest::READ } else { Interest::BOTH }
    }
}

impl Drop for Rfcomm {
    fn drop(&mut self) {
        // A link that is gone already has nothing to shut down.
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }
}

impl AsFd for Rfcomm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_go_both_ways_without_blocking_and_the_end_is_an_error() {
        let (ours, mut phone) = UnixStream::pair().unwrap();
        let mut rfcomm = Rfcomm::new(ours.into()).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(rfcomm.read(&mut buffer).unwrap(), None);
        rfcomm.write(b"AT+BRSF=1\r").unwrap();
        let mut line = [0; 10];
        phone.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"AT+BRSF=1\r");
        phone.write_all(b"\r\nOK\r\n").unwrap();
        assert_eq!(rfcomm.read(&mut buffer).unwrap(), Some(6));
        drop(phone);
        assert_eq!(rfcomm.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_dropped_stream_ends_the_link_although_another_holds_its_descriptor() {
        let (ours, mut phone) = UnixStream::pair().unwrap();
        let of_bluetoothd = ours.try_clone().unwrap();
        drop(Rfcomm::new(ours.into()).unwrap());
        assert_eq!(phone.read(&mut [0; 1]).unwrap(), 0, "the end");
        drop(of_bluetoothd);
    }

    #[test]
    fn a_phone_that_does_not_read_is_lost_and_costs_a_bounded_heap() {
        let (ours, mut phone) = UnixStream::pair().unwrap();
        let mut rfcomm = Rfcomm::new(ours.into()).unwrap();
        let piece = [b'x'; 1024];
        let fault = (0..10_000).find_map(|_| rfcomm.write(&piece).err());
        assert_eq!(fault.map(|error| error.kind()), Some(io::ErrorKind::WriteZero));
        assert_eq!(rfcomm.interest(), Interest::BOTH);
        let mut buffer = vec![0; 1 << 20];
        while rfcomm.interest() == Interest::BOTH {
            assert!(phone.read(&mut buffer).unwrap() > 0);
            rfcomm.flush().unwrap();
        }
    }
}
