//! Events that belong to no call: among the others, and not for ever.

use std::fs;

use super::*;
use crate::port::store::{Page, SERVICE_EVENTS_MAX};

const KEPT: u64 = SERVICE_EVENTS_MAX as u64;

fn of_no_call(seq: u64) -> Arc<Event> {
    Arc::new(Event { session: None, ..(*event(seq, "", EventKind::Agent)).clone() })
}

fn told(seqs: impl Iterator<Item = u64>) -> Vec<Record> {
    seqs.map(|seq| Record::Event(of_no_call(seq))).collect()
}

fn all(reader: &Reader, after: u64) -> Page {
    reader.events_after(None, after, 9999).unwrap()
}

fn seqs(page: &Page) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

#[test]
fn they_stand_among_all_others_and_in_no_session() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    let mut records = vec![Record::SessionOpened(meta("a", false)), agent_event(2, "a"), agent_event(5, "a")];
    records.extend(told([1, 3, 4, 6].into_iter()));
    commit(&mut writer, records).unwrap();
    let reader = writer.reader().unwrap();
    let page = all(&reader, 0);
    assert_eq!((seqs(&page), page.pruned_seq), (vec![1, 2, 3, 4, 5, 6], 0));
    assert_eq!((&page.events[2], &page.events[4]), (&*of_no_call(3), &*event(5, "a", EventKind::Agent)));
    assert_eq!(seqs(&reader.events_after(None, 2, 2).unwrap()), [3, 4]);
    assert_eq!(seqs(&reader.events_after(Some(&SessionId::new("a")), 0, 9).unwrap()), [2, 5]);
    assert_eq!(reader.agent_events("a").unwrap().unwrap().len(), 2);
    assert_eq!(reader.latest_seq().unwrap(), 6);
    let without_its_call = Event { kind: EventKind::Call, ..(*of_no_call(7)).clone() };
    let refused = commit(&mut writer, vec![Record::Event(without_its_call.into())]);
    assert!(matches!(refused, Err(BatchError::Refused(_))), "{refused:?}");
}

#[test]
fn the_newest_are_kept_and_how_far_the_rest_went_is_known_in_the_next_run_too() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    commit(&mut writer, vec![Record::SessionOpened(meta("a", false)), agent_event(1, "a")]).unwrap();
    commit(&mut writer, told(2..KEPT + 2)).unwrap();
    let reader = writer.reader().unwrap();
    let page = all(&reader, 0);
    assert_eq!((page.events.len() as u64, page.pruned_seq), (KEPT + 1, 0), "so many there may be");
    // What is refused prunes nothing.
    let mut refused = told(KEPT + 2..KEPT + 9);
    refused.push(agent_event(KEPT + 9, "nobody"));
    commit(&mut writer, refused).unwrap_err();
    assert_eq!(all(&reader, 0), page);

    commit(&mut writer, told(KEPT + 2..KEPT + 5)).unwrap();
    let page = all(&reader, 0);
    assert_eq!((seqs(&page)[..2].to_vec(), page.pruned_seq), (vec![1, 5], 4), "those of calls stay");
    assert_eq!((page.events.len() as u64, reader.pruned_seq().unwrap()), (KEPT + 1, 4));
    assert_eq!(reader.events_after(Some(&SessionId::new("a")), 0, 9).unwrap().pruned_seq, 0);
    // Killed: nothing was closed in order.
    drop((reader, writer));
    let (writer, recovered) = open(&folder);
    assert_eq!(recovered.next_seq, KEPT + 5);
    assert_eq!(all(&writer.reader().unwrap(), 0), page);
}

#[test]
fn the_next_run_learns_which_phones_clients_believe_to_be_connected() {
    let folder = state();
    let (mut writer, recovered) = open(&folder);
    assert_eq!(recovered.phones_here, []);
    let tells = |seq, name: &str, payload: Value| {
        let json = json!({ "payload": payload }).to_string();
        Record::Event(Arc::new(Event { name: name.into(), json, ..(*of_no_call(seq)).clone() }))
    };
    let of = |place: u8, name: &str| json!({ "address": format!("02:00:00:00:00:0{place}"), "name": name });
    let records = vec![
        tells(1, "phone_connected", of(1, "old name")),
        tells(2, "phone_connected", of(2, "gone")),
        tells(3, "phone_connected", of(3, "back")),
        tells(4, "phone_disconnected", of(3, "back")),
        tells(5, "phone_changed", of(1, "new name")),
        tells(6, "phone_disconnected", of(2, "gone")),
        tells(7, "phone_connected", of(3, "back")),
        // Nothing that this program writes.
        tells(8, "phone_connected", json!({ "address": 7 })),
        tells(9, "phone_connected", json!({ "address": "somewhere" })),
        Record::Event(Arc::new(Event { json: "{".into(), ..(*of_no_call(10)).clone() })),
    ];
    commit(&mut writer, records).unwrap();
    drop(writer);
    let (_, recovered) = open(&folder);
    let here: Vec<_> = recovered
        .phones_here
        .iter()
        .map(|phone| (phone.address.to_string(), phone.name.0.as_str()))
        .collect();
    let expected = [("02:00:00:00:00:01".to_owned(), "new name"), ("02:00:00:00:00:03".to_owned(), "back")];
    assert_eq!(here, expected);
}

#[test]
fn after_damage_whoever_knew_the_old_database_has_missed_something() {
    let folder = state();
    let (mut writer, _) = open(&folder);
    commit(&mut writer, told(1..4)).unwrap();
    writer.close().unwrap();
    fs::write(folder.path().join("callscoot.db"), "damage".repeat(1000)).unwrap();
    let (writer, recovered) = open(&folder);
    assert_eq!(writer.reader().unwrap().pruned_seq().unwrap(), recovered.next_seq - 1);
}

#[test]
fn databases_of_every_schema_take_them() {
    for version in 1..=super::super::schema::MIGRATIONS.len() {
        let folder = state();
        let fixture = format!("tests/fixtures/store-v{version}.db");
        fs::copy(fixture, folder.path().join("callscoot.db")).unwrap();
        let (mut writer, recovered) = open(&folder);
        assert_eq!(recovered.next_seq, 1000, "schema {version}");
        commit(&mut writer, told(1000..1001)).unwrap();
        let page = all(&writer.reader().unwrap(), 0);
        // The fixture of schema 3 has one of its own.
        let expected = if version < 3 { vec![2, 3, 1000] } else { vec![2, 3, 4, 1000] };
        assert_eq!((seqs(&page), page.pruned_seq), (expected, 0), "schema {version}");
    }
}
