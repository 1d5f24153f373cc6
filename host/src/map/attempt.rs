//! One batch from its first message to its last answer: what the child workflow does, its `Retry` included.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::feed::NumberedBatch;
use super::names::child_execution;
use super::summary::BatchFailure;
use crate::backoff::{Backoff, spread};
use crate::callback::Answer;
use crate::dataset::{RunValues, StageSpec};
use crate::job::{MESSAGE_VERSION, Message, MessageInput, RunWindow, Step, TaskToken, error_names};
use crate::report::BatchReport;

/// The names of the states of a run's steps, in local runs.
pub(super) const PLAN_STATE: &str = "Plan";
pub(super) const CONCLUSION_STATE: &str = "Conclude";
pub(super) const CLOSE_STATE: &str = "Close";

/// The pauses of the generated `Retry`: its `IntervalSeconds` is 1, its `BackoffRate` 2.
const RETRIES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1024));

/// The errors that another attempt may cure.
const RETRIED: [&str; 2] = [error_names::RETRYABLE, error_names::HOST_FAULT];

/// Puts a message where a worker takes it, and waits for the answer.
#[async_trait]
pub trait Submit: Send + Sync {
    /// The answer that the token gets. A message that could not be sent is answered with
    /// [`error_names::HOST_FAULT`], and a state that waited too long with `States.Timeout`. Dropping the future ends the wait.
    async fn submit(&self, token: &TaskToken, body: String) -> Answer;
}

/// Time as a run sees it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// What has passed since the run began.
    fn elapsed(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// The clock on the wall.
#[derive(Debug)]
pub struct WallClock(std::time::Instant);

impl WallClock {
    /// The run begins now.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }
}

#[async_trait]
impl Clock for WallClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// What all batches of a run have in common.
pub(super) struct Attempts<'a> {
    pub(super) submit: &'a dyn Submit,
    pub(super) clock: &'a dyn Clock,
    pub(super) dataset: &'a str,
    /// The run's own name.
    pub(super) run: &'a str,
    pub(super) batch_input: Option<&'a RawValue>,
    pub(super) values: &'a RunValues,
    /// `MaxAttempts`: retries after the first attempt.
    pub(super) max_attempts: u32,
    /// The window that the run takes of a table.
    pub(super) window: Option<&'a RunWindow>,
    /// Cancelled when the run begins nothing new any more.
    pub(super) stop: CancellationToken,
}

/// What became of a batch.
pub(super) enum Fate {
    Succeeded(BatchReport),
    Failed(BatchFailure, Option<BatchReport>),
    /// The run stopped before the batch could be tried again.
    Abandoned,
}

impl Attempts<'_> {
    /// Runs the batch. Also gives back its number and how many items it has.
    pub(super) async fn run(&self, NumberedBatch { number, batch }: NumberedBatch) -> (u64, u64, Fate) {
        let items = batch.items.len() as u64;
        let execution = child_execution(self.dataset, self.run, number);
        let input = MessageInput { batch_input: self.batch_input.map(ToOwned::to_owned), items: batch.items };
        let mut message = self.message(execution, StageSpec::batch_state(self.dataset), None, input);
        let fate = match self.answered(&mut message).await {
            Some(Ok(report)) => Fate::Succeeded(report),
            Some(Err(failure)) => {
                let report = serde_json::from_str(&failure.cause).ok();
                Fate::Failed(failure, report)
            }
            None => Fate::Abandoned,
        };
        (number, items, fate)
    }

    /// Has a step of the run done. None if the run stopped before it could be tried again.
    pub(super) async fn step<T: DeserializeOwned>(
        &self,
        execution: String,
        step: Step,
    ) -> Option<Result<T, BatchFailure>> {
        let state = match step {
            Step::Plan(_) => PLAN_STATE,
            Step::Conclude(_) => CONCLUSION_STATE,
            Step::Close(_) => CLOSE_STATE,
        };
        let input = MessageInput { batch_input: None, items: Vec::new() };
        self.answered(&mut self.message(execution, state.into(), Some(step), input)).await
    }

    fn message(&self, execution: String, state: String, step: Option<Step>, input: MessageInput) -> Message {
        let (plan, conclude, close) = step.map(Step::into_fields).unwrap_or_default();
        Message {
            run: None,
            gristmill: MESSAGE_VERSION,
            dataset: self.dataset.into(),
            task_token: TaskToken::new(""),
            execution,
            state,
            attempt: 0,
            component: None,
            values: self.values.clone(),
            plan,
            conclude,
            close,
            window: self.window.cloned(),
            input,
        }
    }

    /// What the message is answered, after as many attempts as the dataset allows. None if the run stopped before the next one.
    async fn answered<T: DeserializeOwned>(&self, message: &mut Message) -> Option<Result<T, BatchFailure>> {
        loop {
            let failure = match self.attempt(message).await {
                Ok(answer) => return Some(Ok(answer)),
                Err(failure) => failure,
            };
            if !RETRIED.contains(&failure.error.as_str()) || message.attempt >= self.max_attempts {
                return Some(Err(failure));
            }
            let delay = retry_delay(&message.execution, message.attempt);
            let (error, cause) = (&failure.error, &failure.cause);
            tracing::warn!(
                execution = message.execution,
                attempt = message.attempt,
                error,
                cause,
                ?delay,
                "the batch will be tried again"
            );
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = self.clock.sleep(delay) => message.attempt += 1,
            }
        }
    }

    async fn attempt<T: DeserializeOwned>(&self, message: &mut Message) -> Result<T, BatchFailure> {
        let fault = |cause: String| BatchFailure { error: error_names::HOST_FAULT.into(), cause };
        // A new token each time: an answer to the attempt before must not settle this one.
        message.task_token = TaskToken::new(format!("{}/{}", message.execution, message.attempt));
        let body =
            serde_json::to_string(message).map_err(|error| fault(format!("the message cannot be written: {error}")))?;
        match self.submit.submit(&message.task_token, body).await {
            Answer::Success { output } => serde_json::from_str(&output)
                .map_err(|error| fault(format!("the worker's answer is not what was asked for: {error}"))),
            Answer::Failure { error, cause } => Err(BatchFailure { error, cause }),
        }
    }
}

/// The time until the next attempt: doubling, and half of it spread over the batches, so that those that failed together
/// do not come back together. The spread follows from the name: the same run waits the same.
fn retry_delay(execution: &str, attempt: u32) -> Duration {
    let chance = Sha256::digest(format!("{execution}#{attempt}"))[0];
    spread(RETRIES.whole(attempt), f64::from(chance) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_are_spread() {
        for attempt in 0..4 {
            let whole = Duration::from_secs(1 << attempt);
            let delays: std::collections::BTreeSet<_> =
                (0..50).map(|batch| retry_delay(&format!("e{batch}"), attempt)).collect();
            assert!(delays.first().unwrap() >= &(whole / 2) && delays.last().unwrap() <= &whole);
            assert!(delays.len() > 30, "{} different delays of 50", delays.len());
        }
        assert!(retry_delay("e", u32::MAX) <= Duration::from_secs(1024));
    }
}
