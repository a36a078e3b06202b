//! One phone at the server: its call as it was last seen, when it is looked at again, and the command under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::listen::{End, Listen};
use super::words::{Event, Failure, PhoneStatus, Task};
use crate::adb::address::{BluetoothAddress, PLACES};
use crate::adb::device::{DeviceState, Serial};
use crate::adb::registry::{CallState, Registry};
use crate::adb::shell;
use crate::base::{CallId, Number, Pii};

/// Between looks while a call is set up or expected: the next state comes soon.
const SETTING_UP: Duration = Duration::from_millis(500);
/// Between looks during a call, and at a phone that cannot be read: only its end is to come.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// Looks that may fail before the call counts as unknown.
const FAILED_LOOKS_MAX: u8 = 3;
/// A dialled call is seen after so long, or it is none: the telephone program has to start.
const DIAL_EFFECT_MAX: Duration = Duration::from_secs(10);
/// A pressed key shows after so long, or it was ignored.
const KEY_EFFECT_MAX: Duration = Duration::from_secs(4);
/// Commands that wait at most; one more finds the phone busy.
const WAITING_MAX: usize = 4;
/// A command that the phone was not told of by then is void: what it was for has changed.
const DIAL_BEGUN_MAX: Duration = Duration::from_secs(10);
const KEY_BEGUN_MAX: Duration = Duration::from_secs(5);

/// A question to the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// How does the call stand?
    Look,
    /// More exactly?
    Refine,
    /// What is its Bluetooth address, by this place?
    Address(usize),
    /// Do this.
    Act(String),
}

/// What a command wants done.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Dial(Number),
    Answer,
    /// `rings`: the call is one that comes in and was not taken.
    End {
        rings: bool,
    },
}

/// A command, with what it needs.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) call: CallId,
    pub(super) deed: Deed,
}

impl Wish {
    /// Its end.
    pub(super) fn done(&self, serial: Serial, result: Result<(), Failure>) -> Event {
        let task = match self.deed {
            Deed::Dial(_) => Task::Dial,
            Deed::Answer => Task::Answer,
            Deed::End { .. } => Task::End,
        };
        Event::Done { serial, call: self.call, task, result }
    }

    fn dials(&self) -> bool {
        matches!(self.deed, Deed::Dial(_))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Looks whether the call is as the command needs it.
    Look,
    /// To be done now.
    Act,
    /// Done; its effect is waited for until then.
    Effect(Instant),
}

struct Pending {
    wish: Wish,
    stage: Stage,
    /// The phone is told until then, or not at all.
    by: Instant,
    before: Option<CallState>,
    /// Somebody has called since.
    rang: bool,
}

enum Search {
    /// The next place to ask.
    Place(usize),
    Over(Option<BluetoothAddress>),
}

pub(super) struct Phone {
    serial: Serial,
    state: DeviceState,
    search: Search,
    watched: bool,
    call: Option<CallState>,
    number: Option<Pii<Number>>,
    /// A question is outstanding.
    asking: bool,
    /// There is a call and this Android's registry says no more: to be asked more exactly.
    refining: bool,
    look_at: Option<Instant>,
    failed_looks: u8,
    /// Its dumps have an end that can be told from a cut.
    dumps_have_an_end: bool,
    pending: Option<Pending>,
    waiting: VecDeque<(Wish, Instant)>,
    pub(super) events: Vec<Event>,
}

impl Phone {
    pub(super) fn new(now: Instant, serial: Serial, state: DeviceState) -> Self {
        let mut phone = Self {
            serial,
            state: DeviceState::Other,
            search: Search::Place(0),
            watched: false,
            call: None,
            number: None,
            asking: false,
            refining: false,
            look_at: None,
            failed_looks: 0,
            dumps_have_an_end: false,
            pending: None,
            waiting: VecDeque::new(),
            events: Vec::new(),
        };
        phone.stands(now, state);
        phone
    }

    /// It was plugged in, or stands otherwise with the server.
    pub(super) fn stands(&mut self, now: Instant, state: DeviceState) {
        self.forget();
        self.state = state;
        self.watched = false;
        self.events.push(Event::Phone { serial: self.serial.clone(), state: Some(state) });
        // One look at the beginning: a call may be under way.
        self.look_at = Some(now);
    }

