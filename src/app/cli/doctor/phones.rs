//! Phones over Bluetooth: the radio, who has the hands-free profile, a phone that can call, and what spoils the sound.

use serde_json::Value;

use super::check::Check;
use crate::app::cli::phones::{adb as faults_of_adb, name, state};
use crate::app::cli::text::clean;
use crate::app::cli::view::text;
use crate::port::machine::{Bluetooth, Chip, bluetooth};
use crate::port::wifi::Band;

/// `calls`: the answer of `GET /v1/calls`.
pub(super) fn check(status: &Value, calls: Option<&Value>, here: bool, checks: &mut Vec<Check>) {
    let machine = here.then(bluetooth);
    let phones = &status["phones"];
    checks.push(radio(phones, machine.as_ref()));
    if phones["fault"].is_null() {
        checks.push(phone(status));
    }
    checks.extend(voice(phones, calls, machine.as_ref()));
    checks.extend(calls.and_then(kept));
    checks.extend(machine.as_ref().and_then(air));
    checks.extend(bridge(phones));
}

/// Bluetooth as such.
fn radio(phones: &Value, machine: Option<&Bluetooth>) -> Check {
    const NAME: &str = "Bluetooth";
    let Some(fault) = phones["fault"].as_str().map(clean) else {
        let adapter = &phones["adapter"];
        return Check::pass(NAME, format!("{} at {}", text(&adapter["name"]), text(&adapter["address"])));
    };
    if let Some(machine) = machine {
        if machine.hard_blocked {
            let found = format!("{fault}; a switch or key of this machine blocks it");
            return Check::fail(NAME, found, "rfkill list bluetooth");
        }
        if machine.soft_blocked {
            return Check::fail(
                NAME,
                format!("{fault}; it is blocked by software"),
                "sudo rfkill unblock bluetooth",
            );
        }
        if machine.adapters.is_empty() {
            let found = format!(
                "{fault}; the kernel shows no radio: there is none, its firmware is missing, or \
                 /boot/firmware/config.txt has dtoverlay=disable-bt"
            );
            return Check::fail(NAME, found, "sudo dmesg | grep -iE 'bluetooth|firmware'");
        }
    }
    let lower = fault.to_lowercase();
    let mend = if lower.contains("bluetoothd is not there") {
        "sudo systemctl enable --now bluetooth"
    } else if lower.contains("blocked") {
        "sudo rfkill unblock bluetooth"
    } else if lower.contains("profile") {
        "busctl --system tree org.bluez; systemctl --user status wireplumber"
    } else if lower.contains("this build") {
        "callscoot --version"
    } else {
        "sudo journalctl -b -u bluetooth -n 30"
    };
    Check::fail(NAME, fault, mend)
}

/// A phone that would dial now.
fn phone(status: &Value) -> Check {
    const NAME: &str = "phone";
    let phones = &status["phones"];
    let all = phones["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(phone) = all.iter().find(|phone| phone["selected"] == true) {
        return Check::pass(NAME, format!("{}: {}", name(phone), state(phone)));
    }
    let talks = |phone: &&Value| phone["link"] == "connected" && phone["calls"].as_u64().unwrap_or(0) > 0;
    if let Some(phone) = all.iter().find(talks) {
        return Check::pass(NAME, format!("{} has a call now", name(phone)));
    }
    let sentence = Some(text(&phones["no_selection"])).filter(|sentence| !sentence.is_empty());
    let found = sentence.unwrap_or_else(|| "no phone is connected".into());
    let paired = all.iter().find(|phone| phone["paired"] == true);
    let mend = match paired {
        Some(phone) => format!("callscoot connect {}", text(&phone["address"])),
        None => "callscoot pair".into(),
    };
    Check::fail(NAME, found, mend)
}

