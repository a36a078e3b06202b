//! The thread's own decisions, without a bus and without phones.

use super::*;
use crate::adb::{Failure, Serial, Task};
use crate::base::CallId;
use crate::run::link;

#[test]
fn a_call_that_is_not_carried_is_silent_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (deaths, _) = crossbeam_channel::unbounded();
    let bus = Some(format!("unix:path={}", folder.path().join("no-bus").display()));
    let mut silent = Vec::new();
    let mut thread = Thread {
        line: PhoneLine::new(clock::mono(), CallIds::default(), Rng::from_u64(1), Memory::default()),
        bluez: Bluez::new(bus, Rng::from_u64(2)),
        phones: BTreeMap::new(),
        opening: Opening::new(Sco::Folder(folder.path().to_owned())),
        metrics: Metrics::new().unwrap(),
        counted: Default::default(),
        voice: VoicePool::new(Spawner::new(deaths)).unwrap(),
        adb: AdbEnd { commands: mailbox(1).unwrap().0, events: mailbox(1).unwrap().1 },
        tell: |told| {
            if let Told::MediaSeen { call, silent_ms } = told {
                silent.push((call, silent_ms > 60_000));
            }
        },
    };
    let (end, _talker) = link::link().unwrap();
    thread.on_mail(Mail::MediaOpen { call: CallId(1), end });
    for call in [1, 2].map(CallId) {
        thread.on_mail(Mail::MediaLook { call });
    }
    drop(thread);
    assert_eq!(silent, [(CallId(1), false), (CallId(2), true)]);
}

#[test]
fn a_command_that_the_adb_thread_has_no_room_for_is_answered() {
    let (commands, waiting) = mailbox(1).unwrap();
    let serial = Serial::parse("R5CT").unwrap();
    let end = |call| AdbCommand::End { serial: serial.clone(), call: CallId(call), rings: false };
    let refused = |call| {
        let result = Err(Failure::NotPassedOn);
        Some(AdbEvent::Done { serial: serial.clone(), call: CallId(call), task: Task::End, result })
    };
    assert_eq!(pass_on(&commands, end(1)), None);
    assert_eq!(pass_on(&commands, end(2)), refused(2));
    assert_eq!(waiting.next().unwrap(), Some(end(1)));
    drop(waiting);
    assert_eq!(pass_on(&commands, end(3)), refused(3));
}
