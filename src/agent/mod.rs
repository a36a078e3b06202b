//! The agent service's protocol (ElevenLabs Agents), without a socket.

pub mod endpoint;
