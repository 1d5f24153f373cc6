//! One batch from start to finish. The file to read first.
//!
//! ```text
//! Delivery ─parse─► Batch ─claim─► Claimed ─run─► Outcome ─commit─► Receipt ─answer─► Disposition
//! ```
//!
//! Nothing is visible before the commit, and everything that is repeated after a crash gives the same rows under the same
//! keys: the claim fixes the component, items are pure, rows are taken in the items' order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::callback::{Answer, Callback, Waiting};
use crate::catalog::{Catalog, Loaded};
use crate::items;
use crate::job::{Batch, Digest, Disposition, error_names};
use crate::lease;
use crate::ledger::{Claim, ClaimRequest, Claimed, Ledger, LedgerError, Receipt};
use crate::object::ObjectStore;
use crate::queue::{Delivery, Queue};
use crate::report::BatchReport;
use crate::sink::SinkError;
use crate::telemetry::metrics::Metrics;

/// How long a claim lasts unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(60);

/// Everything that a batch needs on its way.
pub struct Pipeline {
    /// The datasets and their plugins.
    pub catalog: Arc<Catalog>,
    /// Where batches come from.
    pub queue: Arc<dyn Queue>,
    /// Who works on what, and what is done.
    pub ledger: Arc<dyn Ledger>,
    /// Who waits.
    pub callback: Arc<dyn Callback>,
    /// What plugins read and reports are written to.
    pub objects: Arc<dyn ObjectStore>,
    /// Where guests run.
    pub guests: Handle,
    /// One permit per item that may run at once.
    pub slots: Arc<Semaphore>,
    /// How many items run at once.
    pub lanes: usize,
    /// When a committed batch counts as this one.
    pub identity: Identity,
    /// How many deliveries of a message may end in a fault of the host before the waiting state is told, which then decides
    /// what its `Retry` says.
    pub deliveries: u32,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub now: fn() -> SystemTime,
}

/// What makes a committed batch the same work as the one at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its name and input: Step Functions gives every child execution a new name.
    Execution,
    /// Its name, input, component, settings and outputs: local runs give the same names again.
    Contents,
}

impl Identity {
    /// How long a batch is left alone that another process holds, at most. Locally that is another run over the same
    /// folder, which will be done with it long before its lease ends; and nobody counts how often a message was received.
    fn patience(self) -> Duration {
        match self {
            Self::Execution => Duration::MAX,
            Self::Contents => Duration::from_millis(500),
        }
    }
}

/// A batch with everything that is needed to work on it.
struct Work {
    batch: Arc<Batch>,
    loaded: Arc<Loaded>,
    fingerprint: Digest,
}

