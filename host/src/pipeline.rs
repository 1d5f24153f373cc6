//! One batch from start to finish. The file to read first.
//!
//! ```text
//! Delivery ─parse─► Batch ─claim─► Claimed ─run─► Outcome ─commit─► Receipt ─answer─► Disposition
//! ```
//!
//! Nothing is visible before the commit, and everything that is repeated after a crash gives the same rows under the same
//! keys: the claim fixes the component, items are pure, rows are taken in the items' order.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::callback::{Answer, Callback, CallbackError, Waiting};
use crate::catalog::{Catalog, Loaded};
use crate::items;
use crate::job::{Batch, Digest, Disposition, TaskToken, error_names};
use crate::lease::{self, Lost};
use crate::ledger::{Claim, ClaimRequest, Claimed, Ledger, LedgerError, Receipt};
use crate::object::{ObjectError, ObjectStore};
use crate::queue::{Delivery, Queue};
use crate::report::BatchReport;
use crate::sink::SinkError;
use crate::telemetry::line::BatchLine;
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
    /// Which delivery of a message is the last: when the host fails then, the waiting state is told, which does what its
    /// `Retry` says, and the message is set aside.
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

/// A message that nobody can work on: what the waiting state is told, if there is one.
struct Refusal {
    /// The batch, as far as the message makes one.
    batch: Option<Arc<Batch>>,
    token: Option<TaskToken>,
    error: &'static str,
    reason: String,
}

/// What became of a delivery, and what its log line says of it.
struct End {
    disposition: Disposition,
    /// What the waiting state was told: `success`, or an error's name.
    answer: Option<String>,
    /// Whether anybody waits, when that is known.
    waiting: Option<Waiting>,
    report: Option<Box<BatchReport>>,
}

/// Why a batch did not come to an answer of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the batch was given up: {0}")]
    Lost(Lost),
    #[error("the worker stops")]
    Stopped,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("the full report was not written: {0}")]
    Report(#[from] ObjectError),
    #[error(transparent)]
    Callback(#[from] CallbackError),
}

impl Fault {
    /// Whether the same would be refused again until somebody changes something.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Sink(error) => matches!(error, SinkError::Refused(_)),
            Self::Report(error) => !matches!(error, ObjectError::Unavailable(_) | ObjectError::Changed(_)),
            // A table that one worker may not use, because it was started with the wrong name, another one may: the
            // message goes back.
            Self::Ledger(_) | Self::Lost(_) | Self::Stopped | Self::Callback(_) => false,
        }
    }
}

impl Pipeline {
    /// Works on a delivery until its fate is known: [`Disposition::Parked`] is set aside already, the others are the
    /// caller's to delete or return. `give_up` ends the work early; the batch is then free for another worker at once.
    /// Dropping the future gives the batch up too, but its claim has to run out.
    pub async fn process(&self, delivery: &Delivery, give_up: &CancellationToken) -> Disposition {
        let start = Instant::now();
        let (batch, loaded, end) = match self.read(delivery) {
            Ok(work) => {
                let end = match self.work(&work, delivery, give_up).await {
                    Ok(end) => end,
                    Err(fault) => self.fault(&work, delivery, fault).await,
                };
                (Some(work.batch), Some(work.loaded), end)
            }
            Err(refusal) => (refusal.batch.clone(), None, self.refuse(delivery, refusal).await),
        };
        let took = start.elapsed();
        // Only names that this worker knows are labels: there are few of them.
        let dataset = batch.as_ref().map(|batch| &*batch.dataset).filter(|name| self.catalog.get(name).is_some());
        self.metrics.batch(dataset.unwrap_or_default(), &end.disposition, took);
        line(delivery, batch.as_deref(), loaded.as_deref(), &end).log(&end.disposition, took);
        end.disposition
    }

