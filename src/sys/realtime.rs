//! Real-time priority for the audio threads, where the system grants it.
//!
//! For: SCHED_FIFO with reset-on-fork, and RLIMIT_RTTIME so that a runaway loop cannot take the machine.
