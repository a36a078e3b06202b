//! A device that the host knows, `org.bluez.Device1`, and whether its phone is in reach.

use std::os::fd::OwnedFd;
use std::time::Instant;

use dbus::Message;

use super::adapter;
use super::registry::AUDIO_GATEWAY;
use super::value::{Properties, Value};
use crate::base::time::earlier;
use crate::hfp::host::Address;

pub(super) const INTERFACE: &str = "org.bluez.Device1";

/// A phone as it comes to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Its address.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// The host has paired with it and trusts it already.
    pub known: bool,
}

/// What is being done with the device's hands-free connection.
#[derive(Debug, Default)]
pub(super) enum Stream {
    /// Nothing.
    #[default]
    None,
    /// It does not answer; it is given up then.
    Paging { caller: Option<Message>, until: Instant },
    /// The agent is asked whether it may.
    Asking,
    /// The profile's client has it and has not taken it yet. `caller` waits for it.
    Offered { caller: Option<Message>, stream: OwnedFd },
    /// Connected. Ours is a copy of the client's end: the stream ends when the client shuts it down, not when it closes
    /// its own.
    Open(OwnedFd),
}

#[derive(Debug)]
pub(super) struct Device {
    pub(super) phone: Phone,
    alias: Option<String>,
    /// There is an object for it.
    pub(super) shown: bool,
    pub(super) paired: bool,
    pub(super) trusted: bool,
    pub(super) blocked: bool,
    pub(super) connected: bool,
    pub(super) in_reach: bool,
    pub(super) stream: Stream,
    /// Somebody called `Pair`.
    pub(super) pair_caller: Option<Message>,
    pub(super) pairing: bool,
    /// Callers of `Disconnect`; the link goes at that time.
    pub(super) disconnect_callers: Vec<Message>,
    pub(super) disconnects_at: Option<Instant>,
    /// Not paired: its object goes at that time.
    pub(super) forgotten_at: Option<Instant>,
}

impl Device {
    pub(super) fn new(phone: Phone) -> Self {
        let known = phone.known;
        Self {
            phone,
            alias: None,
            shown: known,
            paired: known,
            trusted: known,
            blocked: false,
            connected: false,
            in_reach: true,
            stream: Stream::None,
            pair_caller: None,
            pairing: false,
            disconnect_callers: Vec::new(),
            disconnects_at: None,
            forgotten_at: None,
        }
    }

    pub(super) fn path(&self) -> String {
        path(self.phone.address)
    }

    pub(super) fn properties(&self) -> Properties {
        let alias = self.alias.clone().unwrap_or_else(|| self.phone.name.clone());
        // What it offers is asked after pairing.
        let uuids = if self.paired { vec![AUDIO_GATEWAY.to_owned()] } else { Vec::new() };
        Properties::from([
            ("Adapter", Value::Path(adapter::PATH.into())),
            ("Address", Value::text(self.phone.address.to_string())),
            ("AddressType", Value::text("public")),
            ("Alias", Value::Text(alias)),
            ("Blocked", Value::Flag(self.blocked)),
            ("Bonded", Value::Flag(self.paired)),
            // A smart phone.
            ("Class", Value::Number(0x5a_020c)),
            ("Connected", Value::Flag(self.connected)),
            ("Icon", Value::text("phone")),
            ("LegacyPairing", Value::Flag(false)),
            ("Name", Value::text(self.phone.name.clone())),
            ("Paired", Value::Flag(self.paired)),
            ("ServicesResolved", Value::Flag(self.connected && self.paired)),
            ("Trusted", Value::Flag(self.trusted)),
            ("UUIDs", Value::Texts(uuids)),
        ])
    }

    /// Sets a property of the right type. `None`: it is not writable.
    pub(super) fn set(&mut self, name: &str, value: Value) -> Option<()> {
        match (name, value) {
            ("Alias", Value::Text(alias)) => self.alias = (!alias.is_empty()).then_some(alias),
            ("Trusted", Value::Flag(trusted)) => self.trusted = trusted,
            ("Blocked", Value::Flag(blocked)) => self.blocked = blocked,
            _ => return None,
        }
        Some(())
    }

    /// Nothing of what it was is kept, but the phone is still there.
    pub(super) fn forget(&mut self) {
        let in_reach = self.in_reach;
        *self = Self::new(Phone { known: false, ..self.phone.clone() });
        self.in_reach = in_reach;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let paging = match &self.stream {
            Stream::Paging { until, .. } => Some(*until),
            Stream::None | Stream::Asking | Stream::Offered { .. } | Stream::Open(_) => None,
        };
        earlier(paging, earlier(self.disconnects_at, self.forgotten_at))
    }
}

/// The path of a device's object.
pub(super) fn path(address: Address) -> String {
    format!("{}/dev_{}", adapter::PATH, address.to_string().replace(':', "_"))
}

/// Whose path it is.
pub(super) fn address(of: &str) -> Option<Address> {
    of.strip_prefix(adapter::PATH)?.strip_prefix("/dev_")?.parse().ok()
}
