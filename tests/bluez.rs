//! The client of `org.bluez` against a bluetoothd that is not ours: `tests/bluez/fake_bluez.py`, on a private bus.

#![cfg(feature = "bluez")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "tests wait for real programs, on the real clock")]

#[path = "bluez/bench.rs"]
mod bench;

use std::io::{Read, Write};
use std::process::Command as Program;
use std::time::{Duration, Instant};

use callscoot::base::Rng;
use callscoot::hfp::host::{Address, Command, Event as Host, PairingAsk, Task};
use callscoot::port::bluez::{Bluez, Event};
use serde_json::{Value, json};

use bench::{Bench, Fake, Running, phone, stream};

#[test]
fn adapters_and_devices_are_told_and_the_profile_is_registered_as_hfp_1_8() {
    let mut bench = Bench::new();
    bench.until_host(&Host::Down("bluetoothd is not running".into()));
    bench.fake = Some(Fake::start(&bench.address, None));
    bench.until_host(&Host::Up);
    let Event::Host(Host::Adapter(adapter)) = bench.until("adapter", |_| true) else { panic!("no adapter") };
    assert_eq!((adapter.name.as_str(), adapter.alias.as_str(), adapter.powered), ("hci0", "pi", false));
    assert_eq!(adapter.address.to_string(), "00:AA:01:00:00:00");
    let Event::Host(Host::Device(device)) = bench.until("device", |_| true) else { panic!("no device") };
    assert_eq!(
        (device.address, device.adapter.as_str(), device.alias.as_str()),
        (phone(), "hci0", "Fernsprecher")
    );
    assert!(device.audio_gateway && !device.paired && !device.trusted && !device.connected);

    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRegistered);
    let told = bench.says("profile");
    assert_eq!(told[0], "0000111e-0000-1000-8000-00805f9b34fb");
    assert_eq!(told[1]["Version"], json!(["UInt16", "264"]));
    assert_eq!(told[1]["Features"], json!(["UInt16", "54"]));
    assert_eq!(told[1]["AutoConnect"], json!(["Boolean", "0"]));
    assert_eq!(told[1].get("Role"), None, "both sides may connect");
    assert_eq!(bench.says("agent"), ["DisplayYesNo"]);
    bench.says("default agent");
    // A second time is no mistake.
    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRegistered);
    bench.command(Command::UnregisterProfile);
    bench.event(Duration::from_millis(1));
    bench.says("no profile");
    bench.says("no agent");
}

#[test]
fn a_host_that_runs_already_is_never_told_as_missing() {
    let mut bench = Bench::new();
    bench.fake = Some(Fake::start(&bench.address, None));
    let first = bench.until("anything", |_| true);
    assert!(matches!(first, Event::Host(Host::Up)), "{first:?}");
}

#[test]
fn an_adapter_is_switched_on_and_opened_for_pairing_with_the_hosts_own_time_outs() {
    let mut bench = Bench::registered();
    bench.command(Command::PowerOn { adapter: "hci0".into() });
    bench.until("power", |event| matches!(event, Event::Host(Host::Adapter(adapter)) if adapter.powered));
    assert_eq!(bench.says("set"), ["hci0", "Powered", "Boolean", "1"].map(fixed).to_vec());
    bench.window(60);
    bench.until(
        "window",
        |event| matches!(event, Event::Host(Host::Adapter(a)) if a.pairable && a.discoverable),
    );
    let sets: Vec<_> = (0..4).map(|_| bench.says("set")[1..].to_vec()).collect();
    assert_eq!(sets[0], ["PairableTimeout", "UInt32", "60"].map(fixed).to_vec());
    assert_eq!(sets[1], ["DiscoverableTimeout", "UInt32", "60"].map(fixed).to_vec());
    bench.window(0);
    bench.until(
        "closed",
        |event| matches!(event, Event::Host(Host::Adapter(a)) if !a.pairable && !a.discoverable),
    );

    bench.fake().does(&json!(["fail", "Powered", "org.bluez.Error.Failed", "Blocked through rfkill"]));
    bench.command(Command::PowerOn { adapter: "hci0".into() });
    let sentence = "org.bluez.Error.Failed: Blocked through rfkill".to_owned();
    bench.until_host(&Host::AdapterRefused { adapter: "hci0".into(), sentence });
    bench.command(Command::PowerOn { adapter: "hci7".into() });
    let sentence = "there is no such adapter".to_owned();
    bench.until_host(&Host::AdapterRefused { adapter: "hci7".into(), sentence });
}

