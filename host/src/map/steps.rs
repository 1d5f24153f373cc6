//! The steps of a run between its Distributed Maps: one message each, without items.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempts, CLOSE_STATE, CONCLUSION_STATE, Clock, PLAN_STATE, Submit};
use super::names;
use super::summary::{BatchFailure, RunError};
use crate::conclude::Concluded;
use crate::dataset::{BadPlace, Dataset, RunValues};
use crate::job::{BatchId, Conclude, PlanRun, Results, RunWindow, Step};
use crate::object::Location;
use crate::windows::Planned;

/// Who has the steps of one stage of a run done.
pub struct Steps<'a> {
    /// The stage.
    pub dataset: &'a Dataset,
    /// The run's own name.
    pub run: &'a str,
    /// What stands in its places.
    pub values: &'a RunValues,
    /// The window that the run takes of a table.
    pub window: Option<&'a RunWindow>,
    /// Where messages go.
    pub submit: &'a dyn Submit,
    /// The clock of its attempts.
    pub clock: &'a dyn Clock,
    /// Ends the wait for another attempt.
    pub shutdown: &'a CancellationToken,
}

/// What the step that closes a window says.
#[derive(Debug, Deserialize)]
pub struct ClosedWindow {
    /// Whether it has moved.
    pub window: String,
}

impl Steps<'_> {
    /// Has the run planned. None if `shutdown` came first.
    pub async fn plan(&self, plan: PlanRun) -> Option<Result<Planned, RunError>> {
        self.step(Step::Plan(plan), "what the run takes could not be planned").await
    }

    /// Has the stage concluded, whose batches answered this if there were any. None if `shutdown` came first.
    pub async fn conclude(&self, results: Option<Results>) -> Option<Result<Concluded, RunError>> {
        let takes = self.dataset.stage.iter().flat_map(|stage| &stage.hands_over);
        let takes = takes.filter_map(|takes| serde_json::to_value(takes).ok()).collect();
        let conclude = Step::Conclude(Conclude { results, takes });
        self.step(conclude, "the batches are done, and what they committed could not be handed over").await
    }

    /// Has the window closed. None if `shutdown` came first.
    pub async fn close(&self, close: RunWindow) -> Option<Result<ClosedWindow, RunError>> {
        self.step(Step::Close(close), "everything is committed, and the window could not be closed").await
    }

    /// Where Step Functions would write the answers of the stage's batches, if there is something to conclude.
    pub fn results(&self) -> Result<Option<Location>, BadPlace> {
        let ends = self.dataset.concluded().next().is_some();
        let place = self.dataset.map.result_writer.as_ref().filter(|_| ends);
        place.map(|place| place.resolve(self.values)).transpose()
    }

    async fn step<T: DeserializeOwned>(&self, step: Step, failed: &str) -> Option<Result<T, RunError>> {
        let attempts = Attempts {
            submit: self.submit,
            clock: self.clock,
            dataset: &self.dataset.name,
            run: self.run,
            batch_input: None,
            values: self.values,
            window: self.window,
            max_attempts: self.dataset.map.max_attempts,
            stop: self.shutdown.clone(),
        };
        let BatchId { execution, .. } = step_id(&self.dataset.name, self.run, &step);
        let answer = attempts.step(execution, step).await?;
        Some(answer.map_err(|BatchFailure { error, cause }| RunError {
            name: "States.TaskFailed",
            cause: format!("{failed}: {error}: {cause}"),
        }))
    }
}

/// The batch that a step is.
fn step_id(dataset: &str, run: &str, step: &Step) -> BatchId {
    let (name, state) = match step {
        Step::Plan(_) => ("plan", PLAN_STATE),
        Step::Conclude(_) => ("conclude", CONCLUSION_STATE),
        Step::Close(_) => ("close", CLOSE_STATE),
    };
    BatchId { execution: names::step(dataset, run, name), state: state.into() }
}

/// The step that concludes a stage.
pub fn conclusion_id(dataset: &str, run: &str) -> BatchId {
    BatchId { execution: names::step(dataset, run, "conclude"), state: CONCLUSION_STATE.into() }
}

/// The step that plans a run.
pub fn plan_id(dataset: &str, run: &str) -> BatchId {
    BatchId { execution: names::step(dataset, run, "plan"), state: PLAN_STATE.into() }
}
