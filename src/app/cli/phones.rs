//! `devices`, `trust`, `connect`, `disconnect`, `remove`: the phones that were paired.

use serde_json::{Value, json};

use super::desk::{Output, client};
use super::table::{self, Cell, plain};
use super::text::clean;
use super::view::{Tone, View, show, text};
use crate::app::fault::Fault;
use crate::hfp::host::Address;
use crate::port::rest_local::{ApiClient, segment};

/// How it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    output: Output,
}

/// Which phone.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its address, or a part of its name that no other has.
    #[arg(value_name = "PHONE")]
    phone: String,
    #[command(flatten)]
    output: Output,
}

/// Which phone, and whether.
#[derive(Debug, clap::Args)]
pub(super) struct Trust {
    #[command(flatten)]
    which: Which,
    /// Let it no longer connect by itself.
    #[arg(long)]
    no: bool,
}

/// Where phones are.
pub(super) const PATH: &str = "/v1/phones";

pub(super) fn list(options: &Options) -> Result<(), Fault> {
    show(&client()?.get(PATH)?, options.output.json, render)
}

pub(super) fn trust(trust: &Trust) -> Result<(), Fault> {
    if trust.no {
        post(&trust.which, "untrust", "may no longer connect by itself")
    } else {
        post(&trust.which, "trust", "may connect by itself")
    }
}

pub(super) fn connect(which: &Which) -> Result<(), Fault> {
    post(which, "connect", "is being connected; `callscoot devices` shows how it goes")
}

pub(super) fn disconnect(which: &Which) -> Result<(), Fault> {
    post(which, "disconnect", "is being disconnected, and left alone until it comes by itself")
}

pub(super) fn remove(which: &Which) -> Result<(), Fault> {
    let client = client()?;
    let address = found(&client, &which.phone)?;
    let body = client.delete(&format!("{PATH}/{}", segment(&address)))?;
    done(&body, which, "is being forgotten; forget this machine on the phone, too")
}

fn post(which: &Which, verb: &str, done_words: &str) -> Result<(), Fault> {
    let client = client()?;
    let address = found(&client, &which.phone)?;
    let body = client.post(&format!("{PATH}/{}/{verb}", segment(&address)), &json!({}))?;
    done(&body, which, done_words)
}

fn done(body: &Value, which: &Which, words: &str) -> Result<(), Fault> {
    show(body, which.output.json, |body, _| format!("{} {words}", name(&body["phone"])))
}

/// A phone as people call it.
pub(super) fn name(phone: &Value) -> String {
    Some(text(&phone["name"])).filter(|name| !name.is_empty()).unwrap_or_else(|| text(&phone["address"]))
}

/// The address that is meant.
fn found(client: &ApiClient, wanted: &str) -> Result<String, Fault> {
    if let Ok(address) = wanted.parse::<Address>() {
        return Ok(address.to_string());
    }
    meant(&client.get(PATH)?, wanted)
}

