//! The loop, and what each wake brings.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Instant;

use super::opening::{LinkNumber, Opened, Opening};
use super::{Mail, Told};
use crate::base::time::earlier;
use crate::base::{CallIds, Metrics, Rng};
use crate::call::phone_line::{Counters, Input, Memory, Output, PhoneLine, VoiceCommand, VoiceEvent};
use crate::hfp::host::Address;
use crate::port::bluez::{self, Bluez};
use crate::port::rfcomm::Rfcomm;
use crate::port::sco::Sco;
use crate::run::adb::{AdbCommand, AdbEvent};
use crate::run::voice::{VoiceEvent as Noticed, VoicePool};
use crate::sys::clock;
use crate::sys::mailbox::{MailSender, Mailbox, Undelivered, mailbox};
use crate::sys::thread::{Role, Spawner};
use crate::sys::wait::{Interest, Waiting, on, readable, wait, writable};

/// Messages that wait at most; a switch that is further ahead has a fault.
const MAIL_MAX: usize = 256;
/// Bytes that are read from one phone before everybody else has a turn.
const READ_BYTES: usize = 2048;

/// The way to the Android Debug Bridge and back.
#[derive(Debug)]
pub struct AdbEnd {
    /// To the adb thread.
    pub commands: MailSender<AdbCommand>,
    /// From it.
    pub events: Mailbox<AdbEvent>,
}

/// How the thread is used.
#[derive(Clone, Debug)]
pub struct HandsFreeOptions {
    /// Address of the bus that the Bluetooth host is on; the system's for `None`.
    pub bus: Option<String>,
    /// Where voice links are opened.
    pub sco: Sco,
    /// What earlier runs learnt about phones.
    pub memory: Memory,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}

/// Starts the thread. It ends when every sender is dropped; `PhoneCommand::Close` before that ends its calls.
pub fn spawn(
    spawner: &Spawner,
    options: HandsFreeOptions,
    (voice, adb): (VoicePool, AdbEnd),
    (ids, mut rng): (CallIds, Rng),
    tell: impl FnMut(Told) + Send + 'static,
) -> io::Result<MailSender<Mail>> {
    let (mail, mailbox) = mailbox(MAIL_MAX)?;
    spawner.spawn(Role::HandsFree, move || {
        let mut thread = Thread {
            line: PhoneLine::new(clock::mono(), ids, rng.fork(), options.memory),
            bluez: Bluez::new(options.bus, rng.fork()),
            phones: BTreeMap::new(),
            opening: Opening::new(options.sco),
            metrics: options.metrics,
            counted: Default::default(),
            voice,
            adb,
            tell,
        };
        thread.run(&mailbox)
    })?;
    Ok(mail)
}

struct Thread<F> {
    line: PhoneLine,
    bluez: Bluez,
    phones: BTreeMap<Address, Rfcomm>,
    opening: Opening,
    metrics: Arc<Metrics>,
    /// As last reported there.
    counted: (Counters, bluez::Counters),
    voice: VoicePool,
    adb: AdbEnd,
    tell: F,
}

/// What a wait found ready, by kind.
struct Ready {
    bus: bool,
    phones: Vec<(Address, bool, bool)>,
    accept: bool,
    links: Vec<LinkNumber>,
}

impl<F: FnMut(Told)> Thread<F> {
    fn run(&mut self, mailbox: &Mailbox<Mail>) -> io::Result<()> {
        loop {
            let deadline = self.drain();
            self.report();
            let ready = self.wait(mailbox, deadline)?;
            if mailbox.drain(|mail| self.on_mail(mail)).is_err() {
                return Ok(());
            }
            self.on_noticed();
            self.on_adb();
            if ready.bus {
                self.bluez.ready(clock::mono());
            }
            self.bluez.handle_timeout(clock::mono());
            self.on_host();
            for (phone, read, write) in ready.phones {
                self.on_rfcomm(phone, read, write);
            }
            for opened in self.opening.finished(clock::mono(), &ready.links) {
                self.on_opened(opened);
            }
            if ready.accept {
                let phones = &self.phones;
                self.opening.accept(clock::mono(), |phone| phones.contains_key(&phone));
            }
            if deadline.is_some_and(|deadline| clock::mono() >= deadline) {
                self.line.handle_timeout(clock::mono());
            }
        }
    }

