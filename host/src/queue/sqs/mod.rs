//! Batches from Amazon SQS (standard queues).

mod dead_letters;
mod error;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName as System, QueueAttributeName,
};
use tokio::time::Instant;

use self::dead_letters::DeadLetters;
use self::error::queue_error;
use super::{Delivery, Depth, LONG_POLL, MAX_VISIBILITY, Queue, QueueError, Receipt};
use crate::aws::{self, Calls, ServiceError};

/// How many messages SQS takes or gives in one request.
const BATCH: usize = 10;

/// How long messages are hidden where the queue may not be asked.
const HIDDEN: Duration = Duration::from_secs(60);

/// Few attempts: the worker asks again by itself, and cannot stop before a poll has ended. A long poll takes 2 s.
const CALLS: Calls =
    Calls { attempts: 4, adaptive: false, attempt: Duration::from_secs(10), whole: Duration::from_secs(20) };

/// A queue of Amazon SQS.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    visibility_timeout: Duration,
    /// Whether the queue may not be asked for its attributes. Then each receive says for how long it hides.
    untold: bool,
    /// The dead-letter queue, or why there is none.
    dead_letters: Result<DeadLetters, String>,
    /// For each message that is ours, when it was received and until when it is ours. No extension reaches beyond 12 hours from
    /// the receipt.
    received: Mutex<HashMap<Receipt, (Instant, Instant)>>,
}

impl SqsQueue {
    /// Asks the queue at `url` for its visibility time-out and its dead-letter queue. Where that is denied the worker works all the
    /// same: it says itself how long messages are hidden, and sets none aside.
    pub async fn connect(config: &SdkConfig, url: &str) -> Result<Self, QueueError> {
        let builder = Builder::from(&CALLS.limit(config))
            .retry_partition(aws::retry_budget("queue"))
            .interceptor(aws::Attempts::of("queue"))
            .retry_classifier(aws::LapsedCredentials);
        let client = Client::from_conf(builder.build());
        let queue = |visibility_timeout, untold, dead_letters| {
            let (url, received) = (url.into(), Mutex::default());
            Self { client: client.clone(), url, visibility_timeout, untold, dead_letters, received }
        };
        let request = client.get_queue_attributes().queue_url(url);
        let request = request.attribute_names(QueueAttributeName::VisibilityTimeout);
        let output = match request.attribute_names(QueueAttributeName::RedrivePolicy).send().await {
            Ok(output) => output,
            Err(error) if ServiceError::new(&error).is_denial() => {
                let reason = ServiceError::new(&error).message;
                tracing::warn!(
                    queue = url,
                    reason,
                    "the queue may not be asked for its attributes, so that messages that cannot be read stay in it, and how many it has \
                     is not known. Work goes on. Give the worker's role sqs:GetQueueAttributes, and start the worker again"
                );
                let why = "which queue has its dead letters is not known: `sqs:GetQueueAttributes` is denied";
                return Ok(queue(HIDDEN, true, Err(why.into())));
            }
            Err(error) => return Err(queue_error(error)),
        };
        let attributes = output.attributes.unwrap_or_default();
        let seconds = attributes.get(&QueueAttributeName::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        let visibility_timeout =
            Duration::from_secs(seconds.ok_or_else(|| {
                QueueError::Unavailable(format!("{url} did not say what its visibility time-out is"))
            })?);
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        let dead_letters = DeadLetters::find(&client, policy.map(String::as_str)).await?;
        if let Err(reason) = &dead_letters {
            tracing::warn!(queue = url, %reason, "messages that cannot be read will stay in the queue");
        }
        Ok(queue(visibility_timeout, false, dead_letters))
    }

    /// How often a message is delivered before SQS itself moves it to the dead-letter queue (`maxReceiveCount`). None when it
    /// never does.
    pub fn max_receives(&self) -> Option<u32> {
        self.dead_letters.as_ref().ok().map(|dead_letters| dead_letters.max_receives)
    }

    async fn receive_up_to(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request.message_system_attribute_names(System::ApproximateReceiveCount);
        let request = request.message_system_attribute_names(System::SentTimestamp);
        let request =
            request.wait_time_seconds(seconds(wait)).max_number_of_messages(i32::try_from(max.min(BATCH)).unwrap_or(1));
        let request = request.set_visibility_timeout(self.untold.then(|| seconds(self.visibility_timeout)));
        let output = request.send().await.map_err(queue_error)?;
        let now = Instant::now();
        let deliveries: Vec<_> = output.messages.unwrap_or_default().into_iter().filter_map(delivery).collect();
        let mut received = self.received();
        received.retain(|_, (_, until)| now < *until);
        let until = now + self.visibility_timeout;
        received.extend(deliveries.iter().map(|delivery| (delivery.receipt.clone(), (now, until))));
        Ok(deliveries)
    }

    /// The part of the wanted time for which the message may be hidden from now on.
    fn within_limit(&self, receipt: &Receipt, wanted: Duration) -> Duration {
        let since = self.received().get(receipt).map_or(Duration::ZERO, |(since, _)| since.elapsed());
        // The second is for the time that the answer was on its way.
        wanted.min(MAX_VISIBILITY.saturating_sub(since + Duration::from_secs(1)))
    }

    fn received(&self) -> MutexGuard<'_, HashMap<Receipt, (Instant, Instant)>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut deliveries = self.receive_up_to(max, LONG_POLL).await?;
        let mut more = !deliveries.is_empty();
        while more && deliveries.len() < max {
            // The first message does not wait for others, and messages that were received are not lost when a later request
            // fails.
            let next = self.receive_up_to(max - deliveries.len(), Duration::ZERO).await.unwrap_or_default();
            more = !next.is_empty();
            deliveries.extend(next);
        }
        Ok(deliveries)
    }