    /// It was unplugged.
    pub(super) fn gone(&mut self) {
        self.forget();
        self.events.push(Event::Phone { serial: self.serial.clone(), state: None });
    }

    /// No command is wanted any more.
    pub(super) fn drop_wishes(&mut self) {
        let was_told = self.was_told();
        if let Some(pending) = self.pending.take() {
            // Nobody knows whether it was done.
            let failure = if was_told { Failure::NoAnswer } else { Failure::NoPhone };
            self.done(&pending.wish, Err(failure));
        }
        for (wish, _) in std::mem::take(&mut self.waiting) {
            self.done(&wish, Err(Failure::NoPhone));
        }
    }

    /// The command under way has gone to the phone.
    fn was_told(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| match pending.stage {
            Stage::Look => false,
            Stage::Act => self.asking,
            Stage::Effect(_) => true,
        })
    }

    /// `Command::GiveUp`.
    pub(super) fn give_up_dialling(&mut self, call: CallId) {
        let is_it = |wish: &Wish| wish.dials() && wish.call == call;
        let told = self.was_told();
        let under_way = self.pending.take_if(|pending| !told && is_it(&pending.wish));
        let place = self.waiting.iter().position(|(wish, _)| is_it(wish));
        let waits = place.and_then(|place| self.waiting.remove(place));
        for wish in under_way.map(|pending| pending.wish).into_iter().chain(waits.map(|(wish, _)| wish)) {
            self.done(&wish, Err(Failure::Overtaken));
        }
    }

    fn forget(&mut self) {
        self.drop_wishes();
        self.asking = false;
        self.refining = false;
        self.call = None;
        self.number = None;
        self.failed_looks = 0;
        if let Search::Over(None) = self.search {
            self.search = Search::Place(0);
        }
    }

    pub(super) fn is(&self, state: DeviceState) -> bool {
        self.state == state
    }

    /// The address is known already.
    pub(super) fn bound(&mut self, address: BluetoothAddress) {
        self.search = Search::Over(Some(address));
    }

    pub(super) fn watch(&mut self, now: Instant, on: bool) {
        self.watched = on;
        self.look_at = if on { Some(now) } else { self.look_at.filter(|_| self.pace().is_some()) };
    }

    pub(super) fn wish(&mut self, now: Instant, wish: Wish) {
        if self.state != DeviceState::Online {
            self.done(&wish, Err(Failure::NoPhone));
        } else if self.waiting.len() >= WAITING_MAX {
            self.done(&wish, Err(Failure::Busy));
        } else {
            self.waiting.push_back((wish, now));
        }
    }

