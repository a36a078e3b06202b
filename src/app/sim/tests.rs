//! Two phones with a wire between them that speaks the leg's words: a whole call with real media.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::Value;

use super::phone::{Input, Phone, PhoneOptions, Role, run};
use crate::base::{CallId, CallIds, Number, Pii, Rng};
use crate::call::leg::{
    DialTarget, LegCommand, LegEnd, LegEvent, LineAudio, LineCodec, RejectWhy, RemoteParty,
};
use crate::dsp::{Tone, level_at};
use crate::port::wav;
use crate::run::media::MediaPool;
use crate::sys::clock::mono;
use crate::sys::thread::Spawner;

struct End {
    inputs: Sender<Input>,
    commands: Receiver<LegCommand>,
    lines: std::thread::JoinHandle<Vec<Value>>,
}

fn tone(hz: f32, seconds: usize) -> std::sync::Arc<[i16]> {
    let mut samples = vec![0; 16000 * seconds];
    Tone::new(hz, 16000, -12.0).fill(&mut samples);
    samples.into()
}

fn options(role: Role, hz: f32, record: &Path) -> PhoneOptions {
    PhoneOptions {
        role,
        bind: [127, 0, 0, 1].into(),
        say: tone(hz, 1),
        record: Some(record.to_owned()),
        stereo: false,
        hang_up_after: None,
        once: true,
    }
}

fn phone(seed: u64, options: PhoneOptions) -> End {
    let (inputs, input) = unbounded();
    let (command, commands) = unbounded();
    let voices = inputs.clone();
    let lines = std::thread::Builder::new()
        .spawn(move || {
            let (deaths, _) = unbounded();
            let spawner = Spawner::new(deaths);
            let pool = MediaPool::new(spawner.clone(), Rng::from_u64(seed));
            let phone = Phone::new(mono(), options, pool, spawner, CallIds::default(), voices);
            let mut out = Vec::new();
            run(phone, &input, |next| _ = command.send(next), &mut out).unwrap();
            out.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
        })
        .unwrap();
    End { inputs, commands, lines }
}

impl End {
    fn next(&self) -> LegCommand {
        self.commands.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn tell(&self, event: LegEvent) {
        self.inputs.send(Input::Leg(event)).unwrap();
    }
}

fn audio(port: u16) -> LineAudio {
    LineAudio {
        remote: ([127, 0, 0, 1], port).into(),
        codec: LineCodec::Pcma,
        payload_type: 8,
        telephone_event: None,
        ptime_ms: 20,
        send: true,
        receive: true,
    }
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

#[test]
fn one_phone_calls_another_and_each_recording_holds_what_the_other_said() {
    let folder = tempfile::tempdir().unwrap();
    let (caller_heard, callee_heard) = (folder.path().join("caller.wav"), folder.path().join("callee.wav"));
    let target = DialTarget::Number(Number::parse("100").unwrap());
    let callee_role = Role::Answer { ring_for: Duration::from_millis(30) };
    let callee = phone(1, options(callee_role, 700.0, &callee_heard));
    let hang_up_after = Some(Duration::from_millis(1600));
    let caller =
        phone(2, PhoneOptions { hang_up_after, ..options(Role::Call(target), 440.0, &caller_heard) });
    let LegCommand::Dial { call, rtp_port: caller_port, .. } = caller.next() else { panic!() };
    let there = CallId(77);
    let remote = RemoteParty { uri: Some(Pii("sip:a@b".into())), ..RemoteParty::default() };
    callee.tell(LegEvent::Incoming { call: there, remote });
    assert!(matches!(callee.next(), LegCommand::Ring { .. }));
    caller.tell(LegEvent::Progress { call, code: 180 });
    let LegCommand::Answer { rtp_port: callee_port, .. } = callee.next() else { panic!() };
    callee.tell(LegEvent::Audio { call: there, line: audio(caller_port) });
    caller.tell(LegEvent::Audio { call, line: audio(callee_port) });
    // A second caller meets a busy line.
    callee.tell(LegEvent::Incoming { call: CallId(78), remote: RemoteParty::default() });
    assert!(matches!(callee.next(), LegCommand::Reject { call: CallId(78), why: RejectWhy::Busy }));
    assert!(matches!(caller.next(), LegCommand::Hangup { .. }));
    for (end, call, how) in [(&caller, call, LegEnd::LocalHangup), (&callee, there, LegEnd::RemoteHangup)] {
        end.tell(LegEvent::Ended { call, end: how, code: Some(200), detail: String::new() });
        assert!(matches!(end.next(), LegCommand::Close));
        end.tell(LegEvent::Closed);
    }
    let (caller, callee) = (caller.lines.join().unwrap(), callee.lines.join().unwrap());
    assert_eq!(names(&caller)[..3], ["dialing", "progress", "answered"]);
    assert_eq!(names(&callee)[..3], ["incoming", "answering", "answered"]);
    for (lines, path, hz) in [(caller, caller_heard, 700.0), (callee, callee_heard, 440.0)] {
        assert!(names(&lines).contains(&"heard") && names(&lines).contains(&"said"), "{lines:?}");
        let ended = lines.iter().find(|line| line["event"] == "ended").unwrap();
        assert!(ended["media"]["packets_received"].as_u64().unwrap() > 50, "{ended}");
        let samples = wav::read(&path).unwrap();
        let level = level_at(&samples[3200..12800], 16000, hz);
        assert!((level + 12.0).abs() < 1.0, "{hz} Hz: {level} dBFS in {} samples", samples.len());
    }
}

#[test]
fn a_phone_that_refuses_says_why_and_ends_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let phone = phone(3, options(Role::Refuse(RejectWhy::Declined), 440.0, &folder.path().join("x.wav")));
    phone.tell(LegEvent::Incoming { call: CallId(1), remote: RemoteParty::default() });
    assert!(matches!(phone.next(), LegCommand::Reject { why: RejectWhy::Declined, .. }));
    phone.inputs.send(Input::Stop).unwrap();
    assert!(matches!(phone.next(), LegCommand::Close));
    phone.tell(LegEvent::Closed);
    assert_eq!(names(&phone.lines.join().unwrap()), ["incoming", "refusing"]);
}
