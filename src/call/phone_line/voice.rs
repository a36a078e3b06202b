//! A phone's voice link: opened, bounded, given back. Its life is not the call's.

use std::time::{Duration, Instant};

use super::core::{Output, Shared, VoiceCommand, VoiceEvent};
use super::phone::Phone;
use crate::call::phones::{Mover, PhoneEvent, Place};
use crate::hfp::Codec;
use crate::hfp::slc::Command;

/// A link that is opened from here is open by then, or was not possible.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// A link whose codec was agreed is open by then.
const NEGOTIATED_MAX: Duration = Duration::from_secs(3);
/// After a link was closed the next one is opened no earlier: the kernel says EBUSY before.
const PAUSE: Duration = Duration::from_millis(400);
/// A link may come before the call that it is for; longer it is not kept from the owner.
const REASON_MAX: Duration = Duration::from_secs(1);
/// A link that comes so soon after the call was handed to the handset is the phone's habit, not the owner's wish.
const HABIT: Duration = Duration::from_secs(2);
/// Bringing a call here takes no longer.
pub(super) const MOVE_MAX: Duration = Duration::from_secs(8);
/// Links without any packet, one after the other; then the link is given up.
const MUTE_MAX: u8 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Opening {
        codec: Codec,
        by: Instant,
    },
    Up {
        codec: Codec,
        heard: bool,
    },
}

/// One phone's voice link.
#[derive(Debug)]
pub(super) struct Voice {
    state: State,
    /// The codec of a link that the phone opens.
    pub(super) expected: Codec,
    /// As last told to the connection.
    pub(super) wanted_here: bool,
    closed_at: Option<Instant>,
    /// A codec was agreed; the link is there by then.
    negotiated: Option<(Codec, Instant)>,
    /// It is opened from here then.
    open_at: Option<(Codec, Instant)>,
    /// The phone is asked for it then.
    ask_at: Option<Instant>,
    /// Nobody wants it; it is closed then.
    no_reason: Option<Instant>,
    /// The call was handed to the handset.
    handed_at: Option<Instant>,
    /// Tries that failed, and links that carried nothing, since the last one that did.
    failures: u8,
    mutes: u8,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            state: State::Closed,
            expected: Codec::Cvsd,
            wanted_here: false,
            closed_at: None,
            negotiated: None,
            open_at: None,
            ask_at: None,
            no_reason: None,
            handed_at: None,
            failures: 0,
            mutes: 0,
        }
    }
}

impl Voice {
    /// Of the link that is open.
    pub(super) fn codec(&self) -> Option<Codec> {
        match self.state {
            State::Up { codec, .. } => Some(codec),
            State::Closed | State::Opening { .. } => None,
        }
    }

    /// Open or being opened.
    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Packets come.
    pub(super) fn is_heard(&self) -> bool {
        matches!(self.state, State::Up { heard: true, .. })
    }

    pub(super) fn negotiated(&mut self, now: Instant, codec: Codec) {
        // A phone that agrees again and again does not move the time.
        let by =
            self.negotiated.filter(|(other, _)| *other == codec).map_or(now + NEGOTIATED_MAX, |(_, by)| by);
        self.negotiated = (!matches!(self.state, State::Up { .. })).then_some((codec, by));
    }

    pub(super) fn forget_negotiation(&mut self) {
        self.negotiated = None;
        self.open_at = None;
        self.ask_at = None;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let opening = match self.state {
            State::Opening { by, .. } => Some(by),
            State::Closed | State::Up { .. } => None,
        };
        let negotiated = self.negotiated.map(|(_, by)| by);
        let open = self.open_at.map(|(_, at)| at);
        [opening, negotiated, open, self.ask_at, self.no_reason].into_iter().flatten().min()
    }

    fn not_before(&self, now: Instant) -> Instant {
        self.closed_at.map_or(now, |closed| now.max(closed + PAUSE))
    }
}

impl Phone {
    pub(super) fn on_voice(&mut self, now: Instant, shared: &mut Shared, event: VoiceEvent) {
        match event {
            VoiceEvent::Up => {
                let codec = match self.voice.state {
                    State::Opening { codec, .. } => codec,
                    State::Closed | State::Up { .. } => self.voice.expected,
                };
                self.voice.state = State::Up { codec, heard: false };
                self.voice.forget_negotiation();
                self.tell_linked(now, true);
            }
            VoiceEvent::Heard => {
                if let State::Up { heard, .. } = &mut self.voice.state {
                    *heard = true;
                    self.voice.failures = 0;
                    self.voice.mutes = 0;
                }
            }
            VoiceEvent::Mute => match self.voice.codec() {
                Some(Codec::Msbc) => self.no_msbc(now, shared),
                Some(Codec::Cvsd) => self.on_mute(now, shared),
                None => {}
            },
            VoiceEvent::Unusable => {
                if self.voice.codec() == Some(Codec::Msbc) {
                    self.no_msbc(now, shared);
                }
            }
            VoiceEvent::Lost => self.closed(now),
            VoiceEvent::Failed(sentence) => {
                self.fault(&sentence);
                self.not_opened(now);
            }
        }
    }

