//! A phone's connection: called for for ever, taken when the phone comes by itself, lost and found again.

use std::time::{Duration, Instant};

use super::core::{Output, Pages, Shared, VoiceCommand};
use super::phone::{Link, Phone};
use super::voice::Voice;
use super::words::bounded;
use crate::call::phones::{PhoneEvent, PhoneSettings};
use crate::hfp::host;
use crate::hfp::slc::{Command, Slc};
use crate::hfp::{Codec, host::Device};

/// The host ends `ConnectProfile` by itself long before.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// Once it is done, the link itself comes within this.
const LINK_MAX: Duration = Duration::from_secs(10);
/// A phone that has connected for something else is called for after this, unless it comes by itself.
const BY_ITSELF: Duration = Duration::from_secs(2);
/// A connection that lasted so long was a good one: the next try comes soon again.
const GOOD: Duration = Duration::from_secs(30);
/// A call outlives its connection for so long.
const CALL_WITHOUT_LINK_MAX: Duration = Duration::from_secs(10);
/// Between taking a connection down and making it again.
const RESET_PAUSE: Duration = Duration::from_millis(500);

impl Phone {
    /// Its calls are for us: it is the phone of the configuration, or any is.
    pub(super) fn is_used(&self, settings: &PhoneSettings) -> bool {
        settings.target.map_or(settings.auto_select || self.asked, |target| target == self.address)
    }

    fn is_wanted(&self, shared: &Shared) -> bool {
        let Some(device) = &self.device else { return false };
        let by_itself = device.trusted && device.audio_gateway && self.is_used(&shared.settings);
        let wanted = self.asked || by_itself || self.call.is_some();
        wanted
            && device.paired
            && !shared.memory.is_dismissed(self.address)
            && shared.usable
            && !shared.closing
    }

    /// Calls for it when it is wanted, not there, and its turn.
    pub(super) fn maintain(&mut self, now: Instant, shared: &mut Shared, pages: &mut Pages) {
        let wanted = self.is_wanted(shared);
        match self.link {
            Link::Away if wanted => self.link = Link::Waiting(now),
            Link::Waiting(_) if !wanted => self.link = Link::Away,
            Link::Connecting { by } if now >= by => self.not_reached(now, shared, "the phone did not answer"),
            Link::Away | Link::Waiting(_) | Link::Connecting { .. } | Link::Setup(_) | Link::Ready { .. } => {
            }
        }
        if let Link::Waiting(at) = self.link
            && now >= at
            && self.may_be_called_for(*pages)
        {
            pages.connecting = true;
            self.link = Link::Connecting { by: now + CONNECT_MAX };
            shared.host(host::Command::Connect(self.address));
        }
    }

    fn may_be_called_for(&self, pages: Pages) -> bool {
        !pages.connecting && (!pages.voice || self.call.is_some())
    }

    pub(super) fn connect_at(&self, shared: &Shared, pages: Pages) -> Option<Instant> {
        match self.link {
            Link::Waiting(at) if self.is_wanted(shared) && self.may_be_called_for(pages) => Some(at),
            Link::Connecting { by } => Some(by),
            Link::Away | Link::Waiting(_) | Link::Setup(_) | Link::Ready { .. } => None,
        }
    }

    fn not_reached(&mut self, now: Instant, shared: &mut Shared, sentence: &str) {
        self.fault(sentence);
        self.link = Link::Waiting(now + self.backoff.next_delay(&mut shared.rng));
    }

    /// The host is gone, and every command with it.
    pub(super) fn give_up_connecting(&mut self) {
        if matches!(self.link, Link::Connecting { .. } | Link::Waiting(_)) {
            self.link = Link::Away;
            self.backoff.reset();
        }
    }

