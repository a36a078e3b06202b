//! The instruments: the library's atomics behind types that fix the unit and the labels.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Counter as FloatCounter, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// A metric that the library refuses: two of one name, or a name that is none.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

type Made<T> = Result<T, MetricsError>;

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Made<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Counts what happens.
#[derive(Clone, Debug)]
pub struct Counter(IntCounter);

impl Counter {
    pub(super) fn new(registry: &Registry, name: &str, help: &str) -> Made<Self> {
        Ok(Self(registered(registry, IntCounter::new(name, help)?)?))
    }

    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    /// For what somebody else counts: as many as there were in all. It never goes back. One writer only.
    pub fn advance_to(&self, total: u64) {
        self.0.inc_by(total.saturating_sub(self.0.get()));
    }
}

/// Counts by labels.
#[derive(Clone, Debug)]
pub struct CounterBy<const N: usize>(IntCounterVec);

impl<const N: usize> CounterBy<N> {
    /// What is in `known` is there from the start, so that its first rise can be seen.
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        known: &[[&'static str; N]],
    ) -> Made<Self> {
        let family = registered(registry, IntCounterVec::new(Opts::new(name, help), &labels)?)?;
        for values in known {
            family.get_metric_with_label_values(values)?;
        }
        Ok(Self(family))
    }

    /// One more.
    pub fn inc(&self, labels: [&'static str; N]) {
        // As many values as there are names: it cannot fail.
        if let Ok(counter) = self.0.get_metric_with_label_values(&labels) {
            counter.inc();
        }
    }

    /// As `Counter::advance_to`.
    pub fn advance_to(&self, labels: [&'static str; N], total: u64) {
        if let Ok(counter) = self.0.get_metric_with_label_values(&labels) {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

/// Adds up time.
#[derive(Clone, Debug)]
pub struct Seconds(FloatCounter);

impl Seconds {
    pub(super) fn new(registry: &Registry, name: &str, help: &str) -> Made<Self> {
        Ok(Self(registered(registry, FloatCounter::new(name, help)?)?))
    }

    /// So much more.
    pub fn add(&self, time: Duration) {
        self.0.inc_by(time.as_secs_f64());
    }

    /// As `Counter::advance_to`.
    pub fn advance_to(&self, total: Duration) {
        self.0.inc_by((total.as_secs_f64() - self.0.get()).max(0.0));
    }
}

/// What is so now.
#[derive(Clone, Debug)]
pub struct Gauge(IntGauge);

impl Gauge {
    pub(super) fn new(registry: &Registry, name: &str, help: &str) -> Made<Self> {
        Ok(Self(registered(registry, IntGauge::new(name, help)?)?))
    }

    /// It is this.
    pub fn set(&self, value: u64) {
        self.0.set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// One less.
    pub fn dec(&self) {
        self.0.dec();
    }
}

/// What is so now, by labels.
#[derive(Clone, Debug)]
pub struct GaugeBy<const N: usize>(IntGaugeVec);

impl<const N: usize> GaugeBy<N> {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, labels: [&'static str; N]) -> Made<Self> {
        Ok(Self(registered(registry, IntGaugeVec::new(Opts::new(name, help), &labels)?)?))
    }

    /// It is this.
    pub fn set(&self, labels: [&'static str; N], value: u64) {
        if let Ok(gauge) = self.0.get_metric_with_label_values(&labels) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// Nothing is known any more.
    pub fn clear(&self) {
        self.0.reset();
    }
}

/// Always 1: its label is the news.
#[derive(Clone, Debug)]
pub struct Info(#[expect(dead_code, reason = "the registry shows it")] IntGauge);

impl Info {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, label: &str, value: &str) -> Made<Self> {
        let gauge =
            registered(registry, IntGauge::with_opts(Opts::new(name, help).const_label(label, value))?)?;
        gauge.set(1);
        Ok(Self(gauge))
    }
}

/// A histogram of times.
#[derive(Clone, Debug)]
pub struct Timing(Histogram);

impl Timing {
    pub(super) fn new(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Made<Self> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Ok(Self(registered(registry, Histogram::with_opts(opts)?)?))
    }

    /// It took so long.
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

/// Histograms of times, by labels.
#[derive(Clone, Debug)]
pub struct TimingBy<const N: usize>(HistogramVec);

impl<const N: usize> TimingBy<N> {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Made<Self> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Ok(Self(registered(registry, HistogramVec::new(opts, &labels)?)?))
    }

    /// It took so long.
    pub fn observe(&self, labels: [&'static str; N], time: Duration) {
        if let Ok(histogram) = self.0.get_metric_with_label_values(&labels) {
            histogram.observe(time.as_secs_f64());
        }
    }
}
