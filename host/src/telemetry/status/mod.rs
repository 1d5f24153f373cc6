//! What the status page shows. Facts are written down where they happen (`board.rs`, `running.rs`), read as one [`Status`] when
//! somebody asks (`snapshot.rs`), and said in words (`headline.rs`, `html.rs`).

mod board;
mod facts;
mod failures;
mod headline;
mod html;
mod markup;
mod rate;
mod running;
mod snapshot;
mod words;

pub(super) use self::board::Total;
pub use self::board::{Board, UnderWay};
pub use self::facts::{
    DatasetStatus, Datasets, Drain, Gauges, Pressure, Process, QueueStatus, Refusal, RegistryStatus, State, Status,
    Throughput, Totals, TrialStatus,
};
pub use self::failures::{Example, Failed, Failure};
pub use self::html::{content_security_policy, page};
pub use self::running::{BatchFacts, Running, RunningStatus, Stage};
pub use self::snapshot::Numbers;

#[cfg(test)]
mod tests;
