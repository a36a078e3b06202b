//! What is known of phones, as clients see it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::base::Now;
use crate::base::time::rfc3339_seconds;
use crate::call::phones::{Adb, Pairing, Phone, PhoneLink, Phones};
use crate::hfp::Codec;
use crate::hfp::host::{Address, PairingAsk};

/// `GET /v1/phones`, and `phones` of the status.
pub(super) fn object(phones: &Phones, now: Now) -> Value {
    let list: Vec<Value> = phones.phones.iter().map(|known| phone(known, phones.selected, now)).collect();
    let adapter = phones.adapter.as_ref();
    json!({
        "fault": phones.fault,
        "adapter": adapter.map(|(name, address)| json!({ "name": name, "address": address.to_string() })),
        "pairing": pairing(&phones.pairing, now),
        "phones": list,
        "selected": phones.selected.map(|selected| selected.to_string()),
        "no_selection": phones.no_selection,
        "adb": phones.adb.as_ref().map(adb),
    })
}

/// The adb server, and the phones at it.
fn adb(adb: &Adb) -> Value {
    let phones: Vec<Value> = adb
        .phones
        .iter()
        .map(|phone| {
            json!({
                "serial": phone.serial,
                "state": phone.state.as_str(),
                "phone": phone.phone.map(|address| address.to_string()),
                "fault": phone.fault,
            })
        })
        .collect();
    json!({ "version": adb.version, "fault": adb.fault, "phones": phones })
}

/// One phone.
pub(super) fn phone(phone: &Phone, selected: Option<Address>, now: Now) -> Value {
    let said = phone.said.as_ref().filter(|_| phone.link == PhoneLink::Ready);
    let retry = match phone.link {
        PhoneLink::Waiting(at) => Some(seconds_until(at, now)),
        PhoneLink::Away | PhoneLink::Connecting | PhoneLink::Ready => None,
    };
    json!({
        "address": phone.name.address.to_string(),
        "name": phone.name.name.0,
        "paired": phone.paired,
        "trusted": phone.trusted,
        "link": phone.link.as_str(),
        "retry_in_sec": retry,
        "selected": selected == Some(phone.name.address),
        "battery": said.map(|said| said.battery),
        "signal": said.map(|said| said.signal),
        "service": said.map(|said| said.service),
        "roaming": said.map(|said| said.roaming),
        "operator": said.and_then(|said| said.operator.clone()),
        "own_number": said.and_then(|said| said.own_number.as_ref()).map(|number| &number.0),
        "voice": phone.voice.map(codec),
        "cvsd_only": phone.cvsd_only,
        "calls": phone.calls,
        "adb_serial": phone.adb_serial,
        "last_error": phone.last_error,
    })
}

/// The API's word for a codec.
pub(super) fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::Cvsd => "cvsd",
        Codec::Msbc => "msbc",
    }
}

fn pairing(pairing: &Pairing, now: Now) -> Value {
    let left = pairing.open_until.map(|at| seconds_until(at, now)).filter(|left| *left > 0);
    let until = left.map(|left| rfc3339_seconds(now.unix_ms.saturating_add(left as i64 * 1000)));
    let asks = pairing.asks.as_ref().map(|(phone, ask)| {
        let (kind, passkey) = match ask {
            PairingAsk::Compare(number) => ("compare", Some(format!("{number:06}"))),
            PairingAsk::Allow => ("allow", None),
            PairingAsk::TypeThere(number) => ("type_there", Some(format!("{number:06}"))),
            PairingAsk::Pin(code) => ("pin", Some(code.clone())),
        };
        json!({
            "address": phone.address.to_string(), "name": phone.name.0, "kind": kind, "passkey": passkey,
        })
    });
    json!({
        "open": left.is_some(),
        "open_until": until,
        "seconds_left": left.unwrap_or(0),
        "pin": pairing.pin.as_ref().filter(|_| left.is_some()),
        "asks": asks,
        "last": pairing.last,
    })
}