    /// When it wants to be looked at, if no answer is awaited first.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.asking && self.state == DeviceState::Online)
    }

    /// The next question, to be asked now. One at a time.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Ask> {
        if self.asking || self.state != DeviceState::Online {
            return None;
        }
        let ask = self.choose(now)?;
        self.asking = true;
        Some(ask)
    }

    fn choose(&mut self, now: Instant) -> Option<Ask> {
        if self.refining {
            return Some(Ask::Refine);
        }
        let may_begin = self.pending.as_ref().is_none_or(|pending| matches!(pending.stage, Stage::Effect(_)));
        if may_begin && let Some((wish, since)) = self.waiting.pop_front() {
            if let Some(overtaken) = self.pending.take() {
                self.done(&overtaken.wish, Err(Failure::Overtaken));
            }
            let by = since + if wish.dials() { DIAL_BEGUN_MAX } else { KEY_BEGUN_MAX };
            self.pending = Some(Pending { wish, stage: Stage::Look, by, before: None, rang: false });
        }
        match &self.pending {
            Some(Pending { stage: Stage::Look, .. }) => return Some(Ask::Look),
            Some(Pending { stage: Stage::Act, by, .. }) if now >= *by => {
                self.finish(now, Err(Failure::NoPhone));
                return self.choose(now);
            }
            Some(Pending { stage: Stage::Act, wish, .. }) => {
                return Some(Ask::Act(match &wish.deed {
                    Deed::Dial(number) => shell::dial(number),
                    Deed::Answer => shell::ANSWER.into(),
                    Deed::End { .. } => shell::END.into(),
                }));
            }
            Some(Pending { stage: Stage::Effect(_), .. }) | None => {}
        }
        if self.look_at.is_some_and(|at| now >= at) {
            return Some(Ask::Look);
        }
        if let Search::Place(place) = self.search {
            return Some(Ask::Address(place));
        }
        None
    }

    /// The question came to its end.
    pub(super) fn answered(&mut self, now: Instant, listen: Listen, end: End) {
        self.asking = false;
        match listen {
            Listen::Registry(dump) => self.looked(now, dump, end),
            Listen::Telecom(dump) => {
                self.refining = false;
                match end {
                    End::Whole => self.seen(now, dump.state().unwrap_or(CallState::OffHook)),
                    End::Refused(words) => {
                        self.not_seen(now, words.map_or(Failure::NoAnswer, Failure::ByServer));
                    }
                    End::Cut => self.not_seen(now, Failure::NoAnswer),
                }
            }
            Listen::Address(finder) => self.searched(finder.found().cloned()),
            Listen::Said(said) => self.acted(now, &String::from_utf8_lossy(&said), end),
        }
    }

    fn searched(&mut self, found: Option<BluetoothAddress>) {
        let Search::Place(place) = self.search else { return };
        if let Some(address) = found {
            self.events.push(Event::Address { serial: self.serial.clone(), address: address.clone() });
            self.search = Search::Over(Some(address));
        } else if place + 1 < PLACES.len() {
            self.search = Search::Place(place + 1);
        } else {
            self.search = Search::Over(None);
        }
    }

    fn acted(&mut self, now: Instant, said: &str, end: End) {
        let Some(pending) = &mut self.pending else { return };
        let refusal = match end {
            End::Refused(words) => Some(words.map_or(Failure::NoAnswer, Failure::ByServer)),
            // It may have been done nevertheless: what is seen counts.
            End::Whole | End::Cut => shell::complaint(said).map(|words| Failure::ByPhone(Pii(words))),
        };
        if let Some(failure) = refusal {
            return self.finish(now, Err(failure));
        }
        let max = if pending.wish.dials() { DIAL_EFFECT_MAX } else { KEY_EFFECT_MAX };
        pending.stage = Stage::Effect(now + max);
        self.look_at = Some(now);
    }

    fn looked(&mut self, now: Instant, dump: Registry, end: End) {
        let state = match end {
            // A phone that is unplugged ends its dump early, and half a dump may show the wrong SIM.
            End::Whole if self.dumps_have_an_end && !dump.is_over() => Err(Failure::NoAnswer),
            End::Whole => dump.state().ok_or(Failure::Unreadable),
            End::Refused(words) => Err(words.map_or(Failure::NoAnswer, Failure::ByServer)),
            End::Cut => Err(Failure::NoAnswer),
        };
        self.dumps_have_an_end |= state.is_ok() && dump.is_over();
        match state {
            Ok(state) => {
                self.failed_looks = 0;
                self.heard_of(dump.number().cloned());
                if state == CallState::OffHook {
                    self.refining = true;
                } else {
                    self.seen(now, state);
                }
            }
            Err(failure) => self.not_seen(now, failure),
        }
    }

    /// A number is told once; the next call's caller may be the same one.
    fn heard_of(&mut self, number: Option<Pii<Number>>) {
        if let Some(number) = number.filter(|number| Some(number) != self.number.as_ref()) {
            self.events.push(Event::Number { serial: self.serial.clone(), number: number.clone() });
            self.number = Some(number);
        }
    }

    fn seen(&mut self, now: Instant, state: CallState) {
        if self.call != Some(state) {
            self.call = Some(state);
            self.events.push(Event::Call { serial: self.serial.clone(), state });
        }
        if state == CallState::Idle {
            self.number = None;
        }
        self.judge(now, Some(state));
        self.look_again(now);
    }

    fn not_seen(&mut self, now: Instant, failure: Failure) {
        self.failed_looks = self.failed_looks.saturating_add(1);
        if self.failed_looks == FAILED_LOOKS_MAX {
            self.call = None;
            self.number = None;
            self.events.push(Event::Blind { serial: self.serial.clone(), failure });
        }
        // Commands are not kept waiting for a phone that cannot be seen.
        self.judge(now, None);
        self.look_again(now);
    }

    /// What the look means for the command under way.
    fn judge(&mut self, now: Instant, state: Option<CallState>) {
        let Some(pending) = &mut self.pending else { return };
        if pending.stage == Stage::Look {
            pending.before = state;
        }
        pending.rang |= matches!(state, Some(CallState::Incoming | CallState::Waiting));
        let verdict = match pending.stage {
            Stage::Look => permitted(&pending.wish.deed, state),
            Stage::Effect(by) => match effect(&pending.wish.deed, pending.before, state) {
                // It may as well be the call that came in.
                Some(Ok(())) if pending.rang && pending.wish.dials() => Some(Err(Failure::Busy)),
                Some(result) => Some(result),
                None if now >= by => Some(Err(Failure::NoEffect)),
                None => return,
            },
            Stage::Act => return,
        };
        match verdict {
            Some(result) => self.finish(now, result),
            None => pending.stage = Stage::Act,
        }
    }

    fn finish(&mut self, now: Instant, result: Result<(), Failure>) {
        if let Some(pending) = self.pending.take() {
            self.done(&pending.wish, result);
        }
        self.look_again(now);
    }

    fn done(&mut self, wish: &Wish, result: Result<(), Failure>) {
        self.events.push(wish.done(self.serial.clone(), result));
    }

    fn look_again(&mut self, now: Instant) {
        self.look_at = self.pace().map(|pace| now + pace);
    }

    /// The time between looks; `None`: nothing is expected.
    fn pace(&self) -> Option<Duration> {
        if matches!(self.pending, Some(Pending { stage: Stage::Effect(_), .. })) {
            return Some(SETTING_UP);
        }
        match self.call {
            Some(CallState::Incoming | CallState::Waiting | CallState::Dialing | CallState::Alerting) => {
                Some(SETTING_UP)
            }
            Some(CallState::Active | CallState::Held | CallState::OffHook) => Some(UNDER_WAY),
            Some(CallState::Idle) => self.watched.then_some(SETTING_UP),
            None if self.watched || self.failed_looks < FAILED_LOOKS_MAX => Some(UNDER_WAY),
            None => None,
        }
    }

    pub(super) fn status(&self, used: bool) -> PhoneStatus {
        let address = match &self.search {
            Search::Place(_) => None,
            Search::Over(address) => address.clone(),
        };
        PhoneStatus { serial: self.serial.clone(), state: self.state, used, address, call: self.call }
    }
}

