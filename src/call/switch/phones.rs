//! Calls on phones: what only they have. Which phone it is, audio that moves to its handset and back, a number that
//! comes late, and what is known of all phones.

use serde_json::json;

use super::core::Switch;
use super::io::Output;
use super::live::{LiveCall, On, OnPhone, Part, Stage};
use crate::base::{CallId, Now};
use crate::call::command::{Answer, Conflict, Refusal, Reply, SessionRef};
use crate::call::config::Backend;
use crate::call::conversation::AgentCommand;
use crate::call::events::{Source, agent_event, call_event};
use crate::call::leg::RemoteParty;
use crate::call::phones::{Mover, PhoneCommand, PhoneEnd, PhoneEvent, PhoneLink, PhoneName, Phones, Place};
use crate::call::session::{EndReason, Phase};

/// Told to the agent when the owner takes the call.
const OWNER_SPEAKS: &str = "The owner of the phone has taken this call and now speaks to the other party himself. \
     Neither of them hears you. Say nothing until you are told that the call is back.";
/// And when it is back.
const AGENT_SPEAKS: &str = "The owner of the phone has given the call back. The other party hears you again.";

impl Switch {
    pub(super) fn phone_event(&mut self, now: Now, event: PhoneEvent) {
        match event {
            PhoneEvent::Incoming { call, phone, remote } => {
                self.incoming(now, call, On::Phone(OnPhone::new(Some(phone), None)), remote);
            }
            PhoneEvent::Caller { call, remote } => self.caller_is_known(now, call, remote),
            PhoneEvent::Progress { call, phone, alerting } => {
                self.is_on(call, phone);
                self.progress(now, call, alerting);
            }
            PhoneEvent::Active { call } => self.phone_is_active(now, call),
            PhoneEvent::Audio { call, at, by } => self.audio_is_at(now, call, at, by),
            PhoneEvent::NotMoved { call, sentence } => {
                let payload = json!({ "error": sentence });
                self.note(now, call, call_event::AUDIO_NOT_MOVED, payload.clone());
                self.tell(now, call, agent_event::AUDIO_NOT_MOVED, Source::System, payload);
            }
            PhoneEvent::Held { call, held } => self.phone_holds(now, call, held),
            PhoneEvent::Ended { call, end, detail } => {
                if self.on_phone(call).is_none() {
                    return;
                }
                let (reason, detail) = match end {
                    PhoneEnd::Leg(end) => (end.into(), detail),
                    PhoneEnd::OwnerAnswered => (EndReason::Transferred, "answered on the handset".into()),
                    PhoneEnd::PhoneLost => (EndReason::PhoneLost, detail),
                };
                self.carrier_ended(now, call, reason, detail);
            }
            PhoneEvent::Connected { phone } => {
                self.phone_came(&phone);
                self.news_of_coming(now, &phone);
            }
            PhoneEvent::Disconnected { phone, sentence } => {
                self.phone_went(&phone);
                self.news_of_going(now, &phone, sentence);
            }
            PhoneEvent::Bound { serial, phone } => self.learn_binding(serial, phone),
            PhoneEvent::Phones(phones) => self.phones_are(now, *phones),
            PhoneEvent::Closed => self.phones_closed(),
        }
    }

    fn on_phone(&mut self, call: CallId) -> Option<&mut OnPhone> {
        match &mut self.calls.get_mut(&call)?.on {
            On::Sip(_) => None,
            On::Phone(phone) => Some(phone),
        }
    }

    /// The phone that has the call.
    fn is_on(&mut self, call: CallId, phone: PhoneName) {
        let serial = self.adb_serial_of(&phone);
        let Some(live) = self.calls.get_mut(&call) else { return };
        let On::Phone(on) = &mut live.on else { return };
        if on.name.as_ref() != Some(&phone) {
            live.meta.target_mac = Some(phone.address.to_string());
            live.meta.target_name = Some(phone.name.0.clone());
            live.meta.adb_serial = serial;
            on.name = Some(phone);
            self.changed(call);
        }
    }

