//! One connection with the Bluetooth host's message bus: opened without waiting, then bytes in, messages out.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use dbus::Message;
use dbus::channel::Channel;

use crate::base::text;
use crate::sys::wait::Interest;

/// Where the system bus is, by the D-Bus specification.
pub(super) const SYSTEM_BUS: &str = "unix:path=/var/run/dbus/system_bus_socket";

/// The bus itself, as a name on it.
pub(super) const BUS: &str = "org.freedesktop.DBus";
/// Its one object.
pub(super) const BUS_PATH: &str = "/org/freedesktop/DBus";
/// The interface of every object's properties.
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Errors of others are cut after this.
const WORDS_BYTES_MAX: usize = 512;

/// A connection. Closing it is dropping it.
pub(super) struct Bus(Channel);

impl Bus {
    /// Connects. Only Unix sockets: another transport may take its time, or start a program.
    pub(super) fn open(address: &str) -> Result<Self, String> {
        if address.contains('\0') || !address.split(';').all(|one| one.starts_with("unix:")) {
            return Err("the address of the bus does not begin with unix:".into());
        }
        let mut channel = Channel::open_private(address).map_err(|error| match error.name() {
            Some("org.freedesktop.DBus.Error.FileNotFound") => {
                "this machine has none, or not under this address".into()
            }
            _ => words(&error),
        })?;
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

    /// The descriptor, and what is waited for on it.
    #[expect(unsafe_code, reason = "libdbus gives a number; the channel that owns it outlives the loan")]
    pub(super) fn waiting(&self) -> (BorrowedFd<'_>, Interest) {
        let watch = self.0.watch();
        // SAFETY: libdbus keeps the descriptor open until the channel is dropped, and the loan ends before.
        let fd = unsafe { BorrowedFd::borrow_raw(watch.fd) };
        (fd, Interest { read: watch.read, write: watch.write })
    }
}

/// A method call. `None`: one of the names is none.
pub(super) fn call(to: &str, path: &str, interface: &str, method: &str) -> Option<Message> {
    let mut message = Message::new_method_call(to, path, interface, method).ok()?;
    // A service that the administrator has stopped stays stopped.
    message.set_auto_start(false);
    Some(message)
}

/// An error as one line: its name and its words.
pub(super) fn words(error: &dbus::Error) -> String {
    let name = error.name().unwrap_or("org.freedesktop.DBus.Error.Failed");
    match error.message().filter(|text| !text.is_empty()) {
        Some(words) => text::bounded(&format!("{name}: {words}"), WORDS_BYTES_MAX),
        None => text::bounded(name, WORDS_BYTES_MAX),
    }
}
