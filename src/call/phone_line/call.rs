//! A call of ours on a phone: matched to the phone's own list, told step by step.

use std::time::{Duration, Instant};

use super::android::ANDROID_INDEX;
use super::core::Shared;
use super::ending::Ending;
use super::phone::Phone;
use super::words::{agree, remote_party};
use crate::base::{CallId, Number, Pii};
use crate::call::phones::{Mover, PhoneEnd, PhoneEvent, Place};
use crate::hfp::at::CallFailure;
use crate::hfp::slc::Command;
use crate::hfp::{self, CallState};

/// `+CLIP` comes with the first or second ring: a call that comes in is told no later, with or without a number.
const NUMBER_MAX: Duration = Duration::from_secs(1);
/// Calls that come in are told at this distance at least.
const INCOMING_DISTANCE: Duration = Duration::from_secs(2);
/// An active call is told without audio after this (its first packet takes 0.3 to 3 s).
const FIRST_PACKET_MAX: Duration = Duration::from_secs(1);
/// Being put on hold and taken back is told at this distance at least.
const HELD_DISTANCE: Duration = Duration::from_millis(500);
/// A call that was dialled shows itself on the phone within this.
const DIALLED_MAX: Duration = Duration::from_secs(15);
/// Over the Android Debug Bridge: a look, the command, and its effect, each with its time.
const DIALLED_BY_ADB_MAX: Duration = Duration::from_secs(30);
/// On a phone that came back, the call is listed within this.
const LISTED_MAX: Duration = Duration::from_secs(4);

/// Whether the call was taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nobody wants that yet.
    No,
    /// The phone was asked to.
    Asked,
    /// It took it.
    Taken,
    /// It did not.
    Refused,
}

/// One call of ours.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) incoming: bool,
    /// Its index on the phone, once matched.
    pub(super) index: Option<u8>,
    pub(super) state: CallState,
    pub(super) number: Option<Pii<String>>,
    since: Instant,
    /// It is told no earlier.
    quiet: Instant,
    /// The switch knows it.
    pub(super) told: bool,
    /// What was told of it while it goes out: the other end rings.
    pub(super) alerting: Option<bool>,
    pub(super) answer: Answer,
    pub(super) active_since: Option<Instant>,
    pub(super) active_told: bool,
    held_told: bool,
    held_not_before: Option<Instant>,
    /// Where its audio is to be, and where it is as told.
    pub(super) wish: Place,
    pub(super) at: Place,
    /// It is being brought here, until then.
    pub(super) moving: Option<Instant>,
    /// The whole connection was made again for its audio.
    pub(super) reset: bool,
    pub(super) ending: Option<Ending>,
    /// The phone is gone; it is given up then.
    pub(super) lost: Option<Instant>,
    /// The phone's list lacks it; it is over then.
    pub(super) over: Option<Instant>,
    pub(super) failure: Option<CallFailure>,
    /// It was dialled over the Android Debug Bridge.
    pub(super) by_adb: bool,
}

impl Call {
    fn new(now: Instant, id: CallId, incoming: bool) -> Self {
        Self {
            id,
            incoming,
            index: None,
            state: if incoming { CallState::Incoming } else { CallState::Dialing },
            number: None,
            since: now,
            quiet: now,
            told: false,
            alerting: None,
            answer: Answer::No,
            active_since: None,
            active_told: false,
            held_told: false,
            held_not_before: None,
            wish: Place::Agent,
            at: Place::Agent,
            moving: None,
            reset: false,
            ending: None,
            lost: None,
            over: None,
            failure: None,
            by_adb: false,
        }
    }

    /// It is up and under our hands: the other end took it, or we did.
    pub(super) fn is_active(&self) -> bool {
        let ours = !self.incoming || self.answer == Answer::Taken;
        self.state == CallState::Active && ours && self.lost.is_none() && self.over.is_none()
    }

    /// The phone was asked to take it, and has not said whether it did.
    pub(super) fn is_being_answered(&self) -> bool {
        self.answer == Answer::Asked
    }

    /// It came in, and nobody has taken it.
    pub(super) fn is_untaken(&self) -> bool {
        self.incoming && self.active_since.is_none() && self.answer != Answer::Taken
    }

