//! The end of a stage whose batches have all succeeded: one message, which makes items of what they committed.

use tokio_util::sync::CancellationToken;

use super::attempt::{Attempts, Clock, Submit};
use super::summary::{BatchFailure, RunError};
use crate::conclude::Concluded;
use crate::dataset::{BadPlace, Dataset, RunValues};
use crate::job::{Conclude, Results};
use crate::object::Location;

/// What concludes a stage of one run.
pub struct Conclusion<'a> {
    dataset: &'a Dataset,
    run: &'a str,
    values: &'a RunValues,
    /// Below which place the answers of the batches are.
    pub results: Location,
}

impl<'a> Conclusion<'a> {
    /// None if there is nothing to conclude.
    pub fn of(dataset: &'a Dataset, run: &'a str, values: &'a RunValues) -> Result<Option<Self>, BadPlace> {
        let ends = dataset.concluded().next().is_some();
        let Some(place) = dataset.map.result_writer.as_ref().filter(|_| ends) else { return Ok(None) };
        Ok(Some(Self { dataset, run, values, results: place.resolve(values)? }))
    }

    /// Sends the message, and waits for its answer. None if `shutdown` came first.
    pub async fn run(
        &self,
        results: Results,
        submit: &dyn Submit,
        clock: &dyn Clock,
        shutdown: &CancellationToken,
    ) -> Option<Result<Concluded, RunError>> {
        let attempts = Attempts {
            submit,
            clock,
            dataset: &self.dataset.name,
            run: self.run,
            batch_input: None,
            values: self.values,
            max_attempts: self.dataset.map.max_attempts,
            stop: shutdown.clone(),
        };
        let takes = self.dataset.stage.iter().flat_map(|stage| &stage.hands_over);
        let takes = takes.filter_map(|takes| serde_json::to_value(takes).ok()).collect();
        let concluded = attempts.conclude(Conclude { results, takes }).await?;
        Some(concluded.map_err(|BatchFailure { error, cause }| RunError {
            name: "States.TaskFailed",
            cause: format!("the batches are done, and what they committed could not be handed over: {error}: {cause}"),
        }))
    }
}
