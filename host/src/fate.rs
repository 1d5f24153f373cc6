//! The fates of what does not come to an answer of its own: given back, or told to the waiting state and set aside.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use futures::FutureExt as _;

use crate::backoff::Backoff;
use crate::callback::{Answer, CallbackError, Waiting};
use crate::catalog::Loaded;
use crate::dataset::BadPlace;
use crate::fault::FaultKind;
use crate::job::{Batch, Digest, Disposition, TaskToken, error_names};
use crate::lease::Lost;
use crate::ledger::LedgerError;
use crate::object::ObjectError;
use crate::pipeline::Pipeline;
use crate::queue::Delivery;
use crate::report::BatchReport;
use crate::sink::SinkError;
use crate::telemetry::line::BatchLine;

/// A message that nobody can work on: what the waiting state is told, if there is one.
pub(crate) struct Refusal {
    pub(crate) kind: FaultKind,
    /// The batch, as far as the message makes one.
    pub(crate) batch: Option<Arc<Batch>>,
    pub(crate) token: Option<TaskToken>,
    pub(crate) error: &'static str,
    pub(crate) reason: String,
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
    #[error("what the items read could not be had: {0}")]
    Objects(ObjectError),
    #[error("the full report was not written: {0}")]
    Report(#[from] ObjectError),
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error("what an earlier attempt prepared cannot be read: {0}; a later gristmill may have written it")]
    Record(String),
    #[error(
        "an earlier attempt wrote rows with component {begun} and did not end; only that component can finish the batch, and \
         this worker has {ours}: {why}"
    )]
    OtherComponent { begun: Digest, ours: Digest, why: String },
    #[error("{0}")]
    Version(String),
    #[error("gristmill itself failed, which is a fault in it to be reported: it panicked with: {0}")]
    Panicked(String),
    #[error(
        "its rows take {} until they are written, which leaves no room for its next item on this worker: lower \
         `max_items_per_batch`, or give the worker more memory (`--memory`)",
        .0.display().iec()
    )]
    NoRoom(ByteSize),
    #[error(transparent)]
    Place(#[from] BadPlace),
}

impl Fault {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Lost(Lost::Message(_)) => FaultKind::VisibilityLost,
            Self::Lost(Lost::Claim(_)) | Self::Ledger(LedgerError::Lost(_)) => FaultKind::ClaimLost,
            Self::Lost(Lost::Token) => FaultKind::TokenGone,
            Self::Stopped => FaultKind::Stopped,
            Self::Ledger(LedgerError::Unavailable(_)) => FaultKind::LedgerUnavailable,
            Self::Ledger(LedgerError::Refused(_)) => FaultKind::LedgerRefused,
            Self::Sink(SinkError::Unavailable(_)) => FaultKind::SinkUnavailable,
            Self::Sink(SinkError::Refused(_)) => FaultKind::SinkRefused,
            Self::Sink(SinkError::Gone(_)) => FaultKind::StagedGone,
            Self::Sink(SinkError::Lost) => FaultKind::ClaimLost,
            Self::Objects(_) => FaultKind::ObjectsUnavailable,
            Self::Report(_) if self.is_refusal() => FaultKind::ReportRefused,
            Self::Report(_) => FaultKind::ReportUnavailable,
            Self::Callback(_) => FaultKind::CallbackUnavailable,
            Self::Record(_) => FaultKind::RecordUnreadable,
            Self::OtherComponent { .. } => FaultKind::BegunByOther,
            Self::Version(_) => FaultKind::VersionUnavailable,
            Self::Panicked(_) => FaultKind::Panicked,
            Self::NoRoom(_) => FaultKind::NoRoom,
            Self::Place(_) => FaultKind::BadPlace,
        }
    }

    /// What the waiting state is told: only what the world cures is worth another attempt.
    fn error(&self) -> &'static str {
        match self {
            Self::Place(_) => error_names::BAD_MESSAGE,
            Self::Ledger(LedgerError::Refused(_)) => error_names::OUTPUT_REFUSED,
            _ if self.is_refusal() => error_names::OUTPUT_REFUSED,
            _ => error_names::HOST_FAULT,
        }
    }

    /// Whether the same would be refused again until somebody changes something.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Sink(error) => matches!(error, SinkError::Refused(_)),
            Self::Report(error) => {
                // Gone: whoever took the batch over removed what this attempt had uploaded.
                !matches!(error, ObjectError::Unavailable(_) | ObjectError::Changed(_) | ObjectError::Gone(_))
            }
            Self::Place(_) => true,
            // A table that one worker may not use, because it was started with the wrong name, another one may: the
            // message goes back.
            Self::Ledger(_) | Self::Lost(_) | Self::Stopped | Self::Callback(_) => false,
            Self::Objects(error) => matches!(error, ObjectError::Exhausted(_)),
            // Another worker may have what this one lacks.
            Self::Record(_) | Self::OtherComponent { .. } | Self::Version(_) | Self::NoRoom(_) => false,
            // Whatever it was, it may have been chance.
            Self::Panicked(_) => false,
        }
    }
}

