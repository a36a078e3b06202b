//! The simulated phone on a real line: its SIP thread, its resolver and its media, in one process.

use std::io::{self, Write};

use crossbeam_channel::{Receiver, Sender};

use super::phone::{Input, Phone, PhoneOptions, run};
use crate::base::{CallIds, Rng};
use crate::run::media::MediaPool;
use crate::run::resolver::Resolver;
use crate::run::sip::{self, SipOptions};
use crate::sys::clock;
use crate::sys::mailbox::Undelivered;
use crate::sys::thread::Spawner;

/// Runs a phone that needs no account: anybody may call it, and it calls whatever URI it is given. Returns when it
/// is done, or after `Input::Stop` (a signal's way to end it) was sent over `inputs`.
pub fn over_sip(
    spawner: &Spawner,
    mut rng: Rng,
    options: PhoneOptions,
    sip: SipOptions,
    inputs: (Sender<Input>, Receiver<Input>),
    out: &mut impl Write,
) -> io::Result<()> {
    let (tell, waiting) = inputs;
    let (ids, resolver) = (CallIds::default(), Resolver::start(spawner)?);
    let events = tell.clone();
    let commands = sip::spawn(spawner, sip, resolver, ids.clone(), rng.fork(), move |event| {
        // A phone that has ended hears nothing more.
        let _ = events.send(Input::Leg(event));
    })?;
    let pool = MediaPool::new(spawner.clone(), rng);
    let phone = Phone::new(clock::mono(), options, pool, spawner.clone(), ids, tell.clone());
    let command = |next| {
        if let Err(Undelivered::Full(_) | Undelivered::Gone(_)) = commands.send(next) {
            // Without its line there is no phone.
            let _ = tell.send(Input::Leg(crate::call::leg::LegEvent::Closed));
        }
    };
    run(phone, &waiting, command, out)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::unbounded;
    use serde_json::Value;

    use super::super::Role;
    use super::*;
    use crate::base::Pii;
    use crate::call::leg::DialTarget;
    use crate::call::sip_line::OpenLine;
    use crate::dsp::{Tone, level_at};
    use crate::port::wav;

    /// Lines as they are told, to whoever waits for them.
    struct Lines(Sender<Value>, Vec<u8>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for byte in bytes {
                if *byte == b'\n' {
                    let _ = self.0.send(serde_json::from_slice(&self.1)?);
                    self.1.clear();
                } else {
                    self.1.push(*byte);
                }
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn phone(seed: u64, role: Role, hz: f32, record: &std::path::Path) -> Receiver<Value> {
        let (told, lines) = unbounded();
        let mut say = vec![0; 16000];
        Tone::new(hz, 16000, -12.0).fill(&mut say);
        let options = PhoneOptions {
            hang_up_after: matches!(role, Role::Call(_)).then_some(Duration::from_millis(1500)),
            role,
            bind: [127, 0, 0, 1].into(),
            say: say.into(),
            record: Some(record.to_owned()),
            stereo: false,
            once: true,
        };
        std::thread::Builder::new()
            .spawn(move || {
                let metrics = crate::base::Metrics::new().unwrap();
                let sip =
                    SipOptions { bind: [127, 0, 0, 1].into(), open: Some(OpenLine::default()), metrics };
                let spawner = Spawner::new(unbounded().0);
                let mut out = Lines(told, Vec::new());
                over_sip(&spawner, Rng::from_u64(seed), options, sip, unbounded(), &mut out).unwrap();
            })
            .unwrap();
        lines
    }

    fn until(lines: &Receiver<Value>, event: &str) -> Value {
        loop {
            let line = lines.recv_timeout(Duration::from_secs(10)).unwrap();
            if line["event"] == event {
                return line;
            }
        }
    }

    #[test]
    fn one_phone_calls_another_over_sip_and_rtp_and_both_hear() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here.wav"), folder.path().join("there.wav"));
        let callee = phone(1, Role::Answer { ring_for: Duration::from_millis(50) }, 700.0, &there);
        let local = until(&callee, "status")["local"].as_str().unwrap().to_owned();
        let caller = phone(2, Role::Call(DialTarget::Uri(Pii(format!("sip:bob@{local}")))), 440.0, &here);
        assert_eq!(until(&caller, "progress")["code"], 180);
        assert_eq!(until(&caller, "answered")["codec"], "PCMU");
        for (lines, end, path, hz) in
            [(caller, "LocalHangup", here, 700.0), (callee, "RemoteHangup", there, 440.0)]
        {
            let ended = until(&lines, "ended");
            assert_eq!(ended["end"], end, "{ended}");
            assert_eq!(ended["media"]["lost"], 0, "{ended}");
            assert!(lines.recv_timeout(Duration::from_secs(10)).is_err(), "it ends after its call");
            let samples = wav::read(&path).unwrap();
            let level = level_at(&samples[3200..12800], 16000, hz);
            assert!((level + 12.0).abs() < 1.0, "{hz} Hz: {level} dBFS");
        }
    }
}
