//! What became of a run: for programs as JSON (`--json`), for people as text.

mod failures;
mod outputs;
mod redone;
mod text;

use std::time::Duration;

use serde::Serialize;

pub use self::failures::{Example, FailureSummary};
pub use self::outputs::Output;
pub use self::redone::RedoneBatches;
use super::units::per_second;
use crate::batch::Cause;
use crate::report::{BatchReport, Component};

/// The most that is listed of what could be one per batch: components, codes, reports.
const MAX_LISTED: usize = 10;

/// What became of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The dataset's name.
    pub dataset: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Where the items came from, for people.
    pub source: String,
    /// What ran. More than one if an interrupted run went on with another component.
    pub components: Vec<Component>,
    /// Items by outcome.
    pub items: Items,
    /// Batches by outcome.
    pub batches: Batches,
    /// Batches of an earlier run that were done again, by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<RedoneBatches>,
    /// What was written, per output.
    pub outputs: Vec<Output>,
    /// The items without a result.
    pub failures: FailureSummary,
    /// The first full reports, where batches had more failures than they could answer.
    pub reports: Vec<String>,
    /// What the items that ran now read, in bytes.
    pub bytes_read: u64,
    /// How long the run took, in seconds.
    pub elapsed_seconds: f64,
    /// What was read a second.
    pub bytes_per_second: f64,
    /// How many items ran a second.
    pub items_per_second: f64,
    /// The batches that failed because too many of their items were rejected, by number: the rows of the others count.
    #[serde(skip)]
    pub rejected: Vec<(u64, BatchReport)>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No more failures than are tolerated.
    Succeeded,
    /// As Step Functions would have failed it; [`Summary::error`] says why.
    Failed,
    /// The user stopped it. The same command goes on.
    Interrupted,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunError {
    /// Step Functions' name for it: `States.…`.
    pub name: &'static str,
    /// What happened.
    pub cause: String,
}

/// Items by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// Read so far: all, unless the run ended early.
    pub total: u64,
    /// Their rows count.
    pub succeeded: u64,
    /// They have no result and never will.
    pub rejected: u64,
    /// They were in batches that failed as a whole.
    pub failed: u64,
    /// Of the succeeded and rejected: what an earlier run had done already.
    pub replayed: u64,
}

/// Batches by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Batches {
    /// Succeeded now.
    pub done: u64,
    /// Had succeeded in an earlier run.
    pub replayed: u64,
    /// Failed.
    pub failed: u64,
}

impl Batches {
    /// All that have an answer.
    pub fn total(&self) -> u64 {
        self.done + self.replayed + self.failed
    }
}

/// How a batch failed as a whole.
pub(super) struct BatchFailure {
    pub(super) error: String,
    pub(super) cause: String,
}

impl Summary {
    pub(super) fn new(dataset: &str, source: String) -> Self {
        Self {
            dataset: dataset.into(),
            status: Status::Succeeded,
            error: None,
            source,
            components: Vec::new(),
            items: Items::default(),
            batches: Batches::default(),
            again: Vec::new(),
            outputs: Vec::new(),
            failures: FailureSummary::default(),
            reports: Vec::new(),
            bytes_read: 0,
            elapsed_seconds: 0.0,
            bytes_per_second: 0.0,
            items_per_second: 0.0,
            rejected: Vec::new(),
        }
    }

    /// A run that has come to no items: why, or none if it was interrupted.
    pub fn without_items(dataset: &str, source: String, failed: Option<RunError>) -> Self {
        let status = if failed.is_some() { Status::Failed } else { Status::Interrupted };
        Self { status, error: failed, ..Self::new(dataset, source) }
    }

    /// Fails the run after its last batch.
    pub fn fail(&mut self, error: RunError) {
        self.status = Status::Failed;
        self.error = Some(error);
    }

    /// Counts a batch that succeeded.
    pub(super) fn succeeded(&mut self, batch: u64, report: BatchReport) {
        if report.from_receipt {
            self.batches.replayed += 1;
        } else {
            self.batches.done += 1;
        }
        self.add(batch, report);
    }

    /// Counts a batch that failed. With a report its other items' rows count all the same.
    pub(super) fn failed(&mut self, batch: u64, items: u64, failure: BatchFailure, report: Option<BatchReport>) {
        self.batches.failed += 1;
        let Some(report) = report else {
            self.items.failed += items;
            let message = self.without_place(&failure.cause, batch).to_owned();
            self.failures.count(failure.error.clone(), items);
            self.failures.show(Example { batch, item: None, code: failure.error, message });
            return;
        };
        self.rejected.push((batch, report.clone()));
        self.add(batch, report);
    }

    /// Counts a batch that was done again.
    pub(super) fn redone(&mut self, batch: u64, cause: Cause, place: &str) {
        redone::add(&mut self.again, batch, cause, place);
    }

    /// The cause without the dataset and the batch at its start. Step Functions shows causes alone, so they begin with these;
    /// an example has a field for them.
    pub(super) fn without_place<'c>(&self, cause: &'c str, batch: u64) -> &'c str {
        cause.strip_prefix(&format!("dataset {}, batch {batch:06}: ", self.dataset)).unwrap_or(cause)
    }

    fn add(&mut self, batch: u64, report: BatchReport) {
        self.items.succeeded += report.items.succeeded;
        self.items.rejected += report.items.rejected;
        if report.from_receipt {
            self.items.replayed += report.items.total;
        } else {
            self.bytes_read += report.bytes_read;
        }
        if !self.components.contains(&report.component) && self.components.len() < MAX_LISTED {
            self.components.push(report.component);
        }
        for written in report.outputs {
            outputs::add(&mut self.outputs, written);
        }
        if let Some(uri) = report.report
            && self.reports.len() < MAX_LISTED
        {
            self.reports.push(uri);
        }
        self.failures.add(batch, report.failures);
    }

    pub(super) fn finish(&mut self, elapsed: Duration) {
        let ran = (self.items.succeeded + self.items.rejected).saturating_sub(self.items.replayed);
        self.elapsed_seconds = elapsed.as_secs_f64();
        self.bytes_per_second = per_second(self.bytes_read, elapsed);
        self.items_per_second = per_second(ran, elapsed);
    }

    /// Says where each place is on this machine; `local` gives the file or folder of a place.
    pub fn locate(&mut self, local: impl Fn(&str) -> Option<String>) {
        for output in self.outputs.iter_mut().filter(|output| !output.is_nothing()) {
            output.local = local(&output.place);
        }
    }

    /// Whether everything had been done before, so that nothing was written.
    pub fn nothing_new(&self) -> bool {
        self.status == Status::Succeeded && self.batches.done == 0 && self.batches.failed == 0
    }
}
