//! The run: batches to the workers, at most so many at once, until all have their answers or too many failed.
//!
//! A run that is repeated gives its batches the same names. The ledger then answers for those that are done, so that a run
//! that was interrupted goes on, and one that was finished has nothing to do.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempts, Clock, Fate, Submit};
use super::batcher::{Batcher, Limits};
use super::feed::{Feed, NumberedBatch};
use super::names;
use super::progress::{BatchDone, Progress};
use super::reader;
use super::redo::Redo;
use super::select::Selector;
use super::summary::{RunError, Status, Summary};
use super::tolerance::Tolerance;
use crate::dataset::{RunValues, Template};
use crate::job::{RunWindow, error_names};

/// How many bytes of batches are read ahead of the workers: enough to know the total, and with it the time left, early in
/// most runs.
const READ_AHEAD: usize = 16 * 1024 * 1024;

/// Batches at once where the dataset sets no limit (`MaxConcurrency` 0): Step Functions' own.
const NO_LIMIT: usize = 10_000;

/// What to run: the dataset's `[map]` with every placeholder filled in.
pub struct Plan {
    /// The dataset's name.
    pub dataset: String,
    /// What the run is called.
    pub run: String,
    /// The state's input.
    pub input: Box<RawValue>,
    /// The items.
    pub items: reader::Items,
    /// Where they come from, for people.
    pub source: String,
    /// What each item becomes; none leaves items byte for byte as they are.
    pub select: Option<Template>,
    /// What all items of a batch share.
    pub batch_input: Option<Box<RawValue>>,
    /// What stands in the places of this run.
    pub values: RunValues,
    /// The window that the run takes of a table.
    pub window: Option<RunWindow>,
    /// How large a batch may be.
    pub limits: Limits,
    /// Batches at once; 0 for Step Functions' own limit.
    pub max_concurrency: u32,
    /// How many items may fail.
    pub tolerance: Tolerance,
    /// How often a batch is tried again.
    pub max_attempts: u32,
    /// How long a run that stops early waits for the batches that are under way.
    pub grace: Duration,
    /// What an earlier run had done and is done again.
    pub redo: Redo,
}

/// Runs the plan to its end. After `shutdown` is cancelled no batch begins, and running ones are waited for no longer than
/// [`Plan::grace`].
pub async fn run(
    plan: Plan,
    submit: &dyn Submit,
    clock: &dyn Clock,
    progress: &mut Progress,
    shutdown: &CancellationToken,
) -> Summary {
    let execution = names::execution(&plan.dataset, &plan.run);
    let selector = plan.select.as_ref().map(|select| Selector::new(select, &plan.input, &execution));
    let mut feed = Feed::new(plan.items, selector, Batcher::new(plan.limits, plan.batch_input.as_deref()));
    let stop = CancellationToken::new();
    let attempts = Attempts {
        submit,
        clock,
        dataset: &plan.dataset,
        run: &plan.run,
        batch_input: plan.batch_input.as_deref(),
        values: &plan.values,
        window: plan.window.as_ref(),
        max_attempts: plan.max_attempts,
        stop: stop.clone(),
    };
    let max_running = if plan.max_concurrency == 0 { NO_LIMIT } else { plan.max_concurrency as usize };
    let mut state = State {
        summary: Summary::new(&plan.dataset, plan.source),
        tolerance: plan.tolerance,
        failed_items: 0,
        total: None,
        stop,
        redo: plan.redo,
        hopeless: false,
    };
    let mut ahead = ReadAhead::default();
    let mut running = FuturesUnordered::new();
    let grace = async {
        attempts.stop.cancelled().await;
        clock.sleep(plan.grace).await;
    };
    tokio::pin!(grace);
    loop {
        while !state.stop.is_cancelled()
            && !shutdown.is_cancelled()
            && running.len() < max_running
            && let Some(batch) = ahead.pop()
        {
            running.push(attempts.run(batch));
        }
        let nothing_to_begin = state.stop.is_cancelled() || (state.total.is_some() && ahead.is_empty());
        if running.is_empty() && nothing_to_begin || state.hopeless {
            break;
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if state.summary.status != Status::Interrupted => {
                if state.stop.is_cancelled() {
                    break; // the run has failed already; the user does not want to wait
                }
                state.summary.status = Status::Interrupted;
                state.stop.cancel();
                progress.note("stopping when the batches that are under way are done; Ctrl-C again stops at once");
            }
            Some((number, items, fate)) = running.next(), if !running.is_empty() => {
                if let Some(done) = state.settle(number, items, fate) {
                    progress.batch_done(done, clock.elapsed());
                }
            }
            () = &mut grace => break,
            next = feed.next(), if !state.stop.is_cancelled() && state.total.is_none() && ahead.has_room() => match next {
                Ok(Some(batch)) => ahead.push(batch),
                Ok(None) => {
                    progress.total_known(feed.read(), clock.elapsed());
                    state.total_known(feed.read());
                }
                Err(error) => state.fail(error),
            },
        }
    }
    drop(running);
    progress.finish(clock.elapsed());
    state.conclude();
    let mut summary = state.summary;
    summary.items.total = feed.read();
    summary.finish(clock.elapsed());
    summary
}

