//! One recorded batch again, by the same steps as in a worker.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::admission::Admission;
use crate::batch::{self, Identity, LEASE, Services};
use crate::callback::Answer;
use crate::callback::local::LocalCallback;
use crate::catalog::{Catalog, DatasetVersion};
use crate::data_catalog::NoCatalog;
use crate::job::{Batch, Disposition, Message, TaskToken};
use crate::ledger::none::NoLedger;
use crate::object::{Location, ObjectError, ObjectStore};
use crate::queue::embedded::EmbeddedQueue;
use crate::queue::{Queue as _, QueueError};
use crate::report::FullReport;
use crate::sink::Stores;
use crate::telemetry::metrics::Metrics;

/// The largest report that is read, in bytes.
const MAX_REPORT: u64 = 256 << 20;

/// Nobody takes the batch away meanwhile.
const VISIBILITY: Duration = Duration::from_secs(3600);

/// Why there is no result to compare.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// The message makes no batch, or the dataset has another name or no place for a report.
    #[error("{0}")]
    Invalid(String),
    /// The batch came to no result: an item asks for another try, or what it reads cannot be had.
    #[error("the batch came to no result: {0}")]
    NoResult(String),
    /// An object cannot be read, or cannot be written aside.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The queue of one message failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The metrics could not be made.
    #[error("{0}")]
    Metrics(String),
}

/// Where and how a batch runs again.
pub struct Desk {
    /// What the items read, and where outputs and the report are written aside.
    pub stores: Stores,
    /// What was written aside.
    pub aside: Arc<dyn ObjectStore>,
    /// Where guests run.
    pub guests: Handle,
    /// How many items run at once.
    pub slots: usize,
}

impl Desk {
    /// Runs a batch whose guests' clock stands at `started`, and gives its full report. The dataset must have its outputs in
    /// this desk's stores, and a place for reports.
    pub async fn run(
        &self,
        loaded: Arc<DatasetVersion>,
        message: &Message,
        started: SystemTime,
    ) -> Result<FullReport, NotReplayed> {
        let token = TaskToken::new("replay");
        // The version is chosen already, so what the message and its run ask for no longer counts.
        let message = Message { task_token: token.clone(), component: None, run: None, ..message.clone() };
        let body = serde_json::to_string(&message).map_err(|error| NotReplayed::Invalid(error.to_string()))?;
        let batch = Batch::parse(&body).map_err(|malformed| NotReplayed::Invalid(malformed.reason))?;
        let at = loaded
            .report_place(&batch)
            .ok_or_else(|| NotReplayed::Invalid(format!("dataset {} has no place for reports", batch.dataset)))?;
        let queue = Arc::new(EmbeddedQueue::new(VISIBILITY));
        let callback = Arc::new(LocalCallback::new());
        let metrics = Metrics::new().map_err(|error| NotReplayed::Metrics(error.to_string()))?;
        let services = Services {
            data_catalog: Arc::new(NoCatalog),
            registers: Arc::new(NoLedger),
            catalog: Arc::new(Catalog::of(loaded)),
            queue: queue.clone(),
            ledger: Arc::new(Clock(started)),
            callback: callback.clone(),
            stores: self.stores.clone(),
            guests: self.guests.clone(),
            admission: Admission::new(self.slots, u64::MAX),
            lanes: self.slots,
            identity: Identity::Contents,
            lease: LEASE,
            // A fault of the host is shown, and not tried again.
            deliveries: 1,
            metrics: Arc::new(metrics),
            now: SystemTime::now,
        };
        let mut answer = callback.register(token);
        queue.send(body);
        for delivery in queue.receive(1).await? {
            if let Disposition::DeadLettered { reason } | Disposition::Returned { reason, .. } =
                batch::process(&services, &delivery, &CancellationToken::new()).await.disposition
            {
                return Err(NotReplayed::NoResult(reason));
            }
        }
        match read_report(&*self.aside, &at).await {
            Err(NotReplayed::Objects(ObjectError::NotFound(_))) => {
                Err(NotReplayed::NoResult(match answer.try_recv() {
                    Ok(Answer::Failure { error, cause }) => format!("{error}: {cause}"),
                    _ => "it wrote no report".into(),
                }))
            }
            read => read,
        }
    }
}

/// Reads the full report at a place.
pub async fn read_report(objects: &dyn ObjectStore, at: &Location) -> Result<FullReport, NotReplayed> {
    let (metadata, bytes) = objects.open(at, MAX_REPORT).await?;
    if metadata.size > bytes.len() as u64 {
        return Err(NotReplayed::Invalid(format!("{at} has {} bytes: that is no report", metadata.size)));
    }
    FullReport::parse(&bytes).map_err(|why| NotReplayed::Invalid(format!("{at}: {why}")))
}

/// Where the report of a message's batch is, if the dataset has a place for reports.
pub fn place_of(loaded: &DatasetVersion, message: &Message) -> Result<Option<Location>, NotReplayed> {
    let message = Message { task_token: TaskToken::new("replay"), ..message.clone() };
    let body = serde_json::to_string(&message).map_err(|error| NotReplayed::Invalid(error.to_string()))?;
    let batch = Batch::parse(&body).map_err(|malformed| NotReplayed::Invalid(malformed.reason))?;
    Ok(loaded.report_place(&batch))
}
