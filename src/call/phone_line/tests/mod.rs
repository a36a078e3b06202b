//! The line against simulated phones, in virtual time.

mod calls;
mod world;
