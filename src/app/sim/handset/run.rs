//! The thread of a simulated phone behind Bluetooth: the bus, RFCOMM, voice links, its owner's words, its time.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead as _, Read as _, Write};
use std::os::fd::AsFd as _;
use std::time::Instant;

use serde_json::json;

use super::adb::AdbServer;
use super::bus::{Daemon, Folder};
use super::phone::{ADAPTER, Handset, Options, Timers};
use super::voice::{Talk, VoiceEvent};
use crate::base::Rng;
use crate::base::time::earlier;
use crate::hfp::ag::{self, Ag};
use crate::port::bluez_host::{Event as HostEvent, Host, Phone};
use crate::port::sco::Sco;
use crate::sys::clock;
use crate::sys::mailbox::{MailSender, Mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, on, readable, wait, writable};

/// The host's name for others.
const HOST_NAME: &str = "simulated host";
/// A line on standard input is read up to here.
const LINE_BYTES_MAX: u64 = 4096;

/// What the thread gets beside its descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// A line of standard input.
    Line(String),
    /// Of the voice on this link.
    Voice(u64, VoiceEvent),
    /// Hang up and end.
    Stop,
}

/// Runs a phone until it is done or told to stop; each thing that happens is a line for `out`.
pub fn run(
    spawner: &Spawner,
    mut rng: Rng,
    options: Options,
    mail: (MailSender<Mail>, Mailbox<Mail>),
    out: &mut impl Write,
) -> io::Result<()> {
    let (send, mailbox) = mail;
    let name = format!("callscoot-phone-{}", rng.hex(12));
    let own = (options.bus.is_none() || options.sco_dir.is_none()).then(|| Folder::new(&name)).transpose()?;
    let inside = |name: &str| own.as_ref().map(|folder| folder.path().join(name)).unwrap_or_default();
    let sco_dir = options.sco_dir.clone().unwrap_or_else(|| inside("sco"));
    fs::create_dir_all(&sco_dir)?;
    let daemon = match (&options.bus, &own) {
        (None, Some(folder)) => Some(Daemon::start(folder.path())?),
        (Some(_), _) | (None, None) => None,
    };
    let bus = match (&options.bus, &daemon) {
        (Some(bus), _) => bus.clone(),
        (None, Some(daemon)) => daemon.address().to_owned(),
        (None, None) => String::new(),
    };

    let now = clock::mono();
    let sco = Sco::Folder(sco_dir.clone());
    let adb =
        options.adb_port.map(|port| AdbServer::listen(port, options.address.to_string())).transpose()?;
    let adb_port = adb.as_ref().map(AdbServer::address).transpose()?.map(|address| address.port());
    let phone = Phone { address: options.address, name: options.name.clone(), known: options.known };
    let mut handset = Handset {
        started: now,
        spawner: spawner.clone(),
        mail: send,
        host: Host::open(now, &bus, ADAPTER, HOST_NAME.into(), [phone], rng).map_err(io::Error::other)?,
        ag: Ag::new(ag::Options { codec: options.codec, obeys: options.obeys, ..ag::Options::default() }),
        adb,
        rfcomm: None,
        listener: sco.listen(options.address)?,
        sco,
        link: None,
        voice: None,
        links: 0,
        talk: Talk::default(),
        calls: Vec::new(),
        hung_up_there: false,
        timers: Timers::default(),
        told: VecDeque::new(),
        closing: false,
        options,
    };
    await_name(&mut handset)?;
    let at_adb = adb_port.map(|port| format!(" ANDROID_ADB_SERVER_PORT={port}")).unwrap_or_default();
    let environment =
        format!("DBUS_SYSTEM_BUS_ADDRESS='{bus}' CALLSCOOT_SCO_DIR='{}'{at_adb}", sco_dir.display());
    let about = json!({
        "bus": bus,
        "sco_dir": sco_dir,
        "address": handset.options.address.to_string(),
        "adapter": ADAPTER.to_string(),
        "adb_port": adb_port,
        "environment": environment,
    });
    handset.tell(now, "ready", about);
    let result = turns(&mut handset, &mailbox, out);
    drop((handset, daemon, own));
    result
}

