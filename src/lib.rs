#![doc = "callscoot: a telephone line for programs."]
//!
//! One process, no async. Dedicated threads for signalling, real-time audio, each agent conversation, storage
//! and the HTTP API, joined by bounded mailboxes and lock-free rings. This page is the architecture; each
//! module's own page says what it is for and what it must not touch.
//!
//! # What flows through
//!
//! ```text
//!              caller's voice                                   agent's voice
//!  SIP peer ─RTP──▶ media thread ──ring▶ agent thread ──▶ agent service (WebSocket)
//!           ◀─RTP── media thread ◀ring── agent thread ◀── (bursts, faster than real time)
//!  phone ──SCO──▶ voice thread ──ring▶       "
//!        ◀─SCO─── voice thread ◀ring──       "
//!
//!  curl / Python ──▶ http ──command▶ switch ──▶ sip · hands-free · agent threads
//!                ◀── SSE ◀── bus ◀──event── store thread (SQLite + event files) ◀── switch
//!
//!  hands-free thread ── D-Bus ── bluetoothd      pairing, connections, the hands-free profile
//!                    ── RFCOMM ─ phone           AT commands: calls, codec, battery, signal
//!                    ── opens ── SCO links, and gives them to the voice thread
//! ```
//!
//! A voice link's clock is the beat in both directions: each packet that comes is passed on, and answered by one of its
//! size. So nothing drifts between phone and agent, whose audio has no clock of its own; how far the link's clock is
//! from this machine's is measured and shown, and nothing is resampled for it.
//!
//! # Floors
//!
//! A file uses only its own module, or lower floors; `tests/tidy.rs` checks it.
//!
//! ```text
//!  6 app    cli, environment, wiring, supervision, exit codes, simulated peers
//!  5 run    one file = one thread: the loop "wait, one input, drain"
//!  4 port   one file = one outside thing: udp, websocket, rest, sqlite, files, http, wav, bluez, rfcomm, sco, adb
//!  3 sys    the operating system: clock, mailbox, wait, thread, realtime, signal, log
//!  ───────────── below this line: no socket, no thread, no clock, no file, no randomness of its own
//!  2 call   the switch (the heart), sessions, policy, pending requests, configuration, the API's shapes
//!  1 sip  sdp  rtp  codec  dsp  hfp  adb  agent     protocol cores, strangers to each other
//!  0 base   call ids, given time, given chance, redaction, phone numbers
//! ```
//!
//! # Laws
//!
//! 1. **One contract for every core**: `handle_input(now, …)`, `handle_timeout(now)`, then `poll_output` until it
//!    answers with the next deadline and its reason. One input, drain, wait: every thread body is that loop.
//! 2. **Time and chance are given.** Asking the clock, sleeping and spawning are banned by lint below floor 3, so a
//!    32 s SIP time-out is tested in microseconds.
//! 3. **A thread waits once**: on its descriptors, its mailbox and its deadline together. Nothing polls.
//! 4. **The audio path never locks, allocates, logs or touches a channel.** It fills counters; others report them.
//! 5. **Everything has a limit with a unit in its name**, and beside it what happens when it is full.
//! 6. **A peer's mistake is an event or a reply**, never a panic, never an `Err` that ends a thread.
//! 7. **Shutdown is a state**: hang up, un-register, close the agent, flush the store, within two seconds. A thread
//!    that dies takes the process down in order, and the next start closes what was open.
//! 8. **What was acknowledged is on disk**: the store commits, then publishes; a client never saw what is not stored.
//! 9. **Numbers, names and words of people are `Pii`**, secrets are `Secret`; neither reaches a log.
//! 10. **A call is a `CallId` inside**; the session id is minted once, for API and disk.

pub mod base;

pub mod adb;
pub mod agent;
pub mod codec;
pub mod dsp;
pub mod hfp;
pub mod rtp;
pub mod sdp;
pub mod sip;

pub mod call;

pub mod sys;

pub mod port;

pub mod run;

pub mod app;

/// So that a test can prove that a path never allocates.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: assert_no_alloc::AllocDisabler = assert_no_alloc::AllocDisabler;
