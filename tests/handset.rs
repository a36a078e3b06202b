//! `callscoot sim phone --hfp` against a hands-free unit with no part of callscoot: python-dbus on the bus, AT lines by
//! hand, voice links that send back what they hear. What it does as bluetoothd was compared with BlueZ 5.87.

#![cfg(feature = "bluez")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::process::Process;
use support::service::CALLSCOOT;
use support::sound::Sound;
use support::wait::{stays_away, until_is};
use tempfile::TempDir;

const AUDIO_GATEWAY: &str = "0000111f-0000-1000-8000-00805f9b34fb";
/// What a hands-free unit with codec negotiation says first.
const SET_UP: [&str; 6] =
    ["AT+BRSF=135", "AT+BAC=1,2", "AT+CIND=?", "AT+CIND?", "AT+CMER=3,0,0,1", "AT+CHLD=?"];

/// A phone, and somebody else's hands-free unit on the same bus.
struct Pair {
    phone: Process,
    unit: Process,
    seen: usize,
}

impl Pair {
    fn start(phone: &[&str]) -> Self {
        let mut command = Command::new(CALLSCOOT);
        command.args(["sim", "phone", "--hfp"]).args(phone);
        let mut phone = Process::steered("the phone", &command);
        let ready = phone.event("its first line", |line| line["event"] == "ready");
        // Debian's own: python-dbus is no package of PyPI's that builds everywhere.
        let mut command = Command::new("/usr/bin/python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/handset/hands_free.py"));
        command.env("DBUS_SYSTEM_BUS_ADDRESS", ready["bus"].as_str().unwrap());
        command.env("CALLSCOOT_SCO_DIR", ready["sco_dir"].as_str().unwrap());
        let mut unit = Process::steered("the hands-free unit", &command);
        unit.event("its start", |line| line["event"] == "ready");
        Self { phone, unit, seen: 0 }
    }

    /// What the unit tells next of this kind that is good; what it told before is passed over for good.
    fn unit(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let seen = self.seen;
        let (at, line) = until_is(
            what,
            || {
                let found =
                    self.unit.events().into_iter().enumerate().skip(seen).find(|(_, line)| good(line));
                found.unwrap_or_default()
            },
            |(_, line)| !line.is_null(),
        );
        self.seen = at + 1;
        line
    }

    /// Waits until the unit has told so often of its stream (`stream_over`) or of voice links (`open`, `closed`):
    /// these have threads of their own, and no order among the other lines.
    fn happens(&self, what: &str, times: usize) {
        let is = |line: &Value| line["event"] == what || line["state"] == what;
        until_is(what, || self.unit.events().iter().filter(|line| is(line)).count(), |count| *count >= times);
    }

    fn ends(&mut self, method: &str) -> Value {
        self.unit(method, |line| {
            line["name"] == method && (line["event"] == "done" || line["event"] == "error")
        })
    }

    fn call(&mut self, call: &str) -> Value {
        self.unit.order(&format!("call {call}"));
        self.ends(call.split(' ').next().unwrap())
    }

    fn at(&mut self, command: &str, answer: &str) {
        self.unit.order(&format!("at {command}"));
        self.unit(command, |line| line["event"] == "at" && line["line"] == answer);
    }

    fn hears(&mut self, start: &str) -> String {
        let line = self.unit(start, |line| {
            line["event"] == "at" && line["line"].as_str().is_some_and(|line| line.starts_with(start))
        });
        line["line"].as_str().unwrap().to_owned()
    }

    /// The profile registered and connected, the connection set up.
    fn connect(&mut self) {
        self.unit.order("register");
        self.ends("RegisterProfile");
        assert_eq!(self.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["event"], "done");
        for command in SET_UP {
            self.at(command, "OK");
        }
        self.at("AT+CLIP=1", "OK");
        self.phone.event("the connection", |line| line["event"] == "connected");
    }
}

fn count(phone: &Process, event: &str) -> usize {
    phone.events().iter().filter(|line| line["event"] == event).count()
}

