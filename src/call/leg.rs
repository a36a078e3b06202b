//! The seam between the switch and whatever carries a call: SIP now, hands-free later.
//! Commands go down, events come up; the words are those of the contract's states, not of any protocol.

use std::net::SocketAddr;

use crate::base::{CallId, Number, Pii, Secret};

/// The SIP account and the way to its server, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipAccount {
    /// Host name or IP address of the registrar and outbound proxy.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// User part of the address of record; also the digest user name. Without one nothing is registered and
    /// calls go to the server as they are (a trunk that trusts the address).
    pub username: Option<String>,
    /// Digest password.
    pub password: Option<Secret>,
    /// UDP port to listen on; 0 lets the system choose.
    pub local_port: u16,
}

/// Whom to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// A number at the configured server: `sip:NUMBER@SERVER`.
    Number(Number),
    /// A complete `sip:` URI.
    Uri(Pii<String>),
}

/// What the switch asks of a leg.
#[expect(missing_docs, reason = "a variant\'s sentence names its fields")]
#[derive(Clone, Debug)]
pub enum LegCommand {
    /// Use this account from now on; `None` un-registers. Live dialogs finish where they are.
    Configure(Option<SipAccount>),
    /// Call out, with RTP received on `rtp_port` of the address that faces the peer.
    Dial { call: CallId, target: DialTarget, rtp_port: u16 },
    /// Tell the caller that it rings (180).
    Ring { call: CallId },
    /// Take the incoming call (200 with SDP).
    Answer { call: CallId, rtp_port: u16 },
    /// Refuse the incoming call.
    Reject { call: CallId, why: RejectWhy },
    /// End the call in whatever state it is: CANCEL, BYE or a refusal.
    Hangup { call: CallId },
    /// Hang up everything, un-register, then report `LegEvent::Closed`.
    Close,
}

/// Why an incoming call is refused; the leg picks the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectWhy {
    /// No line is free: 486.
    Busy,
    /// Nobody wants it: 603.
    Declined,
    /// Rang too long: 480.
    NoAnswer,
    /// Something needed is missing here: 500.
    Failed,
}

/// Who is at the other end, as far as the network says. Texts come from strangers: bounded, any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteParty {
    /// The user part when it is digits with an optional `+`.
    pub number: Option<Number>,
    /// The whole URI.
    pub uri: Option<Pii<String>>,
    /// The display name.
    pub display_name: Option<Pii<String>>,
}

/// A codec of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCodec {
    /// G.711 mu-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
}

/// What the two ends agreed about audio (RFC 3264): everything that the media thread needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineAudio {
    /// Where the peer says it receives RTP; packets go where its own come from once they do.
    pub remote: SocketAddr,
    /// The codec in use, both ways.
    pub codec: LineCodec,
    /// Its payload type in this session (RFC 3551 gives 0 and 8).
    pub payload_type: u8,
    /// Payload type of telephone-event (RFC 4733), when agreed.
    pub telephone_event: Option<u8>,
    /// Milliseconds of audio in a packet that we send.
    pub ptime_ms: u8,
    /// Whether we may send (false on hold: `sendonly` or `inactive` at the peer's side).
    pub send: bool,
    /// Whether the peer sends.
    pub receive: bool,
}

impl From<crate::sdp::Agreed> for LineAudio {
    fn from(agreed: crate::sdp::Agreed) -> Self {
        Self {
            remote: agreed.remote,
            codec: match agreed.codec {
                crate::sdp::Codec::Pcmu => LineCodec::Pcmu,
                crate::sdp::Codec::Pcma => LineCodec::Pcma,
            },
            payload_type: agreed.payload_type,
            telephone_event: agreed.telephone_event,
            ptime_ms: agreed.ptime_ms,
            send: agreed.send,
            receive: agreed.receive,
        }
    }
}

/// How a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEnd {
    /// The peer hung up an answered call.
    RemoteHangup,
    /// We hung up an answered call.
    LocalHangup,
    /// The one who called gave up before the answer (either side).
    Cancelled,
    /// 480, 408 or a timer: nobody answered.
    NoAnswer,
    /// 486 or 600.
    Busy,
    /// 603, 403 and the like: the peer or its network refused; or we refused.
    Rejected,
    /// No way to the peer: transport error, time-out without any response, unresolvable name.
    NetworkError,
    /// Anything else that is final: 404, 488, 500, a broken answer.
    Failed,
}

/// What a leg reports.
#[expect(missing_docs, reason = "a variant\'s sentence names its fields")]
#[derive(Clone, Debug)]
pub enum LegEvent {
    /// Someone calls. The leg has answered 100 only.
    Incoming { call: CallId, remote: RemoteParty },
    /// A provisional response to our INVITE (180, 183, …); its words go to `sip_call_state_changed`.
    Progress { call: CallId, code: u16 },
    /// The call is up: 200 received and acknowledged, or 200 sent. Comes again when a re-INVITE changed the audio.
    Audio { call: CallId, line: LineAudio },
    /// The call is over; nothing more comes for it. `code` is the SIP status, `detail` a short text.
    Ended { call: CallId, end: LegEnd, code: Option<u16>, detail: String },
    /// Registration or reachability changed.
    Status(SipStatus),
    /// `LegCommand::Close` is done.
    Closed,
}

/// The state of the SIP side that is not about one call; feeds `sip_state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SipStatus {
    /// The socket is open and the server's name is resolved.
    pub started: bool,
    /// A REGISTER was accepted and has not run out. Always false without a user name.
    pub registered: bool,
    /// Status of the last REGISTER response.
    pub registration_status_code: Option<u16>,
    /// Its reason phrase.
    pub registration_status_text: Option<String>,
    /// The local address of the socket, once open.
    pub local: Option<SocketAddr>,
    /// The last fault in words, without secrets.
    pub last_error: Option<String>,
}