    /// Once more, over Bluetooth; with the time that this takes.
    pub(super) fn dialled_again(&mut self, now: Instant) {
        self.by_adb = false;
        self.since = now;
    }

    /// Its audio goes over the voice link.
    pub(super) fn is_here(&self) -> bool {
        self.is_active() && self.at == Place::Agent && self.ending.is_none()
    }

    /// Whether the phone's call can be this one, later.
    fn can_become(&self, other: &hfp::Call) -> bool {
        let begins = !matches!(other.state, CallState::Active | CallState::Held);
        self.incoming == other.incoming && !(begins && self.active_since.is_some())
    }

    /// Whether the phone's call is this one, that has no index (any more).
    fn matches(&self, other: &hfp::Call) -> bool {
        self.can_become(other) && agree(self.number.as_ref(), other.number.as_ref())
    }

    /// When a call that comes in is told.
    fn tell_at(&self) -> Instant {
        let number = if self.number.is_some() { self.since } else { self.since + NUMBER_MAX };
        number.max(self.quiet)
    }

    /// It was dialled over the bridge, and nothing was seen of it.
    pub(super) fn is_yet_to_begin(&self) -> bool {
        self.by_adb && self.index.is_none() && self.alerting.is_none() && self.active_since.is_none()
    }

    /// It was dialled, and the phone shows nothing of it.
    pub(super) fn is_unseen_too_long(&self, now: Instant) -> bool {
        self.unseen_until().is_some_and(|by| now >= by)
    }

    fn unseen_until(&self) -> Option<Instant> {
        let unseen = !self.incoming && self.index.is_none() && self.lost.is_none() && self.over.is_none();
        unseen.then_some(self.since + if self.by_adb { DIALLED_BY_ADB_MAX } else { DIALLED_MAX })
    }

