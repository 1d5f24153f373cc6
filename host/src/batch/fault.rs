//! Why a batch did not come to an answer of its own.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use bytesize::ByteSize;
use futures::FutureExt as _;

use super::kind::FaultKind;
use super::lease::Lost;
use crate::callback::CallbackError;
use crate::dataset::BadPlace;
use crate::job::{Digest, error_names};
use crate::ledger::LedgerError;
use crate::object::ObjectError;
use crate::sink::SinkError;

/// Why a batch did not come to an answer of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the batch was given up: {0}")]
    Lost(Lost),
    #[error("the worker stops")]
    Stopped,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("{0}")]
    Source(String),
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
    pub(super) fn kind(&self) -> FaultKind {
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
            Self::Source(_) => FaultKind::SourceUnavailable,
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
    pub(super) fn error_name(&self) -> &'static str {
        match self {
            Self::Place(_) => error_names::BAD_MESSAGE,
            Self::Ledger(LedgerError::Refused(_)) => error_names::OUTPUT_REFUSED,
            _ if self.is_refusal() => error_names::OUTPUT_REFUSED,
            _ => error_names::HOST_FAULT,
        }
    }

    /// Whether the same would be refused again until somebody changes something.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Sink(error) => matches!(error, SinkError::Refused(_)),
            Self::Report(error) => {
                // Gone: whoever took the batch over removed what this attempt had uploaded.
                !matches!(error, ObjectError::Unavailable(_) | ObjectError::Changed(_) | ObjectError::Gone(_))
            }
            Self::Place(_) => true,
            // A table that one worker may not use, because it was started with the wrong name, another one may: the
            // message goes back.
            Self::Ledger(_) | Self::Lost(_) | Self::Stopped | Self::Callback(_) | Self::Source(_) => false,
            Self::Objects(error) => matches!(error, ObjectError::Exhausted(_)),
            // Another worker may have what this one lacks.
            Self::Record(_) | Self::OtherComponent { .. } | Self::Version(_) | Self::NoRoom(_) => false,
            // Whatever it was, it may have been chance.
            Self::Panicked(_) => false,
        }
    }
}

/// Waits for work that may panic: that is a fault like others, of which the log and the metrics know, and the message goes back.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(panicked)
}

/// What a panic said.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Fault {
    let said = panic.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
    Fault::Panicked(said.unwrap_or_else(|| "something that is no text".into()))
}