    fn tell_linked(&mut self, now: Instant, linked: bool) {
        if let Some(slc) = self.slc() {
            slc.audio_linked(now, linked);
        }
    }

    fn closed(&mut self, now: Instant) {
        self.voice.state = State::Closed;
        self.voice.closed_at = Some(now);
        self.voice.no_reason = None;
        self.tell_linked(now, false);
    }

    /// Closes it from here; the time of that is the next `settle`'s business.
    pub(super) fn close_voice(&mut self, shared: &mut Shared) {
        self.voice.state = State::Closed;
        self.voice.no_reason = None;
        shared.push(Output::Voice { phone: self.address, command: VoiceCommand::Close });
    }

    fn close_voice_at(&mut self, now: Instant, shared: &mut Shared) {
        self.close_voice(shared);
        self.closed(now);
    }

    /// HFP 4.11.2: a phone that cannot be asked for the link has it opened from here.
    pub(super) fn on_open_audio(&mut self, now: Instant, shared: &mut Shared) {
        if !self.voice.is_open() && self.voice.open_at.is_none() {
            self.voice.open_at = Some((Codec::Cvsd, self.voice.not_before(now)));
            self.open_when_due(now, shared);
        }
    }

    fn open_when_due(&mut self, now: Instant, shared: &mut Shared) {
        if let Some((codec, _)) = self.voice.open_at.filter(|(_, at)| now >= *at) {
            self.voice.open_at = None;
            if !self.voice.is_open() {
                self.voice.state = State::Opening { codec, by: now + OPEN_MAX };
                shared.push(Output::Voice { phone: self.address, command: VoiceCommand::Open(codec) });
            }
        }
    }

    /// A try came to nothing. One with mSBC is made again with CVSD.
    fn not_opened(&mut self, now: Instant) {
        let tried = match self.voice.state {
            State::Opening { codec, .. } => Some(codec),
            State::Closed => self.voice.negotiated.map(|(codec, _)| codec),
            State::Up { .. } => return,
        };
        self.voice.failures = self.voice.failures.saturating_add(1);
        self.voice.negotiated = None;
        self.closed(now);
        if tried == Some(Codec::Msbc) {
            self.cvsd_for_now = true;
            self.ask(now, Command::CvsdOnly);
        }
    }

    /// mSBC does not work over this link: CVSD from now on, after the next start as well.
    fn no_msbc(&mut self, now: Instant, shared: &mut Shared) {
        if let Some(adapter) = shared.adapter
            && shared.memory.note_cvsd_only(self.address, adapter)
        {
            shared.remember();
        }
        self.cvsd_for_now = true;
        self.close_voice_at(now, shared);
        self.ask(now, Command::CvsdOnly);
    }

    fn on_mute(&mut self, now: Instant, shared: &mut Shared) {
        self.fault("the voice link is open but carries no audio; `callscoot doctor` looks for the reason");
        self.voice.failures = self.voice.failures.saturating_add(1);
        self.voice.mutes = self.voice.mutes.saturating_add(1);
        self.close_voice_at(now, shared);
        if self.voice.mutes >= MUTE_MAX {
            self.voice.mutes = 0;
            self.on_audio_lost(now, shared);
        }
    }

    /// The phone was asked three times. Where links did not open, or carried nothing, the whole connection is made
    /// again, once a call; else somebody keeps the audio there.
    pub(super) fn on_audio_lost(&mut self, now: Instant, shared: &mut Shared) {
        if let State::Opening { .. } = self.voice.state {
            self.voice.failures = self.voice.failures.saturating_add(1);
            self.close_voice_at(now, shared);
        }
        self.voice.forget_negotiation();
        let broken = self.voice.failures > 0;
        let Some(call) = self.call.as_mut().filter(|call| call.is_active() && call.ending.is_none()) else {
            return;
        };
        if call.moving.is_some() {
            return self.not_moved(shared, "the phone keeps the audio");
        }
        if broken && !call.reset {
            call.reset = true;
            return self.reset(now, shared);
        }
        if broken {
            // A link that carries nothing is worse than none.
            call.wish = Place::Handset;
        }
        if call.at != Place::Handset {
            call.at = Place::Handset;
            let call = call.id;
            self.route_to(shared, None);
            shared.tell(PhoneEvent::Audio { call, at: Place::Handset, by: Mover::Phone });
        }
    }

