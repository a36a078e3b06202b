//! How the host says no, and how it keeps a call that it answers later.

use std::ffi::CString;

use dbus::Message;
use dbus::strings::ErrorName;

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