    /// Reads the message and finds its dataset.
    fn read(&self, delivery: &Delivery) -> Result<Work, Refusal> {
        let batch = Batch::parse(&delivery.body).map_err(|malformed| Refusal {
            batch: None,
            token: malformed.token,
            error: error_names::BAD_MESSAGE,
            reason: format!("message {}: {}", delivery.id, malformed.reason),
        })?;
        let batch = Arc::new(batch);
        let refuse = |error, reason: String| {
            let reason = format!("dataset {}, batch {}: {reason}", batch.dataset, batch.id);
            Refusal { batch: Some(batch.clone()), token: Some(batch.token.clone()), error, reason }
        };
        let loaded = match self.catalog.get(&batch.dataset) {
            Some(Ok(loaded)) => loaded,
            Some(Err(broken)) => return Err(refuse(error_names::BAD_PLUGIN, broken.to_string())),
            None => {
                let reason = format!(
                    "this worker has no such dataset (it has {}): put its file into the folder of `--datasets`",
                    self.catalog.names().join(", ")
                );
                return Err(refuse(error_names::BAD_MESSAGE, reason));
            }
        };
        if let Some(wanted) = batch.component.filter(|wanted| *wanted != loaded.plugin.digest) {
            let reason = format!("the message asks for component {wanted}, this worker has {}", loaded.plugin.digest);
            return Err(refuse(error_names::BAD_PLUGIN, reason));
        }
        let fingerprint = self.fingerprint(&batch, &loaded);
        Ok(Work { batch, loaded, fingerprint })
    }

    async fn work(&self, work: &Work, delivery: &Delivery, give_up: &CancellationToken) -> Result<End, Fault> {
        let Work { batch, loaded, .. } = work;
        let claimed = match self.claim(work).await? {
            Claim::Taken(claimed) => claimed,
            Claim::Held { remaining } => {
                let after = remaining.min(self.identity.patience());
                let reason = "another worker holds the batch".into();
                return Ok(End::of(Disposition::Returned { after, reason, fault: false }));
            }
            Claim::Committed(receipt) => {
                return match BatchReport::replayed(&receipt.output) {
                    Ok(report) => self.answer(work, report.answer(tolerated(loaded)), Some(report)).await,
                    Err(_) => self.answer(work, Answer::Success { output: receipt.output }, None).await,
                };
            }
        };
        let ran = tokio::select! {
            ran = self.run(work, &claimed) => ran,
            lost = lease::keep(self, batch, &claimed, delivery, loaded.dataset.map.heartbeat) => Err(Fault::Lost(lost)),
            () = give_up.cancelled() => Err(Fault::Stopped),
        };
        match ran {
            Ok((answer, report)) => self.answer(work, answer, report).await,
            Err(fault) => {
                let claim_lost = matches!(fault, Fault::Lost(Lost::Claim(_)));
                if !claim_lost && let Err(error) = self.ledger.release(&claimed).await {
                    tracing::debug!(%error, "a claim was not given back; the next delivery waits until its lease ends");
                }
                Err(fault)
            }
        }
    }

    /// Runs the items and makes their rows visible, or gives the claim back when the batch is worth another attempt.
    async fn run(&self, work: &Work, claimed: &Claimed) -> Result<(Answer, Option<BatchReport>), Fault> {
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
            return Ok((Answer::Failure { error: error_names::RETRYABLE.into(), cause }, None));
        }
        let report = outcome.commit(self, loaded, batch).await?;
        self.metrics.items(&batch.dataset, &report);
        let answer = report.answer(tolerated(loaded));
        match &answer {
            Answer::Success { output } => {
                let receipt = Receipt { output: output.clone(), fingerprint: *fingerprint };
                self.ledger.commit(claimed, &receipt).await?;
            }
            // A batch that failed is worked on again when it is asked for again: after a redrive, or with a better plugin.
            Answer::Failure { .. } => self.ledger.release(claimed).await?,
        }
        Ok((answer, Some(report)))
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

    async fn answer(&self, work: &Work, answer: Answer, report: Option<BatchReport>) -> Result<End, Fault> {
        let waiting = self.callback.answer(&work.batch.token, &answer).await?;
        let answer = match answer {
            Answer::Success { .. } => "success".into(),
            Answer::Failure { error, .. } => error,
        };
        Ok(End {
            disposition: Disposition::Acked,
            answer: Some(answer),
            waiting: Some(waiting),
            report: report.map(Box::new),
        })
    }