/// Numbers stand in the lines as numbers.
fn fixed(text: &str) -> Value {
    text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number))
}

#[test]
fn each_kind_of_pairing_is_asked_here_and_answered_there() {
    let mut bench = Bench::registered();
    bench.window(60);

    bench.asks(&json!(["agent", "RequestConfirmation", 42]), PairingAsk::Compare(42));
    bench.nothing();
    bench.answers(PairingAsk::Compare(43), true);
    bench.nothing();
    bench.answers(PairingAsk::Compare(42), true);
    bench.until_host(&Host::PairingOver);
    assert_eq!(bench.says("answer"), ["RequestConfirmation"]);

    bench.asks(&json!(["agent", "RequestAuthorization"]), PairingAsk::Allow);
    bench.answers(PairingAsk::Allow, false);
    bench.until_host(&Host::PairingOver);
    assert_eq!(bench.says("refused"), ["RequestAuthorization", "org.bluez.Error.Rejected"]);

    bench.asks(&json!(["agent", "DisplayPasskey", 123_456, 0]), PairingAsk::TypeThere(123_456));
    assert_eq!(bench.says("answer"), ["DisplayPasskey"]);
    bench.fake().does(&json!(["agent", "DisplayPasskey", 123_456, 1]));
    bench.nothing();
    bench.fake().does(&json!(["paired", true]));
    bench.until_host(&Host::PairingOver);
}