/// Waits for work that may panic: that is a fault like others, of which the log and the metrics know, and the message goes back.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(panicked)
}

/// What a panic said.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Fault {
    let said = panic.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
    Fault::Panicked(said.unwrap_or_else(|| "something that is no text".into()))
}

/// What became of a delivery, and what its log line says of it.
pub(crate) struct End {
    pub(crate) disposition: Disposition,
    /// What happened, where that does not follow from the answer.
    pub(crate) kind: Option<FaultKind>,
    /// What the waiting state was told: `success`, or an error's name.
    pub(crate) answer: Option<String>,
    /// Whether anybody waits, when that is known.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) report: Option<Box<BatchReport>>,
    /// Whether it was prepared by an attempt that did not end.
    pub(crate) rolled_forward: bool,
}

impl End {
    /// An end of which nobody was told.
    pub(crate) fn of(disposition: Disposition) -> Self {
        Self { disposition, kind: None, answer: None, waiting: None, report: None, rolled_forward: false }
    }

    /// What happened, if the delivery did not simply succeed.
    pub(crate) fn kind(&self) -> Option<FaultKind> {
        self.kind.or(match self.answer.as_deref() {
            _ if self.waiting == Some(Waiting::No) => Some(FaultKind::TokenGone),
            Some(error_names::ITEMS_REJECTED) => Some(FaultKind::ItemsRejected),
            Some(error_names::RETRYABLE) => Some(FaultKind::ItemRetry),
            _ if self.report.as_ref().is_some_and(|report| report.from_receipt) => Some(FaultKind::AlreadyCommitted),
            _ if self.rolled_forward => Some(FaultKind::RolledForward),
            _ => None,
        })
    }
}

impl Pipeline {
    /// Counts what happened, and takes it for what the services around can bear.
    pub(crate) fn weigh(&self, end: &End) {
        let kind = end.kind();
        if let Some(kind) = kind {
            self.metrics.fault(kind.label());
        }
        match (kind, &end.disposition) {
            (Some(kind), Disposition::Returned { reason, .. } | Disposition::DeadLettered { reason })
                if kind.is_strain() =>
            {
                self.pressure.up(&self.metrics, reason);
            }
            // Whatever the answer is, everything that a batch needs was there.
            (_, Disposition::Acked) if end.answer.is_some() => self.pressure.down(&self.metrics),
            _ => {}
        }
    }

    /// The host failed, not the batch: the message goes back, and at the last delivery it is set aside.
    pub(crate) async fn fault(&self, batch: &Arc<Batch>, delivery: &Delivery, fault: Fault) -> End {
        let kind = fault.kind();
        End { kind: Some(kind), ..self.fate_of(batch, delivery, kind, fault).await }
    }

    /// The same where it is not known which batch it is.
    pub(crate) async fn fault_unread(&self, delivery: &Delivery, fault: Fault) -> End {
        let reason = format!("message {}: {fault}", delivery.id);
        let end = match delivery.receives >= self.deliveries {
            true => self.dead_letter(delivery, reason).await,
            false => End::of(Disposition::Returned { after: backoff(delivery.receives), reason, fault: true }),
        };
        End { kind: Some(fault.kind()), ..end }
    }

