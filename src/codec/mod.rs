//! Floor 1: codecs of the line and of the agent.
