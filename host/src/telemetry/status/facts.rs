//! What is known of a worker at one moment, as `/status` has it in JSON.

use serde::Serialize;
use time::OffsetDateTime;

use super::failures::Failure;
use super::running::RunningStatus;

/// A worker at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// How it is, in one word.
    pub state: State,
    /// The same for people, with the backlog.
    pub headline: String,
    /// Further sentences: why it is so, and what happens next.
    pub details: Vec<String>,
    /// When this was so.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Which process this is about, and no other.
    pub process: Process,
    /// Why no messages are taken; none if they are.
    pub not_ready: Option<String>,
    /// The end that it comes to; none if it was not told to stop.
    pub drain: Option<Drain>,
    /// How much it holds back.
    pub pressure: Pressure,
    /// What it is busy with.
    pub gauges: Gauges,
    /// The queues that it takes batches from, as far as their depth is known.
    pub queues: Vec<QueueStatus>,
    /// Batches that are under way, the oldest first.
    pub batches: Vec<RunningStatus>,
    /// How fast it is.
    pub throughput: Throughput,
    /// What it did since it was started.
    pub totals: Totals,
    /// What failed since then, the latest first.
    pub failures: Vec<Failure>,
    /// Its datasets with their versions.
    pub datasets: Vec<DatasetStatus>,
    /// The registry; none if none is followed.
    pub registry: Option<RegistryStatus>,
}

/// How a worker is. If several are true, it is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was told to stop, and ends what is under way.
    Draining,
    /// It takes no messages yet.
    NotReady,
    /// A batch makes no progress.
    Stuck,
    /// Services do not keep up, and it takes fewer batches.
    HoldingBack,
    /// Batches are under way.
    Working,
    /// Nothing is under way.
    Idle,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Whether it is a run of `gristmill map`, no worker of a fleet.
    pub local_run: bool,
    /// The name of the machine or container.
    pub host: String,
    /// The process's number there.
    pub pid: u32,
    /// The version of gristmill.
    pub version: &'static str,
    /// When it was started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// How long ago that is.
    pub up_seconds: f64,
}

/// The end of a worker that was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drain {
    /// How long batches may go on; what is not done by then is returned to the queue.
    pub left_seconds: f64,
}

/// How much a worker holds back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// The pause before the next receive; zero while services keep up.
    pub pause_seconds: f64,
    /// For how long it has been so.
    pub for_seconds: Option<f64>,
    /// The latest reason.
    pub reason: Option<String>,
}

/// What a worker is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gauges {
    /// Messages that were received and have no fate yet. Those that are no batch yet are no batch above.
    pub in_flight: i64,
    /// Items that may run at once.
    pub slots: i64,
    /// Items that run.
    pub slots_busy: i64,
    /// Memory that items may take together; 0 is no limit.
    pub memory_bytes: i64,
    /// Memory set aside for items that run.
    pub memory_busy_bytes: i64,
}

/// A queue, as it was when it was last asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Its name in metrics.
    pub queue: String,
    /// Messages that wait.
    pub visible: u64,
    /// Messages that somebody has.
    pub in_flight: u64,
    /// Messages that are to wait later.
    pub delayed: u64,
    /// How long this worker alone would take for all of them; none before it has done a batch.
    pub backlog_seconds: Option<f64>,
}

/// How much was done per second in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Throughput {
    /// Items that ended.
    pub items_per_second: f64,
    /// Deliveries whose fate is known.
    pub batches_per_second: f64,
}

/// Sums since the process was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Deliveries that were answered.
    pub batches_acked: u64,
    /// Deliveries that went back to their queue.
    pub batches_returned: u64,
    /// Messages that were set aside.
    pub batches_parked: u64,
    /// Items of committed batches whose rows count.
    pub items_succeeded: u64,
    /// Items of committed batches without a result.
    pub items_rejected: u64,
    /// Rows of committed outputs.
    pub rows: u64,
    /// Bytes of objects that plugins read.
    pub bytes_read: u64,
}

/// A dataset with its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DatasetStatus {
    /// Its name.
    pub dataset: String,
    /// The version that batches begin with.
    pub version: Option<String>,
    /// Its release, or without a registry its component.
    pub digest: Option<String>,
    /// Why no batch of it can be worked on.
    pub broken: Option<String>,
    /// The version that is tried.
    pub trial: Option<TrialStatus>,
    /// Versions that the registry wants and that were refused.
    pub refused: Vec<Refusal>,
    /// Why outputs refuse its rows, as they said when the worker was started.
    pub outputs_refused: Vec<String>,
}

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrialStatus {
    /// The version.
    pub version: String,
    /// `canary` or `shadow`.
    pub kind: String,
    /// The share of the batches.
    pub share: String,
}

/// A version that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The version.
    pub version: String,
    /// The release.
    pub release: String,
    /// Why.
    pub reason: String,
}

/// A registry that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RegistryStatus {
    /// Whether it answered the last request.
    pub answers: bool,
    /// The number of its head that is in use.
    pub head: i64,
}

/// Who knows the datasets of a process.
pub trait Datasets: Send + Sync {
    /// All of them, by name, without what was refused.
    fn datasets(&self) -> Vec<DatasetStatus>;
}