#[test]
fn a_pin_is_told_before_it_is_asked_for_and_good_for_one_try() {
    let mut bench = Bench::registered();
    let ask = json!(["agent", "RequestPinCode"]);
    bench.window(60);
    let pins: Vec<String> = (0..3)
        .map(|_| {
            let pin = bench.pin();
            assert!(pin.len() == 6 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
            bench.asks(&ask, PairingAsk::Pin(pin.clone()));
            bench.answers(PairingAsk::Pin(pin.clone()), false);
            assert_eq!(bench.says("refused"), ["RequestPinCode", "org.bluez.Error.Rejected"]);
            // Nobody has learnt anything of it.
            bench.asks(&ask, PairingAsk::Pin(pin.clone()));
            bench.answers(PairingAsk::Pin(pin.clone()), true);
            assert_eq!(bench.says("answer"), ["RequestPinCode", pin.as_str()]);
            pin
        })
        .collect();
    assert!(pins[0] != pins[1] && pins[1] != pins[2], "{pins:?}");
}

#[test]
fn an_ask_ends_with_the_phones_patience_ours_or_the_window() {
    let mut bench = Bench::registered();
    let compare = json!(["agent", "RequestConfirmation", 7]);
    bench.fake().does(&compare);
    bench.nothing();
    assert_eq!(bench.says("refused"), ["RequestConfirmation", "org.bluez.Error.Rejected"]);

    bench.window(3600);
    bench.asks(&compare, PairingAsk::Compare(7));
    bench.fake().does(&json!(["cancel"]));
    bench.until_host(&Host::PairingOver);
    bench.answers(PairingAsk::Compare(7), true);
    bench.nothing();

    bench.asks(&compare, PairingAsk::Compare(7));
    // One at a time.
    bench.fake().does(&json!(["agent", "RequestAuthorization"]));
    bench.nothing();
    assert_eq!(bench.says("refused"), ["RequestAuthorization", "org.bluez.Error.Rejected"]);
    bench.later += Duration::from_secs(31);
    bench.until_host(&Host::PairingOver);
    bench.event(Duration::from_millis(50));
    assert_eq!(bench.says("refused"), ["RequestConfirmation", "org.bluez.Error.Rejected"]);

    bench.asks(&compare, PairingAsk::Compare(7));
    bench.window(0);
    bench.until_host(&Host::PairingOver);
    assert_eq!(bench.says("refused"), ["RequestConfirmation", "org.bluez.Error.Rejected"]);
    bench.fake().does(&json!(["agent", "RequestPasskey"]));
    assert_eq!(bench.says("refused"), ["RequestPasskey", "org.bluez.Error.Rejected"]);
    bench.fake().does(&json!(["agent", "RequestConfirmation", 1_000_000]));
    assert_eq!(bench.says("refused"), ["RequestConfirmation", "org.bluez.Error.InvalidArguments"]);
    assert_eq!(bench.client.counters().garbage, 1);
}

#[test]
fn a_phone_that_was_let_in_may_use_the_hands_free_profile_and_nothing_else() {
    let mut bench = Bench::registered();
    let (hands_free, music) =
        ("0000111e-0000-1000-8000-00805f9b34fb", "0000110d-0000-1000-8000-00805f9b34fb");
    let service = |bench: &mut Bench, uuid: &str, answer: &str| {
        bench.fake().does(&json!(["agent", "AuthorizeService", uuid]));
        assert_eq!(bench.says(answer)[0], "AuthorizeService", "{uuid}");
    };
    service(&mut bench, hands_free, "refused");
    bench.fake().does(&json!(["paired", true]));
    service(&mut bench, hands_free, "refused");
    for (trusted, answer) in [(true, "answer"), (false, "refused")] {
        bench.command(Command::Trust(phone(), trusted));
        bench.says("set");
        service(&mut bench, hands_free, answer);
        service(&mut bench, music, "refused");
    }

    // One that pairs here, before it is trusted.
    bench.window(60);
    for (accept, answer) in [(false, "refused"), (true, "answer")] {
        bench.fake().does(&json!(["paired", false]));
        bench.asks(&json!(["agent", "RequestConfirmation", 7]), PairingAsk::Compare(7));
        bench.answers(PairingAsk::Compare(7), accept);
        bench.until_host(&Host::PairingOver);
        assert_eq!(bench.says(answer)[0], "RequestConfirmation");
        bench.fake().does(&json!(["paired", true]));
        service(&mut bench, hands_free, answer);
    }
    bench.command(Command::Trust(phone(), false));
    bench.says("set");
    bench.fake().does(&json!(["paired", false]));
    bench.asks(&json!(["agent", "DisplayPasskey", 123_456, 0]), PairingAsk::TypeThere(123_456));
    assert_eq!(bench.says("answer"), ["DisplayPasskey"]);
    service(&mut bench, hands_free, "refused");
    bench.fake().does(&json!(["paired", true]));
    bench.until_host(&Host::PairingOver);
    service(&mut bench, hands_free, "answer");
}

#[test]
fn a_connection_carries_bytes_both_ways_and_is_asked_back() {
    let mut bench = Bench::registered();
    bench.fake().does(&json!(["rfcomm", "AT+HELLO\r"]));
    let event = bench.until("stream", |event| matches!(event, Event::NewConnection { .. }));
    let Event::NewConnection { device, stream: fd } = event else { panic!("{event:?}") };
    assert_eq!(device, phone());
    assert_eq!(bench.says("answer"), ["NewConnection"]);
    let mut stream = stream(fd);
    let mut text = [0; 9];
    stream.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"AT+HELLO\r");
    stream.write_all(b"\r\nOK\r\n").unwrap();
    assert_eq!(bench.says("heard"), ["\r\nOK\r\n"]);
    bench.fake().does(&json!(["disconnect"]));
    bench.until("goodbye", |event| matches!(event, Event::DisconnectionRequested { .. }));
    bench.fake().does(&json!(["badfcomm"]));
    bench.nothing();
    assert_eq!(bench.says("refused"), ["NewConnection", "org.bluez.Error.InvalidArguments"]);
    bench.fake().does(&json!(["introspect"]));
    bench.nothing();
    assert_eq!(bench.says("no"), ["org.freedesktop.DBus.Error.UnknownMethod"]);
}

