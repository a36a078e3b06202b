//! What a datagram is at its first glance: for counting, before anything is parsed.

use super::Method;

const METHODS: [Method; 8] = [
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Options,
    Method::Register,
    Method::Info,
    Method::Update,
];

/// A request's method or a response's class, both of a closed list; `keep_alive`, or `other`.
pub fn kind(datagram: &[u8]) -> &'static str {
    if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return "keep_alive";
    }
    match datagram.strip_prefix(b"SIP/2.0 ").and_then(<[u8]>::first) {
        Some(b'1') => return "1xx",
        Some(b'2') => return "2xx",
        Some(b'3') => return "3xx",
        Some(b'4') => return "4xx",
        Some(b'5') => return "5xx",
        Some(b'6') => return "6xx",
        Some(_) | None => {}
    }
    let token = datagram.split(|byte| *byte == b' ').next().unwrap_or_default();
    METHODS
        .iter()
        .find_map(|method| method.known().filter(|known| known.as_bytes() == token))
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_a_closed_list_come_out() {
        for (datagram, expected) in [
            (&b"INVITE sip:+4930123@h SIP/2.0\r\n"[..], "INVITE"),
            (b"UPDATE sip:h SIP/2.0", "UPDATE"),
            (b"SIP/2.0 200 OK\r\n", "2xx"),
            (b"SIP/2.0 999 x", "other"),
            (b"SIP/2.0 ", "other"),
            (b"+4930123 sip:h SIP/2.0", "other"),
            (b"invite sip:h SIP/2.0", "other"),
            (b"INVITES", "other"),
            (b"\xff\xfe", "other"),
            (b"\r\n\r\n", "keep_alive"),
            (b"", "keep_alive"),
        ] {
            assert_eq!(kind(datagram), expected, "{datagram:?}");
        }
    }
}