    fn due(&self, settled: bool) -> Option<Instant> {
        let tells = (!self.told).then_some(self.tell_at());
        // Of a call that ends, or whose phone is away, nothing more is told.
        let tells_on = self.ending.is_none() && self.lost.is_none();
        let active = self.active_since.filter(|_| tells_on && self.is_active() && !self.active_told);
        let active = active.map(|since| since + FIRST_PACKET_MAX);
        let held = self.held_not_before.filter(|_| tells_on && !settled);
        let ending = self.ending.as_ref().map(|ending| ending.by);
        [tells, self.unseen_until(), active, held, ending, self.moving, self.lost, self.over]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Phone {
    /// Dials; the phone has no call.
    pub(super) fn dial(&mut self, now: Instant, shared: &mut Shared, id: CallId, number: Number) {
        let mut call = Call::new(now, id, false);
        call.told = true;
        call.number = Some(Pii(number.as_str().to_owned()));
        self.call = Some(call);
        if shared.memory.note_used(self.address) {
            shared.remember();
        }
        if !self.dial_by_adb(shared, &number) {
            self.ask(now, Command::Dial(number));
        }
    }

    /// `PhoneCommand::Answer`: never into a call that the owner has.
    pub(super) fn answer(&mut self, now: Instant, shared: &mut Shared) {
        let alone = self.owners_calls().next().is_none();
        let Some(call) = &mut self.call else { return };
        if !call.incoming || call.answer != Answer::No || call.ending.is_some() {
            return;
        }
        if call.lost.is_some() {
            return self.finish(shared, PhoneEnd::PhoneLost, "the phone was lost while it rang");
        }
        if !alone {
            let detail = "the owner has another call by now";
            return self.leave_call(shared, PhoneEnd::OwnerAnswered, detail);
        }
        call.answer = Answer::Asked;
        if shared.memory.note_used(self.address) {
            shared.remember();
        }
        if !self.answer_by_adb(shared) {
            self.ask(now, Command::Answer);
        }
    }

    /// The phone's list has this call, new or changed.
    pub(super) fn on_call(&mut self, now: Instant, shared: &mut Shared, new: &hfp::Call) {
        let Some(call) = &mut self.call else { return };
        let is_left = self.left.contains(&new.index);
        let listed = new.index != ANDROID_INDEX && new.state != CallState::Held && !is_left;
        if call.index == Some(ANDROID_INDEX) && listed && call.matches(new) {
            // Now the phone tells of it over Bluetooth too, and sooner than any look would.
            call.index = None;
        }
        if call.index == Some(new.index) {
            if call.matches(new) {
                return self.update(now, shared, new);
            }
            // Another one took its index between two lists.
            let (end, detail) = super::ending::natural(call);
            return self.finish(shared, end, detail);
        }
        if call.index.is_some() || is_left {
            return;
        }
        let dialled = call.lost.is_none() && !new.incoming && new.state != CallState::Held;
        if call.matches(new) && (call.lost.is_some() || dialled) {
            call.index = Some(new.index);
            // What is seen over the bridge brings no audio back.
            call.lost = call.lost.filter(|_| new.index == ANDROID_INDEX);
            call.over = None;
            self.update(now, shared, new);
            self.end_again(now, shared);
        }
    }

    fn update(&mut self, now: Instant, shared: &mut Shared, new: &hfp::Call) {
        if let Some(number) = &new.number {
            self.learn_number(shared, number);
        }
        let Some(call) = &mut self.call else { return };
        call.state = new.state;
        call.over = None;
        let up = matches!(new.state, CallState::Active | CallState::Held);
        let not_here = matches!(call.answer, Answer::No | Answer::Refused);
        if up && call.incoming && not_here {
            let detail = "taken on the handset";
            return self.leave_call(shared, PhoneEnd::OwnerAnswered, detail);
        }
        if up && call.active_since.is_none() {
            call.active_since = Some(now);
        }
    }

    /// The number at the other end is known, if it was not before.
    pub(super) fn learn_number(&mut self, shared: &mut Shared, number: &Pii<String>) {
        let Some(call) = self.call.as_mut().filter(|call| call.number.is_none()) else { return };
        call.number = Some(number.clone());
        if call.told && call.incoming && call.ending.is_none() {
            let (call, remote) = (call.id, remote_party(Some(number)));
            shared.tell(PhoneEvent::Caller { call, remote });
        }
    }

    pub(super) fn on_call_over(&mut self, now: Instant, shared: &mut Shared, index: u8) {
        self.left.remove(&index);
        if let Some(call) = &mut self.call
            && call.index == Some(index)
        {
            call.index = None;
            self.over(now, shared);
        }
    }

    pub(super) fn on_answered(&mut self) {
        if let Some(call) = &mut self.call
            && call.answer == Answer::Asked
        {
            call.answer = Answer::Taken;
        }
    }

    /// The connection was lost. What the bridge shows is seen on.
    pub(super) fn call_lost(&mut self, given_up: Instant) {
        self.call = self.call.take().filter(|call| call.told);
        if let Some(call) = &mut self.call {
            call.index = call.index.filter(|index| *index == ANDROID_INDEX);
            call.lost = Some(call.lost.unwrap_or(given_up));
        }
    }

    /// It is back: its list says whether the call is still there, unless that is the bridge's to say.
    pub(super) fn call_found(&mut self, now: Instant, shared: &mut Shared) {
        let has_calls = self.ready().is_some_and(hfp::slc::Slc::has_calls);
        let Some(call) = self.call.as_mut().filter(|call| call.lost.is_some()) else { return };
        if call.index == Some(ANDROID_INDEX) || call.is_yet_to_begin() {
            call.lost = None;
            self.fetch_unlisted(now);
        } else if has_calls {
            call.lost = Some(now + LISTED_MAX);
        } else {
            let (end, _) = super::ending::natural(call);
            self.finish(shared, end, "it ended while the phone was away");
        }
    }

    /// Takes up a call that comes in, and does what is due.
    pub(super) fn settle_call(&mut self, now: Instant, shared: &mut Shared) {
        self.take_up(now, shared);
        if self.call.as_ref().is_some_and(|call| !call.told) {
            self.tell_incoming(now, shared);
        }
        self.settle_ending(now, shared);
        let Some(call) = &mut self.call else { return };
        if let Some(by) = call.moving
            && now >= by
        {
            self.not_moved(shared, "the phone does not open its voice link");
        }
    }

    fn take_up(&mut self, now: Instant, shared: &Shared) {
        let for_us = shared.settings.in_use && self.is_used(&shared.settings) && !shared.closing;
        if self.call.is_some() || !for_us {
            return;
        }
        let [only] = self.calls() else { return };
        if only.incoming && only.state == CallState::Incoming && !self.left.contains(&only.index) {
            let mut call = Call::new(now, shared.ids.mint(), true);
            call.index = Some(only.index);
            call.number.clone_from(&only.number);
            call.quiet = self.quiet_until.unwrap_or(now);
            self.call = Some(call);
        }
    }

    fn tell_incoming(&mut self, now: Instant, shared: &mut Shared) {
        if self.owners_calls().next().is_some() {
            // Another one came at the same moment: both are the owner's.
            self.left.extend(self.call.take().and_then(|call| call.index));
            return;
        }
        let phone = self.name();
        let Some(call) = &mut self.call else { return };
        if now >= call.tell_at() {
            call.told = true;
            self.quiet_until = Some(now + INCOMING_DISTANCE);
            let (call, remote) = (call.id, remote_party(call.number.as_ref()));
            shared.tell(PhoneEvent::Incoming { call, phone, remote });
        }
    }

    /// What the switch learns of the call; after its audio was routed.
    pub(super) fn settle_told(&mut self, now: Instant, shared: &mut Shared) {
        let (heard, phone) = (self.voice.is_heard(), self.name());
        let Some(call) = self.call.as_mut().filter(|call| call.told && call.ending.is_none()) else { return };
        if !call.incoming && call.index.is_some() && call.lost.is_none() {
            let alerting = match call.state {
                CallState::Dialing => Some(false),
                CallState::Alerting => Some(true),
                CallState::Active | CallState::Held | CallState::Incoming | CallState::Waiting => None,
            };
            if let Some(alerting) = alerting.filter(|now| call.alerting.is_none_or(|told| *now && !told)) {
                call.alerting = Some(alerting);
                let (call, phone) = (call.id, phone.clone());
                shared.tell(PhoneEvent::Progress { call, phone, alerting });
            }
        }
        let waited = call.active_since.is_some_and(|since| now >= since + FIRST_PACKET_MAX);
        if call.is_active() && !call.active_told && (heard || waited) {
            call.active_told = true;
            shared.tell(PhoneEvent::Active { call: call.id });
        }
        let held = call.state == CallState::Held;
        if call.active_told
            && call.lost.is_none()
            && held != call.held_told
            && call.held_not_before.is_none_or(|at| now >= at)
        {
            call.held_told = held;
            call.held_not_before = Some(now + HELD_DISTANCE);
            shared.tell(PhoneEvent::Held { call: call.id, held });
        }
    }

    pub(super) fn call_due(&self) -> Option<Instant> {
        let call = self.call.as_ref()?;
        let settled = !call.active_told || (call.state == CallState::Held) == call.held_told;
        call.due(settled)
    }

    /// `PhoneCommand::HandOver`.
    pub(super) fn hand_over(&mut self, now: Instant, shared: &mut Shared, to: Place) {
        let owner_talks = self.owner_talks();
        let open = self.voice.codec().is_some();
        let Some(call) = self.call.as_mut().filter(|call| call.ending.is_none()) else { return };
        if !call.is_active() || owner_talks {
            let why = if owner_talks { "the owner is in another call" } else { "the call is not active" };
            return self.not_moved(shared, why);
        }
        call.wish = to;
        match to {
            Place::Handset => {
                call.moving = None;
                call.at = Place::Handset;
                let event = PhoneEvent::Audio { call: call.id, at: Place::Handset, by: Mover::Us };
                self.route_to(shared, None);
                self.give_to_handset(now, shared);
                shared.tell(event);
            }
            Place::Agent if call.at == Place::Agent && open => {
                shared.tell(PhoneEvent::Audio { call: call.id, at: Place::Agent, by: Mover::Us });
            }
            Place::Agent => {
                call.at = Place::Handset;
                call.moving = Some(now + super::voice::MOVE_MAX);
                self.fetch(now);
            }
        }
    }

    /// It stays at the handset.
    pub(super) fn not_moved(&mut self, shared: &mut Shared, why: &str) {
        let Some(call) = &mut self.call else { return };
        if call.moving.take().is_some() {
            call.wish = Place::Handset;
        }
        let call = call.id;
        shared.tell(PhoneEvent::NotMoved { call, sentence: why.to_owned() });
    }
}
