//! Batches from Amazon SQS (standard queues).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName as System, QueueAttributeName,
};
use tokio::time::Instant;

use super::{Delivery, LONG_POLL, MAX_VISIBILITY, Queue, QueueError, Receipt};
use crate::aws::{self, Calls, Fault};
use crate::job::MAX_MESSAGE_BYTES;

/// How many messages SQS takes or gives in one request.
const BATCH: usize = 10;

/// How much of a reason goes along with a dead letter; attributes count against the message's size.
const MAX_REASON: usize = 1024;

/// Few attempts: the worker asks again by itself, and until a poll has ended it cannot stop. A long poll takes 2 s.
const CALLS: Calls =
    Calls { attempts: 4, adaptive: false, attempt: Duration::from_secs(10), whole: Duration::from_secs(20) };

/// Where messages go that nobody can work on.
#[derive(Debug)]
struct DeadLetters {
    url: String,
    /// After how many deliveries SQS moves a message there by itself.
    max_receives: u32,
}

/// A queue of Amazon SQS.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    visibility_timeout: Duration,
    /// The dead-letter queue, or why there is none.
    dead_letters: Result<DeadLetters, String>,
    /// When the messages that are ours were received (no extension reaches beyond 12 hours from then), and until when they
    /// are.
    received: Mutex<HashMap<Receipt, (Instant, Instant)>>,
}

impl SqsQueue {
    /// Asks the queue at `url` for its visibility time-out and its dead-letter queue.
    pub async fn connect(config: &SdkConfig, url: &str) -> Result<Self, QueueError> {
        let builder = Builder::from(&CALLS.limit(config))
            .retry_partition(aws::retry_budget("queue"))
            .retry_classifier(aws::LapsedCredentials);
        let client = Client::from_conf(builder.build());
        let request = client.get_queue_attributes().queue_url(url);
        let request = request.attribute_names(QueueAttributeName::VisibilityTimeout);
        let output = request.attribute_names(QueueAttributeName::RedrivePolicy).send().await.map_err(queue_error)?;
        let attributes = output.attributes.unwrap_or_default();
        let seconds = attributes.get(&QueueAttributeName::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        let visibility_timeout =
            Duration::from_secs(seconds.ok_or_else(|| {
                QueueError::Unavailable(format!("{url} did not say what its visibility time-out is"))
            })?);
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        let dead_letters = dead_letter_queue(&client, policy.map(String::as_str)).await?;
        if let Err(reason) = &dead_letters {
            tracing::warn!(queue = url, %reason, "messages that cannot be read will not be parked");
        }
        Ok(Self { client, url: url.into(), visibility_timeout, dead_letters, received: Mutex::default() })
    }

    /// How often a message is delivered before SQS moves it to the dead-letter queue by itself (`maxReceiveCount`); none
    /// when it never does.
    pub fn max_receives(&self) -> Option<u32> {
        self.dead_letters.as_ref().ok().map(|dead_letters| dead_letters.max_receives)
    }

    async fn receive_up_to(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request.message_system_attribute_names(System::ApproximateReceiveCount);
        let request = request.message_system_attribute_names(System::SentTimestamp);
        let request =
            request.wait_time_seconds(seconds(wait)).max_number_of_messages(i32::try_from(max.min(BATCH)).unwrap_or(1));
        let output = request.send().await.map_err(queue_error)?;
        let now = Instant::now();
        let deliveries: Vec<_> = output.messages.unwrap_or_default().into_iter().filter_map(delivery).collect();
        let mut received = self.received();
        received.retain(|_, (_, until)| now < *until);
        let until = now + self.visibility_timeout;
        received.extend(deliveries.iter().map(|delivery| (delivery.receipt.clone(), (now, until))));
        Ok(deliveries)
    }

    /// How long the message may be hidden from now on, of what is wanted.
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
            // The first message does not wait for the others. And what was received is ours: it is not lost to a later
            // request that fails.
            let next = self.receive_up_to(max - deliveries.len(), Duration::ZERO).await.unwrap_or_default();
            more = !next.is_empty();
            deliveries.extend(next);
        }
        Ok(deliveries)
    }

    /// An error may come after some messages were deleted: deleting them again is harmless.
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
            // SQS's own fault says nothing about whose the message is.
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
        let mut request = self.client.send_message().queue_url(&dead_letters.url).message_body(&delivery.body);
        let attributes = [("gristmill-reason", attribute_text(reason)), ("gristmill-source", self.url.clone())];
        let size: usize = attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len()).sum();
        if delivery.body.len() + size <= MAX_MESSAGE_BYTES {
            for (name, value) in attributes {
                let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
                request =
                    request.message_attributes(name, value.map_err(|error| QueueError::Refused(error.to_string()))?);
            }
        }
        request.send().await.map_err(queue_error)?;
        match self.delete(std::slice::from_ref(&delivery.receipt)).await?.pop() {
            None => Ok(()),
            Some((_, why)) => Err(QueueError::Refused(format!("the message was parked, but not deleted: {why}"))),
        }
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }
}

