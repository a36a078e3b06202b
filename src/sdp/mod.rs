//! Floor 1: SDP offer and answer for one audio stream (RFC 3264, RFC 4566/8866).
//!
//! For: writing our offer, answering the peer's, reading the peer's answer.
//! Not for: SIP, sockets.