    fn wait(&self, mailbox: &Mailbox<Mail>, deadline: Option<Instant>) -> io::Result<Ready> {
        let mut fds = [mailbox.as_fd(), self.voice.as_fd(), self.adb.events.as_fd()]
            .map(|fd| on(fd, Interest::READ))
            .to_vec();
        let bus = fds.len();
        fds.extend(self.bluez.waiting().map(|(fd, interest)| on(fd, interest)));
        let phones = fds.len();
        fds.extend(self.phones.values().map(|phone| on(phone.as_fd(), phone.interest())));
        let opening = fds.len();
        fds.extend(self.opening.fds().map(|(fd, interest)| on(fd, interest)));
        let links = opening + self.opening.listeners();
        let deadline =
            [self.bluez.deadline(clock::mono()), self.opening.deadline()].into_iter().fold(deadline, earlier);
        wait(&mut fds, deadline)?;
        let some = |fds: &[Waiting<'_>]| fds.iter().any(|fd| readable(fd) || writable(fd));
        Ok(Ready {
            bus: some(&fds[bus..phones]),
            phones: self
                .phones
                .keys()
                .zip(&fds[phones..opening])
                .map(|(phone, fd)| (*phone, readable(fd), writable(fd)))
                .collect(),
            accept: some(&fds[opening..links]),
            links: self
                .opening
                .links()
                .zip(&fds[links..])
                .filter_map(|(link, fd)| writable(fd).then_some(link))
                .collect(),
        })
    }

    /// What was counted, where others find it.
    fn report(&mut self) {
        let now = (self.line.counters(), self.bluez.counters());
        if now == self.counted {
            return;
        }
        self.counted = now;
        let ((phones, host), metrics) = (now, &self.metrics);
        metrics.phone_given_back.advance_to(phones.given_back);
        metrics.phone_rings.advance_to(phones.said.rings);
        metrics.phone_unanswered.advance_to(phones.said.unanswered);
        for (reason, total) in [
            ("too_long", phones.said.too_long),
            ("unknown", phones.said.unknown),
            ("unasked", phones.said.unasked),
        ] {
            metrics.phone_ignored.advance_to([reason], total);
        }
        for (reason, total) in
            [("garbage", host.garbage), ("too_many", host.too_many), ("stranger", host.strangers)]
        {
            metrics.bluez_ignored.advance_to([reason], total);
        }
        metrics.bluez_unanswered.advance_to(host.unanswered);
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Command(command) => self.input(Input::Command(command)),
            Mail::MediaOpen { call, end } => {
                if let Err(error) = self.voice.enter(call, end) {
                    log::error!("{call}: no audio: {error}");
                }
            }
            Mail::MediaLook { call } => {
                // A call that could not be carried will be silent for ever.
                let silent_for = self.voice.report(call).map(|report| report.silent_for);
                let silent_ms = silent_for.map_or(u64::MAX, |silent_for| silent_for.as_millis() as u64);
                (self.tell)(Told::MediaSeen { call, silent_ms });
            }
            Mail::MediaClose { call } => {
                let measured = self.voice.leave(call).map(|report| report.to_json()).unwrap_or_default();
                (self.tell)(Told::MediaClosed { call, measured });
            }
        }
    }

    /// What the voice links have noticed.
    fn on_noticed(&mut self) {
        self.voice.lower();
        while let Some(noticed) = self.voice.next_event() {
            let (phone, event) = match noticed {
                Noticed::Heard(phone) => (phone, VoiceEvent::Heard),
                Noticed::Mute(phone) => (phone, VoiceEvent::Mute),
                Noticed::Lost(phone) => (phone, VoiceEvent::Lost),
                Noticed::Unusable(phone) => (phone, VoiceEvent::Unusable),
            };
            self.input(Input::Voice { phone, event });
        }
    }

    fn on_adb(&mut self) {
        self.adb.events.lower();
        while let Ok(Some(event)) = self.adb.events.next() {
            self.input(Input::Adb(event));
        }
    }