/// Whether the call is as the command needs it. `None`: act; else the command's end.
fn permitted(deed: &Deed, state: Option<CallState>) -> Option<Result<(), Failure>> {
    let refusal = match (deed, state) {
        (Deed::End { .. }, Some(CallState::Idle)) => return Some(Ok(())),
        // The key would refuse another call.
        (Deed::End { .. }, Some(CallState::Waiting))
        | (Deed::End { rings: false }, Some(CallState::Incoming)) => Failure::Busy,
        // Ending what cannot be seen does no harm beyond a dark screen; a call that goes on costs money.
        (Deed::End { .. }, _)
        | (Deed::Dial(_), Some(CallState::Idle))
        | (Deed::Answer, Some(CallState::Incoming)) => return None,
        (Deed::Answer, Some(CallState::Idle)) => Failure::NoCall,
        (Deed::Dial(_) | Deed::Answer, Some(_)) => Failure::Busy,
        (Deed::Dial(_) | Deed::Answer, None) => Failure::Unreadable,
    };
    Some(Err(refusal))
}

/// What the look says about the command's effect; `None`: not seen yet.
fn effect(deed: &Deed, before: Option<CallState>, state: Option<CallState>) -> Option<Result<(), Failure>> {
    let state = state?;
    let is_seen = match deed {
        Deed::Dial(_) => !matches!(state, CallState::Idle | CallState::Incoming),
        Deed::Answer if state == CallState::Idle => return Some(Err(Failure::NoCall)),
        Deed::Answer => state != CallState::Incoming,
        // Else one of two calls is over.
        Deed::End { .. } => {
            state == CallState::Idle
                || match before? {
                    CallState::Active => state == CallState::Held,
                    CallState::Idle
                    | CallState::Incoming
                    | CallState::Dialing
                    | CallState::Alerting
                    | CallState::Held
                    | CallState::Waiting
                    | CallState::OffHook => false,
                }
        }
    };
    is_seen.then_some(Ok(()))
}
