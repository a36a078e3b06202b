//! Writing our side of a description.

use std::net::SocketAddr;

use sdp_types::{Connection, Media, MediaType, Origin, Session, Time, TransportProto};

use super::audio::{Codec, Direction, LocalMedia};

/// The payload type that our offers give telephone-event.
pub const OFFERED_TELEPHONE_EVENT: u8 = 101;
/// RFC 4733 7.1.1: the sixteen digits of DTMF.
const TELEPHONE_EVENTS: &str = "0-15";

/// Our offer: PCMU, PCMA and telephone-event at `local.address`, 20 ms packets, both directions.
pub fn offer(local: &LocalMedia) -> Vec<u8> {
    let codecs = [(Codec::Pcmu, 0), (Codec::Pcma, 8)];
    let audio = AudioLine {
        codecs: &codecs,
        telephone_event: Some(OFFERED_TELEPHONE_EVENT),
        ptime_ms: 20,
        direction: Direction::SENDRECV,
    };
    let mut session = session(local);
    session.add_media(audio.media(local.address, TransportProto::RtpAvp));
    bytes(&session)
}

/// A description of ours without any media yet.
pub(super) fn session(local: &LocalMedia) -> Session {
    let mut session =
        Session::new(Origin::with_ip_addr(local.session_id, local.version, local.address.ip()), "-");
    session.set_connection(Connection::from_ip_addr(local.address.ip()));
    session
}

/// The wire form.
pub(super) fn bytes(session: &Session) -> Vec<u8> {
    let mut session = session.clone();
    if session.times.is_empty() {
        session.times.push(Time::new(0, 0));
    }
    let mut out = Vec::with_capacity(512);
    // A vector takes everything that is written.
    let _ = session.write(&mut out);
    out
}

/// What our `m=audio` line says.
pub(super) struct AudioLine<'a> {
    pub(super) codecs: &'a [(Codec, u8)],
    pub(super) telephone_event: Option<u8>,
    pub(super) ptime_ms: u8,
    pub(super) direction: Direction,
}

impl AudioLine<'_> {
    pub(super) fn media(&self, address: SocketAddr, proto: TransportProto) -> Media {
        let types = self.codecs.iter().map(|(_, payload_type)| *payload_type).chain(self.telephone_event);
        let formats: Vec<String> = types.map(|payload_type| payload_type.to_string()).collect();
        let mut media = Media::new(MediaType::Audio, address.port(), proto, formats.join(" "));
        for (codec, payload_type) in self.codecs {
            media
                .add_attribute_with_value("rtpmap", format!("{payload_type} {}/8000", codec.encoding_name()));
        }
        if let Some(payload_type) = self.telephone_event {
            media.add_attribute_with_value("rtpmap", format!("{payload_type} telephone-event/8000"));
            media.add_attribute_with_value("fmtp", format!("{payload_type} {TELEPHONE_EVENTS}"));
        }
        media.add_attribute_with_value("ptime", self.ptime_ms);
        media.add_attribute_from_str(self.direction.name());
        media
    }
}
