//! The calls of a line: dialling, offers and answers (RFC 3264), ends.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::account::server_in_uri;
use super::core::{Route, SipLine};
use super::words::{bounded, end_of, line_audio, remote_party};
use crate::base::CallId;
use crate::call::leg::{DialTarget, LegEnd, LegEvent, LineAudio};
use crate::sdp::{self, Agreed, LocalMedia, SdpError};
use crate::sip::uri::Uri;
use crate::sip::{Command, Event};

/// One call.
pub(super) struct Call {
    inbound: bool,
    stage: Stage,
    session_id: u64,
    version: u64,
    /// Where we receive, once known.
    media: Option<SocketAddr>,
    /// As last told.
    line: Option<LineAudio>,
}

enum Stage {
    /// Outbound: the way to the peer is asked for.
    Finding { query: u64, target: String, rtp_port: u16 },
    /// Inbound: waits for the switch. `offer` is empty when we are to offer.
    Ringing { offer: Vec<u8>, local: IpAddr },
    /// SIP has it.
    Begun,
}

impl Call {
    fn local_media(&self, address: SocketAddr) -> LocalMedia {
        LocalMedia { address, session_id: self.session_id, version: self.version }
    }
}

impl SipLine {
    pub(super) fn dial(&mut self, now: Instant, call: CallId, target: &DialTarget, rtp_port: u16) {
        let way = match target {
            DialTarget::Number(number) => self.registrar.account().map(|account| {
                let uri = format!("sip:{}@{}", number.as_str(), server_in_uri(account));
                (uri, account.server.clone(), account.port, self.registrar.route().cloned())
            }),
            DialTarget::Uri(uri) => Uri::parse(&uri.0).ok().filter(is_dialable).map(|mut uri| {
                // Headers of a URI are not for the Request-URI (RFC 3261 19.1.5).
                uri.headers = None;
                let host = uri.host.trim_matches(['[', ']']).to_owned();
                (uri.to_string(), host, uri.port.unwrap_or(5060), None)
            }),
        };
        let fault = match (&way, self.registrar.local(), target) {
            (Some(_), Some(_), _) => None,
            (None, _, DialTarget::Number(_)) => Some((LegEnd::NetworkError, "no SIP server is configured")),
            (None, _, DialTarget::Uri(_)) => Some((LegEnd::Failed, "the URI is not a sip: URI over UDP")),
            (Some(_), None, _) => Some((LegEnd::NetworkError, "the SIP socket is not open")),
        };
        if let Some((end, detail)) = fault {
            self.tell(LegEvent::Ended { call, end, code: None, detail: detail.into() });
            return;
        }
        let Some((target, host, port, route)) = way else { return };
        // The sess-id of a description fits in 63 bits everywhere.
        let session_id = self.rng.u64() >> 1;
        let mut entry =
            Call { inbound: false, stage: Stage::Begun, session_id, version: 1, media: None, line: None };
        if let Some(route) = route {
            self.calls.insert(call, entry);
            let to = self.ua.server();
            self.begin(now, call, target, rtp_port, &route, to);
        } else {
            let query = self.query(host, port);
            entry.stage = Stage::Finding { query, target, rtp_port };
            self.calls.insert(call, entry);
        }
    }

    pub(super) fn on_peer_resolved(&mut self, now: Instant, query: u64, found: Result<Route, String>) {
        let waiting = self.calls.iter_mut().find_map(|(call, entry)| match &mut entry.stage {
            Stage::Finding { query: own, target, rtp_port } if *own == query => {
                Some((*call, std::mem::take(target), *rtp_port))
            }
            Stage::Finding { .. } | Stage::Ringing { .. } | Stage::Begun => None,
        });
        // A call that was given up meanwhile.
        let Some((call, target, rtp_port)) = waiting else { return };
        match found {
            Ok(route) => self.begin(now, call, target, rtp_port, &route, None),
            Err(fault) => self.end(call, LegEnd::NetworkError, None, bounded(&fault)),
        }
    }

    /// Sends the INVITE with our offer, to `to` or else to the first address of the route.
    fn begin(
        &mut self,
        now: Instant,
        call: CallId,
        target: String,
        rtp_port: u16,
        route: &Route,
        to: Option<SocketAddr>,
    ) {
        let (Some(entry), Some(socket), Some(to)) =
            (self.calls.get_mut(&call), self.registrar.local(), to.or(route.addresses.first().copied()))
        else {
            self.end(call, LegEnd::NetworkError, None, "the SIP socket is not open".into());
            return;
        };
        let media = SocketAddr::new(route.local, rtp_port);
        entry.stage = Stage::Begun;
        entry.media = Some(media);
        let body = sdp::offer(&entry.local_media(media));
        let local = SocketAddr::new(route.local, socket.port());
        self.sip(now, Command::Call { call, target, to, local, body });
    }

