//! Every metric, by name. Labels are bounded: names of datasets come from files and codes from plugins, never from
//! data.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::job::Disposition;
use crate::report::BatchReport;
use crate::runtime::GuestMetrics;

/// The most metrics that a dataset's plugin may report (`metrics` of the contract).
const GUEST_METRICS: usize = 64;
/// The most codes of item failures that are counted by name; the rest count as `other`.
const CODES_PER_DATASET: usize = 32;
const DURATIONS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// The worker's metrics, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    /// Items that may run at once.
    pub slots: IntGauge,
    /// Items that run.
    pub slots_busy: IntGauge,
    /// The pause before the next receive, in seconds, while services do not keep up.
    pub pressure: Gauge,
    /// Bytes that items may take together; zero where there is no limit.
    pub memory: IntGauge,
    /// 1 if the registry answered the last request, else 0.
    pub registry_answers: IntGauge,
    /// The number of the registry's head that is in use.
    pub registry_head: IntGauge,
    version: IntGaugeVec,
    versions_refused: IntCounterVec,
    memory_busy: IntGauge,
    batches_in_flight: IntGauge,
    batches: IntCounterVec,
    faults: IntCounterVec,
    batch_seconds: HistogramVec,
    rolled_forward: IntCounterVec,
    items: IntCounterVec,
    item_failures: IntCounterVec,
    bytes_read: IntCounterVec,
    bytes_written: IntCounterVec,
    rows: IntCounterVec,
    guest_dropped: IntCounterVec,
    bounded: Mutex<Bounded>,
}