/// Whole seconds, a begun one counted.
fn seconds_until(at: Instant, now: Now) -> u64 {
    let left = at.saturating_duration_since(now.mono);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::adb::DeviceState;
    use crate::base::Pii;
    use crate::base::time::any_instant;
    use crate::call::api::document::describes;
    use crate::call::phones::{AdbPhone, PhoneName};
    use crate::hfp::slc;

    fn now() -> Now {
        Now { mono: any_instant(), unix_ms: 1_795_337_467_250 }
    }

    fn known(link: PhoneLink) -> Phone {
        Phone {
            name: PhoneName { address: Address::new([1; 6]), name: Pii("Ada's phone".into()) },
            paired: true,
            trusted: true,
            link,
            said: Some(slc::Phone {
                battery: 4,
                own_number: Some(Pii("+4930".into())),
                ..Default::default()
            }),
            voice: Some(Codec::Msbc),
            cvsd_only: false,
            calls: 1,
            adb_serial: None,
            last_error: None,
        }
    }

    #[test]
    fn objects_have_exactly_the_members_of_the_description() {
        let selected = Some(Address::new([1; 6]));
        describes("Phone", &phone(&known(PhoneLink::Ready), selected, now()));
        describes("Phone", &phone(&known(PhoneLink::Away), None, now()));
        let all = object(&Phones::default(), now());
        describes("Phones", &all);
        describes("Pairing", &all["pairing"]);
        let one = AdbPhone { serial: "R5CT".into(), state: DeviceState::Online, phone: None, fault: None };
        let adb = adb(&Adb { phones: vec![one], ..Adb::default() });
        describes("Adb", &adb);
        describes("AdbPhone", &adb["phones"][0]);
        crate::call::api::document::lists("AdbPhoneState", DeviceState::ALL.map(DeviceState::as_str));
        let links =
            [PhoneLink::Away, PhoneLink::Waiting(any_instant()), PhoneLink::Connecting, PhoneLink::Ready];
        crate::call::api::document::lists("PhoneLink", links.map(PhoneLink::as_str));
        crate::call::api::document::lists("VoiceCodec", [Codec::Cvsd, Codec::Msbc].map(codec));
    }

    #[test]
    fn what_a_phone_said_is_void_when_it_is_gone() {
        let here = phone(&known(PhoneLink::Ready), None, now());
        assert_eq!((&here["battery"], &here["own_number"]), (&json!(4), &json!("+4930")));
        assert_eq!(
            (&here["voice"], &here["selected"], &here["retry_in_sec"]),
            (&json!("msbc"), &json!(false), &json!(null))
        );
        let soon = now().mono + Duration::from_millis(2500);
        let gone = phone(&known(PhoneLink::Waiting(soon)), None, now());
        assert_eq!(
            (&gone["battery"], &gone["link"], &gone["retry_in_sec"]),
            (&json!(null), &json!("waiting"), &json!(3))
        );
    }

    #[test]
    fn a_window_counts_down_and_a_number_keeps_its_zeros() {
        let name = PhoneName { address: Address::new([1; 6]), name: Pii("Ada's phone".into()) };
        let mut pairing = Pairing {
            open_until: Some(now().mono + Duration::from_secs(90)),
            pin: Some("000042".into()),
            asks: Some((name, PairingAsk::Compare(1234))),
            last: None,
        };
        let object = super::pairing(&pairing, now());
        assert_eq!((&object["open"], &object["seconds_left"]), (&json!(true), &json!(90)));
        assert_eq!(
            (&object["open_until"], &object["pin"]),
            (&json!("2026-11-22T08:52:37Z"), &json!("000042"))
        );
        assert_eq!(
            (&object["asks"]["kind"], &object["asks"]["passkey"]),
            (&json!("compare"), &json!("001234"))
        );
        pairing.open_until = Some(now().mono);
        let object = super::pairing(&pairing, now());
        assert_eq!((&object["open"], &object["pin"]), (&json!(false), &json!(null)), "it has just closed");
    }
}
