//! What became of a run: for programs as JSON (`--json`), for people as text.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::again::Repeated;
use super::progress::per_second;
use crate::batch::Cause;
use crate::report::{BatchReport, Component, Failures, OTHER_CODES};

/// How many failures are shown, over all batches, and of one code.
const MAX_EXAMPLES: usize = 10;
const MAX_EXAMPLES_PER_CODE: usize = 3;

/// How many codes are counted one by one: a plugin that puts names into its codes must not fill the memory.
const MAX_CODES: usize = 1000;

/// How many other things are listed of which there could be one per batch.
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
    /// Of the batches that ran: those that an earlier run had done, by why they were done again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<Repeated>,
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

/// What was written to one output, by this run and by the earlier ones that it went on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its name.
    pub output: String,
    /// Where: `table:NAME`, an object, or the prefix of several or of none.
    pub place: String,
    /// The same under `--local`, as the caller filled it in: a file or folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// How many objects with rows; none for a table.
    pub objects: u64,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// The items without a result, counted in full and shown in part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FailureSummary {
    /// How many items per code. A batch that failed as a whole counts with all its items, by the error's name.
    pub by_code: BTreeMap<String, u64>,
    /// The first ones.
    pub first: Vec<Example>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The batch's number, from 0, as in its child execution's name.
    pub batch: u64,
    /// The item's name, or its place in the batch; none if the batch failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What it is counted by.
    pub code: String,
    /// What happened.
    pub message: String,
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
        }
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
        self.add(batch, report);
    }

    /// Counts a batch that was done again.
    pub(super) fn repeated(&mut self, batch: u64, cause: Cause, place: &str) {
        let first = Some(place).filter(|place| !place.is_empty()).map(str::to_owned);
        let one = Repeated { cause, batches: 1, first, batch };
        match self.again.iter_mut().find(|known| known.cause == cause) {
            // Batches end in any order.
            Some(known) if batch < known.batch => *known = Repeated { batches: known.batches + 1, ..one },
            Some(known) => known.batches += 1,
            None => self.again.push(one),
        }
    }

    /// The cause without what an example says by itself: Step Functions shows causes alone, so they begin with their place.
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
        for mut written in report.outputs {
            let is_table = written.place.starts_with("table:");
            let objects = u64::from(written.rows > 0 && !is_table);
            if objects == 0 && !is_table {
                // There is no such object.
                keep_folder(&mut written.place);
            }
            let (rows, bytes) = (written.rows, written.bytes);
            match self.outputs.iter_mut().find(|known| known.output == written.output) {
                None => self.outputs.push(Output {
                    output: written.output,
                    place: written.place,
                    local: None,
                    objects,
                    rows,
                    bytes,
                }),
                Some(known) => {
                    match (known.objects, objects) {
                        (0, 1..) => known.place = written.place,
                        (1.., 0) => {}
                        _ => keep_common_prefix(&mut known.place, &written.place),
                    }
                    known.objects += objects;
                    known.rows += rows;
                    known.bytes += bytes;
                }
            }
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

impl Output {
    /// Whether it has no rows, and so no object.
    fn is_nothing(&self) -> bool {
        self.objects == 0 && !self.place.starts_with("table:")
    }
}

/// Cuts the place after its last `/`.
fn keep_folder(place: &mut String) {
    let end = place.rfind('/').map_or(0, |slash| slash + 1);
    place.truncate(end);
}

/// Cuts the place after its last `/` that both have in common.
fn keep_common_prefix(place: &mut String, other: &str) {
    if place == other {
        return;
    }
    let common = place.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // Both are UTF-8 and equal up to here, and `/` is ASCII, so that this is between characters.
    let end = place.as_bytes()[..common].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    place.truncate(end);
}

impl FailureSummary {
    fn add(&mut self, batch: u64, failures: Failures) {
        for (code, count) in failures.by_code {
            self.count(code, count);
        }
        for failure in failures.first {
            let item = failure.item.unwrap_or_else(|| format!("batch {batch:06}, item {}", failure.index));
            self.show(Example { batch, item: Some(item), code: failure.code, message: failure.message });
        }
    }

    fn count(&mut self, code: String, items: u64) {
        let known = self.by_code.len() < MAX_CODES || self.by_code.contains_key(&code);
        *self.by_code.entry(if known { code } else { OTHER_CODES.into() }).or_default() += items;
    }

    fn show(&mut self, example: Example) {
        let of_code = self.first.iter().filter(|shown| shown.code == example.code).count();
        if self.first.len() < MAX_EXAMPLES && of_code < MAX_EXAMPLES_PER_CODE {
            self.first.push(example);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_bounded_and_all_are_counted() {
        let mut failures = FailureSummary::default();
        for n in 0..3000 {
            failures.count(format!("code-{}", n % 1500), 2);
        }
        assert_eq!(failures.by_code.len(), MAX_CODES + 1);
        assert_eq!(failures.by_code.values().sum::<u64>(), 6000);
    }

    #[test]
    fn places_have_their_prefix_in_common() {
        for (a, b, common) in [
            ("s3://b/x/1.csv", "s3://b/x/2.csv", "s3://b/x/"),
            ("s3://b/x/1.csv", "s3://b/y/1.csv", "s3://b/"),
            ("s3://b/ä/1", "s3://b/ö/1", "s3://b/"),
            ("table:t", "table:t", "table:t"),
        ] {
            let mut place = a.to_owned();
            keep_common_prefix(&mut place, b);
            assert_eq!(place, common);
        }
    }
}
