//! Waits at the start for services that are not ready yet, and gives up where waiting is of no use.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::ledger::LedgerError;
use crate::queue::QueueError;
use crate::registry::RegistryError;
use crate::telemetry::admin::Readiness;

/// The pauses between attempts. The clients repeat their calls too.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);

/// Why a start cannot go on.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The service does not answer, or not yet with what is needed: waiting helps.
    Passing(String),
    /// The user has to change something.
    Lasting(String),
}

/// Repeats `attempt` until it succeeds. `what` names for people what it needs; `/readyz` reports it meanwhile. None when `stop`
/// came first; an error when waiting is of no use.
pub(super) async fn wait_for<T>(
    what: &str,
    readiness: &Readiness,
    stop: &CancellationToken,
    attempt: impl AsyncFn() -> Result<T, Obstacle>,
) -> anyhow::Result<Option<T>> {
    let mut earlier = 0;
    let waiting = async {
        loop {
            let reason = match attempt().await {
                Ok(found) => return Ok(found),
                Err(Obstacle::Lasting(reason)) => return Err(anyhow::anyhow!("{what}: {reason}")),
                Err(Obstacle::Passing(reason)) => reason,
            };
            let wait = PAUSES.pause(earlier);
            tracing::warn!(
                reason,
                wait_millis = wait.as_millis() as u64,
                "{what}: not to be had yet; the worker waits for it"
            );
            readiness.not_ready(format!("{what}: {reason}"));
            tokio::time::sleep(wait).await;
            earlier += 1;
        }
    };
    tokio::select! {
        found = waiting => found.map(Some),
        () = stop.cancelled() => Ok(None),
    }
}

impl From<QueueError> for Obstacle {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::Unavailable(_) => Self::Passing(error.to_string()),
            QueueError::Refused(_) => Self::Lasting(error.to_string()),
        }
    }
}

impl From<RegistryError> for Obstacle {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::Unavailable(_) => Self::Passing(error.to_string()),
            _ => Self::Lasting(error.to_string()),
        }
    }
}

impl From<LedgerError> for Obstacle {
    fn from(error: LedgerError) -> Self {
        match &error {
            LedgerError::Unavailable(_) | LedgerError::Lost(_) => Self::Passing(error.to_string()),
            LedgerError::Refused(_) => Self::Lasting(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    fn nobody() -> Obstacle {
        QueueError::Unavailable("nobody there".into()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_a_limit_until_it_is_there() {
        let (attempts, start) = (Mutex::new(Vec::new()), Instant::now());
        let attempt = async || {
            let mut attempts = attempts.lock().unwrap();
            attempts.push(start.elapsed());
            if attempts.len() == 12 { Ok(7) } else { Err(nobody()) }
        };
        let found = wait_for("--queue q", &Readiness::default(), &CancellationToken::new(), attempt).await;
        assert_eq!(found.unwrap(), Some(7));
        let attempts = attempts.into_inner().unwrap();
        for (number, two) in attempts.windows(2).enumerate() {
            let most = Duration::from_secs(1 << number.min(5)).min(LONGEST_PAUSE);
            let slack = Duration::from_millis(2);
            assert!((most / 2..=most + slack).contains(&(two[1] - two[0])), "{attempts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_an_error_at_once() {
        let refused = async || Err::<(), _>(LedgerError::Refused("no such table".into()).into());
        let start = Instant::now();
        let error =
            wait_for("--ledger t", &Readiness::default(), &CancellationToken::new(), refused).await.unwrap_err();
        assert_eq!(error.to_string(), "--ledger t: the ledger refused: no such table");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_to_stop_waits_no_longer() {
        let stop = CancellationToken::new();
        let later = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            later.cancel();
        });
        let start = Instant::now();
        let never = async || Err::<(), _>(nobody());
        assert_eq!(wait_for("--queue q", &Readiness::default(), &stop, never).await.unwrap(), None);
        assert_eq!(start.elapsed().as_secs(), 100);
    }
}
