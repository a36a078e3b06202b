//! A host, phones and their voice links, made of values; time passes only when it is told to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::adb;
use crate::base::time::any_instant;
use crate::base::{CallId, CallIds, Number, Pii, Rng};
use crate::call::phone_line::{Input, Memory, Output, PhoneLine, VoiceCommand, VoiceEvent};
use crate::call::phones::{PhoneCommand, PhoneEvent, PhoneSettings, Phones};
use crate::hfp::ag::{self, Ag, Happening, Options};
use crate::hfp::host::{self, Adapter, Address, Device, Task};
use crate::hfp::{CallState, Codec};

pub(super) const ADAPTER: Address = Address::new([2, 0, 0, 0, 0, 1]);
pub(super) const A: Address = Address::new([0xa, 0, 0, 0, 0, 1]);
pub(super) const B: Address = Address::new([0xb, 0, 0, 0, 0, 2]);

/// How long a phone's packets take to come.
const FIRST_PACKET: Duration = Duration::from_millis(300);

/// One simulated phone.
pub(super) struct Sim {
    pub(super) ag: Ag,
    /// It answers when it is called for.
    pub(super) near: bool,
    pub(super) linked: bool,
    pub(super) voice: Option<Codec>,
    /// Voice links open.
    pub(super) voice_works: bool,
    /// Packets come over them: with mSBC, with CVSD.
    pub(super) carries: (bool, bool),
    pub(super) expected: Option<Codec>,
    /// What it got, line by line.
    pub(super) got: Vec<String>,
    /// It says nothing to these lines.
    pub(super) deaf_to: Vec<&'static str>,
    pub(super) routed: Option<CallId>,
    pub(super) opens: u32,
    pub(super) closes: u32,
}

pub(super) struct World {
    pub(super) line: PhoneLine,
    pub(super) now: Instant,
    pub(super) sims: BTreeMap<Address, Sim>,
    pub(super) events: Vec<PhoneEvent>,
    pub(super) host: Vec<host::Command>,
    pub(super) adb: Vec<adb::Command>,
    /// For which call the bridge was asked last, of each kind.
    pub(super) asked: BTreeMap<adb::Task, CallId>,
    pub(super) memory: Memory,
    pub(super) shown: Phones,
    pub(super) shows: u32,
    /// What happens by itself later.
    later: Vec<(Instant, Address, VoiceEvent)>,
    calls: u64,
}

pub(super) fn settings() -> PhoneSettings {
    PhoneSettings { in_use: true, auto_select: true, ..PhoneSettings::default() }
}

pub(super) fn adapter() -> Adapter {
    Adapter {
        name: "hci0".into(),
        address: ADAPTER,
        alias: "callscoot".into(),
        powered: true,
        blocked: false,
        discoverable: false,
        pairable: false,
        hands_free: false,
    }
}

pub(super) fn device(address: Address) -> Device {
    Device {
        adapter: "hci0".into(),
        address,
        alias: "Sam's phone".into(),
        paired: true,
        trusted: true,
        connected: false,
        audio_gateway: true,
    }
}

pub(super) fn called(number: &str) -> Happening {
    Happening::Called(Some(Pii(number.to_owned())))
}

pub(super) fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

impl World {
    /// Nothing is known yet.
    pub(super) fn new(memory: Memory) -> Self {
        let now = any_instant();
        let mut world = Self {
            line: PhoneLine::new(now, CallIds::default(), Rng::from_u64(1), memory.clone()),
            now,
            sims: BTreeMap::new(),
            events: vec![],
            host: vec![],
            adb: vec![],
            asked: BTreeMap::new(),
            memory,
            shown: Phones::default(),
            shows: 0,
            later: vec![],
            calls: 1000,
        };
        world.command(PhoneCommand::Configure(settings()));
        world
    }

    /// The host is up, and has the profile.
    pub(super) fn with_host(memory: Memory) -> Self {
        let mut world = Self::new(memory);
        world.report(host::Event::Up);
        world.report(host::Event::Adapter(adapter()));
        world.report(host::Event::ProfileRegistered);
        world
    }

    /// One phone is connected.
    pub(super) fn with_phone(options: Options) -> Self {
        let mut world = Self::with_host(Memory::default());
        world.bring(A, options);
        assert!(world.sims[&A].linked, "it is connected");
        world
    }

    /// A phone that is paired comes near.
    pub(super) fn bring(&mut self, address: Address, options: Options) {
        let sim = Sim {
            ag: Ag::new(options),
            near: true,
            linked: false,
            voice: None,
            voice_works: true,
            carries: (true, true),
            expected: None,
            got: vec![],
            deaf_to: vec![],
            routed: None,
            opens: 0,
            closes: 0,
        };
        self.sims.insert(address, sim);
        self.report(host::Event::Device(device(address)));
        self.wait(300);
    }

    pub(super) fn sim(&mut self) -> &mut Sim {
        self.sims.get_mut(&A).unwrap()
    }

