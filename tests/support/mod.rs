//! The harness of the integration tests: real programs on leased loopback ports, facts awaited with deadlines,
//! sound measured instead of believed. Everything that a test starts is gone when the test ends.
//!
//! ```text
//!  test ── Service ── HTTP, SSE ──▶ callscoot serve ◀── SIP, RTP ──▶ Baresip · Sipp · Kamailio · Relay between them
//!                                         ▲
//!                                         └── WebSocket ── SimAgent (callscoot sim agent)
//! ```

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the harness")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test fails the test")]
#![allow(clippy::disallowed_methods, reason = "tests wait for real programs, on the real clock")]
#![allow(clippy::print_stderr, reason = "what the peers said is shown beside a failed test")]

pub mod adb;
pub mod agent;
pub mod baresip;
pub mod bus;
pub mod crowd;
pub mod frames;
pub mod http;
pub mod kamailio;
pub mod measurements;
pub mod metrics;
pub mod peer;
pub mod ports;
pub mod process;
pub mod relay;
pub mod sdk;
pub mod service;
pub mod sims;
pub mod sip;
pub mod sipp;
pub mod sound;
pub mod speech;
pub mod wait;