#[test]
fn what_a_device_is_asked_comes_to_its_end_or_to_a_word() {
    let mut bench = Bench::registered();
    let done = |task, result: Result<(), &str>| Host::Done {
        task,
        device: phone(),
        result: result.map_err(str::to_owned),
    };
    bench.command(Command::Connect(phone()));
    bench.until_host(&done(Task::Connect, Ok(())));
    assert_eq!(bench.says("connect profile"), ["0000111f-0000-1000-8000-00805f9b34fb"]);
    bench.command(Command::Trust(phone(), true));
    bench.until("trust", |event| matches!(event, Event::Host(Host::Device(device)) if device.trusted));
    bench.until_host(&done(Task::Trust, Ok(())));
    bench.fake().does(&json!([
        "fail",
        "ConnectProfile",
        "org.bluez.Error.Failed",
        "br-connection-page-timeout"
    ]));
    bench.command(Command::Connect(phone()));
    bench.until_host(&done(Task::Connect, Err("org.bluez.Error.Failed: br-connection-page-timeout")));
    bench.command(Command::Disconnect(phone()));
    bench.until_host(&done(Task::Disconnect, Ok(())));
    let stranger: Address = "66:66:66:66:66:66".parse().unwrap();
    bench.command(Command::Connect(stranger));
    let result = Err("org.bluez.Error.DoesNotExist: there is no such device".to_owned());
    bench.until_host(&Host::Done { task: Task::Connect, device: stranger, result });
    bench.command(Command::Remove(phone()));
    bench.until_host(&Host::DeviceGone(phone()));
    bench.until_host(&done(Task::Remove, Ok(())));
}

#[test]
fn slow_answers_hold_nothing_up_and_missing_ones_end_after_a_minute() {
    let mut bench = Bench::registered();
    bench.fake().does(&json!(["delay", "ConnectProfile", 0.5]));
    bench.command(Command::Connect(phone()));
    bench.command(Command::Disconnect(phone()));
    let ok = |task| Host::Done { task, device: phone(), result: Ok(()) };
    bench.until_host(&ok(Task::Disconnect));
    bench.until_host(&ok(Task::Connect));
    bench.fake().does(&json!(["delay", "ConnectProfile", -1]));
    bench.command(Command::Connect(phone()));
    bench.nothing();
    bench.later += Duration::from_secs(59);
    bench.nothing();
    bench.later += Duration::from_secs(2);
    let result = Err("org.freedesktop.DBus.Error.NoReply: no answer".to_owned());
    bench.until_host(&Host::Done { task: Task::Connect, device: phone(), result });
    assert_eq!(bench.client.counters().unanswered, 1);
}

#[test]
fn a_profile_that_another_has_is_told_with_his_name() {
    let mut bench = Bench::registered();
    bench.fake().does(&json!(["taken", true]));
    let sentence = "org.bluez.Error.NotPermitted: UUID already registered".to_owned();
    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRefused { by: None, sentence: sentence.clone() });
    // Not by its process, which is only python3, but by its name on the bus.
    let _ofono = Fake::start(&bench.address, Some("org.ofono"));
    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRefused { by: Some("oFono".into()), sentence });
}

#[test]
fn a_host_that_starts_again_is_a_new_host() {
    let mut bench = Bench::registered();
    bench.fake = None;
    bench.until_host(&Host::Down("bluetoothd is not running".into()));
    bench.nothing();
    bench.command(Command::Connect(phone()));
    bench.until("no", |event| matches!(event, Event::Host(Host::Done { result: Err(_), .. })));
    bench.fake = Some(Fake::start(&bench.address, None));
    bench.until_host(&Host::Up);
    bench.until("the phone", |event| matches!(event, Event::Host(Host::Device(_))));
    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRegistered);
}

