//! The hands-free thread: the Bluetooth host, every phone's connection, and the opening of voice links. It waits for
//! commands, D-Bus, RFCOMM, the voice links' own news and its deadline, all at once. Audio is `voice`'s.

#[cfg(feature = "bluez")]
mod opening;
#[cfg(feature = "bluez")]
mod thread;

use serde_json::{Map, Value};

#[cfg(feature = "bluez")]
pub use self::thread::{AdbEnd, HandsFreeOptions, spawn};
use super::link::MediaEnd;
use crate::base::CallId;
use crate::call::phone_line::Memory;
use crate::call::phones::{PhoneCommand, PhoneEvent};

/// What the thread is asked.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Mail {
    /// By the switch.
    Command(PhoneCommand),
    /// The audio of a call goes over this link from now on, whenever a voice link is open for it. Before `Dial` or
    /// `Answer`.
    MediaOpen { call: CallId, end: MediaEnd },
    /// For how long no packet has come: `Told::MediaSeen`, unless the audio is at the handset.
    MediaLook { call: CallId },
    /// No longer; `Told::MediaClosed` in any case.
    MediaClose { call: CallId },
}

/// What the thread tells.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Debug)]
pub enum Told {
    /// Something the switch must know.
    Event(PhoneEvent),
    /// The answer to `Mail::MediaLook`, in milliseconds.
    MediaSeen { call: CallId, silent_ms: u64 },
    /// The answer to `Mail::MediaClose`: what was measured, for the session's `audio` member.
    MediaClosed { call: CallId, measured: Map<String, Value> },
    /// Keep this for `HandsFreeOptions::memory` of the next start, in place of what was told before.
    Remember(Memory),
}