/// Calls that are commanded over ADB. Their sound comes over Bluetooth all the same: Android gives it to no app.
fn bridge(phones: &Value) -> Option<Check> {
    const NAME: &str = "ADB";
    let adb = phones["adb"].as_object()?;
    if let Some(fault) = adb["fault"].as_str().map(clean) {
        let mend =
            if fault.contains("adb_serial") { "callscoot configure adb_serial=" } else { "adb start-server" };
        return Some(Check::fail(NAME, fault, mend));
    }
    let faults = faults_of_adb(phones);
    if let Some(first) = faults.first() {
        let found = format!("{first}; meanwhile calls are commanded over Bluetooth");
        return Some(Check::warn(NAME, found, "adb devices -l; callscoot devices"));
    }
    let all = adb["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let serials: Vec<String> = all.iter().map(|phone| text(&phone["serial"])).collect();
    Some(Check::pass(NAME, format!("{} takes commands; sound comes over Bluetooth", serials.join(", "))))
}

/// A link that opens and carries nothing: on a Raspberry Pi its chip sends the sound elsewhere.
fn voice(phones: &Value, calls: Option<&Value>, machine: Option<&Bluetooth>) -> Option<Check> {
    const NAME: &str = "voice link";
    let all = phones["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mute =
        |phone: &Value| phone["last_error"].as_str().is_some_and(|error| error.contains("carries no audio"));
    let answered = over_phones(calls);
    let silent = answered.iter().filter(|meta| meta["audio"]["packets_received"] == 0).count();
    if !all.iter().any(mute) && silent == 0 {
        return (!answered.is_empty()).then(|| {
            Check::pass(NAME, format!("sound came in every answered call of late ({})", answered.len()))
        });
    }
    let (why, mend) = match machine.map(|machine| machine.chip).unwrap_or_default() {
        Chip::OfPi => (
            "the chips of most Raspberry Pis (Broadcom, Cypress) send the sound to their own pins until they are told \
             otherwise, which a helper does when the adapter comes",
            "sudo systemctl start callscoot-sco-routing@hci0; journalctl -b -u callscoot-sco-routing@hci0",
        ),
        Chip::OfPi5 => (
            "the chip of a Raspberry Pi 5 needs no telling where the sound goes, so its firmware or kernel may be at \
             fault; update them, or try a USB adapter",
            "journalctl -b -u callscoot-sco-routing@hci0; sudo dmesg | grep -i bluetooth",
        ),
        Chip::Adapter => (
            "not every USB adapter carries voice; another one, or another port, may do",
            "lsusb; callscoot devices",
        ),
    };
    Some(Check::fail(NAME, format!("links opened and carried nothing: {why}"), mend))
}

/// Calls whose sound ended at the phone.
fn kept(calls: &Value) -> Option<Check> {
    let answered = over_phones(Some(calls));
    let kept = answered.iter().filter(|meta| meta["audio_at"] == "handset").count();
    (kept > 0).then(|| {
        let found = format!(
            "the sound of {kept} of {} answered calls ended at the phone: its owner took it, or a watch, a car or a \
             headset did; switch calls off for those in the phone's Bluetooth settings",
            answered.len()
        );
        Check::warn("sound kept", found, "callscoot calls")
    })
}

/// What shares the air.
fn air(machine: &Bluetooth) -> Option<Check> {
    const NAME: &str = "air";
    const WAY_OUT: &str = "use Ethernet, 5 GHz, or a USB adapter for Bluetooth";
    // One interface in the way is enough.
    let worst = |(_, band): &&(String, Option<Band>)| match band {
        Some(Band::Low) => 0,
        None => 1,
        Some(Band::High) => 2,
    };
    let (wifi, band) = machine.wifi.iter().min_by_key(worst)?;
    let found = match band {
        Some(Band::High) => return Some(Check::pass(NAME, format!("{wifi} leaves 2.4 GHz to Bluetooth"))),
        Some(Band::Low) => {
            format!(
                "{wifi} is on 2.4 GHz as Bluetooth is, which costs voice packets, most of all on one chip; {WAY_OUT}"
            )
        }
        None => format!("{wifi} is in use beside Bluetooth: on 2.4 GHz it costs voice packets; {WAY_OUT}"),
    };
    Some(Check::warn(NAME, found, format!("iw dev {wifi} link | grep freq")))
}

/// Answered calls over phones.
fn over_phones(calls: Option<&Value>) -> Vec<&Value> {
    let all = calls.and_then(|calls| calls["calls"].as_array()).map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .filter(|meta| meta["telephony_backend"] != "sip" && !meta["offhook_started_at"].is_null())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::State;
    use super::*;

    fn machine() -> Bluetooth {
        Bluetooth { adapters: vec!["hci0".into()], ..Bluetooth::default() }
    }

    fn fault(sentence: &str, machine: &Bluetooth) -> (State, String) {
        let check = radio(&json!({ "fault": sentence }), Some(machine));
        (check.state, check.mend.unwrap())
    }

    #[test]
    fn each_fault_of_the_radio_has_its_command() {
        for (sentence, mend) in [
            ("bluetoothd is not there: no bus", "systemctl enable --now bluetooth"),
            ("the Bluetooth adapter hci0 is blocked", "rfkill unblock"),
            ("the hands-free profile belongs to wireplumber", "wireplumber"),
            ("something else", "journalctl"),
        ] {
            let (state, told) = fault(sentence, &machine());
            assert!(state == State::Fail && told.contains(mend), "{sentence}: {told}");
        }
        let none = Bluetooth::default();
        assert!(fault("this machine has no Bluetooth adapter", &none).1.contains("dmesg"));
        let soft = Bluetooth { soft_blocked: true, ..machine() };
        assert!(fault("x", &soft).1.contains("rfkill unblock"));
        let hard = Bluetooth { hard_blocked: true, ..soft };
        assert!(fault("x", &hard).1.contains("rfkill list"));
        let fine = json!({"fault": null, "adapter": {"name": "hci0", "address": "00:11:22:33:44:55"}});
        assert_eq!(radio(&fine, None).state, State::Pass);
    }

    #[test]
    fn a_phone_that_can_call_passes_and_else_the_next_step_is_told() {
        let with =
            |phones: Value| phone(&json!({"phones": {"no_selection": "none is here", "phones": phones}}));
        assert_eq!(with(json!([])).mend.as_deref(), Some("callscoot pair"));
        let away =
            json!([{"address": "00:11:22:33:44:55", "name": "Pixel", "paired": true, "link": "waiting"}]);
        assert_eq!(with(away).mend.as_deref(), Some("callscoot connect 00:11:22:33:44:55"));
        let here = json!([{"name": "Pixel", "link": "connected", "selected": true, "battery": 2}]);
        assert_eq!(
            (with(here.clone()).state, with(here).found),
            (State::Pass, "Pixel: connected, battery 2/5".into())
        );
        let busy = json!([{"name": "Pixel", "link": "connected", "selected": false, "calls": 1}]);
        assert_eq!(with(busy).state, State::Pass);
    }

    #[test]
    fn what_keeps_calls_from_adb_is_told_with_the_way_out() {
        assert_eq!(bridge(&json!({ "adb": null })), None, "it is not used");
        let with = |adb: Value| bridge(&json!({ "adb": adb })).unwrap();
        let down = with(json!({ "fault": "connection refused", "phones": [] }));
        assert_eq!((down.state, down.mend.as_deref()), (State::Fail, Some("adb start-server")));
        let phone = |state: &str, phone: Value, fault: Value| {
            with(json!({ "fault": null, "phones": [
                {"serial": "R5CT", "state": state, "phone": phone, "fault": fault},
            ]}))
        };
        let mac = json!("00:11:22:33:44:55");
        assert_eq!(phone("online", mac.clone(), json!(null)).state, State::Pass);
        for (check, words) in [
            (with(json!({ "fault": null, "phones": [] })), "no phone is plugged in"),
            (phone("unauthorized", json!(null), json!(null)), "allow USB debugging"),
            (phone("online", json!(null), json!(null)), "device_bindings"),
            (phone("online", mac.clone(), json!("it is mute")), "it is mute"),
            (phone("offline", mac, json!(null)), "offline"),
        ] {
            assert!(check.state == State::Warn && check.found.contains(words), "{}", check.found);
        }
    }

    #[test]
    fn a_mute_link_is_told_with_the_routing_of_the_pi() {
        let call = |packets: u64, backend: &str| {
            let audio = json!({"packets_received": packets});
            json!({"calls": [{"telephony_backend": backend, "offhook_started_at": "x", "audio": audio}]})
        };
        let none = json!({"phones": []});
        let pi = Bluetooth { chip: Chip::OfPi, ..machine() };
        let told = voice(&none, Some(&call(0, "hfp")), Some(&pi)).unwrap();
        assert!(told.state == State::Fail && told.mend.unwrap().contains("callscoot-sco-routing@hci0"));
        let usb = voice(&none, Some(&call(0, "hfp")), Some(&machine())).unwrap();
        assert!(usb.mend.unwrap().contains("lsusb"));
        let pi_5 = voice(&none, Some(&call(0, "hfp")), Some(&Bluetooth { chip: Chip::OfPi5, ..machine() }));
        assert!(!pi_5.unwrap().mend.unwrap().contains("systemctl start"), "it would do nothing there");
        assert_eq!(voice(&none, Some(&call(9, "hfp")), None).unwrap().state, State::Pass);
        assert_eq!(voice(&none, Some(&call(0, "sip")), Some(&pi)), None, "SIP has no voice link");
        let mute =
            json!({"phones": [{"last_error": "the voice link is open but carries no audio; and so on"}]});
        assert_eq!(voice(&mute, None, Some(&pi)).unwrap().state, State::Fail);
    }

    #[test]
    fn watches_and_wifi_are_warned_of() {
        let calls = json!({"calls": [
            {"telephony_backend": "hfp", "offhook_started_at": "x", "audio_at": "handset"},
            {"telephony_backend": "hfp", "offhook_started_at": "x", "audio_at": "agent"},
        ]});
        let told = kept(&calls).unwrap();
        assert!(told.state == State::Warn && told.found.contains("1 of 2") && told.found.contains("watch"));
        assert_eq!(kept(&json!({"calls": []})), None);
        assert_eq!(air(&machine()), None);
        let among = |wifi: Vec<(String, Option<Band>)>| air(&Bluetooth { wifi, ..machine() }).unwrap();
        let on = |band| among(vec![("wlan0".into(), band)]);
        assert_eq!((on(None).state, on(Some(Band::High)).state), (State::Warn, State::Pass));
        let low = on(Some(Band::Low));
        assert!(low.state == State::Warn && low.found.contains("is on 2.4 GHz"));
        let both = among(vec![("wlan0".into(), Some(Band::High)), ("wlan1".into(), Some(Band::Low))]);
        assert!(both.found.contains("wlan1 is on 2.4 GHz"));
    }
}