    pub(super) fn report(&mut self, event: host::Event) {
        self.input(Input::Host(event));
    }

    pub(super) fn command(&mut self, command: PhoneCommand) {
        self.input(Input::Command(command));
    }

    pub(super) fn voice(&mut self, event: VoiceEvent) {
        self.input(Input::Voice { phone: A, event });
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        self.sim().ag.happens(happening);
        self.drain();
    }

    /// Something the phone says by itself.
    pub(super) fn says(&mut self, text: &str) {
        self.input(Input::Rfcomm { phone: A, bytes: text.as_bytes() });
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.line.handle_input(self.now, input);
        self.drain();
    }

    /// The link of the phone breaks; its calls go on.
    pub(super) fn breaks(&mut self, address: Address) {
        self.unlink(address);
        self.input(Input::RfcommLost { phone: address, sentence: "connection reset".into() });
    }

    fn unlink(&mut self, address: Address) {
        self.later.retain(|(_, phone, _)| *phone != address);
        let sim = self.sims.get_mut(&address).unwrap();
        sim.linked = false;
        sim.expected = None;
        let had_voice = sim.voice.take().is_some();
        sim.ag.disconnected();
        if had_voice {
            self.line.handle_input(self.now, Input::Voice { phone: address, event: VoiceEvent::Lost });
        }
    }