    /// `HandOver` to the handset.
    pub(super) fn give_to_handset(&mut self, now: Instant, shared: &mut Shared) {
        self.voice.handed_at = Some(now);
        self.voice.forget_negotiation();
        self.want(now, false);
        if self.voice.is_open() {
            self.close_voice_at(now, shared);
        }
    }

    /// `HandOver` to the agent.
    pub(super) fn fetch(&mut self, now: Instant) {
        self.voice.handed_at = None;
        self.voice.failures = 0;
        self.want(now, true);
        if !self.voice.is_open() {
            self.voice.ask_at = Some(self.voice.not_before(now));
        }
    }

    fn want(&mut self, now: Instant, here: bool) {
        if self.voice.wanted_here != here {
            self.voice.wanted_here = here;
            self.ask(now, Command::Audio { here });
        }
    }

    /// Closes a link that is the owner's.
    fn give_back(&mut self, now: Instant, shared: &mut Shared) {
        shared.counted.given_back += 1;
        self.close_voice_at(now, shared);
    }

    /// Does what is due, and puts the link where it belongs.
    pub(super) fn settle_voice(&mut self, now: Instant, shared: &mut Shared) {
        self.run_voice(now, shared);
        let owner_talks = self.owner_talks();
        self.confer(shared, owner_talks);
        let live = |call: &&super::call::Call| call.lost.is_none();
        let call = self.call.as_ref().filter(live);
        let here = call.is_some_and(|call| {
            call.is_active() && call.ending.is_none() && call.wish == Place::Agent && !owner_talks
        });
        let handed = call.is_some_and(|call| call.wish == Place::Handset);
        let any = call.is_some();
        self.want(now, here);
        if self.voice.codec().is_none() {
            self.voice.no_reason = None;
            return;
        }
        let habit = self.voice.handed_at.is_some_and(|at| now < at + HABIT);
        if owner_talks {
            self.give_back(now, shared);
        } else if handed && habit {
            self.voice.handed_at = Some(now);
            self.give_back(now, shared);
        } else if any {
            self.voice.no_reason = None;
            self.arrive(shared);
        } else {
            let by = *self.voice.no_reason.get_or_insert(now + REASON_MAX);
            if now >= by {
                self.give_back(now, shared);
            }
        }
    }

    /// The owner has joined our call with one of his: he speaks.
    fn confer(&mut self, shared: &mut Shared, owner_talks: bool) {
        let Some(call) = self.call.as_mut().filter(|call| owner_talks && call.is_here() && call.active_told)
        else {
            return;
        };
        call.at = Place::Handset;
        let call = call.id;
        self.route_to(shared, None);
        shared.tell(PhoneEvent::Audio { call, at: Place::Handset, by: Mover::Phone });
    }

    /// The link is open, and the call's audio was at the handset: now it is here.
    fn arrive(&mut self, shared: &mut Shared) {
        let Some(call) = self.call.as_mut().filter(|call| call.is_active() && call.ending.is_none()) else {
            return;
        };
        if call.at == Place::Handset {
            call.at = Place::Agent;
            call.wish = Place::Agent;
            let by = if call.moving.take().is_some() { Mover::Us } else { Mover::Phone };
            let call = call.id;
            self.voice.handed_at = None;
            self.route_to(shared, Some(call));
            shared.tell(PhoneEvent::Audio { call, at: Place::Agent, by });
        }
    }

    fn run_voice(&mut self, now: Instant, shared: &mut Shared) {
        if let State::Opening { by, .. } = self.voice.state
            && now >= by
        {
            self.fault("the voice link does not open");
            shared.push(Output::Voice { phone: self.address, command: VoiceCommand::Close });
            self.not_opened(now);
        }
        if self.voice.negotiated.is_some_and(|(_, by)| now >= by) {
            self.fault("the phone agreed on a codec and opened no voice link");
            self.not_opened(now);
        }
        self.open_when_due(now, shared);
        if self.voice.ask_at.is_some_and(|at| now >= at) {
            self.voice.ask_at = None;
            self.ask(now, Command::OpenAudio);
        }
    }
}
