//! What becomes of a delivery. One that comes to no answer of its own is given back, or the waiting state is told and the
//! message is set aside.

use std::sync::Arc;
use std::time::Duration;

use super::fault::Fault;
use super::kind::FaultKind;
use super::lease::Lost;
use super::services::Services;
use crate::backoff::Backoff;
use crate::callback::{Answer, Waiting};
use crate::catalog::DatasetVersion;
use crate::job::{Batch, Disposition, TaskToken, error_names};
use crate::queue::Delivery;
use crate::report::BatchReport;
use crate::sink::SinkError;
use crate::telemetry::line::BatchLine;

/// A message that nobody can work on: what the waiting state is told, if there is one.
pub(super) struct Refusal {
    pub(super) kind: FaultKind,
    /// The batch, as far as the message makes one.
    pub(super) batch: Option<Arc<Batch>>,
    pub(super) token: Option<TaskToken>,
    pub(super) error: &'static str,
    pub(super) reason: String,
}

/// What became of a delivery, and what its log line says of it.
pub(super) struct End {
    pub(super) disposition: Disposition,
    /// What happened, where that does not follow from the answer.
    pub(super) kind: Option<FaultKind>,
    /// What the waiting state was told: `success`, or an error's name.
    pub(super) answer: Option<String>,
    /// Whether anybody waits, when that is known.
    pub(super) waiting: Option<Waiting>,
    pub(super) report: Option<Box<BatchReport>>,
    /// Whether it was prepared by an attempt that did not end.
    pub(super) rolled_forward: bool,
}

impl End {
    /// An end of which nobody was told.
    pub(super) fn of(disposition: Disposition) -> Self {
        Self { disposition, kind: None, answer: None, waiting: None, report: None, rolled_forward: false }
    }

    /// What happened, if the delivery did not simply succeed.
    pub(super) fn kind(&self) -> Option<FaultKind> {
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

impl End {
    /// What somebody should know of a delivery that did not succeed; none where nothing failed.
    pub(super) fn failure(&self) -> Option<&str> {
        match (&self.disposition, self.kind()) {
            (Disposition::Returned { reason, fault: true, .. } | Disposition::DeadLettered { reason }, _) => {
                Some(reason)
            }
            (Disposition::Acked, Some(FaultKind::ItemsRejected)) => {
                Some("more of its items were rejected than the dataset tolerates")
            }
            (Disposition::Acked, Some(FaultKind::ItemRetry)) => Some("an item asked for another attempt"),
            (Disposition::Acked, Some(FaultKind::TokenGone)) => Some("nobody waits for its answer any more"),
            _ => None,
        }
    }
}

/// How the services around served a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strain {
    /// One that every batch needs was away or throttled us.
    Felt,
    /// Everything that a batch needs was there.
    None,
    /// The delivery says nothing about it.
    Unknown,
}

impl End {
    pub(super) fn strain(&self) -> Strain {
        match (self.kind(), &self.disposition) {
            (Some(kind), Disposition::Returned { .. } | Disposition::DeadLettered { .. }) if kind.is_strain() => {
                Strain::Felt
            }
            // Whatever the answer is.
            (_, Disposition::Acked) if self.answer.is_some() => Strain::None,
            _ => Strain::Unknown,
        }
    }
}

/// The host failed, not the batch: the message goes back, and at the last delivery it is set aside.
pub(super) async fn host_failed(services: &Services, batch: &Arc<Batch>, delivery: &Delivery, fault: Fault) -> End {
    let kind = fault.kind();
    End { kind: Some(kind), ..fate(services, batch, delivery, kind, fault).await }
}

/// The same where it is not known which batch it is.
pub(super) async fn host_failed_unread(services: &Services, delivery: &Delivery, fault: Fault) -> End {
    let reason = format!("message {}: {fault}", delivery.id);
    let end = match delivery.receives >= services.deliveries {
        true => dead_letter(services, delivery, reason).await,
        false => End::of(Disposition::Returned { after: backoff(delivery.receives), reason, fault: true }),
    };
    End { kind: Some(fault.kind()), ..end }
}

async fn fate(services: &Services, batch: &Arc<Batch>, delivery: &Delivery, kind: FaultKind, fault: Fault) -> End {
    let reason = format!("dataset {}, batch {}: {fault}", batch.dataset, batch.id);
    let last = delivery.receives >= services.deliveries;
    let after = match fault {
        // Whoever waited has stopped: there is nobody to work for.
        Fault::Lost(Lost::Token) => return End { waiting: Some(Waiting::No), ..End::of(Disposition::Acked) },
        // The batch is somebody else's to answer, or will be.
        Fault::Stopped => return End::of(Disposition::Returned { after: Duration::ZERO, reason, fault: false }),
        Fault::Lost(_) | Fault::Sink(SinkError::Lost) => backoff(delivery.receives),
        // Telling has just failed.
        Fault::Callback(_) if last => return dead_letter(services, delivery, reason).await,
        _ if last || fault.is_refusal() => {
            let (batch, token) = (Some(batch.clone()), Some(batch.token.clone()));
            let error = fault.error_name();
            return refuse(services, delivery, Refusal { kind, batch, token, error, reason }).await;
        }
        _ => backoff(delivery.receives),
    };
    End::of(Disposition::Returned { after, reason, fault: true })
}

/// Tells the waiting state, then sets the message aside.
pub(super) async fn refuse(services: &Services, delivery: &Delivery, refusal: Refusal) -> End {
    let Refusal { kind, token, error, mut reason, .. } = refusal;
    let (mut told, mut waiting) = (None, None);
    if let Some(token) = token {
        let answer = Answer::Failure { error: error.into(), cause: reason.clone() };
        match services.callback.answer(&token, &answer).await {
            Ok(heard) => (told, waiting) = (Some(error.to_owned()), Some(heard)),
            Err(untold) => {
                services.metrics.fault(FaultKind::CallbackUnavailable.label());
                reason = format!("{reason}; the waiting state was not told: {untold}");
                if delivery.receives < services.deliveries {
                    let after = backoff(delivery.receives);
                    return End { kind: Some(kind), ..End::of(Disposition::Returned { after, reason, fault: true }) };
                }
            }
        }
    }
    End { kind: Some(kind), answer: told, waiting, ..dead_letter(services, delivery, reason).await }
}

async fn dead_letter(services: &Services, delivery: &Delivery, reason: String) -> End {
    End::of(match services.queue.dead_letter(delivery, &reason).await {
        Ok(()) => Disposition::DeadLettered { reason },
        Err(error) => {
            services.metrics.fault(FaultKind::NotDeadLettered.label());
            let reason = format!("{reason}; the message was not set aside: {error}");
            Disposition::Returned { after: backoff(delivery.receives), reason, fault: true }
        }
    })
}

/// The dataset has as many batches under way as it may: others have the place. No fault, and yet the pauses grow, because
/// each delivery is one of those after which SQS sets a message aside.
pub(super) fn crowded(delivery: &Delivery, loaded: &DatasetVersion) -> End {
    let dataset = &loaded.dataset;
    let most = dataset.plugin.max_batches.unwrap_or_default();
    let reason = format!("dataset {} has its `max_batches` of {most} under way on this worker", dataset.name);
    let returned = Disposition::Returned { after: backoff(delivery.receives), reason, fault: false };
    End { kind: Some(FaultKind::Crowded), ..End::of(returned) }
}

/// What the log line of a delivery says.
pub(super) fn line<'a>(
    delivery: &'a Delivery,
    batch: Option<&'a Batch>,
    loaded: Option<&'a DatasetVersion>,
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