/// Where the policy leads, or why that is nowhere. An error is a queue that may be there in a moment.
async fn dead_letter_queue(
    client: &Client,
    redrive_policy: Option<&str>,
) -> Result<Result<DeadLetters, String>, QueueError> {
    let policy = match redrive(redrive_policy) {
        Ok(policy) => policy,
        Err(reason) => return Ok(Err(reason)),
    };
    // arn:aws:sqs:region:account:name
    let mut parts = policy.arn.rsplit(':');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next());
    let request = client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(Into::into));
    let (arn, max_receives) = (&policy.arn, policy.max_receives);
    Ok(match request.send().await.map_err(queue_error) {
        Ok(output) => match output.queue_url {
            Some(url) => Ok(DeadLetters { url, max_receives }),
            None => Err(format!("the dead-letter queue {arn} has no URL")),
        },
        Err(QueueError::Refused(why)) => Err(format!("the dead-letter queue {arn} is out of reach: {why}")),
        Err(unavailable) => return Err(unavailable),
    })
}

/// What a redrive policy says.
struct Policy {
    arn: String,
    max_receives: u32,
}

fn redrive(policy: Option<&str>) -> Result<Policy, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Redrive {
        dead_letter_target_arn: String,
        max_receive_count: serde_json::Value,
    }
    let policy = policy.ok_or("the queue has no dead-letter queue: give it a redrive policy")?;
    let policy: Redrive =
        serde_json::from_str(policy).map_err(|error| format!("the queue's redrive policy: {error}"))?;
    // SQS gives it as it was set: as a number or as a string of digits.
    let max_receives = match &policy.max_receive_count {
        serde_json::Value::String(digits) => digits.parse().ok(),
        number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let max_receives = max_receives
        .ok_or_else(|| format!("the queue's redrive policy: maxReceiveCount is {}", policy.max_receive_count))?;
    Ok(Policy { arn: policy.dead_letter_target_arn, max_receives })
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

/// A batch request answers 200 also when it did nothing: what it did not do is in `Failed`.
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

/// The text without characters that SQS refuses, never empty, and short.
fn attribute_text(text: &str) -> String {
    let allowed =
        |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let mut text: String = text.chars().filter(allowed).collect();
    text.truncate(text.floor_char_boundary(MAX_REASON));
    if text.is_empty() { "unknown".into() } else { text }
}

fn queue_error<E>(error: SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = Fault::new(&error);
    match fault.is_refusal() {
        true => QueueError::Refused(fault.message),
        false => QueueError::Unavailable(fault.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    const URL: &str = "http://sqs/1/q";

    fn attributes(redrive: bool) -> Response {
        let policy =
            r#","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:123:dead\",\"maxReceiveCount\":3}""#;
        let policy = if redrive { policy } else { "" };
        Response::json(200, &format!(r#"{{"Attributes":{{"VisibilityTimeout":"120"{policy}}}}}"#))
    }

    async fn queue(responses: Vec<Response>) -> (SqsQueue, Recorded) {
        let recorded = Recorded::start(std::iter::once(attributes(false)).chain(responses).collect()).await;
        (SqsQueue::connect(&recorded.config, URL).await.unwrap(), recorded)
    }

    fn message(id: u32) -> String {
        format!(
            r#"{{"MessageId":"m{id}","Body":"b","ReceiptHandle":"r{id}","Attributes":{{"ApproximateReceiveCount":"3","SentTimestamp":"1800000000123"}}}}"#
        )
    }

    fn messages(ids: std::ops::Range<u32>) -> Response {
        Response::json(200, &format!(r#"{{"Messages":[{}]}}"#, ids.map(message).collect::<Vec<_>>().join(",")))
    }

    fn receipts(count: u32) -> Vec<Receipt> {
        (0..count).map(|n| Receipt(format!("r{n}"))).collect()
    }

    fn body(recorded: &Recorded, request: usize) -> serde_json::Value {
        serde_json::from_str(&recorded.requests()[request].body).unwrap()
    }

    #[tokio::test]
    async fn more_than_ten_take_several_requests_of_which_only_the_first_waits() {
        let (queue, recorded) = queue(vec![messages(0..10), messages(10..13), messages(13..13)]).await;
        let received = queue.receive(25).await.unwrap();
        assert_eq!((received.len(), received[0].receives), (13, 3));
        assert_eq!(received[0].sent, SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123));
        let asked: Vec<_> = (1..4).map(|n| body(&recorded, n)).collect();
        let waits: Vec<_> = asked.iter().map(|body| (&body["MaxNumberOfMessages"], &body["WaitTimeSeconds"])).collect();
        assert_eq!(format!("{waits:?}"), "[(Number(10), Number(2)), (Number(10), Number(0)), (Number(10), Number(0))]");
    }

    #[tokio::test]
    async fn what_was_received_is_kept_when_a_later_request_fails() {
        let (queue, _recorded) = queue(vec![messages(0..10), Response::json(500, "{}")]).await;
        assert_eq!(queue.receive(20).await.unwrap().len(), 10);
        assert!(matches!(queue.receive(20).await, Err(QueueError::Unavailable(_))));
    }

    #[tokio::test]
    async fn what_a_batch_request_did_not_do_is_returned() {
        let ok = || Response::json(200, r#"{"Successful":[]}"#);
        let some = || {
            Response::json(
                200,
                r#"{"Successful":[],"Failed":[{"Id":"1","Code":"InternalError","SenderFault":false,"Message":"why"}]}"#,
            )
        };
        let stale = Response::json(
            200,
            r#"{"Successful":[],"Failed":[{"Id":"1","Code":"ReceiptHandleIsInvalid","SenderFault":true,"Message":"why"}]}"#,
        );
        let (queue, recorded) = queue(vec![ok(), some(), some(), stale]).await;
        let expected = |receipt: &str| vec![(Receipt(receipt.into()), "InternalError: why".to_owned())];
        assert_eq!(queue.delete(&receipts(12)).await.unwrap(), expected("r11"));
        assert_eq!(body(&recorded, 1)["Entries"].as_array().map(Vec::len), Some(10));
        assert_eq!(body(&recorded, 2)["Entries"].as_array().map(Vec::len), Some(2));
        let hide: Vec<_> = receipts(2).into_iter().map(|receipt| (receipt, Duration::from_millis(1500))).collect();
        let error = queue.change_visibility(&hide).await.unwrap_err();
        assert!(matches!(&error, QueueError::Unavailable(why) if why == "InternalError: why"), "{error:?}");
        let gone = vec![(Receipt("r1".into()), "ReceiptHandleIsInvalid: why".to_owned())];
        assert_eq!(queue.change_visibility(&hide).await.unwrap(), gone, "it is somebody else's");
        assert_eq!(body(&recorded, 3)["Entries"][0]["VisibilityTimeout"], 2);
    }

    #[tokio::test]
    async fn no_extension_reaches_beyond_twelve_hours_from_the_receipt() {
        let (queue, _recorded) = queue(vec![messages(0..1)]).await;
        let receipt = queue.receive(1).await.unwrap().remove(0).receipt;
        tokio::time::pause();
        let limit = |wanted| queue.within_limit(&receipt, Duration::from_secs(wanted)).as_secs();
        assert_eq!(limit(600), 600);
        tokio::time::advance(MAX_VISIBILITY - Duration::from_secs(100)).await;
        assert!((97..=99).contains(&limit(600)), "{}", limit(600));
        tokio::time::advance(Duration::from_secs(200)).await;
        let failed = queue.change_visibility(&[(receipt.clone(), Duration::from_secs(600))]).await.unwrap();
        assert!(failed[0].1.contains("12 hours"), "{failed:?}");
    }

    #[tokio::test]
    async fn a_dead_letter_keeps_its_reason_and_needs_a_dead_letter_queue() {
        let (without, recorded) = queue(vec![messages(0..1)]).await;
        let delivery = without.receive(1).await.unwrap().remove(0);
        let error = without.dead_letter(&delivery, "why").await.unwrap_err();
        assert!(matches!(&error, QueueError::Refused(text) if text.contains("no dead-letter queue")), "{error:?}");
        assert_eq!(recorded.requests().len(), 2, "the message stays");

        let recorded = Recorded::start(vec![
            attributes(true),
            Response::json(200, r#"{"QueueUrl":"http://sqs/123/dead"}"#),
            Response::json(200, r#"{"MessageId":"x"}"#),
            Response::json(200, r#"{"Successful":[{"Id":"0"}]}"#),
        ]);
        let recorded = recorded.await;
        let queue = SqsQueue::connect(&recorded.config, URL).await.unwrap();
        assert_eq!((without.max_receives(), queue.max_receives()), (None, Some(3)));
        queue.dead_letter(&delivery, "why\u{0} \u{1b}[31m").await.unwrap();
        assert_eq!(body(&recorded, 1)["QueueName"], "dead");
        let sent = body(&recorded, 2);
        assert_eq!((&sent["QueueUrl"], &sent["MessageBody"]), (&"http://sqs/123/dead".into(), &"b".into()));
        assert_eq!(sent["MessageAttributes"]["gristmill-reason"]["StringValue"], "why [31m");
        assert_eq!(sent["MessageAttributes"]["gristmill-source"]["StringValue"], URL);
        assert_eq!(body(&recorded, 3)["Entries"][0]["ReceiptHandle"], "r0");
    }

    #[tokio::test]
    async fn a_dead_letter_queue_that_may_be_there_in_a_moment_is_waited_for() {
        let refused = Response::json(400, r#"{"__type":"x#QueueDoesNotExist","message":"no such queue"}"#);
        let recorded =
            Recorded::start(vec![attributes(true), Response::json(503, "{}"), attributes(true), refused]).await;
        let away = SqsQueue::connect(&recorded.config, URL).await.unwrap_err();
        assert!(matches!(away, QueueError::Unavailable(_)), "{away:?}");
        // One that is not there does not keep the others from being worked on.
        assert_eq!(SqsQueue::connect(&recorded.config, URL).await.unwrap().max_receives(), None);
    }

    #[tokio::test]
    async fn a_queue_that_is_not_there_is_a_refusal() {
        let missing =
            Response::json(400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#);
        let recorded = Recorded::start(vec![missing]).await;
        let error = SqsQueue::connect(&recorded.config, URL).await.unwrap_err();
        assert!(matches!(&error, QueueError::Refused(text) if text.contains("no such queue")), "{error:?}");
    }

    #[test]
    fn an_attribute_is_never_empty_or_long() {
        assert_eq!(attribute_text("\u{0}"), "unknown");
        assert_eq!(attribute_text(&"é".repeat(1000)).len(), MAX_REASON);
        assert_eq!(attribute_text(&format!("x{}", "é".repeat(1000))).len(), MAX_REASON - 1);
    }
}
