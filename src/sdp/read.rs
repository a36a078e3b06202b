//! Reading descriptions of strangers: bounded, and forgiving wherever the meaning is still plain.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};
use thiserror::Error;

use super::audio::{Agreed, Codec, Direction};

/// A larger body is refused: real ones are below 2 KiB, those of browsers below 10.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// More `m=` lines than this are refused, because each must be answered.
pub const MEDIA_LINES_MAX: usize = 16;

/// Why there is no audio to agree on. All but the first two want a 488 (RFC 3261 21.4.26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    /// Too many bytes or media lines.
    #[error("the session description is too large")]
    TooLarge,
    /// It cannot be read.
    #[error("the session description cannot be read")]
    Malformed,
    /// No `m=audio` line that is in use (port not 0) over RTP/AVP or RTP/AVPF.
    #[error("the session description has no usable audio")]
    NoAudio,
    /// Audio, but neither PCMU nor PCMA.
    #[error("neither PCMU nor PCMA is offered")]
    NoCodec,
    /// No `c=` line with a unicast IP address.
    #[error("the session description has no IP address to send to")]
    NoAddress,
}

/// Parses a body. Only the lines that carry meaning for us are looked at, so a strange `b=`, a missing `s=` or
/// an `o=` in another alphabet spoils nothing.
pub(super) fn parse(body: &[u8]) -> Result<Session, SdpError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(SdpError::TooLarge);
    }
    let text = String::from_utf8_lossy(body);
    let mut lines = text
        .split(['\r', '\n'])
        .map(|line| line.trim_matches([' ', '\t', '\0']))
        .filter(|line| !line.is_empty());
    if lines.next().map(|line| line.trim_start_matches('\u{feff}')) != Some("v=0") {
        return Err(SdpError::Malformed);
    }
    let mut kept = String::with_capacity(body.len() + 16);
    kept.push_str("v=0\r\n");
    let (mut medias, mut session_address) = (0, false);
    for line in lines {
        let Some((key, value)) = line.split_once('=') else { continue };
        let keep = match key {
            "m" => {
                medias += 1;
                true
            }
            // A second address of the session adds nothing; the library would refuse it.
            "c" => medias > 0 || !std::mem::replace(&mut session_address, true),
            "a" => !value.is_empty(),
            "t" => is_time(value),
            _ => false,
        };
        if keep {
            kept.push_str(key);
            kept.push('=');
            push_squeezed(&mut kept, value);
            kept.push_str("\r\n");
        }
    }
    if medias > MEDIA_LINES_MAX {
        return Err(SdpError::TooLarge);
    }
    Session::parse(kept.as_bytes()).map_err(|_| SdpError::Malformed)
}

fn is_time(value: &str) -> bool {
    let mut parts = value.split_ascii_whitespace();
    let numbers = parts.by_ref().take(2).filter(|part| part.parse::<u64>().is_ok()).count();
    numbers == 2 && parts.next().is_none()
}

/// Fields are separated by one space; some devices write two.
fn push_squeezed(to: &mut String, value: &str) {
    let mut parts = value.split_ascii_whitespace();
    to.push_str(parts.next().unwrap_or(""));
    for part in parts {
        to.push(' ');
        to.push_str(part);
    }
}

/// The audio stream of a description: which `m=` line, and what its writer wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Index among the `m=` lines.
    pub(super) index: usize,
    /// As its writer sees it; the old hold (address 0.0.0.0) counts as "does not receive".
    pub(super) direction: Direction,
    /// What we make of it.
    pub(super) agreed: Agreed,
}

/// The first `m=audio` line that we can speak on. The error is that of the line that came closest.
pub(super) fn audio_stream(session: &Session) -> Result<Stream, SdpError> {
    let mut nearest = SdpError::NoAudio;
    for (index, media) in session.medias.iter().enumerate() {
        match stream_of(session, media) {
            Ok((direction, agreed)) => return Ok(Stream { index, direction, agreed }),
            Err(SdpError::NoAudio) => {}
            Err(error) => nearest = error,
        }
    }
    Err(nearest)
}

