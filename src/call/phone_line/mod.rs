//! The line of all phones: the Bluetooth host, one `hfp::slc` for each phone that is connected, and the seam of
//! `call::phones`.
//!
//! For: which phone is connected and when, pairing, whose call is whose, where a call's audio is, how a call ended.
//! Not for: D-Bus, RFCOMM and SCO (values here), AT commands (`hfp::slc`), who may have a call (the switch).
//!
//! ```text
//!  PhoneCommand ──▶            ──▶ host::Command          radio ─ connecting ─ pairing
//!  PhoneEvent   ◀── PhoneLine  ◀── host::Event            phone ─ call ─ ending ─ voice
//!                              ◀─▶ RFCOMM bytes           android
//!                              ◀─▶ VoiceCommand, VoiceEvent   show
//!                              ◀─▶ adb::Command, adb::Event
//! ```
//!
//! # Whose call it is
//!
//! A call is ours when the switch dialled it, or when it came in on a phone without any other call and we answered it.
//! All others are the owner's, and are left alone:
//!
//! * Nothing is dialled on a phone that has any call.
//! * A *waiting* call (one that comes in while there is another) is neither told nor answered nor refused: the owner
//!   hears it knock. It is counted in `Phone::calls`. Once it is the only call, and still rings, it is told.
//! * A call that the owner takes on the handset while we ring ends here with `OwnerAnswered`.
//! * Ours is ended in the way that ends no other one; where a phone offers none (a conference with a call of the
//!   owner's, and no `AT+CHLD=1x`) it is left to the owner, and over for us.
//! * A voice link that the phone opens for an owner's call, or for one that it does not tell of (a call of an app), is
//!   closed at once, so that the owner keeps hearing; how often is counted. Nobody here hears or speaks meanwhile.

mod android;
mod call;
mod connecting;
mod core;
mod ending;
mod memory;
mod pairing;
mod phone;
mod radio;
mod selecting;
mod show;
#[cfg(test)]
mod tests;
mod voice;
mod words;

pub use self::core::{Counters, Input, Output, PhoneLine, VoiceCommand, VoiceEvent, Why};
pub use self::memory::{Memory, MemoryFault};
