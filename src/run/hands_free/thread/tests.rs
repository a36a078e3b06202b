//! The thread's own decisions, without a bus and without phones.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::base::CallId;
use crate::call::phones::{PhoneCommand, PhoneEvent};
use crate::hfp::host::{Adapter, Device, Event};
use crate::run::link;

const PHONE: Address = Address::new([0xa, 0, 0, 0, 0, 1]);

fn thread<F: FnMut(Told)>(folder: &Path, memory: Memory, tell: F) -> Thread<F> {
    let (deaths, _) = crossbeam_channel::unbounded();
    let bus = Some(format!("unix:path={}", folder.join("no-bus").display()));
    Thread {
        line: PhoneLine::new(clock::mono(), CallIds::default(), Rng::from_u64(1), memory),
        bluez: Bluez::new(bus, Rng::from_u64(2)),
        phones: BTreeMap::new(),
        opening: Opening::new(Sco::Folder(folder.to_owned())),
        voice: VoicePool::new(Spawner::new(deaths)).unwrap(),
        memory: folder.join("phones.json"),
        tell,
    }
}

#[test]
fn a_call_that_is_not_carried_is_silent_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut silent = Vec::new();
    let mut thread = thread(folder.path(), Memory::default(), |told| {
        if let Told::MediaSeen { call, silent_ms } = told {
            silent.push((call, silent_ms > 60_000));
        }
    });
    let (end, _talker) = link::link().unwrap();
    thread.on_mail(Mail::MediaOpen { call: CallId(1), end });
    for call in [1, 2].map(CallId) {
        thread.on_mail(Mail::MediaLook { call });
    }
    drop(thread);
    assert_eq!(silent, [(CallId(1), false), (CallId(2), true)]);
}

#[test]
fn what_is_remembered_is_written_after_everything_else_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phones.json");
    let shows = Rc::new(RefCell::new(Vec::new()));
    let (seen, looks_for) = (shows.clone(), file.clone());
    let used = Memory::read(&format!(r#"{{"last_used":["{PHONE}"]}}"#)).unwrap();
    let mut thread = thread(folder.path(), used, move |told| {
        if let Told::Event(PhoneEvent::Phones(_)) = told {
            seen.borrow_mut().push(looks_for.exists());
        }
    });
    let adapter = Adapter {
        name: "hci0".into(),
        address: Address::new([2, 0, 0, 0, 0, 1]),
        alias: String::new(),
        powered: true,
        blocked: false,
        discoverable: false,
        pairable: false,
    };
    let device = Device {
        adapter: "hci0".into(),
        address: PHONE,
        alias: "Phone".into(),
        paired: true,
        trusted: true,
        connected: false,
        audio_gateway: true,
    };
    for event in [Event::Up, Event::Adapter(adapter), Event::ProfileRegistered, Event::Device(device)] {
        thread.input(Input::Host(event));
    }
    thread.input(Input::Command(PhoneCommand::Connect { phone: PHONE }));
    // What is shown may be told again.
    wait(&mut [], Some(clock::mono() + Duration::from_millis(250))).unwrap();
    thread.line.handle_timeout(clock::mono());
    thread.drain();
    wait(&mut [], Some(clock::mono() + Duration::from_millis(250))).unwrap();
    shows.borrow_mut().clear();
    thread.input(Input::Command(PhoneCommand::Remove { phone: PHONE }));
    assert_eq!(*shows.borrow(), [false], "it was shown before the file was there");
    assert!(file.exists());
}
