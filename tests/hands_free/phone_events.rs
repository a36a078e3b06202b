//! What phones do outside calls, as programs and people who follow the stream of all see it.

use std::collections::BTreeSet;

use super::*;
use crate::support::http::{EventStream, StreamedEvent};

const GONE: &str = "phone_disconnected";
/// What the simulated phone says of itself.
const OWN_NUMBER: &str = "+15550123";

/// Events up to one that is good; every one of them is of a phone or of a call, and none is told twice.
fn up_to(stream: &mut EventStream, good: impl Fn(&Value) -> bool) -> Vec<StreamedEvent> {
    let mut told: Vec<StreamedEvent> = Vec::new();
    loop {
        let event = stream.next().expect("the stream of all never ends");
        assert!(told.last().is_none_or(|last| last.id < event.id), "{event:?} after {told:?}");
        assert_eq!(event.name().starts_with("phone_"), event.json["call_id"].is_null(), "{event:?}");
        told.push(event);
        if good(&told.last().unwrap().json) {
            return told;
        }
    }
}

fn named(name: &str) -> impl Fn(&Value) -> bool {
    move |event| event["event_type"] == name
}

fn battery(level: u8) -> impl Fn(&Value) -> bool {
    move |event| event["event_type"] == "phone_changed" && event["payload"]["phone"]["battery"] == level
}

fn callscoot(service: &Service, words: &[&str]) -> Command {
    let mut command = Command::new(CALLSCOOT);
    command.args(words).env("CALLSCOOT_API_BASE", format!("http://127.0.0.1:{}", service.api.port()));
    command
}

/// The lines of a command that succeeds, of which the last has these words.
fn said(command: &Command, last: &str) -> Vec<String> {
    let mut process = Process::start("callscoot events", command);
    assert!(process.ended().success());
    let is_last = |lines: &Vec<String>| lines.last().is_some_and(|line| line.contains(last));
    until_is("all that it says", || process.out(), is_last)
}

#[test]
fn phones_are_told_in_the_stream_of_all_through_a_call_a_kill_and_a_stop() {
    let mut world = World::start_with(&["--known"], json!({}), &[("CALLSCOOT_LOG", "info")]);
    let mut log = Vec::new();
    let mut all = world.service.api.events("all");
    let mut told = up_to(&mut all, named("phone_connected"));
    assert_eq!(told.len(), 1, "{told:?}");
    let came = &told[0].json;
    assert_eq!((&came["source"], &came["caller_id"]), (&json!("system"), &Value::Null));
    assert_eq!(came["payload"]["address"], ADDRESS);
    assert_eq!(came["payload"]["phone"]["link"], "connected");
    assert_eq!(came["payload"]["phone"]["battery"], 3);

    let own_number = || world.phones()["phones"][0]["own_number"].clone();
    until_is("what it says of itself", own_number, |number| number == OWN_NUMBER);
    world.phone.order("indicator battchg 1");
    told.extend(up_to(&mut all, battery(1)));
    let shown = &told.last().unwrap().json["payload"]["phone"];
    assert_eq!(*shown, world.phones()["phones"][0], "as the list of phones has it");

    let id = world.rings();
    let _conversation = world.agent.conversation();
    let in_call = |event: &Value| event["payload"]["phone"]["calls"] == 1;
    told.extend(up_to(&mut all, in_call));
    world.phone.order("hang-up");
    world.service.ended(&id);
    let of_call: Vec<StreamedEvent> = world.service.api.events(&id).rest();
    assert!(of_call.iter().all(|event| event.json["call_id"] == id.as_str()), "{of_call:?}");
    let (_, listed) = world.service.api.get(&format!("/v1/calls/{id}/events"));
    let listed = listed["events"].as_array().unwrap();
    assert!(listed.iter().all(|event| event["call_id"] == id.as_str()), "{listed:?}");

    world.phone.order("vanish");
    told.extend(up_to(&mut all, named(GONE)));
    assert_ne!(told.last().unwrap().json["payload"]["reason"], "");
    world.phone.order("return");
    told.extend(up_to(&mut all, named("phone_connected")));
    log.extend(world.service.process().err());
    world.service.process().kill();

    // Who resumes learns that it was gone, and that it is back.
    world.service.run();
    let last = told.last().unwrap().id;
    let mut all = world.service.api.events_after("all", last);
    let since = up_to(&mut all, named("phone_connected"));
    let lost: Vec<&Value> = since.iter().map(|event| &event.json).filter(|json| named(GONE)(json)).collect();
    assert_eq!(lost.len(), 1, "{since:?}");
    assert_eq!(lost[0]["payload"]["reason"], "the service ended while the phone was connected");
    assert!(since[0].id > last);
    told.extend(since);

    let last = told.last().unwrap().id;
    log.extend(world.service.process().err());
    assert!(world.service.process().terminate().success());
    world.service.run();
    let mut all = world.service.api.events_after("all", last);
    let since = up_to(&mut all, named("phone_connected"));
    let lost: Vec<&Value> = since.iter().map(|event| &event.json).filter(|json| named(GONE)(json)).collect();
    assert_eq!(lost.len(), 1, "{since:?}");
    assert_eq!(lost[0]["payload"]["reason"], "the phones are closed");
    told.extend(since);

    // From the beginning it is the same again, byte for byte.
    let last = told.last().unwrap().id;
    let again = up_to(&mut world.service.api.events("all"), |event| event["seq"] == last);
    let pairs = |events: &[StreamedEvent]| -> Vec<(u64, String)> {
        events.iter().map(|event| (event.id, event.json.to_string())).collect()
    };
    assert_eq!(pairs(&again), pairs(&told));

    log.extend(world.service.process().err());
    let name = told[0].json["payload"]["name"].as_str().unwrap();
    for secret in [ADDRESS, &ADDRESS.replace(':', "_"), name, OWN_NUMBER, CALLER] {
        let line = log.iter().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} in the log");
    }
    assert!(log.iter().any(|line| line.contains("phone 1 is connected")), "{log:?}");
}

#[test]
fn the_command_line_lists_what_phones_did_and_follows_what_they_do() {
    let mut world = World::connected(&[], json!({}));
    world.phone.order("vanish");
    let mut all = world.service.api.events("all");
    up_to(&mut all, named(GONE));
    let listed = said(&callscoot(&world.service, &["events", "all"]), "is gone: ");
    assert_eq!(listed[0], "outside calls");
    let listed = said(&callscoot(&world.service, &["events", "all", "--json"]), GONE);
    let events: Vec<Value> = listed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().map(named("phone_connected")), Some(true), "{listed:?}");

    let old: BTreeSet<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    let sent = || {
        let figures = world.service.api.metrics();
        let line = figures.lines().find_map(|line| line.strip_prefix("callscoot_sse_events_total "));
        line.unwrap().parse::<usize>().unwrap()
    };
    let before = sent();
    let follow = callscoot(&world.service, &["events", "all", "--follow", "--json"]);
    let watch = Process::start("callscoot events --follow", &follow);
    // Whatever happens once the old ones are sent is new.
    until_is("the old events", sent, |sent| *sent == before + old.len());
    world.phone.order("return");
    let came = || watch.events().iter().any(named("phone_connected")).then_some(());
    until("what it does then", came);
    let new: BTreeSet<u64> = watch.events().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(new.is_disjoint(&old), "{new:?} are new, {old:?} old");
}