    fn on_host(&mut self) {
        while let Some(event) = self.bluez.poll_event() {
            match event {
                bluez::Event::Host(event) => {
                    self.opening.on_host(&event);
                    self.input(Input::Host(event));
                }
                bluez::Event::NewConnection { device, stream } => match Rfcomm::new(stream) {
                    Ok(rfcomm) => {
                        self.phones.insert(device, rfcomm);
                        self.input(Input::Linked { phone: device });
                    }
                    Err(error) => log::error!("a phone's connection cannot be used: {error}"),
                },
                bluez::Event::DisconnectionRequested { device } => {
                    self.lose(device, "the Bluetooth host asked for it");
                }
            }
        }
    }

    fn on_rfcomm(&mut self, phone: Address, read: bool, write: bool) {
        if write && let Some(Err(error)) = self.phones.get_mut(&phone).map(Rfcomm::flush) {
            return self.lose(phone, &error.to_string());
        }
        if !read {
            return;
        }
        let mut bytes = [0; READ_BYTES];
        let Some(rfcomm) = self.phones.get_mut(&phone) else { return };
        match rfcomm.read(&mut bytes) {
            Ok(Some(len)) => self.input(Input::Rfcomm { phone, bytes: bytes.get(..len).unwrap_or_default() }),
            Ok(None) => {}
            Err(error) => self.lose(phone, &error.to_string()),
        }
    }

    fn lose(&mut self, phone: Address, why: &str) {
        if self.phones.remove(&phone).is_some() {
            self.input(Input::RfcommLost { phone, sentence: why.to_owned() });
        }
    }

    fn on_opened(&mut self, opened: Opened) {
        let Opened { phone, codec, by_us, result } = opened;
        let event = match result {
            Ok(socket) => match self.voice.link(phone, socket, codec) {
                Ok(()) => VoiceEvent::Up,
                Err(error) => VoiceEvent::Failed(error.to_string()),
            },
            Err(sentence) if by_us => VoiceEvent::Failed(sentence),
            // The phone gave up what it had begun; it will say so or try again.
            Err(sentence) => return log::debug!("a voice link did not come up: {sentence}"),
        };
        self.input(Input::Voice { phone, event });
    }

    fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(clock::mono(), input);
        self.drain();
    }

    /// Does everything that the line wants done; returns its deadline.
    fn drain(&mut self) -> Option<Instant> {
        let mut lost = Vec::new();
        let deadline = loop {
            match self.line.poll_output() {
                Output::Event(event) => (self.tell)(Told::Event(event)),
                Output::Host(command) => self.bluez.command(clock::mono(), command),
                Output::Transmit { phone, bytes } => {
                    if let Some(Err(error)) = self.phones.get_mut(&phone).map(|phone| phone.write(&bytes)) {
                        lost.push((phone, error.to_string()));
                    }
                }
                Output::CloseRfcomm { phone } => drop(self.phones.remove(&phone)),
                Output::Voice { phone, command } => self.on_voice(phone, command),
                Output::Route { phone, call } => self.voice.route(phone, call),
                Output::Adb(command) => {
                    if let Some(answer) = pass_on(&self.adb.commands, command) {
                        self.line.handle_input(clock::mono(), Input::Adb(answer));
                    }
                }
                Output::Remember(memory) => (self.tell)(Told::Remember(memory)),
                Output::Timeout(deadline) => break deadline.map(|(at, _)| at),
            }
        };
        if lost.is_empty() {
            return deadline;
        }
        for (phone, why) in lost {
            self.lose(phone, &why);
        }
        self.drain()
    }

    fn on_voice(&mut self, phone: Address, command: VoiceCommand) {
        match command {
            VoiceCommand::Expect(codec) => self.opening.expect(phone, codec),
            VoiceCommand::Open(codec) => {
                if let Err(sentence) = self.opening.open(clock::mono(), phone, codec) {
                    self.line.handle_input(
                        clock::mono(),
                        Input::Voice { phone, event: VoiceEvent::Failed(sentence) },
                    );
                }
            }
            VoiceCommand::Close => {
                self.opening.close(phone);
                self.voice.unlink(phone);
            }
        }
    }
}

/// Tells the adb thread; else what is to be known of a command that it will not get.
fn pass_on(commands: &MailSender<AdbCommand>, command: AdbCommand) -> Option<AdbEvent> {
    let (Undelivered::Full(command) | Undelivered::Gone(command)) = commands.send(command).err()?;
    log::error!("the adb thread is behind; a command was dropped");
    command.not_passed_on()
}

#[cfg(test)]
mod tests;
