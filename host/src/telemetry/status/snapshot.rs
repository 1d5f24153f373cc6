//! One moment of a worker, put together from what was written down.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::board::{Board, Total, lock};
use super::facts::{
    DatasetStatus, Drain, Gauges, Pressure, Process, QueueStatus, RegistryStatus, State, Status, Throughput, Totals,
};
use super::headline;

/// What metrics know.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// What the worker is busy with.
    pub gauges: Gauges,
    /// Its queues.
    pub queues: Vec<QueueStatus>,
    /// The pause before the next receive.
    pub pause_seconds: f64,
    /// The registry, if one is followed.
    pub registry: Option<RegistryStatus>,
}

impl Board {
    /// How everything is now.
    pub fn look(&self, numbers: Numbers, not_ready: Option<String>) -> Status {
        let Numbers { gauges, queues, pause_seconds, registry } = numbers;
        let now = Instant::now();
        let up = now.saturating_duration_since(self.began);
        let batches = lock(&self.running).values().map(|running| running.look()).collect();
        let drain = self.drain.get().map(|until| Drain { left_seconds: seconds(until.saturating_duration_since(now)) });
        let held = lock(&self.held_back).clone().filter(|_| pause_seconds > 0.0);
        let (since, reason) = held.unzip();
        let for_seconds = since.map(|since| seconds(now.saturating_duration_since(since)));
        let mut status = Status {
            state: State::Idle,
            headline: String::new(),
            details: Vec::new(),
            at: SystemTime::now().into(),
            process: Process {
                local_run: self.local.get().is_some(),
                host: host(),
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION"),
                started: OffsetDateTime::from(self.began_at),
                up_seconds: seconds(up),
            },
            not_ready,
            drain,
            pressure: Pressure { pause_seconds, for_seconds, reason },
            gauges,
            queues,
            batches,
            throughput: Throughput {
                items_per_second: self.items.per_second(up),
                batches_per_second: self.batches.per_second(up),
            },
            totals: Totals {
                batches_acked: self.total(Total::Acked),
                batches_returned: self.total(Total::Returned),
                batches_parked: self.total(Total::Parked),
                items_succeeded: self.total(Total::Succeeded),
                items_rejected: self.total(Total::Rejected),
                rows: self.total(Total::Rows),
                bytes_read: self.total(Total::BytesRead),
            },
            failures: lock(&self.failures).list(),
            datasets: self.datasets(),
            registry: registry.filter(|_| self.registry.get().is_some()),
        };
        (status.state, status.headline, status.details) = headline::of(&status);
        status
    }

    /// What is in use, and what is not.
    fn datasets(&self) -> Vec<DatasetStatus> {
        let known = self.datasets.get().map(|datasets| datasets.datasets()).unwrap_or_default();
        let mut datasets: BTreeMap<String, DatasetStatus> =
            known.into_iter().map(|dataset| (dataset.dataset.clone(), dataset)).collect();
        let mut of = |name: &str, add: &dyn Fn(&mut DatasetStatus)| {
            let empty = || DatasetStatus { dataset: name.to_owned(), ..DatasetStatus::default() };
            add(datasets.entry(name.to_owned()).or_insert_with(empty));
        };
        for ((name, _), refusal) in &*lock(&self.refusals) {
            of(name, &|dataset| dataset.refused.push(refusal.clone()));
        }
        for (name, why) in &*lock(&self.outputs_refused) {
            of(name, &|dataset| dataset.outputs_refused.clone_from(why));
        }
        let mut datasets: Vec<DatasetStatus> = datasets.into_values().collect();
        datasets.iter_mut().for_each(|dataset| dataset.refused.sort_by(|one, other| one.release.cmp(&other.release)));
        datasets
    }
}

/// The name of this machine, or of the container.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
