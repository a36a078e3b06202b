//! Offer and answer, rule by rule, and against each other.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::{Agreed, Codec, LocalMedia, SdpError, answer, fuzz, offer, read_answer};

fn local() -> LocalMedia {
    LocalMedia { address: "192.0.2.7:4000".parse().unwrap(), session_id: 77, version: 3 }
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

/// An offer of a stranger with these lines after `c=`.
fn theirs(lines: &str) -> Vec<u8> {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n{lines}\r\n")
        .into_bytes()
}

fn agree(lines: &str) -> Agreed {
    answer(&local(), &theirs(lines)).unwrap().1
}

fn refuse(lines: &str) -> SdpError {
    answer(&local(), &theirs(lines)).unwrap_err()
}

#[test]
fn our_offer_is_what_rfc_3264_section_5_asks_for() {
    assert_eq!(
        text(offer(&local())),
        "v=0\r\no=- 77 3 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn an_offer_of_ours_is_answered_with_one_codec_and_both_sides_agree() {
    let peer = LocalMedia { address: "[2001:db8::5]:5000".parse().unwrap(), session_id: 5, version: 1 };
    let (body, at_peer) = answer(&peer, &offer(&local())).unwrap();
    let here = read_answer(&body).unwrap();
    assert_eq!((at_peer.remote, here.remote), (local().address, peer.address));
    for side in [at_peer, here] {
        assert_eq!((side.codec, side.payload_type, side.telephone_event), (Codec::Pcmu, 0, Some(101)));
        assert_eq!((side.ptime_ms, side.send, side.receive), (20, true, true));
    }
    assert!(text(body).contains("c=IN IP6 2001:db8::5\r\n"));
}

#[test]
fn the_offerers_order_decides_and_static_types_need_no_rtpmap_rfc3551_6() {
    assert_eq!(agree("m=audio 4 RTP/AVP 9 8 0").codec, Codec::Pcma);
    assert_eq!(agree("m=audio 4 RTP/AVP 0 8").codec, Codec::Pcmu);
    let dynamic =
        agree("m=audio 4 RTP/AVP 96 100\r\na=rtpmap:96 PCMA/8000/1\r\na=rtpmap:100 Telephone-Event/8000");
    assert_eq!((dynamic.codec, dynamic.payload_type, dynamic.telephone_event), (Codec::Pcma, 96, Some(100)));
}

#[test]
fn a_static_number_that_is_mapped_otherwise_or_at_another_rate_is_not_g711() {
    assert_eq!(refuse("m=audio 4 RTP/AVP 0\r\na=rtpmap:0 OPUS/48000/2"), SdpError::NoCodec);
    assert_eq!(refuse("m=audio 4 RTP/AVP 96\r\na=rtpmap:96 PCMU/16000"), SdpError::NoCodec);
    assert_eq!(agree("m=audio 4 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/48000").telephone_event, None);
}

#[test]
fn directions_are_mirrored_rfc3264_6_1() {
    for (offered, mirrored, send, receive) in [
        ("sendrecv", "sendrecv", true, true),
        ("sendonly", "recvonly", false, true),
        ("recvonly", "sendonly", true, false),
        ("inactive", "inactive", false, false),
    ] {
        let (body, agreed) =
            answer(&local(), &theirs(&format!("m=audio 4 RTP/AVP 0\r\na={offered}"))).unwrap();
        assert_eq!((agreed.send, agreed.receive), (send, receive), "{offered}");
        assert!(text(body).ends_with(&format!("a={mirrored}\r\n")), "{offered}");
    }
    assert!(
        !agree("a=inactive\r\nm=audio 4 RTP/AVP 0").send,
        "an attribute of the session holds for its media"
    );
    assert!(agree("a=inactive\r\nm=audio 4 RTP/AVP 0\r\na=sendrecv").send, "the media's own attribute wins");
}

#[test]
fn the_old_hold_by_address_zero_stops_our_sending_rfc3264_8_4() {
    let (body, agreed) = answer(&local(), &theirs("m=audio 4 RTP/AVP 0\r\nc=IN IP4 0.0.0.0")).unwrap();
    assert_eq!((agreed.send, agreed.receive), (false, true));
    assert!(text(body).ends_with("a=recvonly\r\n"));
}

#[test]
fn every_media_line_is_answered_in_its_place_and_all_but_one_refused_rfc3264_6() {
    let (body, agreed) = answer(
        &local(),
        &theirs(
            "m=video 6 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 8 RTP/SAVP 0\r\n\
             m=audio 10 RTP/AVPF 8\r\nm=audio 12 RTP/AVP 0",
        ),
    )
    .unwrap();
    let body = text(body);
    let media: Vec<&str> = body.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        media,
        ["m=video 0 RTP/AVP 96", "m=audio 0 RTP/SAVP 0", "m=audio 4000 RTP/AVPF 8", "m=audio 0 RTP/AVP 0"]
    );
    assert_eq!(agreed.remote.port(), 10);
}

#[test]
fn the_time_of_the_answer_is_that_of_the_offer_rfc3264_6() {
    let offer = b"v=0\r\nc=IN IP4 198.51.100.9\r\nt=5 9\r\nm=audio 4 RTP/AVP 0\r\n";
    assert!(text(answer(&local(), offer).unwrap().0).contains("t=5 9\r\n"));
}

#[test]
fn packet_times_are_taken_where_whole_beats_allow() {
    for (asked, used) in
        [("10", 10), ("20", 20), ("30", 20), ("40", 40), ("60", 60), ("200", 60), ("0", 20), ("x", 20)]
    {
        assert_eq!(agree(&format!("m=audio 4 RTP/AVP 0\r\na=ptime:{asked}")).ptime_ms, used, "{asked}");
    }
    assert_eq!(agree("m=audio 4 RTP/AVP 0\r\na=ptime:40\r\na=maxptime:20").ptime_ms, 20);
}

#[test]
fn what_cannot_be_agreed_says_why() {
    assert_eq!(refuse("m=audio 0 RTP/AVP 0"), SdpError::NoAudio);
    assert_eq!(refuse("m=video 4 RTP/AVP 0"), SdpError::NoAudio);
    assert_eq!(refuse("m=audio 4 RTP/SAVP 0"), SdpError::NoAudio);
    assert_eq!(refuse(""), SdpError::NoAudio);
    assert_eq!(refuse("m=audio 4 RTP/AVP 18 9"), SdpError::NoCodec);
    assert_eq!(refuse("m=audio 4 RTP/AVP 0\r\nc=IN IP4 phone.example.org"), SdpError::NoAddress);
    assert_eq!(refuse("m=audio 4 RTP/AVP 0\r\nc=IN IP4 239.1.2.3/127"), SdpError::NoAddress);
    assert_eq!(refuse("m=audio 4 RTP/AVP 0\r\nc=IN IP4 255.255.255.255"), SdpError::NoAddress);
    assert_eq!(answer(&local(), b"v=0\r\nm=audio 4 RTP/AVP 0\r\n"), Err(SdpError::NoAddress));
    assert_eq!(answer(&local(), b""), Err(SdpError::Malformed));
    assert_eq!(answer(&local(), b"INVITE sip:a@b SIP/2.0\r\n"), Err(SdpError::Malformed));
    assert_eq!(refuse("m=audio"), SdpError::Malformed);
    assert_eq!(refuse(&"m=audio 4 RTP/AVP 0\r\n".repeat(17)), SdpError::TooLarge);
    assert_eq!(refuse(&"a=x\r\n".repeat(4000)), SdpError::TooLarge);
}

#[test]
fn strange_but_common_descriptions_are_understood() {
    let odd: &[&[u8]] = &[
        b"v=0\nc=IN IP4 198.51.100.9\nm=audio 4 RTP/AVP 0\n",
        b"v=0\r\no=broken\r\ns=\xff\xfe\r\nb=AS\r\nc=IN IP4 198.51.100.9\r\nt=now\r\nm=audio  4  RTP/AVP  0 \r\n",
        b"v=0\rc=IN IP4 198.51.100.9\rc=IN IP4 198.51.100.10\rm=audio 4/2 RTP/AVP 0 500 x\r\0",
        b"\r\nv=0\r\nm=audio 4 rtp/avp 0\r\nc=IN IP4 198.51.100.9/127\r\na=\r\na=ice-lite\r\nz z\r\n",
    ];
    for body in odd {
        let agreed = answer(&local(), body).map(|(_, agreed)| (agreed.remote, agreed.codec));
        let remote: SocketAddr = "198.51.100.9:4".parse().unwrap();
        assert_eq!(agreed, Ok((remote, Codec::Pcmu)), "{}", String::from_utf8_lossy(body));
    }
}

proptest! {
    #[test]
    fn whatever_is_offered_both_sides_agree(
        v6: bool, port in 1u16.., events in prop::option::of(96u8..128), alaw_first: bool, dynamic: bool,
        ptime in prop::option::of(0u16..100), direction in prop::option::of(0usize..4),
        junk in "[a-z]{1,9}:[ -~]{0,20}",
        end in prop::sample::select(vec!["\r\n", "\n", "\r"]),
    ) {
        let names = ["sendrecv", "sendonly", "recvonly", "inactive"];
        let address = if v6 { "IP6 2001:db8::9" } else { "IP4 198.51.100.9" };
        let codecs = match (alaw_first, dynamic) { (true, false) => "8 0", (false, false) => "0 8", _ => "95 0" };
        let mut lines = vec!["v=0".into(), format!("o=- 1 1 IN {address}"), "s=-".into()];
        lines.extend([format!("c=IN {address}"), "t=0 0".into()]);
        lines.push(format!("m=audio {port} RTP/AVP {codecs}{}", events.map_or(String::new(), |pt| format!(" {pt}"))));
        if dynamic { lines.push("a=rtpmap:95 pcma/8000".into()); }
        lines.extend(events.map(|pt| format!("a=rtpmap:{pt} telephone-event/8000")));
        lines.extend(ptime.map(|ms| format!("a=ptime:{ms}")));
        lines.extend(direction.map(|index| format!("a={}", names[index])));
        lines.push(format!("a=x-{junk}"));
        let body = lines.join(end) + end;
        let (answered, at_answerer) = answer(&local(), body.as_bytes()).unwrap();
        let at_offerer = read_answer(&answered).unwrap();
        prop_assert_eq!(at_offerer.remote, local().address);
        prop_assert_eq!(at_answerer.remote.port(), port);
        prop_assert_eq!((at_answerer.send, at_answerer.receive), (at_offerer.receive, at_offerer.send));
        prop_assert_eq!(at_answerer.telephone_event, events);
        prop_assert_eq!(
            Agreed { remote: at_offerer.remote, send: at_offerer.send, receive: at_offerer.receive, ..at_answerer },
            at_offerer
        );
    }

    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::session(&data);
    }

    #[test]
    fn arbitrary_lines_never_panic(lines in prop::collection::vec("[vocmat]=[ -~]{0,30}", 0..20)) {
        fuzz::session(format!("v=0\r\nc=IN IP4 1.2.3.4\r\n{}\r\n", lines.join("\r\n")).as_bytes());
    }
}