#[test]
fn the_host_shows_what_bluetoothd_shows() {
    let pair = Pair::start(&["--known", "--name", "Zoë’s phone", "--address", "5c:00:00:00:00:02"]);
    let objects = pair.unit.events().into_iter().find(|line| line["event"] == "objects").unwrap();
    let objects = &objects["objects"];
    let device = &objects["/org/bluez/hci0/dev_5C_00_00_00_00_02"]["org.bluez.Device1"];
    assert_eq!(device["Alias"], "Zoë’s phone", "{objects}");
    assert_eq!(
        (&device["Paired"], &device["Trusted"], &device["Connected"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(device["UUIDs"], json!([AUDIO_GATEWAY]));
    let adapter = &objects["/org/bluez/hci0"]["org.bluez.Adapter1"];
    // As GetManagedObjects of BlueZ 5.87 names them.
    let names: Vec<&String> = adapter.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "Address",
            "AddressType",
            "Alias",
            "Class",
            "Connectable",
            "Discoverable",
            "DiscoverableTimeout",
            "Discovering",
            "Manufacturer",
            "Modalias",
            "Name",
            "Pairable",
            "PairableTimeout",
            "PowerState",
            "Powered",
            "Roles",
            "UUIDs",
            "Version",
        ]
    );
    assert_eq!(adapter["PowerState"], "on");
    assert!(objects["/org/bluez"]["org.bluez.ProfileManager1"].is_object(), "{objects}");
}

#[test]
fn a_stranger_pairs_when_the_agent_agrees_and_is_forgotten_when_it_is_removed() {
    let mut pair = Pair::start(&[]);
    pair.unit.order("register");
    pair.ends("RegisterProfile");
    pair.phone.order("pair");
    let failed = pair.phone.event("no pairing", |line| line["event"] == "pairing_failed");
    assert_eq!(failed["why"], "the host is not pairable");
    pair.unit.order("discoverable");
    pair.unit("it is pairable", |line| line["arguments"][1]["Pairable"] == true);
    pair.phone.order("pair");
    pair.unit("the new device", |line| line["member"] == "InterfacesAdded");
    let ask = pair.unit("the question", |line| line["event"] == "agent");
    assert_eq!(ask["method"], "RequestConfirmation");
    assert!(ask["about"][1].as_u64().unwrap() < 1_000_000, "{ask}");
    pair.unit("the pairing", |line| line["arguments"][1]["Paired"] == true);
    pair.phone.event("the pairing", |line| line["event"] == "paired");
    assert_eq!(pair.call("Pair")["error"], "org.bluez.Error.AlreadyExists");

    // It is not trusted: the agent is asked for each connection of its own.
    pair.phone.order("connect");
    let ask = pair.unit("the question", |line| line["event"] == "agent");
    assert_eq!(ask["method"], "AuthorizeService");
    pair.unit("the connection", |line| line["event"] == "connection");
    pair.unit.order("remove");
    pair.unit("the end of its object", |line| line["member"] == "InterfacesRemoved");
    pair.phone.event("the end of the keys", |line| line["event"] == "removed");
    pair.phone.order("connect");
    let refused = pair.phone.event("a refusal", |line| line["event"] == "connect_refused");
    assert_eq!(refused["why"], "it is not paired");

    pair.unit.order("reject");
    pair.phone.order("pair");
    pair.unit("the question", |line| line["method"] == "RequestConfirmation");
    until_is("the agent's no", || count(&pair.phone, "pairing_failed"), |count| *count == 2);
}

#[test]
fn a_profile_has_one_owner_and_a_phone_that_is_away_is_paged_in_vain() {
    let mut pair = Pair::start(&["--known"]);
    assert_eq!(
        pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["error"],
        "org.bluez.Error.BREDR.ProfileUnavailable"
    );
    pair.connect();
    pair.unit.order("second");
    let second = pair.unit("the second one's answer", |line| line["event"] == "second");
    assert_eq!(second["result"], "org.bluez.Error.NotPermitted");
    assert_eq!(second["words"], "UUID already registered");
    assert_eq!(pair.call("ConnectProfile zz")["error"], "org.bluez.Error.InvalidArguments");

    pair.phone.order("vanish");
    pair.happens("stream_over", 1);
    pair.unit("the end of the link", |line| line["arguments"][1]["Connected"] == false);
    let away = pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"));
    assert_eq!(
        (&away["error"], &away["words"]),
        (&json!("org.bluez.Error.Failed"), &json!("br-connection-page-timeout"))
    );
    pair.phone.order("return");
    assert_eq!(pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["event"], "done");

    pair.unit.order("power off");
    pair.unit("the radio is off", |line| line["arguments"][1]["PowerState"] == "off");
    assert_eq!(pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["error"], "org.bluez.Error.NotReady");
    pair.phone.order("unplug");
    pair.unit("the radio is gone", |line| {
        line["member"] == "InterfacesRemoved" && line["arguments"][0] == "/org/bluez/hci0"
    });
    // A client that ends is as good as one that gives everything back.
    pair.unit.kill();
    pair.phone.event("the profile is free", |line| line["event"] == "profile_free");
}

#[test]
fn a_stream_is_over_when_it_is_shut_down_and_not_when_the_client_closes_its_copy() {
    let mut pair = Pair::start(&["--known"]);
    pair.connect();
    pair.unit.order("shutdown");
    pair.phone.event("the end", |line| line["event"] == "disconnected");
    assert_eq!(pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["event"], "done");
    pair.unit.order("call Disconnect");
    pair.unit("it is asked before", |line| line["event"] == "disconnection");
    pair.happens("stream_over", 2);
    assert_eq!(pair.ends("Disconnect")["event"], "done");

    // bluetoothd keeps a copy: a client that only closes its own leaves the phone connected.
    assert_eq!(pair.call(&format!("ConnectProfile {AUDIO_GATEWAY}"))["event"], "done");
    pair.unit.order("close");
    pair.unit("its copy is closed", |line| line["event"] == "closed");
    pair.phone.order("raw +XYZ: 1");
    pair.happens("stream_over", 3);
    let ends = || (count(&pair.phone, "disconnected") > 2).then_some(());
    stays_away("an end of the connection", Duration::from_millis(300), ends);
    pair.phone.order("drop-rfcomm");
    until_is("the end", || count(&pair.phone, "disconnected"), |count| *count == 3);
}

/// One call that comes in, with what the phone says sent back to it: its recording holds its own words.
fn echoed_call(codec: &str, packet_bytes: &str) {
    let folder = TempDir::new().unwrap();
    let (said, heard): (PathBuf, PathBuf) = (folder.path().join("said.wav"), folder.path().join("heard.wav"));
    Sound::tone(16_000, 700.0, 800).write_wav(&said);
    let arguments = ["--known", "--codec", codec, "--packet-bytes", packet_bytes];
    let files = ["--play", said.to_str().unwrap(), "--record", heard.to_str().unwrap(), "--once"];
    let mut pair = Pair::start(&[&arguments[..], &files].concat());
    pair.connect();
    pair.unit.order("sco listen");
    pair.phone.order("call +15550100");
    assert_eq!(pair.hears("+CIEV"), "+CIEV: 3,1");
    assert_eq!(pair.hears("+CLIP"), "+CLIP: \"+15550100\",145");
    pair.at("ATA", "OK");
    let chosen = pair.hears("+BCS");
    let id = chosen.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(id, if codec == "msbc" { "2" } else { "1" });
    pair.at(&format!("AT+BCS={id}"), "OK");
    let packet = pair.unit.event("a packet", |line| line["event"] == "sco_packet");
    assert_eq!(packet["len"].to_string(), packet_bytes);
    pair.phone.event("the last word", |line| line["event"] == "said");
    pair.phone.event("the echo", |line| line["event"] == "heard");
    // The echo of the last word has its time.
    let ends = || (count(&pair.phone, "disconnected") > 0).then_some(());
    stays_away("an end of the connection", Duration::from_millis(200), ends);
    // With its only call the phone ends, and the bus, and so the unit, which may not get to read the `OK`.
    pair.unit.order("at AT+CHUP");
    let closed = pair.phone.event("the figures", |line| line["event"] == "audio_closed");
    assert_eq!(closed["bad_bytes"], 0, "{closed}");
    let sent = closed["packets_sent"].as_u64().unwrap();
    assert!(closed["packets_received"].as_u64().unwrap() + 3 > sent, "{closed}");
    assert!(pair.phone.ended().success());
    let ended = pair.phone.events().into_iter().find(|line| line["event"] == "ended").unwrap();
    assert_eq!(ended["end"], "RemoteHangup");
    let heard = Sound::read_wav(&heard, 0);
    assert!(heard.tone_ms(700.0) > 700, "{codec}: {} ms of the tone came back", heard.tone_ms(700.0));
    assert!((heard.tone_dbfs(700.0) + 15.0).abs() < 1.0, "{codec}: {} dB", heard.tone_dbfs(700.0));
}

#[test]
fn a_call_with_msbc_is_heard_both_ways() {
    echoed_call("msbc", "60");
}

#[test]
fn a_call_with_cvsd_in_small_packets_is_heard_both_ways() {
    echoed_call("cvsd", "48");
}

#[test]
fn a_call_goes_out_the_owner_keeps_the_audio_and_gives_it_back() {
    let mut pair = Pair::start(&["--known", "--ring-ms", "200"]);
    pair.connect();
    pair.unit.order("sco listen");
    pair.at("ATD+15550100;", "OK");
    pair.hears("+BCS");
    pair.at("AT+BCS=2", "OK");
    pair.happens("open", 1);
    pair.phone.event("the other end answers", |line| line["event"] == "answered");
    pair.phone.order("keep-audio");
    pair.happens("closed", 1);
    pair.at("AT+BCC", "ERROR");
    pair.unit.order("sco connect");
    pair.phone.event("its refusal", |line| line["event"] == "audio_refused");
    pair.happens("closed", 2);
    pair.phone.order("open-audio");
    pair.hears("+BCS");
    pair.at("AT+BCS=2", "OK");
    pair.happens("open", 3);
    // A second call waits, and takes the place of the first.
    pair.at("AT+CCWA=1", "OK");
    pair.phone.order("call +15550199");
    assert_eq!(pair.hears("+CCWA"), "+CCWA: \"+15550199\",145");
    pair.at("AT+CHLD=2", "OK");
    pair.at("AT+CLCC", "+CLCC: 1,0,1,0,0,\"+15550100\",145");
    pair.phone.order("drop-rfcomm");
    pair.happens("stream_over", 1);
    assert_eq!(pair.phone.terminate().code(), Some(0));
}

#[test]
fn the_bus_and_the_folder_of_a_phone_are_gone_with_it() {
    let mut pair = Pair::start(&["--known"]);
    let ready = pair.phone.event("its first line", |line| line["event"] == "ready");
    let folder = PathBuf::from(ready["sco_dir"].as_str().unwrap()).parent().unwrap().to_owned();
    assert!(folder.join("bus").exists());
    pair.phone.order("nonsense");
    pair.phone.event("what it does not know", |line| line["event"] == "not_understood");
    pair.phone.order("quit");
    assert!(pair.phone.ended().success());
    assert!(!folder.exists());
}
