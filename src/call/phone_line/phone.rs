//! One phone: what the host knows of it, its connection, the call of ours on it, its voice link.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::android::Android;
use super::call::Call;
use super::core::{Output, Pages, Shared, Why};
use super::voice::Voice;
use super::words::{bounded, name_of};
use crate::base::time::earlier;
use crate::base::{Backoff, CallId};
use crate::call::phones::{PhoneEvent, PhoneName};
use crate::hfp::host::{Address, Device};
use crate::hfp::slc::{self, Event, Slc};
use crate::hfp::{CallState, Change};

/// A phone that is not there is called for again after 2 s, up to a minute, for ever.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Rounds of commands and answers within one input; what is left comes with the next.
const ROUNDS_MAX: u8 = 16;

/// Where the connection stands.
pub(super) enum Link {
    Away,
    Waiting(Instant),
    Connecting { by: Instant },
    Setup(Box<Slc>),
    Ready { slc: Box<Slc>, since: Instant },
}

/// One phone.
pub(super) struct Phone {
    pub(super) address: Address,
    /// As the host knows it now.
    pub(super) device: Option<Device>,
    pub(super) link: Link,
    /// The user wants it connected, whatever the configuration says.
    pub(super) asked: bool,
    pub(super) backoff: Backoff,
    /// It is reached over the Android Debug Bridge too, and commanded there.
    pub(super) android: Option<Android>,
    /// The call of ours.
    pub(super) call: Option<Call>,
    /// Indices of calls that are left alone although they look as if they were for us.
    pub(super) left: BTreeSet<u8>,
    /// No call is told before.
    pub(super) quiet_until: Option<Instant>,
    pub(super) voice: Voice,
    /// CVSD alone is offered until the connection is lost.
    pub(super) cvsd_for_now: bool,
    pub(super) last_error: Option<String>,
    routed: Option<CallId>,
    slc_due: Option<(Instant, slc::Why)>,
}

