//! Links to phones, and the hands-free connection on them.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use dbus::Message;

use super::device::{self, Stream};
use super::host::{Asked, Event, Host};
use super::refusal::{Refusal, kept};
use super::registry::{AUDIO_GATEWAY, HANDS_FREE, full_uuid};
use super::value::{Properties, Value, dict};
use crate::hfp::host::Address;
use crate::port::bluez_bus::call;

const PROFILE: &str = "org.bluez.Profile1";
/// The controller's page time-out.
const PAGE: Duration = Duration::from_millis(5120);
/// After `Disconnect` profiles have this long to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// A link that nobody uses is closed after this.
const IDLE: Duration = Duration::from_secs(4);

impl Host {
    /// The phone connects its hands-free profile.
    pub fn connect(&mut self, now: Instant, device: Address) {
        let (radio, profile) = (self.radio_is_on(), self.registry.hands_free().is_some());
        let Some(known) = self.devices.get_mut(&device) else { return };
        let refused = match () {
            () if !radio || !known.in_reach => Some("the host is not in reach"),
            () if !known.paired => Some("it is not paired"),
            () if known.blocked => Some("it is blocked"),
            () if !profile => Some("the host offers no hands-free profile"),
            () if !matches!(known.stream, Stream::None) => Some("it is connected, or about to be"),
            () => None,
        };
        if let Some(why) = refused {
            self.events.push_back(Event::ConnectRefused { device, why: why.into() });
            return;
        }
        (known.connected, known.disconnects_at) = (true, None);
        let trusted = known.trusted;
        known.stream = Stream::Asking;
        self.show();
        if trusted {
            self.offer(now, device, None);
        } else {
            self.ask_for_service(now, device, HANDS_FREE);
        }
    }

    /// The phone has closed its end.
    pub fn closed(&mut self, now: Instant, device: Address) {
        self.stream_down(now, device);
        self.show();
    }

    /// The phone is out of reach, or back.
    pub fn reach(&mut self, now: Instant, device: Address, in_reach: bool) {
        let Some(known) = self.devices.get_mut(&device) else { return };
        known.in_reach = in_reach;
        if !in_reach {
            self.pairing_given_up(now, device);
            self.link_down(now, device);
        }
        self.show();
    }

    /// `Device1.Connect` and `ConnectProfile`.
    pub(super) fn on_connect(
        &mut self,
        now: Instant,
        device: Address,
        uuid: Option<&str>,
        caller: &Message,
    ) -> Option<Result<Message, Refusal>> {
        if uuid.is_some_and(|uuid| full_uuid(uuid).is_none()) {
            let words = "br-connection-invalid-argument";
            return Some(Err(Refusal::new("org.bluez.Error.InvalidArguments", words)));
        }
        let (radio, profile) = (self.radio_is_on(), self.registry.hands_free().is_some());
        let known = self.devices.get_mut(&device)?;
        let wanted = uuid.and_then(full_uuid).is_none_or(|uuid| uuid == AUDIO_GATEWAY);
        if !radio {
            let words = "br-connection-adapter-not-powered";
            return Some(Err(Refusal::new("org.bluez.Error.NotReady", words)));
        }
        if !wanted || !profile || !known.paired {
            let words = "No more profiles to connect to";
            return Some(Err(Refusal::new("org.bluez.Error.BREDR.ProfileUnavailable", words)));
        }
        match &known.stream {
            Stream::Open(_) => return Some(Ok(caller.method_return())),
            Stream::None => {}
            Stream::Paging { .. } | Stream::Asking | Stream::Offered { .. } => {
                return Some(Err(Refusal::new("org.bluez.Error.InProgress", "br-connection-busy")));
            }
        }
        let caller = kept(caller);
        if known.in_reach {
            (known.connected, known.disconnects_at) = (true, None);
            self.show();
            self.offer(now, device, caller);
        } else {
            known.stream = Stream::Paging { caller, until: now + PAGE };
        }
        None
    }

    /// `Device1.Disconnect`.
    pub(super) fn on_disconnect(
        &mut self,
        now: Instant,
        device: Address,
        caller: &Message,
    ) -> Option<Result<Message, Refusal>> {
        let known = self.devices.get_mut(&device)?;
        if !known.connected {
            return Some(Ok(caller.method_return()));
        }
        known.disconnect_callers.extend(kept(caller));
        if known.disconnect_callers.len() == 1 {
            known.disconnects_at = Some(now + GOODBYE);
            self.request_disconnection(now, device);
        }
        None
    }

    /// `Device1.DisconnectProfile`.
    pub(super) fn on_disconnect_profile(
        &mut self,
        now: Instant,
        device: Address,
        uuid: &str,
        caller: &Message,
    ) -> Result<Message, Refusal> {
        if full_uuid(uuid).is_none_or(|uuid| uuid != AUDIO_GATEWAY) {
            return Err(Refusal::invalid_arguments());
        }
        self.request_disconnection(now, device);
        Ok(caller.method_return())
    }

    fn request_disconnection(&mut self, now: Instant, device: Address) {
        let open = self.devices.get(&device).is_some_and(|known| matches!(known.stream, Stream::Open(_)));
        let profile = self.registry.hands_free().filter(|_| open).cloned();
        let path = dbus::Path::new(device::path(device)).ok();
        if let Some((profile, path)) = profile.zip(path) {
            let message = call(&profile.owner, &profile.path, PROFILE, "RequestDisconnection");
            self.ask(now, message.map(|message| message.append1(path)), Asked::Disconnection(device));
        }
    }