#[test]
fn an_adapter_that_is_unplugged_takes_its_phone_along_and_both_come_back() {
    let mut bench = Bench::registered();
    bench.fake().does(&json!(["plug", false]));
    bench.until_host(&Host::DeviceGone(phone()));
    bench.until_host(&Host::AdapterGone("hci0".into()));
    bench.fake().does(&json!(["plug", true]));
    bench.until("adapter", |event| matches!(event, Event::Host(Host::Adapter(_))));
    // The phone is there again, and nobody has said so: its first change makes it known.
    bench.fake().does(&json!(["connected", true]));
    bench.until(
        "phone",
        |event| matches!(event, Event::Host(Host::Device(phone)) if phone.connected && phone.audio_gateway),
    );
}

#[test]
fn a_bus_that_goes_is_tried_again_until_it_is_back() {
    let mut bench = Bench::registered();
    bench.bus = None;
    bench.until_host(&Host::Down("the connection with the message bus is lost".into()));
    let down = bench.until("no bus", |_| true);
    assert!(matches!(&down, Event::Host(Host::Down(why)) if why.starts_with("no message bus: ")), "{down:?}");
    let mut program = Program::new("dbus-daemon");
    let address = bench.address.split(',').next().unwrap().to_owned();
    program.args(["--session", "--nofork", "--print-address", "--address", &address]);
    std::fs::remove_file(address.trim_start_matches("unix:path=")).ok();
    bench.bus = Some(Running::start(&mut program));
    bench.address = bench.bus.as_ref().unwrap().line();
    bench.client = Bluez::new(Some(address), Rng::from_u64(2));
    bench.fake = Some(Fake::start(&bench.address, None));
    bench.until_host(&Host::Up);
}

#[test]
fn only_a_unix_socket_is_taken_for_a_bus() {
    for address in
        ["tcp:host=127.0.0.1,port=1", "unixexec:path=/bin/true", "unix:path=/nowhere", "", "nonsense"]
    {
        let mut client = Bluez::new(Some(address.into()), Rng::from_u64(1));
        let now = Instant::now();
        client.handle_timeout(now);
        let Some(Event::Host(Host::Down(why))) = client.poll_event() else { panic!("{address}") };
        assert!(why.starts_with("no message bus: "), "{why}");
        assert!(client.deadline(now).is_some_and(|at| at > now));
        client.handle_timeout(now + Duration::from_secs(60));
        assert!(client.poll_event().is_none(), "the same is not told twice");
    }
}

#[test]
fn garbage_is_counted_and_changes_nothing() {
    let mut bench = Bench::registered();
    bench.fake().does(&json!(["garbage"]));
    bench.nothing();
    assert!(bench.client.counters().garbage >= 6, "{:?}", bench.client.counters());
    bench.fake().does(&json!(["connected", true]));
    bench
        .until("still there", |event| matches!(event, Event::Host(Host::Device(device)) if device.connected));
}

#[test]
fn what_only_the_host_may_do_nobody_else_does() {
    let mut bench = Bench::new();
    bench.fake = Some(Fake::start(&bench.address, None));
    bench.until("the phone", |event| matches!(event, Event::Host(Host::Device(_))));
    bench.command(Command::RegisterProfile);
    bench.until_host(&Host::ProfileRegistered);
    let us = bench.says("profile")[2].clone();
    let mut other = Fake::start(&bench.address, Some("org.example.Other"));
    other.does(&json!(["adopt", us]));
    other.does(&json!(["rfcomm", "AT\r"]));
    other.does(&json!(["garbage"]));
    bench.nothing();
    assert_eq!(
        bench.heard_from(&other, "refused"),
        ["NewConnection", "org.freedesktop.DBus.Error.AccessDenied"]
    );
    assert_eq!((bench.client.counters().strangers, bench.client.counters().garbage), (1, 0));
}
