//! What the line wants to find again after a restart, as plain values and as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thiserror::Error;

use crate::hfp::host::Address;

/// A file larger than this is none of ours.
const BYTES_MAX: usize = 64 * 1024;
/// Entries of each kind; the oldest or last ones are dropped beyond it.
const ENTRIES_MAX: usize = 64;

/// What is remembered of phones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Over these links, phone and adapter, mSBC was tried and does not work.
    cvsd_only: BTreeSet<(Address, Address)>,
    /// The phones that carried calls, the last one first.
    last_used: Vec<Address>,
    /// The phones that the user does not want connected, the last one first.
    dismissed: Vec<Address>,
}

/// Why a text is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MemoryFault {
    /// It is too long.
    #[error("more than {BYTES_MAX} bytes")]
    TooLong,
    /// It is not a JSON object.
    #[error("not a JSON object")]
    NoObject,
}

impl Memory {
    /// Reads what `write` wrote. Entries that mean nothing are passed over.
    pub fn read(text: &str) -> Result<Self, MemoryFault> {
        if text.len() > BYTES_MAX {
            return Err(MemoryFault::TooLong);
        }
        let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Err(MemoryFault::NoObject) };
        let list = |key| object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let link = |entry: &Value| Some((address(entry.get("phone"))?, address(entry.get("adapter"))?));
        let cvsd_only = list("cvsd_only").iter().filter_map(link).take(ENTRIES_MAX).collect();
        let phones = |key| {
            let mut phones = Vec::new();
            for phone in list(key).iter().filter_map(|entry| address(Some(entry))) {
                if phones.len() < ENTRIES_MAX && !phones.contains(&phone) {
                    phones.push(phone);
                }
            }
            phones
        };
        Ok(Self { cvsd_only, last_used: phones("last_used"), dismissed: phones("dismissed") })
    }

    /// As JSON.
    pub fn write(&self) -> String {
        let link = |(phone, adapter): &(Address, Address)| {
            let (phone, adapter) = (phone.to_string(), adapter.to_string());
            json!({ "phone": phone, "adapter": adapter })
        };
        let cvsd_only: Vec<Value> = self.cvsd_only.iter().map(link).collect();
        let phones = |phones: &[Address]| phones.iter().map(Address::to_string).collect::<Vec<_>>();
        let (last_used, dismissed) = (phones(&self.last_used), phones(&self.dismissed));
        json!({ "cvsd_only": cvsd_only, "last_used": last_used, "dismissed": dismissed }).to_string()
    }

    /// Whether mSBC does not work between the two.
    pub fn is_cvsd_only(&self, phone: Address, adapter: Option<Address>) -> bool {
        adapter.is_some_and(|adapter| self.cvsd_only.contains(&(phone, adapter)))
    }

    /// It does not. Whether that is new.
    pub(super) fn note_cvsd_only(&mut self, phone: Address, adapter: Address) -> bool {
        self.cvsd_only.len() < ENTRIES_MAX && self.cvsd_only.insert((phone, adapter))
    }

    /// A call goes over this phone. Whether that changes the order.
    pub(super) fn note_used(&mut self, phone: Address) -> bool {
        if self.last_used.first() == Some(&phone) {
            return false;
        }
        put_first(&mut self.last_used, phone);
        true
    }

    /// The user does not want it connected.
    pub(super) fn is_dismissed(&self, phone: Address) -> bool {
        self.dismissed.contains(&phone)
    }

    /// He does not, or he does again. Whether that is new.
    pub(super) fn note_dismissed(&mut self, phone: Address, dismissed: bool) -> bool {
        if self.is_dismissed(phone) == dismissed {
            return false;
        }
        if dismissed {
            put_first(&mut self.dismissed, phone);
        } else {
            self.dismissed.retain(|other| *other != phone);
        }
        true
    }

    /// The phone was removed. Whether anything was known of it.
    pub(super) fn forget(&mut self, phone: Address) -> bool {
        let before = self.clone();
        self.cvsd_only.retain(|(other, _)| *other != phone);
        self.last_used.retain(|other| *other != phone);
        self.dismissed.retain(|other| *other != phone);
        *self != before
    }

    /// 0 for the phone used last; the largest number for one that never was.
    pub(super) fn rank(&self, phone: Address) -> usize {
        self.last_used.iter().position(|other| *other == phone).unwrap_or(usize::MAX)
    }
}

fn put_first(phones: &mut Vec<Address>, phone: Address) {
    phones.retain(|other| *other != phone);
    phones.insert(0, phone);
    phones.truncate(ENTRIES_MAX);
}

fn address(value: Option<&Value>) -> Option<Address> {
    value?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(last: u8) -> Address {
        Address::new([0, 0, 0, 0, 0, last])
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut memory = Memory::default();
        assert!(memory.note_used(phone(1)) && memory.note_used(phone(2)) && memory.note_used(phone(1)));
        assert!(!memory.note_used(phone(1)), "it is the first already");
        assert!(memory.note_cvsd_only(phone(1), phone(9)));
        assert!(!memory.note_cvsd_only(phone(1), phone(9)));
        assert!(memory.note_dismissed(phone(2), true) && !memory.note_dismissed(phone(2), true));
        assert!(memory.note_dismissed(phone(1), true) && !memory.note_dismissed(phone(3), false));
        let again = Memory::read(&memory.write()).unwrap();
        assert_eq!(again, memory);
        assert!(again.is_dismissed(phone(1)) && again.is_dismissed(phone(2)));
        assert!(memory.note_dismissed(phone(2), false) && !memory.is_dismissed(phone(2)));
        assert!(again.is_cvsd_only(phone(1), Some(phone(9))));
        assert!(!again.is_cvsd_only(phone(1), Some(phone(8))) && !again.is_cvsd_only(phone(1), None));
        assert!(again.rank(phone(1)) < again.rank(phone(2)) && again.rank(phone(2)) < again.rank(phone(3)));
        assert!(memory.forget(phone(1)) && !memory.forget(phone(1)));
        assert!(!memory.is_cvsd_only(phone(1), Some(phone(9))) && !memory.is_dismissed(phone(1)));
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_or_passed_over_entry_by_entry() {
        assert_eq!(Memory::read("[]"), Err(MemoryFault::NoObject));
        assert_eq!(Memory::read(""), Err(MemoryFault::NoObject));
        assert_eq!(Memory::read(&" ".repeat(BYTES_MAX + 1)), Err(MemoryFault::TooLong));
        assert_eq!(Memory::read(&"[".repeat(BYTES_MAX)), Err(MemoryFault::NoObject));
        let odd = r#"{"cvsd_only":[1,{"phone":"x","adapter":2},{"phone":"00:00:00:00:00:01"}],"last_used":{"a":1}}"#;
        assert_eq!(Memory::read(odd), Ok(Memory::default()));
        let many: Vec<String> = (0..=255).map(|last| format!("\"00:00:00:00:01:{last:02x}\"")).collect();
        let many = many.join(",");
        let text = format!("{{\"last_used\":[{many}],\"dismissed\":[{many}]}}");
        let mut memory = Memory::read(&text).unwrap();
        assert!(memory.note_dismissed(phone(1), true) && memory.note_used(phone(1)));
        assert_eq!((memory.last_used.len(), memory.dismissed.len()), (ENTRIES_MAX, ENTRIES_MAX));
        assert!(memory.is_dismissed(phone(1)), "the oldest goes");
    }
}
