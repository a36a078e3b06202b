//! The Bluetooth host of this machine as values: what it reports, and what is asked of it.
//!
//! For: adapters, devices, pairing and the hands-free profile, in BlueZ's words.
//! Not for: D-Bus, descriptors, or what a phone is wanted for.

use std::fmt;
use std::str::FromStr;

/// A device address (BD_ADDR), written `AA:BB:CC:DD:EE:FF`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 6]);

impl Address {
    /// From its bytes, the most significant first.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Its bytes, the most significant first.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What is no device address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Bluetooth address (AA:BB:CC:DD:EE:FF)")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    /// Six pairs of hexadecimal digits in either case, between them `:`, `-` or `_` (as in BlueZ's object paths).
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-', '_']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or(NoAddress)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(NoAddress);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoAddress)?;
        }
        if pairs.next().is_some() { Err(NoAddress) } else { Ok(Self(bytes)) }
    }
}

/// A radio of this machine (`org.bluez.Adapter1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// `hci0`.
    pub name: String,
    /// Its own address.
    pub address: Address,
    /// How others see it named.
    pub alias: String,
    /// It is switched on.
    pub powered: bool,
    /// It is blocked by rfkill (`PowerState` `off-blocked`).
    pub blocked: bool,
    /// Others find it.
    pub discoverable: bool,
    /// Others may pair with it.
    pub pairable: bool,
    /// Somebody has registered the hands-free unit's profile (UUID 0000111e): we, or another program.
    pub hands_free: bool,
}

/// Something that the host has met (`org.bluez.Device1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name of the adapter that knows it.
    pub adapter: String,
    /// Its address.
    pub address: Address,
    /// Its name, any characters; its owner's name is often in it.
    pub alias: String,
    /// Keys were exchanged.
    pub paired: bool,
    /// It may use services without being asked for.
    pub trusted: bool,
    /// There is a link to it, whatever for.
    pub connected: bool,
    /// It offers the audio gateway's side of the hands-free profile (UUID 0000111f): it is a phone.
    pub audio_gateway: bool,
}

/// What a device that pairs wants to have confirmed (`org.bluez.Agent1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairingAsk {
    /// Both show this number of six digits: are they the same? (`RequestConfirmation`)
    Compare(u32),
    /// May it pair, without any number? (`RequestAuthorization`)
    Allow,
    /// The person types this number of six digits on the device (`DisplayPasskey`). Nothing is to be answered.
    TypeThere(u32),
    /// The device pairs by an old PIN code (`RequestPinCode`): was it given this one, of `Event::PairingPin`?
    Pin(String),
}

impl PairingAsk {
    /// The number of six digits in it.
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Compare(number) | Self::TypeThere(number) => Some(*number),
            Self::Pin(code) => code.parse().ok(),
            Self::Allow => None,
        }
    }
}

/// What the host reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host answers: its adapters and devices come next. What was known before is void.
    Up,
    /// The host is not there, in a sentence: no bus, no bluetoothd. Everything is gone; it is looked for again.
    Down(String),
    /// An adapter is new, or changed.
    Adapter(Adapter),
    /// It was unplugged.
    AdapterGone(String),
    /// What was asked of an adapter was not done, in the host's own words.
    AdapterRefused {
        /// `hci0`.
        adapter: String,
        /// Why.
        sentence: String,
    },
    /// A device is new, or changed.
    Device(Device),
    /// It was removed.
    DeviceGone(Address),
    /// The hands-free profile is ours.
    ProfileRegistered,
    /// It is not: somebody else has it (a program's name where it could be found), or the host refuses.
    ProfileRefused {
        /// Who has it.
        by: Option<String>,
        /// The host's own words.
        sentence: String,
    },
    /// Pairing has begun, or a PIN code was used: this is the next one, for a device too old to show anything. Its own
    /// host asks the person for it before ours is asked.
    PairingPin(String),
    /// A device pairs and asks.
    Pairing {
        /// Which one.
        device: Address,
        /// What it asks.
        ask: PairingAsk,
    },
    /// What was asked is void: the device gave up, or it is done.
    PairingOver,
    /// A command for a device came to its end.
    Done {
        /// Which command.
        task: Task,
        /// For which device.
        device: Address,
        /// `Err`: the host's error name (`org.bluez.Error.…`) and words.
        result: Result<(), String>,
    },
}

/// A command that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// `ConnectProfile` 0000111f.
    Connect,
    /// `Disconnect`.
    Disconnect,
    /// `Trusted`.
    Trust,
    /// `RemoveDevice`.
    Remove,
}

/// What is asked of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Switch an adapter on.
    PowerOn {
        /// `hci0`.
        adapter: String,
    },
    /// Let others find it and pair with it for so long, or not any more (0).
    PairingWindow {
        /// `hci0`.
        adapter: String,
        /// Seconds; 0 closes it.
        seconds: u32,
    },
    /// Register the hands-free profile and the pairing agent.
    RegisterProfile,
    /// Give the hands-free profile and the agent back.
    UnregisterProfile,
    /// The answer to `Event::Pairing`, and to no other one: it is void once another question is asked.
    AnswerPairing {
        /// Which device asks.
        device: Address,
        /// What it asks.
        ask: PairingAsk,
        /// Yes.
        accept: bool,
    },
    /// Connect the hands-free profile.
    Connect(Address),
    /// Disconnect everything.
    Disconnect(Address),
    /// Trust it from now on, or not.
    Trust(Address, bool),
    /// Forget it, with its keys.
    Remove(Address),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_spelling_and_written_in_one() {
        for text in ["00:1a:7D:da:71:13", "00-1A-7D-DA-71-13", "00_1A_7D_DA_71_13"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), "00:1A:7D:DA:71:13");
        }
        for text in [
            "",
            "00:1A:7D:DA:71",
            "00:1A:7D:DA:71:13:00",
            "0:1A:7D:DA:71:130",
            "+1:1A:7D:DA:71:13",
            "é:1A:7D:DA:71:13",
        ] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }
}