impl Phone {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            device: None,
            link: Link::Away,
            asked: false,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            android: None,
            call: None,
            left: BTreeSet::new(),
            quiet_until: None,
            voice: Voice::default(),
            cvsd_for_now: false,
            last_error: None,
            routed: None,
            slc_due: None,
        }
    }

    pub(super) fn name(&self) -> PhoneName {
        PhoneName { address: self.address, name: name_of(self.address, self.device.as_ref()) }
    }

    /// Its service level connection, set up or not yet.
    pub(super) fn slc(&mut self) -> Option<&mut Slc> {
        match &mut self.link {
            Link::Setup(slc) | Link::Ready { slc, .. } => Some(slc),
            Link::Away | Link::Waiting(_) | Link::Connecting { .. } => None,
        }
    }

    /// The same, to look at.
    pub(super) fn linked_slc(&self) -> Option<&Slc> {
        match &self.link {
            Link::Setup(slc) | Link::Ready { slc, .. } => Some(slc),
            Link::Away | Link::Waiting(_) | Link::Connecting { .. } => None,
        }
    }

    /// Its service level connection, set up.
    pub(super) fn ready(&self) -> Option<&Slc> {
        match &self.link {
            Link::Ready { slc, .. } => Some(slc),
            Link::Away | Link::Waiting(_) | Link::Connecting { .. } | Link::Setup(_) => None,
        }
    }

    pub(super) fn is_linked(&self) -> bool {
        matches!(self.link, Link::Setup(_) | Link::Ready { .. })
    }

    /// There is a call on it, or its indicators say so.
    pub(super) fn has_calls(&self) -> bool {
        self.ready().is_some_and(Slc::has_calls)
    }

    pub(super) fn ask(&mut self, now: Instant, command: slc::Command) {
        if let Some(slc) = self.slc() {
            slc.command(now, command);
        }
    }

    /// All calls on it.
    pub(super) fn calls(&self) -> &[crate::hfp::Call] {
        self.ready().map_or(&[], Slc::calls)
    }

    /// The calls on it that are not ours.
    pub(super) fn owners_calls(&self) -> impl Iterator<Item = &crate::hfp::Call> {
        let own = self.call.as_ref().and_then(|call| call.index);
        self.calls().iter().filter(move |call| Some(call.index) != own)
    }

    /// How they stand.
    pub(super) fn others(&self) -> Vec<CallState> {
        self.owners_calls().map(|call| call.state).collect()
    }

    /// The owner talks, or is about to.
    pub(super) fn owner_talks(&self) -> bool {
        let talks = |state| matches!(state, CallState::Active | CallState::Dialing | CallState::Alerting);
        // A call that we dial and that is not matched yet is not his.
        let ours = self.call.as_ref().is_some_and(|call| call.index.is_none() && !call.incoming);
        !ours && self.owners_calls().any(|call| talks(call.state))
    }

    pub(super) fn fault(&mut self, sentence: &str) {
        self.last_error = Some(bounded(sentence));
    }

    /// Acts on everything that the connection has to say, and on all that is due.
    pub(super) fn settle(&mut self, now: Instant, shared: &mut Shared) {
        for _ in 0..ROUNDS_MAX {
            let moved = self.drain(now, shared);
            self.settle_call(now, shared);
            self.settle_voice(now, shared);
            self.route(shared);
            self.settle_told(now, shared);
            self.watch(shared);
            if !moved {
                break;
            }
        }
        self.drain(now, shared);
    }

    fn drain(&mut self, now: Instant, shared: &mut Shared) -> bool {
        let mut moved = false;
        loop {
            let phone = self.address;
            let Some(slc) = self.slc() else {
                self.slc_due = None;
                return moved;
            };
            match slc.poll_output() {
                slc::Output::Transmit(bytes) => shared.push(Output::Transmit { phone, bytes }),
                slc::Output::Event(event) => self.on_event(now, shared, event),
                slc::Output::Timeout(next) => {
                    self.slc_due = next;
                    return moved;
                }
            }
            moved = true;
        }
    }

    fn on_event(&mut self, now: Instant, shared: &mut Shared, event: Event) {
        match event {
            Event::Up(_) => self.up(now, shared),
            // Read where it is shown.
            Event::Phone(_) | Event::InBandRing(_) => {}
            Event::Call(Change::Now(call)) => self.on_call(now, shared, &call),
            Event::Call(Change::Over(index)) => self.on_call_over(now, shared, index),
            Event::Codec(codec) => self.on_codec(now, shared, codec),
            Event::OpenAudio => self.on_open_audio(now, shared),
            Event::AudioLost => self.on_audio_lost(now, shared),
            Event::Answered => self.on_answered(),
            Event::CallFailed(failure) => self.on_call_failed(failure),
            Event::Refused(command, why) => self.on_refused(now, shared, &command, why),
            Event::Down(fault) => {
                shared.push(Output::CloseRfcomm { phone: self.address });
                self.lose(now, shared, &fault.to_string());
            }
        }
    }

    /// Whose audio goes over the voice link: a call of ours that talks here, and none while the owner talks.
    fn route(&mut self, shared: &mut Shared) {
        let silent = self.owner_talks();
        let call = self.call.as_ref().filter(|call| !silent && call.is_here()).map(|call| call.id);
        self.route_to(shared, call);
    }

    pub(super) fn route_to(&mut self, shared: &mut Shared, call: Option<CallId>) {
        if self.routed != call {
            self.routed = call;
            shared.push(Output::Route { phone: self.address, call });
        }
    }

    /// The line closes: what is left of ours ends, what is the owner's stays.
    pub(super) fn leave(&mut self, shared: &mut Shared) {
        self.leave_unended(shared);
        self.abandon_call(shared);
        if self.voice.is_open() {
            self.close_voice(shared);
        }
        if let Some(slc) = self.linked_slc() {
            shared.counted.said += slc.counters();
            if self.ready().is_some() {
                let sentence = "the phones are closed".to_owned();
                shared.tell(PhoneEvent::Disconnected { phone: self.name(), sentence });
            }
            shared.push(Output::CloseRfcomm { phone: self.address });
        }
        self.link = Link::Away;
    }

    /// It is to be shown: it is paired, or here. Of those that are not paired, only while they may pair.
    pub(super) fn is_shown(&self, may_pair: bool) -> bool {
        self.device.as_ref().is_some_and(|device| device.paired || may_pair) || self.is_linked()
    }

    /// Nothing is known of it any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let known = self.device.as_ref().is_some_and(|device| device.paired || device.connected);
        // That the user wanted it outlives a restart of the host, which removes all its objects on its way out.
        let idle = self.call.is_none() && !self.may_go_on_at_adb() && !self.voice.is_open();
        !known && !self.asked && !self.is_linked() && idle
    }

    pub(super) fn deadline(&self, shared: &Shared, pages: Pages) -> Option<(Instant, Why)> {
        let times = [
            self.slc_due.map(|(at, why)| (at, Why::Slc(why))),
            self.connect_at(shared, pages).map(|at| (at, Why::Connect)),
            self.call_due().map(|at| (at, Why::Call)),
            self.voice.due().map(|at| (at, Why::Voice)),
        ];
        times.into_iter().fold(None, earlier)
    }
}
