//! The seam between the switch and the phones that carry calls over Bluetooth. Commands go down, events come up, and
//! with them what the API shows of every phone. Values only.

use std::collections::BTreeMap;
use std::time::Instant;

use super::leg::{LegEnd, RejectWhy, RemoteParty};
use crate::adb::DeviceState;
use crate::base::{CallId, Number, Pii};
use crate::hfp::Codec;
use crate::hfp::host::{Address, PairingAsk};

/// Seconds that a pairing window is open at most, without being asked for again.
pub const PAIRING_WINDOW_SEC_MAX: u32 = 86_400;

/// What keeps phones from being used until Bluetooth has said its first word.
pub const NO_ANSWER_YET: &str = "Bluetooth has not answered yet";

/// Which phones are used, from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneSettings {
    /// Phones are used for calls: some backend but SIP is selected. Phones are kept connected in any case.
    pub in_use: bool,
    /// Calls are commanded over the Android Debug Bridge where a phone is reached that way (backend `adb`).
    pub by_adb: bool,
    /// `target_device`, or the phone of `adb_serial`: the one that dials, and the only one that is connected to.
    pub target: Option<Address>,
    /// `auto_select_device`: without a target any paired phone will do, the one used last first.
    pub auto_select: bool,
    /// `adb_serial`.
    pub adb_serial: Option<String>,
    /// `device_bindings`: ADB serial to phone.
    pub bindings: BTreeMap<String, Address>,
}

impl PhoneSettings {
    /// The key of the configuration that says which phone is the target.
    pub fn target_key(&self) -> &'static str {
        let serial = self.adb_serial.as_ref().filter(|_| self.by_adb);
        let of_serial = serial.and_then(|serial| self.bindings.get(serial)).copied();
        if of_serial.is_some() && of_serial == self.target { "adb_serial" } else { "target_device" }
    }
}

/// What the switch asks of the phones.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneCommand {
    /// Use these settings from now on. Calls go on where they are.
    Configure(PhoneSettings),
    /// Call out on the phone that is selected.
    Dial { call: CallId, number: Number },
    /// Take the incoming call.
    Answer { call: CallId },
    /// Refuse the incoming (or waiting) call and leave every other one alone.
    Reject { call: CallId, why: RejectWhy },
    /// End the call in whatever state it is, and no other one.
    Hangup { call: CallId },
    /// Bring the call's audio to the handset or back: `PhoneEvent::Audio` says what came of it.
    HandOver { call: CallId, to: Place },
    /// Let phones find this machine and pair with it for so long; again while it is open: that long from now.
    OpenPairingWindow { seconds: u32 },
    /// No longer.
    ClosePairingWindow,
    /// The person's answer to `Pairing::asks` as it was; void when it is not so any more.
    AnswerPairing { phone: Address, ask: PairingAsk, accept: bool },
    /// Connect now, and keep it connected.
    Connect { phone: Address },
    /// Disconnect, and leave it alone until `Connect` or until it comes by itself or is paired anew; over restarts too.
    Disconnect { phone: Address },
    /// It may connect without being asked for, or not.
    Trust { phone: Address, trusted: bool },
    /// Forget it with its keys.
    Remove { phone: Address },
    /// Hang up what is ours, give the profile back, then report `PhoneEvent::Closed`.
    Close,
}

/// Where a call's audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the phone: its owner speaks.
    Handset,
    /// Here: the agent speaks.
    Agent,
}

impl Place {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handset => "handset",
            Self::Agent => "agent",
        }
    }
}

/// Who moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// `PhoneCommand::HandOver`.
    Us,
    /// The owner did it on the handset, or something else that the phone is connected to took it.
    Phone,
}

impl Mover {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Phone => "phone",
        }
    }
}

