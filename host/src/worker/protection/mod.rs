//! Protection from scale-in: Amazon ECS must not end a task that is at work when the service scales in. The task is protected
//! while there are batches, and until there have been none for a moment.
//!
//! The ECS agent is asked at `$ECS_AGENT_URI/task-protection/v1/state` ("Amazon ECS task scale-in protection endpoint" in the ECS
//! developer guide). Work never waits for it: a task that is not protected gets SIGTERM like any other, and drains.

mod agent;
mod course;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use self::agent::{Agent, AgentError, EcsAgent};
use self::course::{Course, Step};
use crate::telemetry::metrics::Metrics;

/// How long the agent has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the process ends: what is left of ECS's `stopTimeout` after the drain.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Keeps the task protected while `batches`, the number of batches under way, is not zero. When `end` comes, a protection that
/// there may be is ended.
pub async fn keep(
    agent: impl Agent,
    mut batches: watch::Receiver<usize>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
) {
    let mut course = Course::new(Instant::now());
    while !end.is_cancelled() {
        let busy = *batches.borrow_and_update() > 0;
        match course.next(Instant::now(), busy) {
            Step::Ask(protect) => {
                let answer = tokio::select! {
                    answer = timeout(PATIENCE, agent.protect(protect)) => answer,
                    () = end.cancelled() => break,
                };
                let answer = match answer {
                    Ok(answer) => answer.map_err(|error| (error.label(), error.to_string())),
                    Err(_) => Err(("no_answer", format!("the agent did not answer within {} s", PATIENCE.as_secs()))),
                };
                let answer = answer.map_err(|(label, reason)| {
                    metrics.protection_refused(label);
                    reason
                });
                course.answered(Instant::now(), protect, answer.is_ok());
                match answer {
                    Ok(()) => tracing::debug!(protect, "scale-in protection"),
                    // The first failure alone is a warning: the next ones say the same.
                    Err(reason) if course.failures == 1 => tracing::warn!(
                        reason,
                        "the task's scale-in protection was not changed: work goes on, and so do the attempts. The task's \
                         role needs ecs:UpdateTaskProtection and ecs:GetTaskProtection"
                    ),
                    Err(reason) => tracing::debug!(reason, "the task's scale-in protection was not changed"),
                }
            }
            Step::Wait(until) => {
                let timer = async {
                    match until {
                        Some(until) => sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = batches.changed() => if changed.is_err() { break },
                    () = timer => {}
                    () = end.cancelled() => {}
                }
            }
        }
    }
    if course.may_be_protected(Instant::now())
        && !matches!(timeout(LAST_PATIENCE, agent.protect(false)).await, Ok(Ok(())))
    {
        tracing::debug!("the task's scale-in protection was not ended; it ends with the task");
    }
}