/// The names that were admitted so far. They are counted, so that strangers' names do not fill the memory.
#[derive(Default)]
struct Bounded {
    codes: HashMap<String, BTreeSet<String>>,
    counters: HashMap<(String, String), IntCounter>,
    histograms: HashMap<(String, String), Histogram>,
    guest_names: HashMap<String, BTreeSet<String>>,
    /// The version of each dataset that is in use.
    versions: HashMap<String, String>,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| add(&registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str, labels: &[&str]| {
            add(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            slots: gauge("gristmill_slots", "Items that may run at once.")?,
            slots_busy: gauge("gristmill_slots_busy", "Items that run right now.")?,
            pressure: add(
                &registry,
                Gauge::new(
                    "gristmill_pressure_seconds",
                    "The pause before the next receive: 0 while AWS answers and does not throttle.",
                )?,
            )?,
            memory: gauge("gristmill_memory_bytes", "Memory that items may take together; 0 is no limit.")?,
            registry_answers: gauge(
                "gristmill_registry_answers",
                "1 if the registry answered when it was asked last, else 0; also 0 without a registry.",
            )?,
            registry_head: gauge("gristmill_registry_head", "The number of the registry's head that is in use.")?,
            version: add(
                &registry,
                IntGaugeVec::new(
                    Opts::new("gristmill_version", "1 for the version of each dataset that batches begin with."),
                    &["dataset", "version"],
                )?,
            )?,
            versions_refused: counter(
                "gristmill_versions_refused_total",
                "Versions that the registry wants in use and that were refused; the log says why.",
                &["dataset"],
            )?,
            memory_busy: gauge(
                "gristmill_memory_busy_bytes",
                "Memory that is set aside for items that run right now.",
            )?,
            batches_in_flight: gauge(
                "gristmill_batches_in_flight",
                "Batches that were received and have no fate yet.",
            )?,
            batches: counter(
                "gristmill_batches_total",
                "Deliveries by fate: acked, returned, parked. The dataset is empty where the message names none of this worker's.",
                &["dataset", "fate"],
            )?,
            faults: counter(
                "gristmill_faults_total",
                "Deliveries that did not simply succeed, by what happened; host/docs/fates.md says what follows.",
                &["kind"],
            )?,
            batch_seconds: add(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("gristmill_batch_duration_seconds", "From receiving a batch to its fate.")
                        .buckets(DURATIONS.to_vec()),
                    &["dataset"],
                )?,
            )?,
            rolled_forward: counter(
                "gristmill_batches_rolled_forward_total",
                "Batches that one attempt prepared without getting to the end, and a later one made visible.",
                &["dataset"],
            )?,
            items: counter("gristmill_items_total", "Items by outcome: succeeded, rejected.", &["dataset", "outcome"])?,
            item_failures: counter("gristmill_item_failures_total", "Rejected items by code.", &["dataset", "code"])?,
            bytes_read: counter("gristmill_bytes_read_total", "Bytes of objects given to plugins.", &["dataset"])?,
            bytes_written: counter(
                "gristmill_bytes_written_total",
                "Bytes of committed outputs.",
                &["dataset", "output"],
            )?,
            rows: counter("gristmill_rows_total", "Rows of committed outputs.", &["dataset", "output"])?,
            guest_dropped: counter(
                "gristmill_guest_metrics_dropped_total",
                "Plugins' metrics that had no valid name, or were one too many.",
                &["dataset"],
            )?,
            bounded: Mutex::default(),
            registry,
        })
    }

    /// Counts a delivery whose fate is known.
    pub fn batch(&self, dataset: &str, disposition: &Disposition, took: Duration) {
        let fate = match disposition {
            Disposition::Acked => "acked",
            Disposition::Returned { .. } => "returned",
            Disposition::DeadLettered { .. } => "parked",
        };
        self.batches.with_label_values(&[dataset, fate]).inc();
        self.batch_seconds.with_label_values(&[dataset]).observe(took.as_secs_f64());
    }

    /// Counts what happened to a delivery that did not simply succeed.
    pub fn fault(&self, kind: &'static str) {
        self.faults.with_label_values(&[kind]).inc();
    }

    /// Says which version of a dataset is in use. The label of the version before is removed: labels would only pile
    /// up.
    pub fn version(&self, dataset: &str, version: &str) {
        let before = self.bounded().versions.insert(dataset.to_owned(), version.to_owned());
        if let Some(before) = before {
            let _ = self.version.remove_label_values(&[dataset, &before]);
        }
        self.version.with_label_values(&[dataset, version]).set(1);
    }

    /// Counts a version that is not taken into use.
    pub fn version_refused(&self, dataset: &str) {
        self.versions_refused.with_label_values(&[dataset]).inc();
    }

    /// Counts a batch that an earlier attempt had prepared, and this one finished.
    pub fn rolled_forward(&self, dataset: &str) {
        self.rolled_forward.with_label_values(&[dataset]).inc();
    }

    /// Counts what a committed batch did.
    pub fn items(&self, dataset: &str, report: &BatchReport) {
        self.items.with_label_values(&[dataset, "succeeded"]).inc_by(report.items.succeeded);
        self.items.with_label_values(&[dataset, "rejected"]).inc_by(report.items.rejected);
        self.bytes_read.with_label_values(&[dataset]).inc_by(report.bytes_read);
        for output in &report.outputs {
            self.bytes_written.with_label_values(&[dataset, &output.output]).inc_by(output.bytes);
            self.rows.with_label_values(&[dataset, &output.output]).inc_by(output.rows);
        }
        for (code, count) in &report.failures.by_code {
            let known = self.bounded().codes.entry(dataset.into()).or_default().admit(code, CODES_PER_DATASET);
            let code = if known { code } else { "other" };
            self.item_failures.with_label_values(&[dataset, code]).inc_by(*count);
        }
    }

    /// A batch that is under way until the guard is dropped.
    pub fn in_flight(&self) -> Busy {
        Busy::new(&self.batches_in_flight, 1)
    }

    /// A slot that is taken until the guard is dropped.
    pub fn busy_slot(&self) -> Busy {
        Busy::new(&self.slots_busy, 1)
    }

    /// Memory that is set aside until the guard is dropped.
    pub fn busy_memory(&self, bytes: u64) -> Busy {
        Busy::new(&self.memory_busy, i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// Everything in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn bounded(&self) -> std::sync::MutexGuard<'_, Bounded> {
        self.bounded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Adds to a gauge until it is dropped.
pub struct Busy(IntGauge, i64);

impl Busy {
    fn new(gauge: &IntGauge, much: i64) -> Self {
        gauge.add(much);
        Self(gauge.clone(), much)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.sub(self.1);
    }
}

trait Admit {
    /// Whether the name is one of the first `most`.
    fn admit(&mut self, name: &str, most: usize) -> bool;
}

impl Admit for BTreeSet<String> {
    fn admit(&mut self, name: &str, most: usize) -> bool {
        self.contains(name) || (self.len() < most && self.insert(name.to_owned()))
    }
}

/// The numbers that one dataset's plugin reports: `gristmill_guest_<name>`, with the dataset as a label.
pub struct DatasetMetrics {
    metrics: Arc<Metrics>,
    dataset: String,
}

impl DatasetMetrics {
    /// For the plugin of this dataset.
    pub fn new(metrics: Arc<Metrics>, dataset: &str) -> Self {
        Self { metrics, dataset: dataset.to_owned() }
    }

    /// The full name, if the plugin may use this one.
    fn admitted(&self, name: &str, suffix: &str) -> Option<String> {
        let mut characters = name.chars();
        let valid = name.len() <= 63
            && characters.next().is_some_and(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let mut bounded = self.metrics.bounded();
        if valid && bounded.guest_names.entry(self.dataset.clone()).or_default().admit(name, GUEST_METRICS) {
            return Some(format!("gristmill_guest_{name}{suffix}"));
        }
        self.metrics.guest_dropped.with_label_values(&[&self.dataset]).inc();
        None
    }

    fn options(&self, name: &str) -> Opts {
        Opts::new(name, "Reported by a plugin.").const_label("dataset", &self.dataset)
    }
}

impl GuestMetrics for DatasetMetrics {
    fn count(&self, name: &str, value: u64) {
        let Some(name) = self.admitted(name, "_total") else { return };
        let mut bounded = self.metrics.bounded();
        let key = (self.dataset.clone(), name.clone());
        if !bounded.counters.contains_key(&key) {
            let made =
                IntCounter::with_opts(self.options(&name)).and_then(|counter| add(&self.metrics.registry, counter));
            let Ok(counter) = made else { return };
            bounded.counters.insert(key.clone(), counter);
        }
        bounded.counters[&key].inc_by(value);
    }

    fn observe(&self, name: &str, value: f64) {
        let Some(name) = self.admitted(name, "") else { return };
        let mut bounded = self.metrics.bounded();
        let key = (self.dataset.clone(), name.clone());
        if !bounded.histograms.contains_key(&key) {
            let options = HistogramOpts::from(self.options(&name));
            let made = Histogram::with_opts(options).and_then(|histogram| add(&self.metrics.registry, histogram));
            let Ok(histogram) = made else { return };
            bounded.histograms.insert(key.clone(), histogram);
        }
        bounded.histograms[&key].observe(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_flood_the_registry() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let plugin = DatasetMetrics::new(metrics.clone(), "d");
        for number in 0..1000 {
            plugin.count(&format!("n{number}"), 1);
            plugin.observe(&format!("bad name {number}"), 1.0);
        }
        let text = metrics.render();
        assert_eq!(text.matches("# TYPE gristmill_guest_n").count(), GUEST_METRICS);
        assert!(text.contains(r#"gristmill_guest_metrics_dropped_total{dataset="d"} 1936"#), "{text}");
    }

    #[test]
    fn two_datasets_may_use_one_name() {
        let metrics = Arc::new(Metrics::new().unwrap());
        DatasetMetrics::new(metrics.clone(), "a").count("rows_seen", 2);
        DatasetMetrics::new(metrics.clone(), "b").count("rows_seen", 3);
        let text = metrics.render();
        assert!(text.contains(r#"gristmill_guest_rows_seen_total{dataset="a"} 2"#), "{text}");
        assert!(text.contains(r#"gristmill_guest_rows_seen_total{dataset="b"} 3"#), "{text}");
    }
}