/// What the phones report. Calls that the owner makes or takes on the handset are not reported at all.
#[expect(missing_docs, reason = "a variant's sentence names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneEvent {
    /// Someone calls this phone, which has no other call.
    Incoming { call: CallId, phone: PhoneName, remote: RemoteParty },
    /// The caller's number became known after `Incoming` (`+CLIP` comes with the first or second ring).
    Caller { call: CallId, remote: RemoteParty },
    /// The call that goes out is on its way on this phone: `alerting` when the other end rings.
    Progress { call: CallId, phone: PhoneName, alerting: bool },
    /// The call is up, and its first audio came (or did not for a second).
    Active { call: CallId },
    /// Its audio moved between this machine and the handset. Before the first one it is here.
    Audio { call: CallId, at: Place, by: Mover },
    /// `HandOver` was not possible, in a sentence.
    NotMoved { call: CallId, sentence: String },
    /// The phone put the call on hold, or took it back.
    Held { call: CallId, held: bool },
    /// The call is over; nothing more comes for it. `detail` is a short text with HFP's own words.
    Ended { call: CallId, end: PhoneEnd, detail: String },
    /// A phone came (its service level connection is up) or went; `Phones` comes with it.
    Connected { phone: PhoneName },
    /// It went, in a sentence.
    Disconnected { phone: PhoneName, sentence: String },
    /// The phone with this serial number at the Android Debug Bridge is this phone over Bluetooth: it said so itself.
    Bound { serial: String, phone: Address },
    /// Anything that the API shows of phones changed.
    Phones(Box<Phones>),
    /// `PhoneCommand::Close` is done.
    Closed,
}

/// How a call on a phone ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneEnd {
    /// As other legs end.
    Leg(LegEnd),
    /// The owner took the incoming call on the handset.
    OwnerAnswered,
    /// The phone went away in the middle of it; on the handset the call may go on.
    PhoneLost,
}

/// A phone, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneName {
    /// Its address.
    pub address: Address,
    /// Its name: any characters; its owner's is often in it.
    pub name: Pii<String>,
}

/// Everything that is known of phones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phones {
    /// What keeps every phone from being used, in a sentence: no bluetoothd, no adapter, blocked by rfkill, the
    /// hands-free profile belongs to another program.
    pub fault: Option<String>,
    /// The adapter in use: `hci0` and its address.
    pub adapter: Option<(String, Address)>,
    /// Pairing.
    pub pairing: Pairing,
    /// All phones that are paired, and those that are being paired, by address.
    pub phones: Vec<Phone>,
    /// The phone that would dial now.
    pub selected: Option<Address>,
    /// Why none would, in a sentence that says what to do.
    pub no_selection: Option<String>,
    /// The Android Debug Bridge, where it is used.
    pub adb: Option<Adb>,
}

/// What is known of the adb server and the phones at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adb {
    /// Version of the server's protocol, while it is there.
    pub version: Option<u32>,
    /// What keeps every phone from being reached that way, in a sentence.
    pub fault: Option<String>,
    /// The phones at it, by serial number.
    pub phones: Vec<AdbPhone>,
}

/// One phone at the adb server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdbPhone {
    /// What the server calls it.
    pub serial: String,
    /// How it stands there.
    pub state: DeviceState,
    /// Which phone it is over Bluetooth, where that is known.
    pub phone: Option<Address>,
    /// What it does not do, in a sentence.
    pub fault: Option<String>,
}

/// Whether phones may pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// The window is open until then.
    pub open_until: Option<Instant>,
    /// What a phone of old is given where it asks its owner for a PIN code.
    pub pin: Option<String>,
    /// A phone asks something of the person before this machine.
    pub asks: Option<(PhoneName, PairingAsk)>,
    /// How the last pairing came out, in a sentence.
    pub last: Option<String>,
}

/// One phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Who it is.
    pub name: PhoneName,
    /// Keys were exchanged.
    pub paired: bool,
    /// It may connect without being asked for.
    pub trusted: bool,
    /// Where its connection stands.
    pub link: PhoneLink,
    /// What it says about itself, while its link is `Ready`.
    pub said: Option<crate::hfp::slc::Phone>,
    /// Codec of the voice link that is open.
    pub voice: Option<Codec>,
    /// mSBC was tried over this link and does not work.
    pub cvsd_only: bool,
    /// Calls on it, the owner's own among them.
    pub calls: u8,
    /// Its serial number at the Android Debug Bridge, while it is reached there.
    pub adb_serial: Option<String>,
    /// What went wrong last, in a sentence.
    pub last_error: Option<String>,
}

/// Where a phone's connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneLink {
    /// Not there; nothing is tried.
    Away,
    /// Not there; it is tried again at this time.
    Waiting(Instant),
    /// Being connected, or its service level connection is being set up.
    Connecting,
    /// Calls can be made.
    Ready,
}

impl PhoneLink {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "disconnected",
            Self::Waiting(_) => "waiting",
            Self::Connecting => "connecting",
            Self::Ready => "connected",
        }
    }
}
