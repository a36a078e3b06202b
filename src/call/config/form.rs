//! Forms of text settings: each takes the trimmed text and gives the form that is stored, or says what is expected.
//! No sentence repeats the value: it may be a name or a number of a person.

use std::net::IpAddr;

use crate::base::Number;

/// Reads one text; the error completes the sentence "KEY must be …", for entries of lists "… a list of …".
pub(super) type Form = fn(&str) -> Result<String, &'static str>;

/// Any text that a device or an agent may have as its name.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    check(text, |c| !c.is_control(), "a text without control characters")
}

/// A Bluetooth address; stored in upper case with `:`.
pub(super) fn mac(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "a MAC address such as AA:BB:CC:DD:EE:FF";
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    let pair = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if parts.len() == 6 && parts.iter().all(pair) {
        Ok(parts.join(":").to_ascii_uppercase())
    } else {
        Err(EXPECTED)
    }
}

/// A host name or an IP address, without scheme and port; stored in lower case, IPv6 without brackets.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "host names or IP addresses, without scheme and port";
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    // RFC 1123 2.1 labels, and `_`, which private names do have.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(EXPECTED)
    }
}

/// A SIP user name: what fits between `sip:` and `@`, and in a quoted string of a digest.
pub(super) fn sip_user(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\');
    check(text, fits, "ASCII letters, digits and signs, without spaces, quotes and <>")
}

/// A country calling code (ITU-T E.164): 1 to 3 digits; `+` or `00` before it is dropped.
pub(super) fn country_code(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00")).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if plain && (1..=3).contains(&digits.len()) {
        Ok(digits.to_owned())
    } else {
        Err("a country calling code of 1 to 3 digits such as 49")
    }
}

/// The form of an IANA time zone name; whether it exists is known one floor up.
pub(super) fn zone_name(text: &str) -> Result<String, &'static str> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    if text.len() <= 64 && text.split('/').all(part) {
        Ok(text.to_owned())
    } else {
        Err("an IANA time zone name such as Europe/Berlin")
    }
}

/// A web origin (RFC 6454 6.2): scheme, host and perhaps a port; stored in lower case.
pub(super) fn origin(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "origins such as https://app.example.com, without a path";
    let lower = text.to_ascii_lowercase();
    let authority =
        lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).ok_or(EXPECTED)?;
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        Some(_) | None => (authority, None),
    };
    let port_fits =
        port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let bracketed = name.starts_with('[') == name.contains(':');
    if port_fits && bracketed && host(name).is_ok() { Ok(lower) } else { Err(EXPECTED) }
}

/// An entry of a caller list: a number, the last digits of one, or a glob with `*` and `?`. Kept as written.
pub(super) fn caller_pattern(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "numbers, last digits of numbers, or globs such as *4443322";
    let fits =
        |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '?' | ' ' | '-' | '.' | '/' | '(' | ')');
    let means_something = text.contains(|c: char| c.is_ascii_digit() || c == '*' || c == '?');
    if means_something { check(text, fits, EXPECTED) } else { Err(EXPECTED) }
}

/// A number as it is dialled in an emergency: 2 to 8 digits.
pub(super) fn emergency_number(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "emergency numbers of 2 to 8 digits as they are dialled";
    let number = Number::parse(text).map_err(|_| EXPECTED)?;
    let digits = number.as_str();
    if !digits.starts_with('+') && (2..=8).contains(&digits.len()) {
        Ok(digits.to_owned())
    } else {
        Err(EXPECTED)
    }
}

/// Numbers of the outbound guard: a number as it is dialled, or a glob with `*` and `?`; separators are dropped.
pub(super) fn dialled_pattern(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "numbers as they are dialled, or globs such as +49900*";
    let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/' | '(' | ')')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    let fits = |c: char| c.is_ascii_digit() || matches!(c, '*' | '?');
    if !digits.is_empty() && digits.len() <= 33 && digits.chars().all(fits) {
        Ok(bare)
    } else {
        Err(EXPECTED)
    }
}

fn check(text: &str, fits: impl Fn(char) -> bool, expected: &'static str) -> Result<String, &'static str> {
    if !text.is_empty() && text.chars().all(fits) { Ok(text.to_owned()) } else { Err(expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(form: Form, good: &[(&str, &str)], bad: &[&str]) {
        for (text, stored) in good {
            assert_eq!(form(text).as_deref(), Ok(*stored), "{text:?}");
            assert_eq!(form(stored).as_deref(), Ok(*stored), "{stored:?} again");
        }
        for text in bad {
            assert!(form(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn mac_addresses_are_stored_in_one_form() {
        let stored = "AA:BB:CC:00:11:22";
        table(
            mac,
            &[("aa:bb:cc:00:11:22", stored), ("AA-bb-CC-00-11-22", stored)],
            &["aa:bb:cc:00:11", "aa:bb-cc:00:11:22", "aabbcc001122", "ag:bb:cc:00:11:22", "a:bb:cc:00:11:22"],
        );
    }

    #[test]
    fn hosts_have_no_scheme_port_or_space() {
        table(
            host,
            &[
                ("SIP.example.com.", "sip.example.com"),
                ("192.0.2.1", "192.0.2.1"),
                ("[::1]", "::1"),
                ("my_pbx", "my_pbx"),
            ],
            &[
                "sip:example.com",
                "example.com:5060",
                "a b",
                "",
                ".",
                "a..b",
                "-a",
                "exa\r\nmple",
                "[a]",
                "a@b",
                "ü.de",
            ],
        );
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        table(
            origin,
            &[
                ("https://App.example.com", "https://app.example.com"),
                ("http://localhost:3000", "http://localhost:3000"),
                ("http://[::1]:80", "http://[::1]:80"),
                ("http://[::1]", "http://[::1]"),
            ],
            &[
                "*",
                "null",
                "https://a/",
                "https://",
                "ftp://a",
                "http://a:x",
                "http://a:70000",
                "http://::1",
                "a",
            ],
        );
    }

    #[test]
    fn country_codes_zones_and_users_are_checked() {
        table(
            country_code,
            &[("+90", "90"), ("0049", "49"), ("1", "1")],
            &["", "0", "1234", "4 9", "++1", "de"],
        );
        table(
            zone_name,
            &[("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("Etc/GMT+3", "Etc/GMT+3")],
            &["/etc/passwd", "../x", "Europe/", "Europe//Berlin", "a b", ""],
        );
        table(sip_user, &[("1001", "1001"), ("a.b+c@d", "a.b+c@d")], &["a b", "a\r\nVia", "<a>", "\"", ""]);
    }

    #[test]
    fn patterns_and_emergency_numbers_are_checked() {
        table(
            caller_pattern,
            &[("+49 (30) 1", "+49 (30) 1"), ("*4443322", "*4443322"), ("?", "?")],
            &["", "+", "--", "alice", "1;2"],
        );
        table(
            dialled_pattern,
            &[("+49 (900)*", "+49900*"), ("2233?", "2233?"), ("*", "*"), ("0900", "0900")],
            &["", "+", "--", "1+2", "++1", "alice", "1;2", "1234567890123456789012345678901234"],
        );
        table(emergency_number, &[("1-1-2", "112"), ("15", "15")], &["1", "+112", "", "123456789", "sos"]);
    }
}
