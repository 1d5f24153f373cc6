//! The worker's metrics, and how each is counted. Their names are in `names.rs`. Labels are bounded: names of datasets come from
//! files and codes from plugins, never from data.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::names::{self, Metric};
use super::pace::Pace;
use super::status::{Board, Example, Failed, Gauges, Numbers, QueueStatus, RegistryStatus, Status, Total};
use super::waits::Waits;
use crate::aws;
use crate::job::Disposition;
use crate::queue::Depth;
use crate::report::BatchReport;
use crate::runtime;

/// The most codes of item failures that are counted by name; the rest count as `other`.
const CODES_PER_DATASET: usize = 32;
const DURATIONS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// Waits reach from a worker that is idle to half of the default heartbeat, and all of it.
const WAITS: &[f64] =
    &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0];

/// The worker's metrics, in a registry of their own.
pub struct Metrics {
    pub(super) registry: Registry,
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
    swaps: IntCounterVec,
    versions_refused: IntCounterVec,
    memory_busy: IntGauge,
    queue_messages: IntGaugeVec,
    backlog_seconds: GaugeVec,
    backlog_per_slot: GaugeVec,
    batches_in_flight: IntGauge,
    batches: IntCounterVec,
    faults: IntCounterVec,
    batch_wait: HistogramVec,
    batch_seconds: HistogramVec,
    rolled_forward: IntCounterVec,
    late_rows: IntCounterVec,
    items: IntCounterVec,
    item_failures: IntCounterVec,
    retries: IntCounterVec,
    throttles: IntCounterVec,
    protection_refused: IntCounterVec,
    bytes_read: IntCounterVec,
    bytes_written: IntCounterVec,
    rows: IntCounterVec,
    component_cache: IntCounterVec,
    pub(super) guest_dropped: IntCounterVec,
    bounded: Mutex<Bounded>,
    /// What the status page shows beside these numbers.
    pub board: Board,
}