    pub(super) fn answer(&mut self, now: Instant, call: CallId, rtp_port: u16) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let Stage::Ringing { offer, local } = &mut entry.stage else { return };
        let (offer, media) = (std::mem::take(offer), SocketAddr::new(*local, rtp_port));
        entry.stage = Stage::Begun;
        entry.media = Some(media);
        let local = entry.local_media(media);
        if offer.is_empty() {
            self.sip(now, Command::Accept { call, body: sdp::offer(&local) });
            return;
        }
        // It was answered once before, when the call came.
        if let Ok((body, agreed)) = sdp::answer(&local, &offer) {
            self.sip(now, Command::Accept { call, body });
            self.heard(call, agreed);
        }
    }

    pub(super) fn hang_up(&mut self, now: Instant, call: CallId) {
        match self.calls.get(&call).map(|entry| &entry.stage) {
            Some(Stage::Finding { .. }) => {
                self.end(call, LegEnd::Cancelled, None, "given up before the answer".into());
            }
            Some(Stage::Ringing { .. } | Stage::Begun) => self.sip(now, Command::Hangup { call }),
            None => {}
        }
    }

    /// Calls whose peer was not found yet end at once when the line closes.
    pub(super) fn give_up_unsent(&mut self) {
        let unsent = self.calls.iter().filter(|(_, entry)| matches!(entry.stage, Stage::Finding { .. }));
        for call in unsent.map(|(call, _)| *call).collect::<Vec<_>>() {
            self.end(call, LegEnd::Cancelled, None, "given up before the answer".into());
        }
    }

    pub(super) fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Incoming { call, from, asserted, body, local } => {
                let session_id = self.rng.u64() >> 1;
                let probe = LocalMedia { address: SocketAddr::new(local.ip(), 9), session_id, version: 1 };
                if !body.is_empty()
                    && let Err(fault) = sdp::answer(&probe, &body)
                {
                    // Refused here, but told all the same: every attempt to reach us is a session.
                    let (code, detail) = (refusal_of(fault), fault.to_string());
                    self.sip(now, Command::Reject { call, code });
                    self.tell(LegEvent::Incoming { call, remote: remote_party(&from, asserted.as_ref()) });
                    self.tell(LegEvent::Ended { call, end: LegEnd::Failed, code: Some(code), detail });
                    return;
                }
                let stage = Stage::Ringing { offer: body, local: local.ip() };
                let entry = Call { inbound: true, stage, session_id, version: 1, media: None, line: None };
                self.calls.insert(call, entry);
                let remote = remote_party(&from, asserted.as_ref());
                self.tell(LegEvent::Incoming { call, remote });
            }
            Event::Progress { call, code } => {
                if self.calls.contains_key(&call) {
                    self.tell(LegEvent::Progress { call, code });
                }
            }
            Event::Accepted { call, body } | Event::Answered { call, body } => {
                if !self.calls.contains_key(&call) {
                    return;
                }
                match sdp::read_answer(&body) {
                    Ok(agreed) => self.heard(call, agreed),
                    Err(fault) => {
                        // It is told as what it is, not as a hang-up of ours.
                        self.end(call, LegEnd::Failed, None, fault.to_string());
                        self.sip(now, Command::Hangup { call });
                    }
                }
            }
            Event::Offered { call, body } => self.on_offered(now, call, &body),
            Event::Ended { call, cause } => {
                if let Some(entry) = self.calls.get(&call) {
                    let (end, code, detail) = end_of(cause, entry.inbound);
                    self.end(call, end, code, detail);
                }
            }
            Event::Registration(status) => self.on_registration(now, status),
            Event::Closed => self.tell(LegEvent::Closed),
        }
    }

    /// A re-INVITE or UPDATE: answered from the same socket, or offered to when it brings nothing.
    fn on_offered(&mut self, now: Instant, call: CallId, offer: &[u8]) {
        let entry = self.calls.get_mut(&call);
        let Some((entry, media)) = entry.and_then(|entry| entry.media.map(|media| (entry, media))) else {
            self.sip(now, Command::Answer { call, body: None });
            return;
        };
        entry.version += 1;
        let local = entry.local_media(media);
        if offer.is_empty() {
            self.sip(now, Command::Answer { call, body: Some(sdp::offer(&local)) });
            return;
        }
        let (body, agreed) = sdp::answer(&local, offer).ok().unzip();
        self.sip(now, Command::Answer { call, body });
        if let Some(agreed) = agreed {
            self.heard(call, agreed);
        }
    }

    /// Tells the audio when it is new.
    fn heard(&mut self, call: CallId, agreed: Agreed) {
        let line = line_audio(agreed);
        if let Some(entry) = self.calls.get_mut(&call)
            && entry.line.replace(line) != Some(line)
        {
            self.tell(LegEvent::Audio { call, line });
        }
    }

    /// Reports the end of a call that was known to the switch.
    fn end(&mut self, call: CallId, end: LegEnd, code: Option<u16>, detail: String) {
        if self.calls.remove(&call).is_some() {
            self.tell(LegEvent::Ended { call, end, code, detail });
        }
    }
}

/// Only plain UDP is spoken.
fn is_dialable(uri: &Uri) -> bool {
    !uri.secure && uri.params.get("transport").is_none_or(|transport| transport.eq_ignore_ascii_case("udp"))
}

/// RFC 3261 21.4.1, 21.4.11, 21.4.26.
fn refusal_of(fault: SdpError) -> u16 {
    match fault {
        SdpError::TooLarge => 413,
        SdpError::Malformed => 400,
        SdpError::NoAudio | SdpError::NoCodec | SdpError::NoAddress => 488,
    }
}