    /// The host failed, not the batch: the message goes back, and at the last delivery it is set aside.
    async fn fault(&self, work: &Work, delivery: &Delivery, fault: Fault) -> End {
        let reason = format!("dataset {}, batch {}: {fault}", work.batch.dataset, work.batch.id);
        let last = delivery.receives >= self.deliveries;
        let after = match fault {
            // Whoever waited has stopped: there is nobody to work for.
            Fault::Lost(Lost::Token) => return End { waiting: Some(Waiting::No), ..End::of(Disposition::Acked) },
            // The batch is somebody else's to answer, or will be.
            Fault::Stopped => return End::of(Disposition::Returned { after: Duration::ZERO, reason, fault: false }),
            Fault::Lost(_) => backoff(delivery.receives),
            // Telling has just failed.
            Fault::Callback(_) if last => return self.park(delivery, reason).await,
            _ if last || fault.is_refusal() => {
                let (batch, token) = (Some(work.batch.clone()), Some(work.batch.token.clone()));
                return self.refuse(delivery, Refusal { batch, token, error: error_names::HOST_FAULT, reason }).await;
            }
            _ => backoff(delivery.receives),
        };
        End::of(Disposition::Returned { after, reason, fault: true })
    }

    /// Tells the waiting state, then sets the message aside.
    async fn refuse(&self, delivery: &Delivery, refusal: Refusal) -> End {
        let Refusal { token, error, mut reason, .. } = refusal;
        let (mut told, mut waiting) = (None, None);
        if let Some(token) = token {
            let answer = Answer::Failure { error: error.into(), cause: reason.clone() };
            match self.callback.answer(&token, &answer).await {
                Ok(heard) => (told, waiting) = (Some(error.to_owned()), Some(heard)),
                Err(untold) => {
                    reason = format!("{reason}; the waiting state was not told: {untold}");
                    if delivery.receives < self.deliveries {
                        let after = backoff(delivery.receives);
                        return End::of(Disposition::Returned { after, reason, fault: true });
                    }
                }
            }
        }
        End { answer: told, waiting, ..self.park(delivery, reason).await }
    }

    async fn park(&self, delivery: &Delivery, reason: String) -> End {
        End::of(match self.queue.park(delivery, &reason).await {
            Ok(()) => Disposition::Parked { reason },
            Err(error) => {
                let reason = format!("{reason}; the message was not set aside: {error}");
                Disposition::Returned { after: backoff(delivery.receives), reason, fault: true }
            }
        })
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

impl End {
    /// An end of which nobody was told.
    fn of(disposition: Disposition) -> Self {
        Self { disposition, answer: None, waiting: None, report: None }
    }
}

fn line<'a>(
    delivery: &'a Delivery,
    batch: Option<&'a Batch>,
    loaded: Option<&'a Loaded>,
    end: &'a End,
) -> BatchLine<'a> {
    let report = end.report.as_deref();
    BatchLine {
        dataset: batch.map(|batch| batch.dataset.as_str()),
        batch: batch.map_or(&delivery.id, |batch| batch.id.name()),
        attempt: batch.map(|batch| batch.attempt),
        receives: delivery.receives,
        component: match report {
            Some(report) => Some((&*report.component.version, report.component.digest.to_string())),
            None => loaded.map(|loaded| (&*loaded.plugin.manifest.version, loaded.plugin.digest.to_string())),
        },
        items: batch.map_or(0, |batch| batch.items.len()),
        rejected: report.map_or(0, |report| report.items.rejected),
        rows: report.map_or(0, |report| report.outputs.iter().map(|output| output.rows).sum()),
        bytes: report.map_or(0, |report| report.bytes_read),
        answer: end.answer.as_deref(),
        heard: end.waiting.map(|waiting| waiting == Waiting::Yes),
        replayed: report.is_some_and(|report| report.replayed),
    }
}

fn tolerated(loaded: &Loaded) -> f64 {
    loaded.dataset.map.tolerated_rejected_percentage
}

/// The time for which a message that failed stays hidden: doubling from 2 s to 5 min, of which the second half is chance,
/// so that messages that failed together do not all come back together.
fn backoff(receives: u32) -> Duration {
    let most = Duration::from_secs((1_u64 << receives.min(9)).min(300));
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_message_hides_longer_and_longer_up_to_five_minutes() {
        for (receives, most) in [(1, 2), (4, 16), (1_000, 300)] {
            let hidden: Vec<_> = (0..100).map(|_| backoff(receives)).collect();
            let most = Duration::from_secs(most);
            assert!(hidden.iter().all(|hidden| *hidden >= most / 2 && *hidden <= most), "{hidden:?}");
            assert!(hidden.iter().max() > hidden.iter().min(), "{hidden:?}");
        }
    }
}