fn stream_of(session: &Session, media: &Media) -> Result<(Direction, Agreed), SdpError> {
    let profile_known = ["RTP/AVP", "RTP/AVPF"].iter().any(|known| media.proto.eq_ignore_ascii_case(known));
    if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 || !profile_known {
        return Err(SdpError::NoAudio);
    }
    let (codec, payload_type) =
        formats(media).find_map(|pt| Some((codec_of(media, pt)?, pt))).ok_or(SdpError::NoCodec)?;
    let telephone_event = formats(media).find(|pt| is_encoding(media, *pt, "telephone-event"));
    let connection = media.connections.first().or(session.connection.as_ref()).ok_or(SdpError::NoAddress)?;
    let address = connection.connection_address.split('/').next().unwrap_or("");
    let address: IpAddr = address.parse().map_err(|_| SdpError::NoAddress)?;
    // Nobody shall make us flood a network.
    if address.is_multicast() || address == IpAddr::from([255; 4]) {
        return Err(SdpError::NoAddress);
    }
    let mut direction = direction_of(session, media);
    direction.receives &= !address.is_unspecified();
    let agreed = Agreed {
        remote: SocketAddr::new(address, media.port),
        codec,
        payload_type,
        telephone_event,
        ptime_ms: ptime_ms(session, media),
        send: direction.receives,
        receive: direction.sends,
    };
    Ok((direction, agreed))
}

/// The payload types of an `m=` line, in the order of preference.
fn formats(media: &Media) -> impl Iterator<Item = u8> + '_ {
    media.fmt.split(' ').filter_map(|fmt| fmt.parse().ok()).filter(|pt| *pt < 128)
}

/// `ENCODING/RATE[/CHANNELS]` of a payload type.
fn rtpmap(media: &Media, payload_type: u8) -> Option<&str> {
    media.get_attribute_values("rtpmap").flatten().find_map(|value| {
        let (pt, mapping) = value.split_once(' ')?;
        (pt.parse() == Ok(payload_type)).then_some(mapping.trim())
    })
}

fn is_encoding(media: &Media, payload_type: u8, name: &str) -> bool {
    rtpmap(media, payload_type).is_some_and(|mapping| {
        let mut parts = mapping.split('/');
        let named = parts.next().is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
        named && parts.next() == Some("8000") && parts.next().is_none_or(|channels| channels == "1")
    })
}

fn codec_of(media: &Media, payload_type: u8) -> Option<Codec> {
    let codecs = [Codec::Pcmu, Codec::Pcma];
    match rtpmap(media, payload_type) {
        Some(_) => codecs.into_iter().find(|codec| is_encoding(media, payload_type, codec.encoding_name())),
        // RFC 3551 6: the static types need no rtpmap.
        None => codecs.into_iter().find(|codec| codec.static_payload_type() == payload_type),
    }
}

fn direction_of(session: &Session, media: &Media) -> Direction {
    let of_media = media.attributes.iter().find_map(|attribute| Direction::named(&attribute.attribute));
    let of_session =
        || session.attributes.iter().find_map(|attribute| Direction::named(&attribute.attribute));
    of_media.or_else(of_session).unwrap_or(Direction::SENDRECV)
}

/// How much audio the peer wants in a packet, as near as whole beats or half ones allow.
fn ptime_ms(session: &Session, media: &Media) -> u8 {
    let number = |name: &str| {
        let of_media = media.get_first_attribute_value(name).flatten();
        let value = of_media.or_else(|| session.get_first_attribute_value(name).flatten())?;
        value.split('.').next()?.parse::<u16>().ok()
    };
    let wanted = number("ptime").filter(|ms| *ms > 0).unwrap_or(20);
    match wanted.min(number("maxptime").filter(|ms| *ms > 0).unwrap_or(u16::MAX)) {
        0..20 => 10,
        20..40 => 20,
        40..60 => 40,
        60.. => 60,
    }
}