/// Why a batch did not come to an answer of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the batch was given up: {0}")]
    Lost(lease::Lost),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("{0}")]
    Report(#[from] crate::object::ObjectError),
    #[error(transparent)]
    Callback(#[from] crate::callback::CallbackError),
}

impl Pipeline {
    /// Works on a delivery until its fate is known. Dropping the future gives the batch up: its claim runs out, its staged
    /// rows are never seen.
    pub async fn process(&self, delivery: &Delivery) -> Disposition {
        let work = match self.read(delivery).await {
            Ok(work) => work,
            Err(disposition) => return disposition,
        };
        let start = std::time::Instant::now();
        let disposition = match self.work(&work, delivery).await {
            Ok(disposition) => disposition,
            Err(fault) => self.fault(&work, delivery, &fault).await,
        };
        self.metrics.batch(&work.batch.dataset, &disposition, start.elapsed());
        tracing::info!(
            dataset = work.batch.dataset,
            batch = %work.batch.id,
            attempt = work.batch.attempt,
            items = work.batch.items.len(),
            receives = delivery.receives,
            millis = start.elapsed().as_millis() as u64,
            ?disposition,
            "batch"
        );
        disposition
    }

    /// Reads the message and finds its dataset. What cannot be worked on by anybody is answered and parked.
    async fn read(&self, delivery: &Delivery) -> Result<Work, Disposition> {
        let batch = match Batch::parse(&delivery.body) {
            Ok(batch) => batch,
            Err(malformed) => {
                let reason = format!("message {}: {}", delivery.id, malformed.reason);
                return Err(self.park(malformed.token.as_ref(), error_names::BAD_MESSAGE, reason, "").await);
            }
        };
        let loaded = match self.catalog.get(&batch.dataset) {
            Some(Ok(loaded)) => loaded,
            Some(Err(broken)) => {
                let reason = format!("dataset {}, batch {}: {broken}", batch.dataset, batch.id);
                return Err(self.park(Some(&batch.token), error_names::BAD_PLUGIN, reason, &batch.dataset).await);
            }
            None => {
                let reason = format!(
                    "batch {}: this worker has no dataset `{}` (it has {}): put its file into the folder of `--datasets`",
                    batch.id,
                    batch.dataset,
                    self.catalog.names().join(", ")
                );
                return Err(self.park(Some(&batch.token), error_names::BAD_MESSAGE, reason, "").await);
            }
        };
        if let Some(wanted) = batch.component.filter(|wanted| *wanted != loaded.plugin.digest) {
            let reason = format!(
                "dataset {}, batch {}: the message asks for component {wanted}, this worker has {}",
                batch.dataset, batch.id, loaded.plugin.digest
            );
            return Err(self.park(Some(&batch.token), error_names::BAD_PLUGIN, reason, &batch.dataset).await);
        }
        let fingerprint = self.fingerprint(&batch, &loaded);
        Ok(Work { batch: Arc::new(batch), loaded, fingerprint })
    }

    async fn work(&self, work: &Work, delivery: &Delivery) -> Result<Disposition, Fault> {
        let Work { batch, loaded, .. } = work;
        let claimed = match self.claim(work).await? {
            Claim::Taken(claimed) => claimed,
            Claim::Held { remaining } => {
                let after = remaining.min(self.identity.patience());
                return Ok(Disposition::Returned { after, reason: "another worker holds the batch".into() });
            }
            Claim::Committed(receipt) => {
                let answer = match BatchReport::replayed(&receipt.output) {
                    Ok(report) => report.answer(loaded.dataset.map.tolerated_rejected_percentage),
                    Err(_) => Answer::Success { output: receipt.output },
                };
                return self.answer(work, answer).await;
            }
        };
        let lease = lease::keep(self, batch, &claimed, delivery, loaded.dataset.map.heartbeat);
        let answer = tokio::select! {
            answer = self.run(work, &claimed) => answer,
            lost = lease => return Err(Fault::Lost(lost)),
        };
        if answer.is_err()
            && let Err(error) = self.ledger.release(&claimed).await
        {
            tracing::debug!(%error, "a claim was not given back; the next delivery waits until its lease ends");
        }
        self.answer(work, answer?).await
    }

    /// Runs the items and makes their rows visible, or gives the claim back when the batch is worth another attempt.
    async fn run(&self, work: &Work, claimed: &Claimed) -> Result<Answer, Fault> {
        let Work { batch, loaded, fingerprint } = work;
        let outcome = items::run(self, loaded, batch, claimed).await?;
        if let Some(failure) = outcome.retryable() {
            let cause = format!(
                "dataset {}, batch {}, item {}{}: {}: {}",
                batch.dataset,
                batch.id,
                failure.index,
                failure.item.as_ref().map(|name| format!(" ({name})")).unwrap_or_default(),
                failure.code,
                failure.message
            );
            outcome.abort().await;
            self.ledger.release(claimed).await?;
            return Ok(Answer::Failure { error: error_names::RETRYABLE.into(), cause });
        }
        let report = outcome.commit(self, loaded, batch).await?;
        self.metrics.items(&batch.dataset, &report);
        let answer = report.answer(loaded.dataset.map.tolerated_rejected_percentage);
        match &answer {
            Answer::Success { output } => {
                let receipt = Receipt { output: output.clone(), fingerprint: *fingerprint };
                self.ledger.commit(claimed, &receipt).await?;
            }
            // A batch that failed is worked on again when it is asked for again: after a redrive, or with a better plugin.
            Answer::Failure { .. } => self.ledger.release(claimed).await?,
        }
        Ok(answer)
    }

    async fn claim(&self, work: &Work) -> Result<Claim, LedgerError> {
        let request = ClaimRequest {
            id: work.batch.id.clone(),
            fingerprint: work.fingerprint,
            component: work.loaded.plugin.digest,
            now: (self.now)(),
            lease: LEASE,
        };
        self.ledger.claim(&request).await
    }

    async fn answer(&self, work: &Work, answer: Answer) -> Result<Disposition, Fault> {
        let waiting = self.callback.answer(&work.batch.token, &answer).await?;
        if waiting == Waiting::No {
            tracing::warn!(dataset = work.batch.dataset, batch = %work.batch.id, "nobody waits for this batch any more (timed out, or aborted)");
        }
        Ok(Disposition::Acked)
    }

    /// The host failed, not the batch: the message goes back. At the last delivery the waiting state is told.
    async fn fault(&self, work: &Work, delivery: &Delivery, fault: &Fault) -> Disposition {
        let reason = format!("dataset {}, batch {}: {fault}", work.batch.dataset, work.batch.id);
        if let Fault::Sink(SinkError::Refused(_)) = fault {
            // It will be refused again until somebody changes something; until then the message is in nobody's way.
            return self.park(Some(&work.batch.token), error_names::HOST_FAULT, reason, &work.batch.dataset).await;
        }
        tracing::warn!(receives = delivery.receives, "{reason}");
        // A batch that was lost is somebody else's to answer.
        if delivery.receives >= self.deliveries && !matches!(fault, Fault::Lost(_)) {
            let told = Answer::Failure { error: error_names::HOST_FAULT.into(), cause: reason.clone() };
            if let Ok(disposition) = self.answer(work, told).await {
                return disposition;
            }
        }
        Disposition::Returned { after: backoff(delivery.receives), reason }
    }

    async fn park(
        &self,
        token: Option<&crate::job::TaskToken>,
        error: &str,
        reason: String,
        dataset: &str,
    ) -> Disposition {
        tracing::error!("{reason}");
        if let Some(token) = token {
            let answer = Answer::Failure { error: error.into(), cause: reason.clone() };
            if let Err(error) = self.callback.answer(token, &answer).await {
                tracing::warn!(%error, "the waiting state was not told");
            }
        }
        let disposition = Disposition::Parked { reason };
        self.metrics.batch(dataset, &disposition, Duration::ZERO);
        disposition
    }

    fn fingerprint(&self, batch: &Batch, loaded: &Loaded) -> Digest {
        let mut text = String::new();
        let mut add = |part: &str| {
            text.push_str(part);
            text.push('\n');
        };
        add(&batch.dataset);
        add(&batch.batch_input);
        batch.items.iter().for_each(|item| add(&item.body));
        if self.identity == Identity::Contents {
            add(&loaded.plugin.digest.to_string());
            add(&loaded.settings);
            add(&format!("{:?}", loaded.dataset.outputs));
        }
        Digest::of(text.as_bytes())
    }
}

/// The time for which a message that failed stays hidden: doubling from 2 s to 5 min.
fn backoff(receives: u32) -> Duration {
    Duration::from_secs((1_u64 << receives.min(9)).min(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_message_hides_longer_and_longer_up_to_five_minutes() {
        assert_eq!(backoff(1), Duration::from_secs(2));
        assert_eq!(backoff(4), Duration::from_secs(16));
        assert_eq!(backoff(1_000), Duration::from_secs(300));
    }
}
