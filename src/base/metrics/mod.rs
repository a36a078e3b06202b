//! What is counted and measured, for Prometheus: one catalogue of all names, and the instruments behind them.
//!
//! ```text
//!  threads ──atomics──▶ Metrics ◀──text── GET /metrics
//!  cores and audio threads count for themselves ──source, at a scrape──▶ Metrics
//! ```
//!
//! For: names, help texts, units, bounded labels. A label takes only texts that stand in the program, so no number,
//! name or id can ever become one.
//! Not for: deciding anything. Nothing reads a metric back, and nobody wakes for one: what is not a single atomic
//! is gathered when somebody asks.

mod catalogue;
mod instrument;

pub use catalogue::Metrics;
pub use instrument::{Counter, CounterBy, Gauge, GaugeBy, Info, MetricsError, Seconds, Timing, TimingBy};