    pub(super) fn on_connect_done(&mut self, now: Instant, shared: &mut Shared, result: Result<(), String>) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        match result {
            Ok(()) => self.link = Link::Connecting { by: now + LINK_MAX },
            Err(sentence) => {
                // The host thinks that there is a connection; it is none of ours.
                if sentence.contains("AlreadyConnected") {
                    shared.host(host::Command::Disconnect(self.address));
                }
                self.not_reached(now, shared, &sentence);
            }
        }
    }

    /// What the host knows of it is new. Whether it has just been paired: then nothing counts that was said before.
    pub(super) fn on_device(&mut self, now: Instant, shared: &mut Shared, device: Device) -> bool {
        let before = self.device.replace(device);
        let came = |is: fn(&Device) -> bool| {
            before.as_ref().is_some_and(|device| !is(device)) && self.device.as_ref().is_some_and(is)
        };
        let paired = came(|device| device.paired);
        if paired {
            self.asked = false;
            shared.dismiss(self.address, false);
        }
        if came(|device| device.connected)
            && let Link::Waiting(at) = &mut self.link
        {
            *at = (*at).min(now + BY_ITSELF);
        }
        paired
    }

    /// It was paired here: whoever did that wants it.
    pub(super) fn welcome(&mut self, now: Instant, shared: &mut Shared) {
        self.asked = true;
        shared.dismiss(self.address, false);
        shared.host(host::Command::Trust(self.address, true));
        if matches!(self.link, Link::Away | Link::Waiting(_)) {
            // Many come by themselves, and the host is still learning what it offers.
            self.link = Link::Waiting(now + BY_ITSELF);
        }
    }

    /// `PhoneCommand::Connect`.
    pub(super) fn connect(&mut self, now: Instant, shared: &mut Shared) {
        self.asked = true;
        shared.dismiss(self.address, false);
        self.backoff.reset();
        if matches!(self.link, Link::Away | Link::Waiting(_)) {
            self.link = Link::Waiting(now);
        }
    }

    /// `PhoneCommand::Disconnect`.
    pub(super) fn disconnect(&mut self, now: Instant, shared: &mut Shared) {
        self.asked = false;
        shared.dismiss(self.address, true);
        self.abandon_call(shared);
        if self.voice.is_open() {
            self.close_voice(shared);
        }
        if self.slc().is_some() {
            shared.push(Output::CloseRfcomm { phone: self.address });
            self.lose(now, shared, "disconnected by command");
            self.last_error = None;
        }
        self.link = Link::Away;
        shared.host(host::Command::Disconnect(self.address));
    }

    /// An RFCOMM link is open, whoever opened it.
    pub(super) fn linked(&mut self, now: Instant, shared: &mut Shared) {
        if self.slc().is_some() {
            self.lose(now, shared, "the phone connected again");
        }
        shared.dismiss(self.address, false);
        let cvsd_only = self.cvsd_for_now || shared.memory.is_cvsd_only(self.address, shared.adapter);
        let codecs = if cvsd_only { &[Codec::Cvsd][..] } else { &[Codec::Msbc, Codec::Cvsd] };
        let mut slc = Slc::start(now, codecs);
        // Wanted once a call of ours is active.
        slc.command(now, Command::Audio { here: false });
        slc.audio_linked(now, self.voice.codec().is_some());
        self.voice.wanted_here = false;
        self.link = Link::Setup(Box::new(slc));
        self.expect(shared, Codec::Cvsd);
    }

    pub(super) fn up(&mut self, now: Instant, shared: &mut Shared) {
        match std::mem::replace(&mut self.link, Link::Away) {
            Link::Setup(slc) => self.link = Link::Ready { slc, since: now },
            other @ (Link::Away | Link::Waiting(_) | Link::Connecting { .. } | Link::Ready { .. }) => {
                self.link = other;
            }
        }
        self.last_error = None;
        shared.tell(PhoneEvent::Connected { phone: self.name() });
        self.call_found(now, shared);
    }

    /// The connection is gone. A call of ours may go on.
    pub(super) fn lose(&mut self, now: Instant, shared: &mut Shared, sentence: &str) {
        let Some(slc) = self.linked_slc() else { return };
        shared.counted.said += slc.counters();
        if let Link::Ready { since, .. } = self.link {
            if now >= since + GOOD {
                self.backoff.reset();
            }
            shared.tell(PhoneEvent::Disconnected { phone: self.name(), sentence: bounded(sentence) });
        }
        self.fault(sentence);
        self.left.clear();
        self.cvsd_for_now = false;
        self.voice.forget_negotiation();
        self.call_lost(now + CALL_WITHOUT_LINK_MAX);
        let delay = self.backoff.next_delay(&mut shared.rng);
        self.link = Link::Waiting(if self.call.is_some() { now } else { now + delay });
    }

    /// The last step for a voice link that does not open: the whole connection once more.
    pub(super) fn reset(&mut self, now: Instant, shared: &mut Shared) {
        let cvsd_for_now = self.cvsd_for_now;
        shared.push(Output::CloseRfcomm { phone: self.address });
        self.lose(now, shared, "connected again, because its voice link does not open");
        self.cvsd_for_now = cvsd_for_now;
        self.link = Link::Waiting(now + RESET_PAUSE);
    }

    fn expect(&mut self, shared: &mut Shared, codec: Codec) {
        self.voice.expected = codec;
        let command = VoiceCommand::Expect(codec);
        shared.push(Output::Voice { phone: self.address, command });
    }

    /// The phone chose the codec of the link that comes next.
    pub(super) fn on_codec(&mut self, now: Instant, shared: &mut Shared, codec: Codec) {
        self.expect(shared, codec);
        Voice::negotiated(&mut self.voice, now, codec);
    }
}
