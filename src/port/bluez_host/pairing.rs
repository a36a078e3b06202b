//! Pairing: a phone asks, or a client does; the agent decides.

use std::time::{Duration, Instant};

use dbus::Message;

use super::device;
use super::host::{Asked, Event, Host};
use super::refusal::{Refusal, kept};
use super::registry::Capability;
use crate::hfp::host::Address;
use crate::port::bluez_bus::call;

const AGENT: &str = "org.bluez.Agent1";
/// A device that was met and not paired is forgotten after this.
const TEMPORARY: Duration = Duration::from_secs(30);
/// Numbers that are compared have six digits.
const PASSKEYS: u32 = 1_000_000;

impl Host {
    /// The phone's owner wants to pair.
    pub fn pair(&mut self, now: Instant, device: Address) {
        let wanted = self.radio_is_on() && self.adapter.pairable;
        let Some(known) = self.devices.get_mut(&device).filter(|known| known.in_reach) else { return };
        if known.pairing {
            return;
        }
        if !wanted {
            let why = "the host is not pairable".to_owned();
            self.events.push_back(Event::PairingFailed { device, why });
            return;
        }
        self.begin_pairing(now, device);
        self.show();
    }

    /// `Device1.Pair`.
    pub(super) fn on_pair(
        &mut self,
        now: Instant,
        device: Address,
        caller: &Message,
    ) -> Option<Result<Message, Refusal>> {
        let radio = self.radio_is_on();
        let known = self.devices.get_mut(&device)?;
        if known.paired {
            return Some(Err(Refusal::already_exists()));
        }
        if known.pairing {
            return Some(Err(Refusal::new("org.bluez.Error.InProgress", "In Progress")));
        }
        if !known.in_reach || !radio {
            return Some(Err(Refusal::new("org.bluez.Error.ConnectionAttemptFailed", "Page Timeout")));
        }
        known.pair_caller = kept(caller);
        self.begin_pairing(now, device);
        None
    }

    fn begin_pairing(&mut self, now: Instant, device: Address) {
        let passkey = self.rng.below(PASSKEYS);
        let Some(known) = self.devices.get_mut(&device) else { return };
        (known.shown, known.connected, known.pairing) = (true, true, true);
        (known.forgotten_at, known.disconnects_at) = (None, None);
        self.show();
        let agent = self.registry.asked_agent().map(|(owner, agent)| (owner.to_owned(), agent.clone()));
        let Some((owner, agent)) = agent else {
            return self.pairing_answered(now, device, Err("the host has no agent"));
        };
        let Ok(path) = dbus::Path::new(device::path(device)) else { return };
        let message = match agent.capability {
            Capability::Compares => call(&owner, &agent.path, AGENT, "RequestConfirmation")
                .map(|message| message.append2(path, passkey)),
            Capability::Nothing => {
                call(&owner, &agent.path, AGENT, "RequestAuthorization").map(|message| message.append1(path))
            }
        };
        self.ask(now, message, Asked::Pairing(device));
    }

    pub(super) fn pairing_answered(&mut self, now: Instant, device: Address, answer: Result<(), &str>) {
        let Some(known) = self.devices.get_mut(&device).filter(|known| known.pairing) else { return };
        known.pairing = false;
        let caller = known.pair_caller.take();
        let reply = match answer {
            Ok(()) => {
                known.paired = true;
                self.events.push_back(Event::Paired(device));
                caller.map(|caller| caller.method_return())
            }
            Err(why) => {
                known.forgotten_at = (!known.paired).then(|| now + TEMPORARY);
                self.events.push_back(Event::PairingFailed { device, why: why.to_owned() });
                let refusal =
                    Refusal::new("org.bluez.Error.AuthenticationRejected", "Authentication Rejected");
                caller.and_then(|caller| refusal.answer(&caller))
            }
        };
        self.show();
        self.send_if(reply);
        if answer.is_err() {
            self.link_down(now, device);
        } else {
            self.link_idles(now, device);
        }
    }

    /// The phone went away while the agent was asked.
    pub(super) fn pairing_given_up(&mut self, now: Instant, device: Address) {
        if self.devices.get(&device).is_some_and(|known| known.pairing) {
            self.ask_no_more(Asked::Pairing(device));
            self.cancel_agent();
            self.pairing_answered(now, device, Err("the phone went away"));
        }
    }

    pub(super) fn cancel_agent(&self) {
        let agent = self.registry.asked_agent();
        let message = agent.and_then(|(owner, agent)| call(owner, &agent.path, AGENT, "Cancel"));
        if let Some(mut message) = message {
            message.set_no_reply(true);
            self.send(message);
        }
    }

    /// Asks the agent whether an untrusted device may use this service.
    pub(super) fn ask_for_service(&mut self, now: Instant, device: Address, uuid: &str) {
        let agent = self.registry.asked_agent();
        let message = agent.and_then(|(owner, agent)| call(owner, &agent.path, AGENT, "AuthorizeService"));
        let path = dbus::Path::new(device::path(device)).ok();
        let message = message.zip(path).map(|(message, path)| message.append2(path, uuid));
        self.ask(now, message, Asked::Service(device));
    }
}
