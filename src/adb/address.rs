//! The phone's own Bluetooth address: what tells that the phone on the cable is the phone of the hands-free link.
//!
//! Androids keep it in different places and newer ones hide it from some; each place is asked in turn.

use std::fmt;

use super::lines::Lines;

/// What is asked, in this order, until one answers with an address.
pub const PLACES: [&str; 4] = [
    "settings get secure bluetooth_address",
    "getprop persist.service.bdroid.bdaddr",
    "getprop ro.boot.btmacaddr",
    "dumpsys bluetooth_manager",
];

/// A Bluetooth address in the one spelling `AA:BB:CC:DD:EE:FF`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BluetoothAddress(String);

impl BluetoothAddress {
    /// Six pairs of hexadecimal digits with `:` or `-` between them; not one of the addresses that stand for none.
    pub fn parse(text: &str) -> Option<Self> {
        let pairs: Vec<&str> = text.split([':', '-']).collect();
        let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        let good = pairs.len() == 6 && pairs.iter().all(is_pair);
        let address = good.then(|| pairs.join(":").to_ascii_uppercase())?;
        // Android says the first to whoever may not know.
        let none = ["02:00:00:00:00:00", "00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"];
        (!none.contains(&address.as_str())).then_some(Self(address))
    }

    /// As it is stored and compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BluetoothAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks for the address in the answer of one place.
#[derive(Clone, Debug, Default)]
pub struct Finder {
    lines: Lines,
    found: Option<BluetoothAddress>,
}

impl Finder {
    /// Takes a piece of the output.
    pub fn push(&mut self, bytes: &[u8]) {
        let found = &mut self.found;
        self.lines.push(bytes, |line| look(found, line));
    }

    /// The output is over.
    pub fn end(&mut self) {
        let found = &mut self.found;
        self.lines.end(|line| look(found, line));
    }

    /// The address, once it was seen.
    pub fn found(&self) -> Option<&BluetoothAddress> {
        self.found.as_ref()
    }
}

/// The line is the address, or `address: …`; those of other devices stand elsewhere in a line.
fn look(found: &mut Option<BluetoothAddress>, line: &str) {
    if found.is_none() {
        *found = BluetoothAddress::parse(line.strip_prefix("address:").unwrap_or(line).trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Option<String> {
        let mut finder = Finder::default();
        text.as_bytes().chunks(9).for_each(|piece| finder.push(piece));
        finder.end();
        finder.found().map(ToString::to_string)
    }

    #[test]
    fn the_address_is_found_in_every_place_and_written_in_one_way() {
        for text in [
            "a0:b1:c2:d3:e4:f5\n",
            "A0-B1-C2-D3-E4-F5",
            "Bluetooth Status\n  enabled: true\n  state: ON\n  address: A0:B1:C2:D3:E4:F5\n  name: Anna\n\
                Bonded devices:\n    11:22:33:44:55:66 [BR/EDR] Car\n",
        ] {
            assert_eq!(find(text).as_deref(), Some("A0:B1:C2:D3:E4:F5"), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_this_phone_is_none() {
        for text in [
            "null\n",
            "",
            "02:00:00:00:00:00",
            "address: XX:XX:XX:XX:E4:F5",
            "00:11:22:33:44",
            "00:11:22:33:44:55:66",
            "0:011:22:33:44:55",
            "+1:11:22:33:44:55",
            "    11:22:33:44:55:66 [BR/EDR] Car",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
