//! The host's connection with its bus: messages in and out, none waited for.

use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use dbus::Message;
use dbus::channel::Channel;
use dbus::strings::ErrorName;

use crate::sys::wait::Interest;

/// The bus itself, as a name on it.
pub(super) const BUS: &str = "org.freedesktop.DBus";
pub(super) const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A connection. Closing it is dropping it.
pub(super) struct Bus(Channel);

impl Bus {
    /// Connects; the address is one of a Unix socket.
    pub(super) fn open(address: &str) -> Result<Self, String> {
        if address.contains('\0') || !address.split(';').all(|one| one.starts_with("unix:")) {
            return Err("the address of the bus does not begin with unix:".into());
        }
        let mut channel = Channel::open_private(address)
            .map_err(|error| error.message().unwrap_or("it cannot be reached").to_owned())?;
        channel.set_watch_enabled(true);
        Ok(Self(channel))
    }

    /// Sends as much as goes out now; the rest follows. Answers with the message's number.
    pub(super) fn send(&self, message: Message) -> Option<u32> {
        self.0.send(message).ok()
    }

    /// Reads and writes what is possible now. `false`: the connection is lost.
    pub(super) fn exchange(&self) -> bool {
        self.0.read_write(Some(Duration::ZERO)).is_ok() && self.0.is_connected()
    }

    /// The next message that came.
    pub(super) fn next(&self) -> Option<Message> {
        self.0.pop_message()
    }

    pub(super) fn waiting(&self) -> (BorrowedFd<'_>, Interest) {
        crate::port::bluez::fd::lend(&self.0)
    }
}

/// An error in BlueZ's manner or the bus's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) name: &'static str,
    pub(super) words: String,
}

impl Refusal {
    pub(super) fn new(name: &'static str, words: impl Into<String>) -> Self {
        Self { name, words: words.into() }
    }

    pub(super) fn does_not_exist() -> Self {
        Self::new("org.bluez.Error.DoesNotExist", "Does Not Exist")
    }

    pub(super) fn already_exists() -> Self {
        Self::new("org.bluez.Error.AlreadyExists", "Already Exists")
    }

    pub(super) fn invalid_arguments() -> Self {
        Self::new("org.bluez.Error.InvalidArguments", "Invalid arguments in method call")
    }

    pub(super) fn failed(words: &str) -> Self {
        Self::new("org.bluez.Error.Failed", words)
    }

    /// As the answer to this call.
    pub(super) fn answer(&self, to: &Message) -> Option<Message> {
        let name = ErrorName::new(self.name).ok()?;
        let words = CString::new(self.words.replace('\0', "")).ok()?;
        Some(to.error(&name, &words))
    }
}

/// A call whose answer comes later.
pub(super) fn kept(call: &Message) -> Option<Message> {
    // A copy has no number, and libdbus ends the process of whoever answers it.
    let (mut copy, serial) = (call.duplicate().ok()?, call.get_serial()?);
    copy.set_serial(serial);
    Some(copy)
}

/// A method call. `None`: one of the names is none.
pub(super) fn call(to: &str, path: &str, interface: &str, method: &str) -> Option<Message> {
    Message::new_method_call(to, path, interface, method).ok()
}