    pub(super) fn adb_serial_of(&self, phone: &PhoneName) -> Option<String> {
        let known = self.phones.phones.iter().find(|known| known.name.address == phone.address);
        known.and_then(|known| known.adb_serial.clone())
    }

    /// The phone that would dial now.
    pub(super) fn selected_phone(&self) -> Option<PhoneName> {
        let selected = self.phones.selected?;
        let phone = self.phones.phones.iter().find(|phone| phone.name.address == selected);
        phone.map(|phone| phone.name.clone())
    }

    /// `hfp` or `adb`: how phones are commanded.
    pub(super) fn phone_backend(&self) -> &'static str {
        match self.config.selected_backend() {
            Backend::Adb => Backend::Adb.as_str(),
            Backend::Sip | Backend::Hfp => Backend::Hfp.as_str(),
        }
    }

    /// The number came after the first ring: the session learns it, and the policy decides again.
    fn caller_is_known(&mut self, now: Now, call: CallId, remote: RemoteParty) {
        let Some(live) = self.calls.get_mut(&call).filter(|live| live.is_live()) else { return };
        let Some(number) = remote.number.clone().filter(|_| live.number.is_none()) else { return };
        let shown = number.as_str().to_owned();
        live.number = Some(number);
        live.remote = remote;
        live.meta.incoming_number = Some(shown.clone());
        live.events.caller_is(&shown);
        let begun = live.agent == Part::Open(());
        let undecided = live.stage == Stage::Ringing && !live.answer_wanted;
        self.changed(call);
        if begun {
            let text = format!("The other party's number is {shown}.");
            self.outputs.push_back(Output::Agent { call, command: AgentCommand::ContextualUpdate { text } });
        }
        if undecided && self.config.auto_answer {
            self.apply_policy(now, call);
        }
    }

    fn phone_is_active(&mut self, now: Now, call: CallId) {
        let Some(live) = self.calls.get(&call).filter(|live| live.is_live()) else { return };
        if live.stage == Stage::Active {
            return;
        }
        let Some(phone) = self.on_phone(call) else { return };
        phone.here_since = Some(now.mono);
        let phase = if phone.held { Phase::Held } else { Phase::Active };
        self.answered(now, call);
        self.phase(now, call, phase);
    }

    fn phone_holds(&mut self, now: Now, call: CallId, held: bool) {
        let Some(phone) = self.on_phone(call) else { return };
        phone.held = held;
        phone.here_since = Some(now.mono);
        if self.calls.get(&call).is_some_and(|live| live.stage == Stage::Active) {
            self.phase(now, call, if held { Phase::Held } else { Phase::Active });
        }
    }

    /// The audio moved: while the owner speaks, the agent neither hears nor speaks.
    fn audio_is_at(&mut self, now: Now, call: CallId, at: Place, by: Mover) {
        if !self.calls.get(&call).is_some_and(LiveCall::is_live) {
            return;
        }
        let Some(phone) = self.on_phone(call).filter(|phone| phone.audio_at != at) else { return };
        phone.audio_at = at;
        phone.here_since = Some(now.mono);
        let agent_left = phone.agent_left.take_if(|_| at == Place::Agent);
        if let Some(live) = self.calls.get_mut(&call) {
            live.meta.extra.insert("audio_at".into(), at.as_str().into());
        }
        if (at, by) == (Place::Handset, Mover::Phone) {
            self.metrics.phone_audio_losses.inc();
            let payload = json!({ "where": "phone" });
            self.note(now, call, call_event::AUDIO_LOST, payload.clone());
            self.tell(now, call, agent_event::AUDIO_LOST, Source::System, payload);
        }
        let payload = json!({ "to": at.as_str(), "by": by.as_str() });
        self.note(now, call, call_event::AUDIO_MOVED, payload.clone());
        self.tell(now, call, agent_event::AUDIO_MOVED, Source::System, payload);
        self.changed(call);
        let (command, text) = match at {
            Place::Handset => (AgentCommand::Hold, OWNER_SPEAKS),
            Place::Agent => (AgentCommand::Resume, AGENT_SPEAKS),
        };
        if self.calls.get(&call).is_some_and(|live| live.agent == Part::Open(())) {
            let update = AgentCommand::ContextualUpdate { text: text.into() };
            self.outputs.extend([command, update].map(|command| Output::Agent { call, command }));
        }
        if let Some((reason, detail)) = agent_left {
            self.end(now, call, reason, detail);
        }
    }

    /// The conversation is over while the owner speaks: his call goes on. True when it is so.
    pub(super) fn agent_left_the_owner(
        &mut self,
        call: CallId,
        reason: EndReason,
        detail: Option<&String>,
    ) -> bool {
        let at_handset = |live: &LiveCall| live.is_live() && live.is_at_handset();
        if !self.calls.get(&call).is_some_and(at_handset) {
            return false;
        }
        if let Some(phone) = self.on_phone(call) {
            phone.agent_left = Some((reason, detail.cloned()));
        }
        true
    }

    /// `POST …/handover`.
    pub(super) fn hand_over(&mut self, session: &SessionRef, to: Place) -> Reply {
        let conflict = |which, sentence: &str| Err(Refusal::conflict(which, sentence));
        let live = self.named(session)?;
        let On::Phone(phone) = &live.on else {
            let sentence = "the call is not on a phone: only a phone has a handset to hand it to";
            return conflict(Conflict::NotOnPhone, sentence);
        };
        if live.stage != Stage::Active {
            return conflict(Conflict::CallNotActive, "the call is not active");
        }
        if phone.audio_at == to {
            let sentence = match to {
                Place::Handset => "the call's audio is at the handset already",
                Place::Agent => "the call's audio is with the agent already",
            };
            return conflict(Conflict::AudioIsThere, sentence);
        }
        if phone.agent_left.is_some() {
            return conflict(Conflict::ConversationOver, "the agent's conversation has ended");
        }
        let (call, backend, session) = (live.call, live.meta.telephony_backend, live.meta.id.clone());
        self.outputs.push_back(Output::Phone(PhoneCommand::HandOver { call, to }));
        Ok(Answer::HandingOver { backend, session, to })
    }

    fn phones_are(&mut self, now: Now, phones: Phones) {
        if phones.fault != self.phones.fault {
            match &phones.fault {
                Some(fault) if self.config.selected_backend() == Backend::Sip => {
                    log::info!("phones: {fault}");
                }
                Some(fault) => log::warn!("phones: {fault}"),
                None => log::info!("phones: ready for use"),
            }
        }
        self.phones = phones;
        self.measure_phones();
        self.news_of_phones(now);
    }

    pub(super) fn phones_are_healthy(&self) -> bool {
        let talks = |phone: &crate::call::phones::Phone| phone.link == PhoneLink::Ready && phone.calls > 0;
        self.phones.fault.is_none()
            && (self.phones.selected.is_some() || self.phones.phones.iter().any(talks))
    }

    /// What keeps phones from making a call, in a sentence.
    pub(super) fn phones_fault(&self) -> Option<String> {
        let phones = &self.phones;
        let fault = match (&phones.fault, phones.selected, &phones.no_selection) {
            (Some(fault), _, _) => fault,
            (None, Some(_), _) => return None,
            (None, None, Some(sentence)) => sentence,
            (None, None, None) => "no phone is connected",
        };
        Some(match self.config.sip_hint() {
            Some(hint) => format!("{fault}; {hint}"),
            None => fault.to_owned(),
        })
    }

    /// The same for those who need no token: no phone's name, which may be its owner's.
    pub(super) fn phones_unready(&self) -> String {
        let fault = self.phones.fault.clone();
        fault.unwrap_or_else(|| "no phone can make a call: see phones in /v1/status".into())
    }
}