    async fn fate_of(&self, batch: &Arc<Batch>, delivery: &Delivery, kind: FaultKind, fault: Fault) -> End {
        let reason = format!("dataset {}, batch {}: {fault}", batch.dataset, batch.id);
        let last = delivery.receives >= self.deliveries;
        let after = match fault {
            // Whoever waited has stopped: there is nobody to work for.
            Fault::Lost(Lost::Token) => return End { waiting: Some(Waiting::No), ..End::of(Disposition::Acked) },
            // The batch is somebody else's to answer, or will be.
            Fault::Stopped => return End::of(Disposition::Returned { after: Duration::ZERO, reason, fault: false }),
            Fault::Lost(_) | Fault::Sink(SinkError::Lost) => backoff(delivery.receives),
            // Telling has just failed.
            Fault::Callback(_) if last => return self.dead_letter(delivery, reason).await,
            _ if last || fault.is_refusal() => {
                let (batch, token) = (Some(batch.clone()), Some(batch.token.clone()));
                let error = fault.error();
                return self.refuse(delivery, Refusal { kind, batch, token, error, reason }).await;
            }
            _ => backoff(delivery.receives),
        };
        End::of(Disposition::Returned { after, reason, fault: true })
    }

    /// Tells the waiting state, then sets the message aside.
    pub(crate) async fn refuse(&self, delivery: &Delivery, refusal: Refusal) -> End {
        let Refusal { kind, token, error, mut reason, .. } = refusal;
        let (mut told, mut waiting) = (None, None);
        if let Some(token) = token {
            let answer = Answer::Failure { error: error.into(), cause: reason.clone() };
            match self.callback.answer(&token, &answer).await {
                Ok(heard) => (told, waiting) = (Some(error.to_owned()), Some(heard)),
                Err(untold) => {
                    self.metrics.fault(FaultKind::CallbackUnavailable.label());
                    reason = format!("{reason}; the waiting state was not told: {untold}");
                    if delivery.receives < self.deliveries {
                        let after = backoff(delivery.receives);
                        return End {
                            kind: Some(kind),
                            ..End::of(Disposition::Returned { after, reason, fault: true })
                        };
                    }
                }
            }
        }
        End { kind: Some(kind), answer: told, waiting, ..self.dead_letter(delivery, reason).await }
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: String) -> End {
        End::of(match self.queue.dead_letter(delivery, &reason).await {
            Ok(()) => Disposition::DeadLettered { reason },
            Err(error) => {
                self.metrics.fault(FaultKind::NotDeadLettered.label());
                let reason = format!("{reason}; the message was not set aside: {error}");
                Disposition::Returned { after: backoff(delivery.receives), reason, fault: true }
            }
        })
    }
}

/// The dataset has as many batches under way as it may: others have the place. No fault, and yet the pauses grow, because
/// each delivery is one of those after which SQS sets a message aside.
pub(crate) fn crowded(delivery: &Delivery, loaded: &Loaded) -> End {
    let dataset = &loaded.dataset;
    let most = dataset.plugin.max_batches.unwrap_or_default();
    let reason = format!("dataset {} has its `max_batches` of {most} under way on this worker", dataset.name);
    let returned = Disposition::Returned { after: backoff(delivery.receives), reason, fault: false };
    End { kind: Some(FaultKind::Crowded), ..End::of(returned) }
}

/// What the log line of a delivery says.
pub(crate) fn line<'a>(
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
        component: match (report.map(|report| &report.component), loaded) {
            // The version that was in use, which may be the dataset file's own.
            (ran, Some(loaded))
                if ran.is_none_or(|ran| ran.release == loaded.release && ran.digest == loaded.plugin.digest) =>
            {
                Some((loaded.version(), loaded.plugin.digest.to_string()))
            }
            (ran, _) => ran.map(|ran| (ran.version.clone(), ran.digest.to_string())),
        },
        items: batch.map_or(0, |batch| batch.items.len()),
        rejected: report.map_or(0, |report| report.items.rejected),
        rows: report.map_or(0, |report| report.outputs.iter().map(|output| output.rows).sum()),
        bytes: report.map_or(0, |report| report.bytes_read),
        answer: end.answer.as_deref(),
        heard: end.waiting.map(|waiting| waiting == Waiting::Yes),
        from_receipt: report.is_some_and(|report| report.from_receipt),
        rolled_forward: end.rolled_forward,
    }
}

/// For how long a message that failed stays hidden.
const HIDDEN: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(300));

/// The time for which a message stays hidden that failed at this delivery, from 1.
fn backoff(receives: u32) -> Duration {
    HIDDEN.pause(receives.saturating_sub(1))
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
