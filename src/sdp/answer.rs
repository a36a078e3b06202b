//! The answer to an offer (RFC 3264 6), and reading the peer's answer to ours (RFC 3264 7).

use sdp_types::Media;

use super::audio::{Agreed, LocalMedia};
use super::read::{SdpError, audio_stream, parse};
use super::write::{AudioLine, bytes, session};

/// Answers `offer`: its first usable audio line gets the first codec of its list that we speak, its direction
/// mirrored; every other media line is refused with port 0 (RFC 3264 6). An error means 488.
pub fn answer(local: &LocalMedia, offer: &[u8]) -> Result<(Vec<u8>, Agreed), SdpError> {
    let offered = parse(offer)?;
    let stream = audio_stream(&offered)?;
    let agreed = stream.agreed;
    let line = AudioLine {
        codecs: &[(agreed.codec, agreed.payload_type)],
        telephone_event: agreed.telephone_event,
        ptime_ms: agreed.ptime_ms,
        direction: stream.direction.mirrored(),
    };
    let mut ours = session(local);
    // RFC 3264 6: the time of the answer is that of the offer.
    ours.times.clone_from(&offered.times);
    for (index, media) in offered.medias.iter().enumerate() {
        ours.add_media(if index == stream.index {
            line.media(local.address, media.parse_transport_proto())
        } else {
            refused(media)
        });
    }
    Ok((bytes(&ours), agreed))
}

/// What the peer's answer to our offer means.
pub fn read_answer(answer: &[u8]) -> Result<Agreed, SdpError> {
    Ok(audio_stream(&parse(answer)?)?.agreed)
}

fn refused(media: &Media) -> Media {
    Media {
        media: media.media.clone(),
        port: 0,
        num_ports: None,
        proto: media.proto.clone(),
        fmt: media.fmt.clone(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}
