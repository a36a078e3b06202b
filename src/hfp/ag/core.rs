//! What the phone holds, what happens to it, and what it tells.

use std::collections::VecDeque;

use crate::base::Pii;
use crate::hfp::at::Lines;
use crate::hfp::call::{Call, CallState};
use crate::hfp::feature::{AgFeatures, Codec, HfFeatures};

/// Which phone it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it says in `+BRSF`; `None`: it does not know the command (HFP 0.96).
    pub features: Option<AgFeatures>,
    /// The codec that it chooses where the other side has it.
    pub codec: Codec,
    /// It answers `AT+CLCC`.
    pub lists_calls: bool,
    /// It dials, answers and hangs up when it is told to.
    pub obeys: bool,
    /// What it can do with several calls, as in `+CHLD`.
    pub holds: &'static str,
    /// Its indicators, in its order.
    pub indicators: &'static [&'static str],
    /// Its network's name.
    pub operator: &'static str,
    /// Its own number.
    pub own_number: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            features: Some(
                AgFeatures::THREE_WAY
                    | AgFeatures::REJECT
                    | AgFeatures::ENHANCED_CALL_STATUS
                    | AgFeatures::EXTENDED_ERRORS
                    | AgFeatures::CODEC_NEGOTIATION
                    | AgFeatures::HF_INDICATORS
                    | AgFeatures::ESCO_S4,
            ),
            codec: Codec::Msbc,
            lists_calls: true,
            obeys: true,
            holds: "0,1,2,3",
            indicators: &["service", "call", "callsetup", "callheld", "signal", "roam", "battchg"],
            operator: "Simulated",
            own_number: "+15550123",
        }
    }
}

/// What happens on the handset or in its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Somebody calls; `None` hides the number. With another call there it waits.
    Called(Option<Pii<String>>),
    /// It rings once more.
    RingsAgain,
    /// The owner takes the call that comes in, on the handset.
    OwnerAnswers,
    /// The owner calls this number on the handset.
    OwnerDials(Pii<String>),
    /// The other end of the call that goes out rings.
    OtherRings,
    /// It takes the call.
    OtherAnswers,
    /// The owner takes the call that is on hold back.
    Resumes,
    /// The owner changes between the active call and the one on hold.
    Swaps,
    /// The call is over, whoever ended it elsewhere; of several the newest.
    Over,
    /// An indicator moves: `signal`, `battchg`, `roam`, `service`.
    Indicator(&'static str, u8),
    /// The phone wants the audio link, with its codec.
    WantsAudio,
    /// The owner keeps the audio at the handset, whatever is asked for; or does so no longer.
    KeepsAudio(bool),
}

/// What the hands-free unit wanted, for whoever plays the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is set up.
    Up,
    /// Open the audio link with this codec.
    OpenAudio(Codec),
    /// Close it: no call needs it.
    CloseAudio,
    /// It dials.
    Dialled(Pii<String>),
    /// It took the call.
    Answered,
    /// It hung up, or refused.
    HungUp,
    /// It pressed a key.
    Key(char),
    /// A line that this phone does not know; it said `ERROR`.
    Unknown(String),
}

/// What comes out; there is no time in it.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes for RFCOMM.
    Transmit(Vec<u8>),
    /// Something to do or to know.
    Event(Event),
    /// Nothing more until an input.
    Idle,
}

/// One simulated phone.
#[derive(Debug)]
pub struct Ag {
    pub(super) options: Options,
    pub(super) hf: HfFeatures,
    /// Codecs of the other side; CVSD alone until it says more.
    pub(super) codecs: Vec<Codec>,
    pub(super) calls: Vec<Call>,
    pub(super) levels: [(&'static str, u8); 4],
    pub(super) tells_indicators: bool,
    pub(super) shows_caller: bool,
    pub(super) shows_waiting: bool,
    /// What the other side was told last, by the order of `options.indicators`.
    told: Vec<u8>,
    pub(super) audio: bool,
    pub(super) keeps_audio: bool,
    lines: Lines,
    outputs: VecDeque<Output>,
}

impl Ag {
    /// A phone without a call, with a network.
    pub fn new(options: Options) -> Self {
        let told = vec![0; options.indicators.len()];
        let levels = [("service", 1), ("signal", 4), ("roam", 0), ("battchg", 3)];
        let mut ag = Self {
            options,
            hf: HfFeatures::default(),
            codecs: vec![Codec::Cvsd],
            calls: Vec::new(),
            levels,
            tells_indicators: false,
            shows_caller: false,
            shows_waiting: false,
            told,
            audio: false,
            keeps_audio: false,
            lines: Lines::default(),
            outputs: VecDeque::new(),
        };
        ag.told = ag.values();
        ag
    }

    /// Bytes from RFCOMM, cut anyhow.
    pub fn handle_input(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.on_command(line));
        self.lines = lines;
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Idle)
    }

