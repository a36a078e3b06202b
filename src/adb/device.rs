//! The phones at the server: serial numbers and states, as `host:track-devices` lists them.

use std::fmt;

/// Bytes of a serial number: those of USB have up to 32, those of the network are host and port.
pub const SERIAL_BYTES_MAX: usize = 128;
/// Phones of one list; what comes after them is passed over.
pub const DEVICES_MAX: usize = 16;

/// What the server calls a phone: letters, digits, and `._:-[]%` for those of the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

impl Serial {
    /// `None` when it has other characters, none, or too many.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-[]%".contains(&byte);
        let good = !text.is_empty() && text.len() <= SERIAL_BYTES_MAX && text.bytes().all(fits);
        good.then(|| Self(text.to_owned()))
    }

    /// As the server writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a phone stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// `device`: it takes commands.
    Online,
    /// `unauthorized`: its owner has to allow USB debugging for this machine.
    Unauthorized,
    /// `offline`: it does not answer.
    Offline,
    /// `no permissions`: the server may not open the USB device.
    NoPermissions,
    /// Anything else: it starts, it is in recovery.
    Other,
}

impl DeviceState {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Online, Self::Unauthorized, Self::Offline, Self::NoPermissions, Self::Other];

    fn of(text: &str) -> Self {
        match text {
            "device" => Self::Online,
            "unauthorized" | "authorizing" => Self::Unauthorized,
            "offline" => Self::Offline,
            _ if text.starts_with("no permissions") => Self::NoPermissions,
            _ => Self::Other,
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unauthorized => "unauthorized",
            Self::Offline => "offline",
            Self::NoPermissions => "no permissions",
            Self::Other => "not ready",
        }
    }
}

/// The phones of a list: `SERIAL<tab>STATE` in each line. What cannot be read is passed over.
pub fn devices(text: &str) -> Vec<(Serial, DeviceState)> {
    let mut found: Vec<(Serial, DeviceState)> = Vec::new();
    for line in text.lines() {
        let Some((serial, state)) = line.split_once('\t') else { continue };
        if let Some(serial) = Serial::parse(serial.trim())
            && found.len() < DEVICES_MAX
            && found.iter().all(|(other, _)| *other != serial)
        {
            found.push((serial, DeviceState::of(state.trim())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_what_is_odd_in_it_passed_over() {
        let text = "R5CT10ABCDE\tdevice\n192.168.1.7:5555\toffline\nemulator-5554\tunauthorized\r\n\
            ABC\tno permissions (user in plugdev group; see [http://x])\nDEF\trecovery\n\
            (no serial number)\tdevice\nnonsense\n\tdevice\nR5CT10ABCDE\toffline\n";
        let found = devices(text);
        let shown: Vec<_> = found.iter().map(|(serial, state)| (serial.as_str(), state.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("R5CT10ABCDE", "online"),
                ("192.168.1.7:5555", "offline"),
                ("emulator-5554", "unauthorized"),
                ("ABC", "no permissions"),
                ("DEF", "not ready"),
            ]
        );
        assert_eq!(devices(""), []);
    }

    #[test]
    fn a_list_has_an_end() {
        let text: String = (0..100).flat_map(|n| ["S".into(), n.to_string(), "\tdevice\n".into()]).collect();
        assert_eq!(devices(&text).len(), DEVICES_MAX);
        assert_eq!(Serial::parse(&"x".repeat(129)), None);
        for text in ["", "a b", "a;b", "a\n", "\u{fc}", "$(x)"] {
            assert_eq!(Serial::parse(text), None, "{text:?}");
        }
    }
}