/// Where a run stands.
struct State {
    summary: Summary,
    tolerance: Tolerance,
    /// All items of failed batches, which the tolerance limits.
    failed_items: u64,
    /// How many items there are, once all have been read.
    total: Option<u64>,
    /// Cancelled when nothing new shall begin.
    stop: CancellationToken,
    redo: Redo,
    /// Whether all running batches would fail too. They are then not waited for.
    hopeless: bool,
}

impl State {
    fn settle(&mut self, number: u64, items: u64, fate: Fate) -> Option<BatchDone> {
        let report = match &fate {
            Fate::Succeeded(report) => Some(report),
            Fate::Failed(_, report) => report.as_ref(),
            Fate::Abandoned => None,
        };
        if let Some((cause, place)) = self.redo.why(number)
            && report.is_some_and(|report| !report.from_receipt)
        {
            self.summary.redone(number, *cause, place);
        }
        let done = match fate {
            // Only the user can mend a refused output: it is reported once, and not by every batch.
            Fate::Failed(failure, None) if failure.error == error_names::OUTPUT_REFUSED => {
                let cause = self.summary.without_place(&failure.cause, number).to_owned();
                self.fail(RunError { name: error_names::OUTPUT_REFUSED, cause });
                self.hopeless = true;
                return None;
            }
            Fate::Succeeded(report) => {
                let (bytes, failures, replayed) = (report.bytes_read, report.items.rejected, report.from_receipt);
                self.summary.succeeded(number, report);
                BatchDone { items, bytes, failures, replayed }
            }
            Fate::Failed(failure, report) => {
                let done = match &report {
                    Some(report) => BatchDone {
                        items,
                        bytes: report.bytes_read,
                        failures: report.items.rejected,
                        replayed: report.from_receipt,
                    },
                    None => BatchDone { items, failures: items, ..BatchDone::default() },
                };
                self.failed_items += items;
                self.summary.failed(number, items, failure, report);
                done
            }
            Fate::Abandoned => return None,
        };
        self.judge();
        Some(done)
    }

    fn total_known(&mut self, total: u64) {
        self.total = Some(total);
        self.judge();
    }

    fn judge(&mut self) {
        if let Some(cause) = self.tolerance.exceeded(self.failed_items, self.total) {
            self.fail(RunError { name: "States.ExceedToleratedFailureThreshold", cause });
        }
    }

    /// A run that was interrupted after its last batch has succeeded.
    fn conclude(&mut self) {
        let items = &self.summary.items;
        let settled = items.succeeded + items.rejected + items.failed;
        if self.summary.status == Status::Interrupted && self.total == Some(settled) {
            self.summary.status = Status::Succeeded;
            self.judge();
        }
    }

    /// Fails the run, unless it has ended otherwise already.
    fn fail(&mut self, error: RunError) {
        if self.summary.status == Status::Succeeded {
            self.summary.status = Status::Failed;
            self.summary.error = Some(error);
            self.stop.cancel();
        }
    }
}

/// Batches that have been read and not begun.
#[derive(Default)]
struct ReadAhead {
    batches: VecDeque<NumberedBatch>,
    bytes: usize,
}

impl ReadAhead {
    fn push(&mut self, batch: NumberedBatch) {
        self.bytes += batch.batch.bytes;
        self.batches.push_back(batch);
    }

    fn pop(&mut self) -> Option<NumberedBatch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.batch.bytes;
        Some(batch)
    }

    fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn has_room(&self) -> bool {
        self.bytes < READ_AHEAD
    }
}

#[cfg(test)]
mod tests;