/// The one phone whose name has these words in it, in either case.
fn meant(body: &Value, wanted: &str) -> Result<String, Fault> {
    let all = body["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let part = wanted.to_lowercase();
    let fits = |phone: &&Value| {
        phone["name"].as_str().is_some_and(|name| name.to_lowercase().contains(&part)) && !part.is_empty()
    };
    let fitting: Vec<&Value> = all.iter().filter(fits).collect();
    match fitting[..] {
        [phone] => Ok(text(&phone["address"])),
        [] => Err(Fault::Usage(format!("no phone is named {wanted}; `callscoot devices` lists them"))),
        _ => {
            let names: Vec<String> = fitting
                .iter()
                .map(|phone| format!("{} ({})", name(phone), text(&phone["address"])))
                .collect();
            Err(Fault::Usage(format!("{wanted} may mean {}", names.join(" or "))))
        }
    }
}

/// What a phone says of itself, on one line.
pub(super) fn state(phone: &Value) -> String {
    let mut words = vec![text(&phone["link"])];
    if let Some(seconds) = phone["retry_in_sec"].as_u64() {
        words = vec![format!("tried again in {seconds} s")];
    }
    let level = |member: &str| phone[member].as_u64().map(|level| format!("{member} {level}/5"));
    words.extend(level("battery"));
    words.extend(level("signal"));
    if phone["service"] == false {
        words.push("no network".into());
    }
    if phone["roaming"] == true {
        words.push("roaming".into());
    }
    words.join(", ")
}

fn render(body: &Value, view: &View) -> String {
    let phones = body["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = String::new();
    for member in ["fault", "no_selection"] {
        if let Some(sentence) = body[member].as_str().filter(|_| out.is_empty()) {
            out += &view.labelled("! ", Tone::Bad, sentence);
        }
    }
    if phones.is_empty() {
        // Without a fault it has just been said.
        let is_said = body["fault"].is_null() && !out.is_empty();
        return out + if is_said { "" } else { "no phone is paired; `callscoot pair` lets one in\n" };
    }
    let rows: Vec<Vec<Cell>> = phones.iter().map(row).collect();
    out += &table::render(view, &["", "NAME", "ADDRESS", "STATE", "NETWORK", "NOTE"], &[1, 3, 4, 5], &rows);
    for sentence in adb(body) {
        out += &view.labelled("! ", Tone::Doubtful, &sentence);
    }
    out
}

/// What keeps phones from being commanded over ADB, a sentence for each; none where it is not used.
pub(super) fn adb(phones: &Value) -> Vec<String> {
    let adb = &phones["adb"];
    if let Some(fault) = adb["fault"].as_str() {
        return vec![format!("ADB: {}", clean(fault))];
    }
    let all = adb["phones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fault = |phone: &Value| {
        let fault = match phone["state"].as_str()? {
            "online" if phone["phone"].is_null() => {
                "it does not say which Bluetooth phone it is; device_bindings can".to_owned()
            }
            "online" => clean(phone["fault"].as_str()?),
            "unauthorized" => "unlock it, and allow USB debugging for this machine".to_owned(),
            state => clean(state),
        };
        Some(format!("ADB, {}: {fault}", text(&phone["serial"])))
    };
    let none = (adb.is_object() && all.is_empty()).then(|| "ADB: no phone is plugged in".to_owned());
    none.into_iter().chain(all.iter().filter_map(fault)).collect()
}

fn row(phone: &Value) -> Vec<Cell> {
    let tone = match phone["link"].as_str() {
        Some("connected") => Tone::Good,
        Some("waiting" | "connecting") => Tone::Doubtful,
        _ => Tone::Faint,
    };
    vec![
        plain(if phone["selected"] == true { "*" } else { "" }),
        plain(name(phone)),
        plain(text(&phone["address"])),
        (state(phone), tone),
        plain(text(&phone["operator"])),
        plain(notes(phone).join(", ")),
    ]
}

/// What else is to be known of a phone.
pub(super) fn notes(phone: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    if phone["paired"] == false {
        notes.push("being paired".to_owned());
    } else if phone["trusted"] == false {
        notes.push("not trusted".to_owned());
    }
    if let Some(calls) = phone["calls"].as_u64().filter(|calls| *calls > 0) {
        notes.push(if calls == 1 { "1 call".into() } else { format!("{calls} calls") });
    }
    notes.extend(phone["adb_serial"].as_str().map(|serial| format!("{serial} at ADB")));
    notes.extend(phone["voice"].as_str().map(|codec| format!("voice by {codec}")));
    if phone["cvsd_only"] == true {
        notes.push("without mSBC".into());
    }
    notes.extend(phone["last_error"].as_str().filter(|_| phone["link"] != "connected").map(str::to_owned));
    notes.iter().map(|note| clean(note)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phones() -> Value {
        json!({"fault": null, "no_selection": null, "phones": [
            {"address": "00:1A:7D:DA:71:13", "name": "Ada's Pixel\u{1b}", "paired": true, "trusted": true,
             "link": "connected", "retry_in_sec": null, "selected": true, "battery": 4, "signal": 3, "service": true,
             "roaming": true, "operator": "Telekom", "voice": "msbc", "cvsd_only": false, "calls": 1,
             "last_error": "old"},
            {"address": "00:02:EE:00:00:01", "name": "Nokia", "paired": true, "trusted": false, "link": "waiting",
             "retry_in_sec": 12, "selected": false, "battery": null, "calls": 0, "last_error": "page timeout"},
        ]})
    }

    #[test]
    fn devices_are_a_table_with_the_one_that_dials_marked() {
        assert_eq!(
            render(&phones(), &View { width: None, ..View::plain(0) }),
            "   NAME          ADDRESS            STATE                                        NETWORK  NOTE\n\
             *  Ada's Pixel�  00:1A:7D:DA:71:13  connected, battery 4/5, signal 3/5, roaming  Telekom  1 call, voice \
             by msbc\n   \
             Nokia         00:02:EE:00:00:01  tried again in 12 s                                   not trusted, page \
             timeout\n"
        );
        let none = json!({"fault": "hci0 is blocked", "no_selection": "x", "phones": []});
        assert_eq!(
            render(&none, &View::plain(60)),
            "! hci0 is blocked\nno phone is paired; `callscoot pair` lets one in\n"
        );
        let none = json!({"no_selection": "no phone is paired; do so", "phones": []});
        assert_eq!(render(&none, &View::plain(60)), "! no phone is paired; do so\n");
    }

    #[test]
    fn a_part_of_a_name_means_one_phone_or_none() {
        let body = phones();
        assert_eq!(meant(&body, "pixel").unwrap(), "00:1A:7D:DA:71:13");
        assert_eq!(meant(&body, "NOK").unwrap(), "00:02:EE:00:00:01");
        for unclear in ["i", "a", "", "siemens"] {
            assert_eq!(meant(&body, unclear).unwrap_err().code(), 64, "{unclear}");
        }
        assert!(meant(&body, "i").unwrap_err().to_string().contains("Nokia (00:02:EE:00:00:01)"));
    }
}