    pub(super) fn service_answered(&mut self, now: Instant, device: Address, answer: Result<(), &str>) {
        let Some(known) = self.devices.get_mut(&device) else { return };
        if !matches!(known.stream, Stream::Asking) {
            return;
        }
        match answer {
            Ok(()) => self.offer(now, device, None),
            Err(why) => {
                known.stream = Stream::None;
                let why = format!("the host's agent: {why}");
                self.events.push_back(Event::ConnectRefused { device, why });
                self.link_idles(now, device);
            }
        }
    }

    /// Makes the stream and gives one end to the profile's client, the other to the phone.
    fn offer(&mut self, now: Instant, device: Address, caller: Option<Message>) {
        let Some(profile) = self.registry.hands_free().cloned() else { return };
        let pair = UnixStream::pair().and_then(|(ours, theirs)| Ok((ours.try_clone()?, ours, theirs)));
        let path = dbus::Path::new(device::path(device)).ok();
        let (Ok((ours, given, theirs)), Some(path)) = (pair, path) else {
            return self.refuse_offer(now, device, caller);
        };
        if let Some(known) = self.devices.get_mut(&device) {
            known.stream = Stream::Offered { caller, stream: ours.into() };
        }
        let about = Properties::from([("Version", Value::Short(0x0108)), ("Features", Value::Short(0x0020))]);
        let message = call(&profile.owner, &profile.path, PROFILE, "NewConnection")
            .map(|message| message.append3(path, OwnedFd::from(given), dict(&about)));
        self.ask(now, message, Asked::Connection(device));
        self.events.push_back(Event::Connected { device, stream: theirs.into() });
    }

    fn refuse_offer(&mut self, now: Instant, device: Address, caller: Option<Message>) {
        let reply = caller.and_then(|caller| Refusal::failed("br-connection-refused").answer(&caller));
        self.send_if(reply);
        self.link_idles(now, device);
    }

    pub(super) fn connection_answered(&mut self, now: Instant, device: Address, answer: Result<(), &str>) {
        let Some(known) = self.devices.get_mut(&device) else { return };
        match std::mem::take(&mut known.stream) {
            Stream::Offered { caller, stream } if answer.is_ok() => {
                known.stream = Stream::Open(stream);
                let reply = caller.map(|caller| caller.method_return());
                self.send_if(reply);
            }
            Stream::Offered { caller, stream } => {
                shut(&stream);
                self.refuse_offer(now, device, caller);
            }
            other @ (Stream::None | Stream::Paging { .. } | Stream::Asking | Stream::Open(_)) => {
                known.stream = other;
            }
        }
    }

    /// The hands-free connection is over; the link goes when nobody uses it.
    pub(super) fn stream_down(&mut self, now: Instant, device: Address) {
        let Some(known) = self.devices.get_mut(&device) else { return };
        match std::mem::take(&mut known.stream) {
            Stream::None => return,
            Stream::Paging { caller, .. } => {
                let refusal = Refusal::failed("br-connection-aborted-by-local");
                let reply = caller.and_then(|caller| refusal.answer(&caller));
                self.send_if(reply);
            }
            Stream::Asking => {
                self.ask_no_more(Asked::Service(device));
                self.cancel_agent();
            }
            Stream::Offered { caller, stream } => {
                self.ask_no_more(Asked::Connection(device));
                shut(&stream);
                self.refuse_offer(now, device, caller);
            }
            Stream::Open(stream) => shut(&stream),
        }
        self.link_idles(now, device);
    }

    /// Nothing uses the link any more.
    pub(super) fn link_idles(&mut self, now: Instant, device: Address) {
        if let Some(known) = self.devices.get_mut(&device)
            && known.connected
        {
            known.disconnects_at.get_or_insert(now + IDLE);
        }
    }

    /// The link is gone, with everything on it.
    pub(super) fn link_down(&mut self, now: Instant, device: Address) {
        self.stream_down(now, device);
        let Some(known) = self.devices.get_mut(&device) else { return };
        known.disconnects_at = None;
        let replies: Vec<Message> =
            known.disconnect_callers.drain(..).map(|caller| caller.method_return()).collect();
        if std::mem::take(&mut known.connected) {
            self.events.push_back(Event::Disconnected(device));
        }
        self.show();
        for reply in replies {
            self.send(reply);
        }
    }

    pub(super) fn links_down(&mut self, now: Instant) {
        for device in self.addresses() {
            self.pairing_given_up(now, device);
            self.link_down(now, device);
        }
    }

    pub(super) fn devices_timeout(&mut self, now: Instant) {
        for device in self.addresses() {
            let Some(known) = self.devices.get_mut(&device) else { continue };
            if known.forgotten_at.is_some_and(|at| at <= now) {
                known.forget();
            }
            let disconnects = known.disconnects_at.is_some_and(|at| at <= now);
            if let Stream::Paging { caller, until } = &mut known.stream
                && *until <= now
            {
                let caller = caller.take();
                known.stream = Stream::None;
                let refusal = Refusal::failed("br-connection-page-timeout");
                let reply = caller.and_then(|caller| refusal.answer(&caller));
                self.send_if(reply);
            }
            if disconnects {
                self.link_down(now, device);
            }
        }
    }
}

/// Both ends learn that it is over, whoever else holds a copy.
fn shut(stream: &OwnedFd) {
    let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Both);
}