    /// A new connection: what was agreed on the last one is void. Calls and levels are still what they are.
    pub fn connected(&mut self) {
        (self.hf, self.codecs) = (HfFeatures::default(), vec![Codec::Cvsd]);
        (self.tells_indicators, self.shows_caller, self.shows_waiting) = (false, false, false);
        (self.audio, self.lines) = (false, Lines::default());
        self.outputs.clear();
        self.told = self.values();
    }

    /// Says a line that nobody has asked for.
    pub fn unasked(&mut self, line: &str) {
        self.say(line);
    }

    /// The calls on the handset.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Whether the owner keeps the audio at the handset.
    pub fn keeps_audio(&self) -> bool {
        self.keeps_audio
    }

    /// The audio link is there, or not any more.
    pub fn audio_linked(&mut self, linked: bool) {
        self.audio = linked;
    }

    /// The RFCOMM link is gone: the next one begins anew. Calls go on.
    pub fn disconnected(&mut self) {
        self.hf = HfFeatures::default();
        self.codecs = vec![Codec::Cvsd];
        self.tells_indicators = false;
        self.shows_caller = false;
        self.shows_waiting = false;
        self.audio = false;
        self.lines = Lines::default();
        self.outputs.clear();
    }

    /// Something happens on the handset or in the network.
    pub fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Called(number) => {
                let state = if self.calls.is_empty() { CallState::Incoming } else { CallState::Waiting };
                self.add(true, state, number);
                self.tell_indicators();
                self.ring();
            }
            Happening::RingsAgain => self.ring(),
            Happening::OwnerAnswers => self.take_call(),
            Happening::OwnerDials(number) => {
                self.shift(CallState::Active, CallState::Held);
                self.add(false, CallState::Dialing, Some(number));
                self.tell_indicators();
            }
            Happening::OtherRings => self.shift(CallState::Dialing, CallState::Alerting),
            Happening::OtherAnswers => {
                self.shift(CallState::Dialing, CallState::Active);
                self.shift(CallState::Alerting, CallState::Active);
                self.want_audio();
            }
            Happening::Resumes => self.shift(CallState::Held, CallState::Active),
            Happening::Swaps => self.swap(),
            Happening::Over => {
                self.calls.pop();
                self.ended();
            }
            Happening::Indicator(name, value) => {
                if let Some(level) = self.levels.iter_mut().find(|(other, _)| *other == name) {
                    level.1 = value;
                }
                self.tell_indicators();
            }
            Happening::WantsAudio => self.want_audio(),
            Happening::KeepsAudio(keeps) => self.keeps_audio = keeps,
        }
    }

    /// `AT+CHLD=1` and `2`: what is active ends or is held, and the other call, waiting or held, is taken.
    pub(super) fn take_other(&mut self, end_active: bool) {
        let other = |call: &Call| matches!(call.state, CallState::Waiting | CallState::Held);
        let taken =
            self.calls.iter().filter(|call| other(call)).min_by_key(|call| call.state == CallState::Held);
        let taken = taken.map(|call| call.index);
        if end_active {
            self.calls.retain(|call| call.state != CallState::Active);
        }
        for call in &mut self.calls {
            if Some(call.index) == taken {
                call.state = CallState::Active;
            } else if call.state == CallState::Active {
                call.state = CallState::Held;
            }
        }
        self.ended();
        if taken.is_some() {
            self.want_audio();
        }
    }

    pub(super) fn add(&mut self, incoming: bool, state: CallState, number: Option<Pii<String>>) {
        let free = (1..=u8::MAX).find(|index| self.calls.iter().all(|call| call.index != *index));
        self.calls.push(Call { index: free.unwrap_or(u8::MAX), incoming, state, number });
    }

    pub(super) fn take_call(&mut self) {
        for call in &mut self.calls {
            match call.state {
                CallState::Active => call.state = CallState::Held,
                CallState::Incoming | CallState::Waiting => call.state = CallState::Active,
                CallState::Held | CallState::Dialing | CallState::Alerting => {}
            }
        }
        self.tell_indicators();
        self.want_audio();
    }

    /// The call that comes in, goes out or is active is over; a waiting or held one stays.
    pub(super) fn hang_up(&mut self) {
        let first = |state| self.calls.iter().position(|call| call.state == state);
        let order = [
            CallState::Incoming,
            CallState::Dialing,
            CallState::Alerting,
            CallState::Active,
            CallState::Waiting,
        ];
        if let Some(at) = order.into_iter().find_map(first) {
            self.calls.remove(at);
        }
        self.ended();
    }

    pub(super) fn ended(&mut self) {
        // Alone, what waited rings.
        if let [only] = &mut self.calls[..]
            && only.state == CallState::Waiting
        {
            only.state = CallState::Incoming;
        }
        self.tell_indicators();
        if self.calls.is_empty() && self.audio {
            self.tell(Event::CloseAudio);
        }
    }

    /// HFP 4.11: choose a codec, or open the link at once where there is no choice.
    pub(super) fn want_audio(&mut self) {
        if self.audio || self.keeps_audio {
            return;
        }
        let negotiates = self.hf.has(HfFeatures::CODEC_NEGOTIATION)
            && self.options.features.is_some_and(|own| own.has(AgFeatures::CODEC_NEGOTIATION));
        if negotiates {
            self.say(&format!("+BCS: {}", self.chosen_codec() as u8));
        } else {
            self.tell(Event::OpenAudio(Codec::Cvsd));
        }
    }

    /// The codec of the next audio link.
    pub fn chosen_codec(&self) -> Codec {
        if self.codecs.contains(&self.options.codec) { self.options.codec } else { Codec::Cvsd }
    }

    /// HFP 4.22.2: `callheld` is told although it stays 1.
    fn swap(&mut self) {
        for call in &mut self.calls {
            match call.state {
                CallState::Active => call.state = CallState::Held,
                CallState::Held => call.state = CallState::Active,
                CallState::Dialing | CallState::Alerting | CallState::Incoming | CallState::Waiting => {}
            }
        }
        if let Some(at) = self.options.indicators.iter().position(|name| *name == "callheld") {
            self.say(&format!("+CIEV: {},1", at + 1));
        }
    }

    fn ring(&mut self) {
        let Some(call) = self.calls.last() else { return };
        let number = call.number.as_ref().map_or("", |number| number.0.as_str());
        let kind = if number.starts_with('+') { 145 } else { 129 };
        let number = format!("\"{number}\",{kind}");
        match call.state {
            CallState::Waiting if self.shows_waiting => self.say(&format!("+CCWA: {number}")),
            CallState::Incoming => {
                self.say("RING");
                if self.shows_caller {
                    self.say(&format!("+CLIP: {number}"));
                }
            }
            CallState::Waiting
            | CallState::Active
            | CallState::Held
            | CallState::Dialing
            | CallState::Alerting => {}
        }
    }

    fn shift(&mut self, from: CallState, to: CallState) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.state == from) {
            call.state = to;
        }
        self.tell_indicators();
    }

    /// The values of `options.indicators`.
    pub(super) fn values(&self) -> Vec<u8> {
        let any = |states: &[CallState]| self.calls.iter().any(|call| states.contains(&call.state));
        let (active, held) = (any(&[CallState::Active]), any(&[CallState::Held]));
        let value = |name: &&str| match *name {
            "call" => u8::from(active || held),
            "callsetup" | "call_setup" if any(&[CallState::Incoming, CallState::Waiting]) => 1,
            "callsetup" | "call_setup" if any(&[CallState::Dialing]) => 2,
            "callsetup" | "call_setup" if any(&[CallState::Alerting]) => 3,
            "callheld" if held => 2 - u8::from(active),
            _ => self.levels.iter().find(|(other, _)| other == name).map_or(0, |(_, level)| *level),
        };
        self.options.indicators.iter().map(value).collect()
    }

    pub(super) fn tell_indicators(&mut self) {
        let values = self.values();
        let told = std::mem::replace(&mut self.told, values.clone());
        for (index, (now, before)) in values.iter().zip(told).enumerate() {
            if *now != before && self.tells_indicators {
                self.say(&format!("+CIEV: {},{now}", index + 1));
            }
        }
    }

    pub(super) fn say(&mut self, line: &str) {
        self.outputs.push_back(Output::Transmit(format!("\r\n{line}\r\n").into_bytes()));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
