//! A bounded channel that `poll` can see: messages in a crossbeam channel, an eventfd beside it that is
//! readable while messages wait. For threads that also wait on sockets; a thread that waits on messages
//! alone takes the plain channel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use rustix::event::{EventfdFlags, eventfd};

/// A flag that wakes a `poll`: raised by anyone, lowered by the thread that waits on it.
#[derive(Clone, Debug)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    /// A lowered flag.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes the waiting thread's `poll` return. Never blocks, never allocates: safe in the audio path.
    pub fn raise(&self) {
        // EAGAIN means the counter is at its limit, and then the flag is up already.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Lowers the flag; whoever does so must then look at everything it stands for.
    pub fn lower(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The sending end; clones share the box.
#[derive(Debug)]
pub struct MailSender<T> {
    tx: Sender<T>,
    wake: Wake,
}

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone(), wake: self.wake.clone() }
    }
}

/// The receiving end, owned by the thread that polls it.
#[derive(Debug)]
pub struct Mailbox<T> {
    rx: Receiver<T>,
    wake: Wake,
}

/// The message could not be taken: the box is full, or its thread is gone.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered<T> {
    /// `capacity` messages wait already.
    Full(T),
    /// The receiver was dropped.
    Gone(T),
}

/// A mailbox for at most `capacity` waiting messages.
pub fn mailbox<T>(capacity: usize) -> io::Result<(MailSender<T>, Mailbox<T>)> {
    let (tx, rx) = crossbeam_channel::bounded(capacity);
    let wake = Wake::new()?;
    Ok((MailSender { tx, wake: wake.clone() }, Mailbox { rx, wake }))
}

impl<T> MailSender<T> {
    /// Puts the message in the box and wakes its owner; never blocks.
    pub fn send(&self, message: T) -> Result<(), Undelivered<T>> {
        let sent = self.tx.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) => Undelivered::Full(message),
            TrySendError::Disconnected(message) => Undelivered::Gone(message),
        });
        // A full box is woken too: its owner must have missed something.
        self.wake.raise();
        sent
    }
}

impl<T> Drop for MailSender<T> {
    fn drop(&mut self) {
        // So that an owner who waits learns that the last sender is gone.
        self.wake.raise();
    }
}

impl<T> Mailbox<T> {
    /// The next message; `Ok(None)` when the box is empty; `Err(Closed)` when no sender is left either.
    pub fn next(&self) -> Result<Option<T>, Closed> {
        match self.rx.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// Lowers the flag before the box is emptied: call it once after each wake, then `next` until `None`.
    pub fn lower(&self) {
        self.wake.lower();
    }

    /// Both at once: hands over every message that waits. `Err(Closed)` when there were none left and no sender is
    /// left either.
    pub fn drain(&self, mut take: impl FnMut(T)) -> Result<(), Closed> {
        self.lower();
        while let Some(message) = self.next()? {
            take(message);
        }
        Ok(())
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Every sender of a mailbox is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every sender of this mailbox is gone")]
pub struct Closed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wait::{Interest, on, wait};

    #[test]
    fn a_message_makes_the_box_readable_until_it_is_lowered() {
        let (tx, rx) = mailbox(2).unwrap();
        let now = crate::sys::clock::mono();
        assert!(!wait(&mut [on(rx.as_fd(), Interest::READ)], Some(now)).unwrap());
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert_eq!(tx.send(3), Err(Undelivered::Full(3)));
        assert!(wait(&mut [on(rx.as_fd(), Interest::READ)], None).unwrap());
        rx.lower();
        assert_eq!((rx.next(), rx.next(), rx.next()), (Ok(Some(1)), Ok(Some(2)), Ok(None)));
        assert!(!wait(&mut [on(rx.as_fd(), Interest::READ)], Some(now)).unwrap());
        drop(tx);
        assert!(wait(&mut [on(rx.as_fd(), Interest::READ)], None).unwrap());
        assert_eq!(rx.next(), Err(Closed));
    }

    #[test]
    fn a_drained_box_is_empty_and_unreadable_and_its_last_messages_come_before_its_end() {
        let (tx, rx) = mailbox(3).unwrap();
        let mut taken = Vec::new();
        tx.send(1).unwrap();
        tx.send(2).unwrap();
        assert_eq!(rx.drain(|message| taken.push(message)), Ok(()));
        let now = crate::sys::clock::mono();
        assert!(!wait(&mut [on(rx.as_fd(), Interest::READ)], Some(now)).unwrap());
        tx.send(3).unwrap();
        drop(tx);
        assert_eq!(rx.drain(|message| taken.push(message)), Err(Closed));
        assert_eq!(taken, [1, 2, 3]);
    }
}