/// The names that were admitted so far. They are counted, so that strangers' names do not fill the memory. And what else is
/// remembered from one batch to the next.
#[derive(Default)]
pub(super) struct Bounded {
    codes: HashMap<String, BTreeSet<String>>,
    pub(super) counters: HashMap<(String, String), IntCounter>,
    pub(super) histograms: HashMap<(String, String), Histogram>,
    pub(super) guest_names: HashMap<String, BTreeSet<String>>,
    /// The version of each dataset that is in use.
    versions: HashMap<String, String>,
    waits: Waits,
    pace: Pace,
    /// How many messages each queue has, as far as that is known.
    depths: BTreeMap<String, Depth>,
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |metric: &Metric| add(&registry, IntGauge::new(metric.name, metric.help)?);
        let gauges = |metric: &Metric| add(&registry, IntGaugeVec::new(metric.options(), metric.labels)?);
        let fractions = |metric: &Metric| add(&registry, GaugeVec::new(metric.options(), metric.labels)?);
        let counter = |metric: &Metric| add(&registry, IntCounterVec::new(metric.options(), metric.labels)?);
        let histogram = |metric: &Metric, buckets: &[f64]| {
            let options = HistogramOpts::from(metric.options()).buckets(buckets.to_vec());
            add(&registry, HistogramVec::new(options, metric.labels)?)
        };
        let build = gauges(&names::BUILD_INFO)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), std::env::consts::ARCH]).set(1);
        Ok(Self {
            slots: gauge(&names::SLOTS)?,
            slots_busy: gauge(&names::SLOTS_BUSY)?,
            pressure: add(&registry, Gauge::new(names::PRESSURE.name, names::PRESSURE.help)?)?,
            memory: gauge(&names::MEMORY)?,
            memory_busy: gauge(&names::MEMORY_BUSY)?,
            registry_answers: gauge(&names::REGISTRY_ANSWERS)?,
            registry_head: gauge(&names::REGISTRY_HEAD)?,
            version: gauges(&names::VERSION)?,
            swaps: counter(&names::SWAPS)?,
            versions_refused: counter(&names::VERSIONS_REFUSED)?,
            queue_messages: gauges(&names::QUEUE_MESSAGES)?,
            backlog_seconds: fractions(&names::BACKLOG_SECONDS)?,
            backlog_per_slot: fractions(&names::BACKLOG_PER_SLOT)?,
            batches_in_flight: gauge(&names::BATCHES_IN_FLIGHT)?,
            batches: counter(&names::BATCHES)?,
            faults: counter(&names::FAULTS)?,
            batch_wait: histogram(&names::BATCH_WAIT, WAITS)?,
            batch_seconds: histogram(&names::BATCH_DURATION, DURATIONS)?,
            rolled_forward: counter(&names::ROLLED_FORWARD)?,
            late_rows: counter(&names::LATE_ROWS)?,
            items: counter(&names::ITEMS)?,
            item_failures: counter(&names::ITEM_FAILURES)?,
            retries: counter(&names::RETRIES)?,
            throttles: counter(&names::THROTTLES)?,
            protection_refused: counter(&names::PROTECTION_REFUSED)?,
            bytes_read: counter(&names::BYTES_READ)?,
            bytes_written: counter(&names::BYTES_WRITTEN)?,
            rows: counter(&names::ROWS)?,
            guest_dropped: counter(&names::GUEST_DROPPED)?,
            component_cache: counter(&names::COMPONENT_CACHE)?,
            bounded: Mutex::default(),
            board: Board::default(),
            registry,
        })
    }

    /// Says how many messages a queue has.
    pub fn depth(&self, queue: &str, depth: Depth) {
        let Depth { visible, in_flight, delayed } = depth;
        for (state, messages) in [("visible", visible), ("in_flight", in_flight), ("delayed", delayed)] {
            let messages = i64::try_from(messages).unwrap_or(i64::MAX);
            self.queue_messages.with_label_values(&[queue, state]).set(messages);
        }
        let (all, slots) = (visible + in_flight + delayed, self.slots.get());
        self.backlog_per_slot.with_label_values(&[queue]).set(all as f64 / slots.max(1) as f64);
        let mut bounded = self.bounded();
        if let Some(seconds) = bounded.pace.seconds_for(all, slots) {
            self.backlog_seconds.with_label_values(&[queue]).set(seconds);
        }
        bounded.depths.insert(queue.to_owned(), depth);
    }

    /// Says that nobody knows how many messages a queue has: what was known once is no answer.
    pub fn no_depth(&self, queue: &str) {
        for state in ["visible", "in_flight", "delayed"] {
            let _ = self.queue_messages.remove_label_values(&[queue, state]);
        }
        let _ = self.backlog_per_slot.remove_label_values(&[queue]);
        let _ = self.backlog_seconds.remove_label_values(&[queue]);
        self.bounded().depths.remove(queue);
    }

    /// Counts how long a batch waited for its first worker. `heartbeat` is how long its waiting state waits for a sign of life.
    pub fn waited(&self, dataset: &str, waited: Duration, heartbeat: Duration) {
        self.batch_wait.with_label_values(&[dataset]).observe(waited.as_secs_f64());
        if self.bounded().waits.is_news(dataset, waited, heartbeat) {
            let show = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
            tracing::warn!(
                dataset,
                waited = show(waited),
                heartbeat = show(heartbeat),
                "a batch waited for more than half of its heartbeat before a worker took it. After all of it the state machine fails \
                 the batch with States.HeartbeatTimeout and sends it again. Run more workers, lower `max_concurrency`, or raise \
                 `heartbeat` and update the state machine (`gristmill asl`)"
            );
        }
    }

    /// Counts a batch that was worked on to its end.
    pub fn ran(&self, took: Duration) {
        self.bounded().pace.took(took);
    }

    /// Counts a refusal of scale-in protection.
    pub fn protection_refused(&self, reason: &'static str) {
        self.protection_refused.with_label_values(&[reason]).inc();
    }

    /// Counts a delivery whose fate is known.
    pub fn batch(&self, dataset: &str, disposition: &Disposition, took: Duration) {
        let (fate, total) = match disposition {
            Disposition::Acked => ("acked", Total::Acked),
            Disposition::Returned { .. } => ("returned", Total::Returned),
            Disposition::DeadLettered { .. } => ("parked", Total::Parked),
        };
        self.board.settled(total);
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
        let swaps = self.swaps.with_label_values(&[dataset]);
        if let Some(before) = before.filter(|before| before != version) {
            let _ = self.version.remove_label_values(&[dataset, &before]);
            swaps.inc();
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

    /// Counts rows that came into windows of a table that were read before.
    pub fn late_rows(&self, dataset: &str, rows: u64) {
        self.late_rows.with_label_values(&[dataset]).inc_by(rows);
    }

    /// Counts what a committed batch did; `batch` is its name.
    pub fn items(&self, dataset: &str, batch: &str, report: &BatchReport) {
        let outputs = || report.outputs.iter();
        for (total, more) in [
            (Total::Succeeded, report.items.succeeded),
            (Total::Rejected, report.items.rejected),
            (Total::Rows, outputs().map(|output| output.rows).sum()),
            (Total::BytesRead, report.bytes_read),
        ] {
            self.board.add(total, more);
        }
        self.items.with_label_values(&[dataset, "succeeded"]).inc_by(report.items.succeeded);
        self.items.with_label_values(&[dataset, "rejected"]).inc_by(report.items.rejected);
        self.bytes_read.with_label_values(&[dataset]).inc_by(report.bytes_read);
        for output in outputs() {
            self.bytes_written.with_label_values(&[dataset, &output.output]).inc_by(output.bytes);
            self.rows.with_label_values(&[dataset, &output.output]).inc_by(output.rows);
        }
        for (code, count) in &report.failures.by_code {
            let latest = report.failures.first.iter().rfind(|failure| failure.code == *code).map(|failure| {
                let item = failure.item.clone().unwrap_or_else(|| failure.index.to_string());
                Example::now(batch, Some(&item), &failure.message)
            });
            let known = self.bounded().codes.entry(dataset.into()).or_default().admit(code, CODES_PER_DATASET);
            let code = if known { code } else { "other" };
            self.item_failures.with_label_values(&[dataset, code]).inc_by(*count);
            self.board.failed(Failed::Items, dataset, code, *count, latest);
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
        if let Err(error) = TextEncoder::new().encode(&self.gather(), &mut text) {
            tracing::warn!(%error, "metrics");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// How the worker is now; `not_ready` says why it takes no messages.
    pub fn status(&self, not_ready: Option<String>) -> Status {
        let queue = |(queue, depth): (&String, &Depth), pace: Pace| {
            let Depth { visible, in_flight, delayed } = *depth;
            let backlog_seconds = pace.seconds_for(visible + in_flight + delayed, self.slots.get());
            QueueStatus { queue: queue.clone(), visible, in_flight, delayed, backlog_seconds }
        };
        let queues = {
            let bounded = self.bounded();
            bounded.depths.iter().map(|depth| queue(depth, bounded.pace)).collect()
        };
        let gauges = Gauges {
            in_flight: self.batches_in_flight.get(),
            slots: self.slots.get(),
            slots_busy: self.slots_busy.get(),
            memory_bytes: self.memory.get(),
            memory_busy_bytes: self.memory_busy.get(),
        };
        let registry = RegistryStatus { answers: self.registry_answers.get() == 1, head: self.registry_head.get() };
        let pause_seconds = self.pressure.get();
        self.board.look(Numbers { gauges, queues, pause_seconds, registry: Some(registry) }, not_ready)
    }

    /// Everything as it is now.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        for (service, counted) in aws::attempts() {
            catch_up(&self.retries, service, counted.retries);
            catch_up(&self.throttles, service, counted.throttles);
        }
        for (result, counted) in runtime::cache_results() {
            catch_up(&self.component_cache, result, counted);
        }
        self.registry.gather()
    }

    pub(super) fn bounded(&self) -> std::sync::MutexGuard<'_, Bounded> {
        self.bounded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings a counter to what was counted elsewhere, for the whole process.
fn catch_up(counter: &IntCounterVec, label: &str, now: u64) {
    let counter = counter.with_label_values(&[label]);
    counter.inc_by(now.saturating_sub(counter.get()));
}

impl Metric {
    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }
}

pub(super) fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
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

pub(super) trait Admit {
    /// Whether the name is one of the first `most`.
    fn admit(&mut self, name: &str, most: usize) -> bool;
}

impl Admit for BTreeSet<String> {
    fn admit(&mut self, name: &str, most: usize) -> bool {
        self.contains(name) || (self.len() < most && self.insert(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever registers the same name with the same labels again is refused.
    #[test]
    fn every_name_is_a_metric() {
        let metrics = Metrics::new().unwrap();
        for metric in names::ALL.iter().flat_map(|(_, metrics)| *metrics) {
            let again = IntGaugeVec::new(metric.options(), metric.labels).unwrap();
            let refused = metrics.registry.register(Box::new(again));
            assert!(matches!(refused, Err(prometheus::Error::AlreadyReg)), "{}: {refused:?}", metric.name);
        }
    }

    #[test]
    fn how_deep_a_queue_is_and_what_that_means_for_this_worker() {
        let metrics = Metrics::new().unwrap();
        metrics.slots.set(4);
        metrics.depth("q", Depth { visible: 90, in_flight: 8, delayed: 2 });
        let text = metrics.render();
        assert!(text.contains(r#"gristmill_queue_messages{queue="q",state="in_flight"} 8"#), "{text}");
        assert!(text.contains(r#"gristmill_queue_backlog_per_slot{queue="q"} 25"#), "{text}");
        assert!(!text.contains("gristmill_queue_backlog_seconds"), "nobody knows how long a batch takes: {text}");
        metrics.ran(Duration::from_secs(2));
        metrics.depth("q", Depth { visible: 90, in_flight: 8, delayed: 2 });
        assert!(metrics.render().contains(r#"gristmill_queue_backlog_seconds{queue="q"} 50"#));
        metrics.no_depth("q");
        assert!(!metrics.render().contains("gristmill_queue_"), "what was known once is no answer");
    }

    #[test]
    fn a_swap_is_a_change_of_the_version() {
        let metrics = Metrics::new().unwrap();
        ["1", "1", "2"].iter().for_each(|version| metrics.version("d", version));
        let text = metrics.render();
        assert!(text.contains(r#"gristmill_version_swaps_total{dataset="d"} 1"#), "{text}");
        assert!(text.contains(r#"gristmill_version{dataset="d",version="2"} 1"#), "{text}");
        assert!(!text.contains(r#"version="1""#), "{text}");
    }
}
