//! The queue that batches come from: Amazon SQS in the cloud, an embedded one under `--local`.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod embedded;
pub mod sqs;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

/// The longest that a message can be hidden, counted from the moment it was received, however often that is extended
/// ("Amazon SQS message quotas", visibility timeout).
pub const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// How long a receive waits at most for a message to come.
///
/// SQS would wait 20 s. But a poll must not be abandoned: a message that it is handed at that moment belongs to nobody until
/// the visibility time-out. So a worker that is told to stop waits for its poll, which takes this long at most. The price is 30
/// requests a minute from an idle worker, about half a dollar a month.
pub const LONG_POLL: Duration = Duration::from_secs(2);

/// How a received message is named when it is deleted or returned. A later delivery of the same message has another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message that is ours until its visibility time-out ends.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message's own id, the same for all its deliveries.
    pub id: String,
    /// The body as it is on the wire.
    pub body: String,
    /// How this delivery is named.
    pub receipt: Receipt,
    /// How often the message was delivered, this one included (`ApproximateReceiveCount`).
    pub receives: u32,
    /// When it was sent (`SentTimestamp`), the same for all its deliveries.
    pub sent: SystemTime,
}

/// How many messages a queue has, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be received (`ApproximateNumberOfMessages`).
    pub visible: u64,
    /// Received and hidden (`ApproximateNumberOfMessagesNotVisible`).
    pub in_flight: u64,
    /// Not to be received yet (`ApproximateNumberOfMessagesDelayed`).
    pub delayed: u64,
}

/// A queue did not do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// It did not answer after the client's own retries.
    #[error("the queue did not answer: {0}")]
    Unavailable(String),
    /// It refuses us: a wrong URL, a missing permission. Asking again is of no use.
    #[error("the queue refused: {0}")]
    Refused(String),
}

/// A queue that delivers each message at least once, in no particular order.
///
/// The caller's duties: receive only what there is a free slot for; for each delivery keep extending its visibility until
/// it is deleted or returned; never drop a `receive` that may have taken messages.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Waits for up to `max` messages, with a long poll of at most [`LONG_POLL`]. `max` may be any number, also 0 or more than
    /// 10.
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Deletes the messages for good. Returns the receipts that were not deleted, each with the reason.
    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<(Receipt, String)>, QueueError>;

    /// Hides the messages for this long from now on, but no longer than [`MAX_VISIBILITY`] from when they were received. Zero
    /// returns them at once. Returns the receipts that are not ours any more, each with the reason.
    async fn change_visibility(&self, receipts: &[(Receipt, Duration)]) -> Result<Vec<(Receipt, String)>, QueueError>;

    /// Moves a message to the dead-letter queue, with the reason as an attribute. Where there is no dead-letter queue the
    /// message stays where it is, and this says so.
    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError>;

    /// Asks how many messages there are. One request, which costs what others cost.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// How long a received message is hidden when nothing else is said.
    fn visibility_timeout(&self) -> Duration;
}
