//! Floor 1: RTP and RTCP (RFC 3550), as cores without sockets or clocks.
