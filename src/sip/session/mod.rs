//! The INVITE session (RFC 3261 sections 9, 13, 14, 15): one call, from INVITE to BYE, either way.
//!
//! For: provisional and final responses, ACK, CANCEL, forks, repeated 200s, re-INVITE and UPDATE from the peer, BYE.
//! Not for: what a body means: offers and answers are passed on and asked for.
//!
//! ```text
//!  we call     Calling ──2xx, ACK──▶ Up ──BYE either way──▶ Over (forgotten after 32 s)
//!                 └── CANCEL, failure, silence ───────────────▲
//!  they call   Incoming ──accept: 200 until ACK──▶ Up ────────┤
//!                 └── CANCEL, refusal ────────────────────────┘
//! ```

mod established;
mod inbound;
mod outbound;
mod state;

pub(super) use established::capabilities;
pub use outbound::Outgoing;
pub(super) use state::Context;
pub use state::{Cause, Event, Session};
