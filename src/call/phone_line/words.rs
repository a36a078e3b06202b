//! Words of phones and hosts, for people.

use crate::base::{Number, Pii, text};
use crate::call::leg::RemoteParty;
use crate::hfp::host::{Address, Device};

/// Texts of strangers are cut after this.
const TEXT_BYTES_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 64;
/// So many last digits say that two spellings are one number: phones add and drop prefixes.
const SAME_DIGITS: usize = 6;

/// A text of the host's or of a phone's.
pub(super) fn bounded(text: &str) -> String {
    text::bounded(text, TEXT_BYTES_MAX)
}

/// The phone's name, or its address while it has none.
pub(super) fn name_of(address: Address, device: Option<&Device>) -> Pii<String> {
    let name = device.map(|device| text::bounded(&device.alias, NAME_BYTES_MAX));
    Pii(name.filter(|name| !name.is_empty()).unwrap_or_else(|| address.to_string()))
}

/// Who calls. What is no number (`anonymous`) is shown as a name.
pub(super) fn remote_party(number: Option<&Pii<String>>) -> RemoteParty {
    let parsed = number.and_then(|number| Number::parse(&number.0).ok());
    let display_name = number.filter(|_| parsed.is_none()).cloned();
    RemoteParty { number: parsed, uri: None, display_name }
}

/// Whether two spellings can be one number. Whoever has none agrees with all.
pub(super) fn agree(a: Option<&Pii<String>>, b: Option<&Pii<String>>) -> bool {
    let last = |number: &Pii<String>| -> Vec<char> {
        number.0.chars().filter(char::is_ascii_digit).rev().take(SAME_DIGITS).collect()
    };
    match (a.map(last), b.map(last)) {
        (Some(a), Some(b)) => a.iter().zip(&b).all(|(a, b)| a == b),
        (None, _) | (_, None) => true,
    }
}

/// How to free the hands-free profile from the program that has it.
pub(super) fn profile_fault(by: Option<&str>, sentence: &str) -> String {
    let owner = by.map(|by| text::bounded(by, NAME_BYTES_MAX)).unwrap_or_default();
    let has = |name: &str| owner.to_ascii_lowercase().contains(name);
    if has("wireplumber") || has("pipewire") {
        return format!(
            "the hands-free profile belongs to {owner}; free it with a file \
             ~/.config/wireplumber/wireplumber.conf.d/50-callscoot.conf that says \
             `monitor.bluez.properties = {{ bluez5.roles = [ a2dp_sink a2dp_source ] }}`, then \
             `systemctl --user restart wireplumber`"
        );
    }
    for (name, service) in [("ofono", "ofono"), ("bluealsa", "bluealsa"), ("bluez-alsa", "bluez-alsa")] {
        if has(name) {
            return format!(
                "the hands-free profile belongs to {owner}; free it with `sudo systemctl disable --now {service}`"
            );
        }
    }
    if owner.is_empty() && sentence.contains("NotPermitted") {
        return "the hands-free profile belongs to another program, which could not be found; `busctl list` shows who \
                speaks to bluetoothd"
            .to_owned();
    }
    if owner.is_empty() {
        return format!("bluetoothd refuses the hands-free profile: {}", bounded(sentence));
    }
    format!("the hands-free profile belongs to {owner}; stop it, or keep it from hands-free calls")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_two_spellings_agrees_and_another_one_does_not() {
        let pii = |text: &str| Pii(text.to_owned());
        let same = |a: &str, b: &str| agree(Some(&pii(a)), Some(&pii(b)));
        assert!(same("+4930123456", "030 123456") && same("112", "112") && same("123456", "23456"));
        assert!(!same("+4930123456", "030123457") && !same("112", "110"));
        assert!(agree(None, Some(&pii("1"))) && agree(Some(&pii("1")), None));
    }

    #[test]
    fn whoever_has_the_profile_is_named_with_the_way_to_free_it_h7() {
        for (by, way) in [
            ("wireplumber", "bluez5.roles"),
            ("/usr/bin/pipewire", "bluez5.roles"),
            ("ofonod", "systemctl disable --now ofono"),
            ("bluealsad", "systemctl disable --now bluealsa"),
            ("hsphfpd", "stop it"),
        ] {
            let sentence = profile_fault(Some(by), "x");
            assert!(sentence.contains(way) && sentence.contains(by), "{sentence}");
        }
        let unknown = profile_fault(None, "org.bluez.Error.NotPermitted: UUID already registered");
        assert!(unknown.contains("another program"), "{unknown}");
        assert!(profile_fault(None, "org.bluez.Error.Failed: x").contains("org.bluez.Error.Failed: x"));
    }

    #[test]
    fn what_is_no_number_is_a_name() {
        let party = remote_party(Some(&Pii("anonymous".into())));
        assert_eq!((party.number, party.display_name), (None, Some(Pii("anonymous".into()))));
        let party = remote_party(Some(&Pii("+15550100".into())));
        assert_eq!((party.number.unwrap().as_str(), party.display_name), ("+15550100", None));
    }
}
