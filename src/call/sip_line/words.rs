//! Words from the network for people, and words of SIP for the switch.

use crate::base::{Number, Pii, text};
use crate::call::leg::{LegEnd, LineAudio, LineCodec, RemoteParty};
use crate::sdp::{Agreed, Codec};
use crate::sip::Cause;
use crate::sip::field::NameAddr;

/// Texts of strangers are cut after this.
const TEXT_BYTES_MAX: usize = 200;

/// A text from the network.
pub(super) fn bounded(text: &str) -> String {
    text::bounded(text, TEXT_BYTES_MAX)
}

/// Who calls: the network's word (RFC 3325) before the caller's own.
pub(super) fn remote_party(from: &NameAddr, asserted: Option<&NameAddr>) -> RemoteParty {
    let number = asserted.and_then(|addr| number(&addr.uri)).or_else(|| number(&from.uri));
    let display = asserted.and_then(|addr| addr.display.as_ref()).or(from.display.as_ref());
    RemoteParty {
        number,
        uri: Some(Pii(bounded(&from.uri))),
        display_name: display.map(|name| Pii(bounded(name))).filter(|name| !name.0.is_empty()),
    }
}

/// The user part of a `sip:` or `tel:` URI when it is digits with an optional `+`.
pub(super) fn number(uri: &str) -> Option<Number> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_tel = scheme.eq_ignore_ascii_case("tel");
    let user = match rest.split_once('@') {
        Some((user, _)) => user,
        None if is_tel => rest,
        None => return None,
    };
    let user = user.split([';', ':']).next()?;
    let user = percent_encoding::percent_decode_str(user).decode_utf8().ok()?;
    let digits = user.strip_prefix('+').unwrap_or(&user);
    let written = |c: char| c.is_ascii_digit() || (is_tel && "-.()".contains(c));
    if !digits.chars().all(written) {
        return None;
    }
    Number::parse(&user).ok()
}

/// What was agreed, in the words of the seam.
pub(super) fn line_audio(agreed: Agreed) -> LineAudio {
    LineAudio {
        remote: agreed.remote,
        codec: match agreed.codec {
            Codec::Pcmu => LineCodec::Pcmu,
            Codec::Pcma => LineCodec::Pcma,
        },
        payload_type: agreed.payload_type,
        telephone_event: agreed.telephone_event,
        ptime_ms: agreed.ptime_ms,
        send: agreed.send,
        receive: agreed.receive,
    }
}

/// How a call ended: end, SIP status, a short text.
pub(super) fn end_of(cause: Cause, inbound: bool) -> (LegEnd, Option<u16>, String) {
    match cause {
        Cause::RemoteBye => (LegEnd::RemoteHangup, None, "the peer hung up".into()),
        Cause::LocalBye => (LegEnd::LocalHangup, None, "hung up here".into()),
        Cause::Cancelled => (LegEnd::Cancelled, inbound.then_some(487), "given up before the answer".into()),
        Cause::Refused { code, reason } => (end_of_code(code), Some(code), bounded(&reason)),
        Cause::RefusedHere { code } => (end_of_code(code), Some(code), "refused here".into()),
        Cause::Silence { heard: true } => (LegEnd::NoAnswer, Some(408), "nobody answered".into()),
        Cause::Silence { heard: false } => (LegEnd::NetworkError, Some(408), "no response".into()),
        Cause::NoAck => (LegEnd::NetworkError, None, "the answer was never acknowledged".into()),
        Cause::Overload => (LegEnd::Failed, None, "too many calls or requests are under way".into()),
    }
}

fn end_of_code(code: u16) -> LegEnd {
    match code {
        486 | 600 => LegEnd::Busy,
        408 | 480 | 487 => LegEnd::NoAnswer,
        401 | 402 | 403 | 407 | 433 | 436..=438 | 603 | 607 | 608 => LegEnd::Rejected,
        _ => LegEnd::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        let text = |uri| number(uri).map(|number| number.as_str().to_owned());
        assert_eq!(text("sip:+4930123@h"), Some("+4930123".into()));
        assert_eq!(text("sip:%2B4930123;phone-context=x@h"), Some("+4930123".into()));
        assert_eq!(text("tel:+49-30-123"), Some("+4930123".into()));
        for none in
            ["sip:alice@h", "sip:49.30@h", "sip:h", "sip:anonymous@anonymous.invalid", "sip:*21@h", "x"]
        {
            assert_eq!(text(none), None, "{none}");
        }
    }

    #[test]
    fn the_networks_word_comes_before_the_callers_rfc3325_9_1() {
        let from = NameAddr::parse("\"Anonymous\" <sip:anonymous@anonymous.invalid>").unwrap();
        let asserted = NameAddr::parse("<tel:+4930123>").unwrap();
        let party = remote_party(&from, Some(&asserted));
        assert_eq!(party.number.unwrap().as_str(), "+4930123");
        assert_eq!(party.display_name.unwrap().0, "Anonymous");
        assert_eq!(party.uri.unwrap().0, "sip:anonymous@anonymous.invalid");
    }
}
