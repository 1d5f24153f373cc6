//! What can happen to a delivery that does not simply succeed: the kinds by which it is counted. `host/docs/fates.md` has an
//! entry for each, and a test walks them.

/// A label of `gristmill_faults_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The message is no batch.
    Malformed,
    /// What it says of its run makes no place for an output.
    BadPlace,
    /// It names a dataset that this worker does not have.
    UnknownDataset,
    /// It names a dataset whose file or component is broken.
    BrokenDataset,
    /// It asks for a component that this worker does not have.
    OtherComponent,
    /// The version that it has to run on is not here yet.
    VersionUnavailable,
    /// More items were rejected than the dataset tolerates.
    ItemsRejected,
    /// An item still asked for another attempt.
    ItemRetry,
    /// What items read could not be had.
    ObjectsUnavailable,
    /// The database whose table a run reads did not answer.
    SourceUnavailable,
    /// The dataset has its `max_batches` under way.
    Crowded,
    /// Another worker has the batch.
    ClaimHeld,
    /// Another worker took the batch over.
    ClaimLost,
    /// An attempt that did not end had begun with a component that this worker does not have.
    BegunByOther,
    /// What an earlier attempt recorded cannot be read.
    RecordUnreadable,
    /// What was staged was removed before it could be seen.
    StagedGone,
    /// An attempt that did not end had recorded what is ready: it was carried out.
    RolledForward,
    /// The ledger did not answer.
    LedgerUnavailable,
    /// The ledger refused.
    LedgerRefused,
    /// An output did not take the rows in time.
    SinkUnavailable,
    /// An output refused the rows.
    SinkRefused,
    /// The full report could not be written right now.
    ReportUnavailable,
    /// The full report was refused.
    ReportRefused,
    /// Step Functions did not take the answer.
    CallbackUnavailable,
    /// Nobody waits for the answer.
    TokenGone,
    /// The message is not this worker's any more.
    VisibilityLost,
    /// The worker was told to stop.
    Stopped,
    /// Something in this process panicked.
    Panicked,
    /// The rows of the batch take more memory than this worker has for them.
    NoRoom,
    /// The message could not be moved to the dead-letter queue.
    NotDeadLettered,
    /// An earlier delivery had committed the batch.
    AlreadyCommitted,
}

impl FaultKind {
    /// As metrics have it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadPlace => "bad_place",
            Self::UnknownDataset => "unknown_dataset",
            Self::BrokenDataset => "broken_dataset",
            Self::OtherComponent => "other_component",
            Self::VersionUnavailable => "version_unavailable",
            Self::ItemsRejected => "items_rejected",
            Self::ItemRetry => "item_retry",
            Self::ObjectsUnavailable => "objects_unavailable",
            Self::SourceUnavailable => "source_unavailable",
            Self::Crowded => "crowded",
            Self::ClaimHeld => "claim_held",
            Self::ClaimLost => "claim_lost",
            Self::BegunByOther => "begun_by_other",
            Self::RecordUnreadable => "record_unreadable",
            Self::StagedGone => "staged_gone",
            Self::RolledForward => "rolled_forward",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::LedgerRefused => "ledger_refused",
            Self::SinkUnavailable => "sink_unavailable",
            Self::SinkRefused => "sink_refused",
            Self::ReportUnavailable => "report_unavailable",
            Self::ReportRefused => "report_refused",
            Self::CallbackUnavailable => "callback_unavailable",
            Self::TokenGone => "token_gone",
            Self::VisibilityLost => "visibility_lost",
            Self::Stopped => "stopped",
            Self::Panicked => "panicked",
            Self::NoRoom => "no_room",
            Self::NotDeadLettered => "not_parked",
            Self::AlreadyCommitted => "already_committed",
        }
    }

    /// Whether a service that every batch needs was away or throttled us, so that the worker holds back.
    pub(crate) fn is_strain(self) -> bool {
        matches!(
            self,
            Self::ObjectsUnavailable
                | Self::LedgerUnavailable
                | Self::SinkUnavailable
                | Self::ReportUnavailable
                | Self::CallbackUnavailable
        )
    }
}
