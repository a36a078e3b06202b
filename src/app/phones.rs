//! The wiring of phones: the hands-free thread and its voice links, where this build and machine have them.

#[cfg(feature = "bluez")]
use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::fault::Fault;
use crate::base::{CallIds, Metrics, Rng};
#[cfg(feature = "bluez")]
use crate::call::phone_line::Memory;
#[cfg(feature = "bluez")]
use crate::port::{sco::Sco, whole_file};
#[cfg(feature = "bluez")]
use crate::run::adb::{self, AdbTotals};
use crate::run::hands_free::Mail;
#[cfg(feature = "bluez")]
use crate::run::hands_free::{self, AdbEnd, HandsFreeOptions};
use crate::run::switch::SwitchHandle;
#[cfg(feature = "bluez")]
use crate::run::voice::VoicePool;
use crate::sys::mailbox::MailSender;
#[cfg(feature = "bluez")]
use crate::sys::mailbox::mailbox;
use crate::sys::thread::Spawner;

/// What is remembered of phones is never longer.
#[cfg(feature = "bluez")]
const MEMORY_BYTES_MAX: u64 = 64 * 1024;

/// The way to the phones, or why there is none.
type PhonesEnd = Result<MailSender<Mail>, String>;

/// Events of adb that wait at most: of sixteen phones, each with a few.
#[cfg(feature = "bluez")]
const ADB_EVENTS_MAX: usize = 1024;

/// The hands-free thread, and the voice links that it opens.
#[cfg(feature = "bluez")]
pub(super) fn start(
    spawner: &Spawner,
    environment: &Environment,
    (ids, mut rng): (CallIds, Rng),
    metrics: &Arc<Metrics>,
    switch: &SwitchHandle,
) -> Result<PhonesEnd, Fault> {
    let refused = |source| Fault::System { what: "the hands-free thread", source };
    let voice = VoicePool::new(spawner.clone()).map_err(refused)?;
    let totals = voice.totals();
    metrics.at_scrape(move |metrics| totals.report(metrics));
    let (tell, events) = mailbox(ADB_EVENTS_MAX).map_err(refused)?;
    let counted = AdbTotals::default();
    let of_adb = (rng.fork(), counted.clone());
    let commands = adb::spawn(spawner, environment.adb.clone(), of_adb, move |event| {
        if tell.send(event).is_err() {
            log::error!("the hands-free thread is behind; an event of adb was dropped");
        }
    })
    .map_err(|source| Fault::System { what: "the adb thread", source })?;
    metrics.at_scrape(move |metrics| counted.report(metrics));
    let options = HandsFreeOptions {
        bus: environment.system_bus.clone(),
        sco: environment.sco_dir.clone().map_or(Sco::Kernel, Sco::Folder),
        memory: remembered(&environment.phone_memory()),
        metrics: metrics.clone(),
    };
    let switch = switch.clone();
    let ends = (voice, AdbEnd { commands, events });
    hands_free::spawn(spawner, options, ends, (ids, rng), move |told| switch.told(told))
        .map(Ok)
        .map_err(refused)
}

/// What earlier runs learnt. A file that cannot be read costs only that.
#[cfg(feature = "bluez")]
fn remembered(path: &Path) -> Memory {
    let read = whole_file::read(path, MEMORY_BYTES_MAX).map_err(|error| error.to_string());
    let read = read.and_then(|bytes| match bytes {
        Some(bytes) => Memory::read(&String::from_utf8_lossy(&bytes)).map_err(|fault| fault.to_string()),
        None => Ok(Memory::default()),
    });
    read.unwrap_or_else(|sentence| {
        log::warn!("{}: {sentence}; what was learnt about phones is learnt anew", path.display());
        Memory::default()
    })
}

#[cfg(not(feature = "bluez"))]
#[expect(clippy::unnecessary_wraps, reason = "with Bluetooth it can fail")]
pub(super) fn start(
    _: &Spawner,
    _: &Environment,
    _: (CallIds, Rng),
    _: &Arc<Metrics>,
    _: &SwitchHandle,
) -> Result<PhonesEnd, Fault> {
    Ok(Err("this build has no Bluetooth".into()))
}
