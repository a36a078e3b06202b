//! Floor 1: the agent protocol (ElevenLabs Agents over WebSocket), as a core without sockets or clocks.
