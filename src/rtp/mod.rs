//! Floor 1: RTP and RTCP (RFC 3550), as cores without sockets or clocks.
//!
//! For: packets, order, losses, reports, whose packets are taken, DTMF as telephone-event.
//! Not for: what is in a payload, sockets, the beat.
//!
//! ```text
//!  datagram ─▶ packet ─▶ latch ─▶ receiver: sequence ─▶ reception   ─▶ control ─▶ RTCP datagram
//!                                              └──────▶ reorder ─▶ frames in order
//!  payload  ─▶ sender ─▶ packet ─▶ datagram
//! ```

pub mod control;
pub mod event;
pub mod fuzz;
pub mod latch;
pub mod packet;
pub mod receiver;
pub mod reception;
pub mod reorder;
pub mod sender;
pub mod sequence;

pub use control::{CONTROL_BYTES_MAX, Control, REPORT_INTERVAL, Sent};
pub use event::Digits;
pub use latch::Latch;
pub use receiver::{Receiver, ReceiverCounters};
pub use reception::ReportNumbers;
pub use reorder::{Frame, PAYLOAD_BYTES_MAX};
pub use sender::Sender;