    /// An error may come after some messages were deleted. Deleting them again is harmless.
    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<(Receipt, String)>, QueueError> {
        let mut failed = Vec::new();
        for chunk in receipts.chunks(BATCH) {
            let entries = chunk.iter().enumerate().map(|(index, receipt)| {
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&receipt.0).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(|error| QueueError::Refused(error.to_string()))?;
            let request = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let output = request.send().await.map_err(queue_error)?;
            failed.extend(failures(output.failed, chunk));
        }
        let mut received = self.received();
        receipts.iter().for_each(|receipt| _ = received.remove(receipt));
        Ok(failed)
    }

    async fn change_visibility(&self, receipts: &[(Receipt, Duration)]) -> Result<Vec<(Receipt, String)>, QueueError> {
        let (mut failed, mut asked) = (Vec::new(), Vec::new());
        for (receipt, wanted) in receipts {
            match self.within_limit(receipt, *wanted) {
                // Zero would give the message to somebody else at once.
                Duration::ZERO if !wanted.is_zero() => {
                    failed.push((
                        receipt.clone(),
                        "the message was received 12 hours ago, the most that SQS allows".into(),
                    ));
                }
                hidden => asked.push((receipt.clone(), hidden)),
            }
        }
        for chunk in asked.chunks(BATCH) {
            let entries = chunk.iter().enumerate().map(|(index, (receipt, hidden))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&receipt.0)
                    .visibility_timeout(seconds(*hidden))
                    .build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(|error| QueueError::Refused(error.to_string()))?;
            let request = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            let output = request.send().await.map_err(queue_error)?;
            // A failure on SQS's side does not tell whose the message is.
            if let Some(entry) = output.failed.iter().find(|entry| !entry.sender_fault) {
                return Err(QueueError::Unavailable(format!(
                    "{}: {}",
                    entry.code,
                    entry.message().unwrap_or_default()
                )));
            }
            let chunk: Vec<Receipt> = chunk.iter().map(|(receipt, _)| receipt.clone()).collect();
            failed.extend(failures(output.failed, &chunk));
        }
        let (mut received, now) = (self.received(), Instant::now());
        for (receipt, hidden) in &asked {
            received.entry(receipt.clone()).and_modify(|(_, until)| *until = now + *hidden);
        }
        received.retain(|_, (_, until)| now < *until);
        Ok(failed)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let dead_letters = self.dead_letters.as_ref().map_err(|why| QueueError::Refused(why.clone()))?;
        dead_letters.send(&self.client, &self.url, delivery, reason).await?;
        match self.delete(std::slice::from_ref(&delivery.receipt)).await?.pop() {
            None => Ok(()),
            Some((_, why)) => Err(QueueError::Refused(format!(
                "the message is in the dead-letter queue, but was not deleted here: {why}"
            ))),
        }
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        if self.untold {
            // That was said already.
            return Err(QueueError::Unavailable("`sqs:GetQueueAttributes` was denied at the start".into()));
        }
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request.set_attribute_names(Some(vec![Visible, InFlight, Delayed]));
        let attributes = request.send().await.map_err(queue_error)?.attributes.unwrap_or_default();
        let number = |name| {
            let number = attributes.get(&name).and_then(|number| number.parse().ok());
            number.ok_or_else(|| QueueError::Unavailable(format!("{} did not say its {name}", self.url)))
        };
        Ok(Depth { visible: number(Visible)?, in_flight: number(InFlight)?, delayed: number(Delayed)? })
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }
}

fn delivery(message: Message) -> Option<Delivery> {
    let (Some(id), Some(body), Some(receipt)) = (message.message_id, message.body, message.receipt_handle) else {
        tracing::warn!("a message without id, body or receipt was left to come again");
        return None;
    };
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|value| value.parse::<u64>().ok());
    let receives = number(System::ApproximateReceiveCount).and_then(|count| count.try_into().ok()).unwrap_or(1);
    let sent = number(System::SentTimestamp)
        .map_or_else(SystemTime::now, |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    Some(Delivery { id, body, receipt: Receipt(receipt), receives, sent })
}

/// What a batch request did not do. It answers 200 even when it did nothing, and lists that in `Failed`.
fn failures(failed: Vec<BatchResultErrorEntry>, asked: &[Receipt]) -> Vec<(Receipt, String)> {
    let failure = |entry: BatchResultErrorEntry| {
        let receipt = asked.get(entry.id.parse::<usize>().ok()?)?;
        Some((receipt.clone(), format!("{}: {}", entry.code, entry.message.unwrap_or_default())))
    };
    failed.into_iter().filter_map(failure).collect()
}

/// Whole seconds, rounded up, as SQS counts them.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}
