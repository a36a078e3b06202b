//! The command line for people, a client of the service's own API like any other.
//!
//! For: one file for each noun: its options, what is fetched, how it reads on a terminal.
//! Not for: deciding anything. What a command may do is what the API may do.
//!
//! ```text
//!  program ──▶ status · calls · call · dial · talk · phones · pair · pending · configure · events · doctor
//!                 │ fetch by desk (environment, client)      follow (streams, Ctrl-C, closed pipes)
//!                 └ render with view (width, colour, now) · table · text (nothing of a stranger's moves the cursor)
//! ```

mod call;
mod calls;
mod configure;
mod desk;
mod dial;
mod doctor;
mod event;
mod events;
mod follow;
mod pair;
mod pairs;
mod pending;
mod phones;
mod program;
mod status;
mod table;
mod talk;
mod text;
mod view;
mod welcome;

pub(in crate::app) use event::words;
pub use program::main;