    /// The phone closes its voice link.
    pub(super) fn voice_lost(&mut self) {
        self.later.clear();
        self.sim().voice = None;
        self.sim().ag.audio_linked(false);
        self.voice(VoiceEvent::Lost);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut steps = 0;
        loop {
            let deadline = self.drain();
            let next = self.later.iter().map(|(at, ..)| *at).min();
            let Some(at) = deadline.into_iter().chain(next).min().filter(|at| *at <= end) else { break };
            steps += 1;
            assert!(steps < 20_000, "it runs without end");
            self.now = self.now.max(at);
            let due = |entry: &(Instant, Address, VoiceEvent)| entry.0 <= at;
            let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.later).into_iter().partition(due);
            self.later = later;
            for (_, phone, event) in now {
                self.input(Input::Voice { phone, event });
            }
            if deadline.is_some_and(|deadline| deadline <= at) {
                self.line.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    pub(super) fn drain(&mut self) -> Option<Instant> {
        loop {
            let deadline = loop {
                let output = self.line.poll_output();
                if let Output::Timeout(next) = output {
                    break next.map(|(at, _)| at);
                }
                self.act(output);
            };
            if !self.drain_phones() {
                return deadline;
            }
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Event(PhoneEvent::Phones(phones)) => {
                self.shows += 1;
                self.shown = *phones;
            }
            Output::Event(event) => self.events.push(event),
            Output::Host(command) => {
                self.host.push(command.clone());
                self.obey(&command);
            }
            Output::Transmit { phone, bytes } => {
                let sim = self.sims.get_mut(&phone).unwrap();
                assert!(sim.linked, "bytes for a phone that is not there");
                let line = String::from_utf8(bytes.clone()).unwrap().trim().to_owned();
                if let Some(codec) = line.strip_prefix("AT+BCS=") {
                    assert_eq!(sim.expected, Codec::of(codec), "the codec is expected before it is taken");
                }
                if !sim.deaf_to.iter().any(|deaf| line.starts_with(deaf)) {
                    sim.ag.handle_input(&bytes);
                }
                sim.got.push(line);
            }
            Output::CloseRfcomm { phone } => self.unlink(phone),
            Output::Voice { phone, command } => self.obey_voice(phone, command),
            Output::Route { phone, call } => {
                let sim = self.sims.get_mut(&phone).unwrap();
                assert_ne!(sim.routed, call, "it is told once");
                sim.routed = call;
            }
            Output::Adb(command) => {
                if let Some(adb::Event::Done { call, task, .. }) = command.clone().not_passed_on() {
                    self.asked.insert(task, call);
                }
                self.adb.push(command);
            }
            Output::Remember(memory) => self.memory = memory,
            Output::Timeout(_) => unreachable!(),
        }
    }

    fn obey(&mut self, command: &host::Command) {
        let host::Command::Connect(device) = command else { return };
        let device = *device;
        let near = self.sims.get(&device).is_some_and(|sim| sim.near);
        let result =
            if near { Ok(()) } else { Err("org.bluez.Error.Failed: br-connection-page-timeout".into()) };
        if near {
            self.sims.get_mut(&device).unwrap().linked = true;
            self.line.handle_input(self.now, Input::Linked { phone: device });
        }
        self.line
            .handle_input(self.now, Input::Host(host::Event::Done { task: Task::Connect, device, result }));
    }

    fn obey_voice(&mut self, phone: Address, command: VoiceCommand) {
        let sim = self.sims.get_mut(&phone).unwrap();
        match command {
            VoiceCommand::Expect(codec) => sim.expected = Some(codec),
            VoiceCommand::Open(codec) => {
                sim.opens += 1;
                assert_eq!(sim.voice, None, "one link at a time");
                if sim.voice_works {
                    self.link_voice(phone, codec);
                }
            }
            VoiceCommand::Close => {
                sim.closes += 1;
                sim.voice = None;
                sim.ag.audio_linked(false);
                self.later.retain(|(_, other, _)| *other != phone);
            }
        }
    }

    pub(super) fn link_voice(&mut self, phone: Address, codec: Codec) {
        let sim = self.sims.get_mut(&phone).unwrap();
        sim.voice = Some(codec);
        sim.ag.audio_linked(true);
        let carries = if codec == Codec::Msbc { sim.carries.0 } else { sim.carries.1 };
        let (after, event) = if carries {
            (FIRST_PACKET, VoiceEvent::Heard)
        } else {
            (Duration::from_secs(2), VoiceEvent::Mute)
        };
        self.later.push((self.now + after, phone, event));
        self.line.handle_input(self.now, Input::Voice { phone, event: VoiceEvent::Up });
    }

    fn drain_phones(&mut self) -> bool {
        let mut moved = false;
        for phone in self.sims.keys().copied().collect::<Vec<_>>() {
            loop {
                let sim = self.sims.get_mut(&phone).unwrap();
                match sim.ag.poll_output() {
                    ag::Output::Transmit(bytes) if sim.linked => {
                        self.line.handle_input(self.now, Input::Rfcomm { phone, bytes: &bytes });
                    }
                    ag::Output::Event(ag::Event::OpenAudio(codec)) if sim.voice_works && sim.linked => {
                        assert_eq!(sim.expected, Some(codec), "the other end knows the codec");
                        self.link_voice(phone, codec);
                    }
                    ag::Output::Event(ag::Event::CloseAudio) if sim.voice.is_some() => {
                        sim.voice = None;
                        sim.ag.audio_linked(false);
                        self.later.retain(|(_, other, _)| *other != phone);
                        let event = VoiceEvent::Lost;
                        self.line.handle_input(self.now, Input::Voice { phone, event });
                    }
                    ag::Output::Transmit(_) | ag::Output::Event(_) => {}
                    ag::Output::Idle => break,
                }
                moved = true;
            }
        }
        moved
    }

    /// Dials, and the call's id.
    pub(super) fn dial(&mut self, text: &str) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.command(PhoneCommand::Dial { call, number: number(text) });
        call
    }

    /// Somebody calls; the call's id.
    pub(super) fn rings(&mut self, text: &str) -> CallId {
        self.happens(called(text));
        self.told_incoming().expect("it is told")
    }

    pub(super) fn told_incoming(&self) -> Option<CallId> {
        self.events
            .iter()
            .rev()
            .find_map(|event| if let PhoneEvent::Incoming { call, .. } = event { Some(*call) } else { None })
    }

    /// A call that came in and was answered, with its audio.
    pub(super) fn talks(&mut self) -> CallId {
        let call = self.rings("+15550100");
        self.command(PhoneCommand::Answer { call });
        self.wait(1000);
        assert!(self.has(&PhoneEvent::Active { call }), "{:?}", self.events);
        call
    }

    pub(super) fn has(&self, event: &PhoneEvent) -> bool {
        self.events.contains(event)
    }

    pub(super) fn count(&self, event: &PhoneEvent) -> usize {
        self.events.iter().filter(|other| *other == event).count()
    }

    /// How the call ended; told once, and nothing after it.
    pub(super) fn ended(&self, call: CallId) -> Option<(crate::call::phones::PhoneEnd, String)> {
        let own = |event: &PhoneEvent| match event {
            PhoneEvent::Incoming { call, .. }
            | PhoneEvent::Caller { call, .. }
            | PhoneEvent::Progress { call, .. }
            | PhoneEvent::Active { call }
            | PhoneEvent::Audio { call, .. }
            | PhoneEvent::NotMoved { call, .. }
            | PhoneEvent::Held { call, .. }
            | PhoneEvent::Ended { call, .. } => Some(*call),
            PhoneEvent::Bound { .. }
            | PhoneEvent::Connected { .. }
            | PhoneEvent::Disconnected { .. }
            | PhoneEvent::Phones(_)
            | PhoneEvent::Closed => None,
        };
        let mut events = self.events.iter().filter(|event| own(event) == Some(call));
        let end = events.find_map(|event| {
            if let PhoneEvent::Ended { end, detail, .. } = event {
                Some((*end, detail.clone()))
            } else {
                None
            }
        });
        assert_eq!(events.next(), None, "nothing comes after the end");
        end
    }

    /// The calls on the handset.
    pub(super) fn on_handset(&self) -> Vec<CallState> {
        self.sims[&A].ag.calls().iter().map(|call| call.state).collect()
    }

    /// How often the phone got this line.
    pub(super) fn got(&self, line: &str) -> usize {
        self.sims[&A].got.iter().filter(|other| *other == line).count()
    }

    pub(super) fn connects(&self) -> usize {
        self.host.iter().filter(|command| matches!(command, host::Command::Connect(_))).count()
    }
}
