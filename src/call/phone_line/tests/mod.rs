//! The line against simulated phones, in virtual time.

mod android;
mod android_doubt;
mod android_lost;
mod audio;
mod calls;
mod connection;
mod hostile;
mod owner;
mod pairing;
mod world;