/// Until the name on the bus is ours.
fn await_name(handset: &mut Handset) -> io::Result<()> {
    loop {
        handset.host.ready(clock::mono()).map_err(io::Error::other)?;
        while let Some(event) = handset.host.poll_event() {
            if matches!(event, HostEvent::Ready) {
                return Ok(());
            }
        }
        let deadline = handset.host.deadline(clock::mono());
        let (fd, interest) = handset.host.waiting();
        if !wait(&mut [on(fd, interest)], deadline)? {
            handset.host.handle_timeout(clock::mono()).map_err(io::Error::other)?;
        }
    }
}

fn turns(handset: &mut Handset, mailbox: &Mailbox<Mail>, out: &mut impl Write) -> io::Result<()> {
    loop {
        let now = clock::mono();
        handset.settle(now);
        while let Some(line) = handset.told.pop_front() {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        if handset.closing && handset.voice.is_none() && handset.link.is_none() {
            return Ok(());
        }
        let deadline = earlier(handset.host.deadline(now), handset.calls_deadline());
        let ready = wait_for(handset, mailbox, deadline)?;
        let now = clock::mono();
        if ready.mail {
            take_mail(handset, mailbox, now);
        }
        if ready.rfcomm {
            if let Some(rfcomm) = &mut handset.rfcomm
                && rfcomm.flush().is_err()
            {
                handset.lose_rfcomm(now, "hands_free");
            }
            handset.read_rfcomm(now);
        }
        if ready.link {
            handset.finish_audio(now);
        }
        // What was agreed over RFCOMM comes before the link that follows from it.
        handset.settle(now);
        if ready.listener {
            handset.accept_audio(now);
        }
        if ready.adb {
            handset.serve_adb();
        }
        if handset.host.deadline(now).is_some_and(|at| at <= now) {
            handset.host.handle_timeout(now).map_err(io::Error::other)?;
        } else {
            handset.host.ready(now).map_err(io::Error::other)?;
        }
        handset.calls_timeout(now);
    }
}

/// What was found ready.
struct Ready {
    mail: bool,
    rfcomm: bool,
    link: bool,
    listener: bool,
    adb: bool,
}

fn wait_for(handset: &Handset, mailbox: &Mailbox<Mail>, deadline: Option<Instant>) -> io::Result<Ready> {
    let (bus, interest) = handset.host.waiting();
    let mut fds = vec![
        on(bus, interest),
        on(mailbox.as_fd(), Interest::READ),
        on(handset.listener.as_fd(), Interest::READ),
    ];
    let rfcomm = handset.rfcomm.as_ref().map(|rfcomm| {
        fds.push(on(rfcomm.as_fd(), rfcomm.interest()));
        fds.len() - 1
    });
    let link = handset.link.as_ref().map(|(link, _)| {
        fds.push(on(link.as_fd(), Interest { read: false, write: true }));
        fds.len() - 1
    });
    let adb = fds.len();
    fds.extend(handset.adb.iter().flat_map(AdbServer::fds).map(|fd| on(fd, Interest::READ)));
    wait(&mut fds, deadline)?;
    let is = |at: Option<usize>| at.and_then(|at| fds.get(at)).is_some_and(|fd| readable(fd) || writable(fd));
    Ok(Ready {
        mail: is(Some(1)),
        rfcomm: is(rfcomm),
        link: is(link),
        listener: is(Some(2)),
        adb: fds[adb..].iter().any(readable),
    })
}

fn take_mail(handset: &mut Handset, mailbox: &Mailbox<Mail>, now: Instant) {
    // Every sender gone is no reason to end: the phone has its own.
    let _ = mailbox.drain(|mail| match mail {
        Mail::Line(line) => {
            handset.on_line(now, &line);
            handset.settle(now);
        }
        Mail::Voice(link, event) => handset.on_voice(now, link, event),
        Mail::Stop => handset.close(now),
    });
}

/// Hands each line of `input` over, until it ends.
pub(in crate::app::sim) fn listen(
    spawner: &Spawner,
    input: impl io::Read + Send + 'static,
    mail: MailSender<Mail>,
) -> io::Result<()> {
    spawner.spawn(Role::Sim, move || {
        let mut input = io::BufReader::new(input);
        loop {
            let mut line = Vec::new();
            match input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                // A full mailbox is of a phone that cannot keep up, or ends: the line is lost.
                Ok(_) => _ = mail.send(Mail::Line(String::from_utf8_lossy(&line).into_owned())),
            }
        }
    })?;
    Ok(())
}
