//! The queue over a recorded service: answers that an emulator never gives.

use std::time::{Duration, SystemTime};

use super::super::{Depth, MAX_VISIBILITY, Queue as _, QueueError, Receipt};
use super::SqsQueue;
use super::dead_letters::{MAX_REASON, attribute_text};
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
    let recorded = Recorded::start(vec![attributes(true), Response::json(503, "{}"), attributes(true), refused]).await;
    let away = SqsQueue::connect(&recorded.config, URL).await.unwrap_err();
    assert!(matches!(away, QueueError::Unavailable(_)), "{away:?}");
    // One that is not there does not keep the others from being worked on.
    assert_eq!(SqsQueue::connect(&recorded.config, URL).await.unwrap().max_receives(), None);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_a_refusal() {
    let missing = Response::json(400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#);
    let recorded = Recorded::start(vec![missing]).await;
    let error = SqsQueue::connect(&recorded.config, URL).await.unwrap_err();
    assert!(matches!(&error, QueueError::Refused(text) if text.contains("no such queue")), "{error:?}");
}

#[tokio::test]
async fn a_queue_whose_attributes_are_denied_is_worked_on_all_the_same() {
    let denied =
        || Response::json(403, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#);
    let recorded = Recorded::start(vec![denied(), messages(0..1)]).await;
    let queue = SqsQueue::connect(&recorded.config, URL).await.unwrap();
    assert_eq!((queue.visibility_timeout(), queue.max_receives()), (Duration::from_secs(60), None));
    let delivery = queue.receive(1).await.unwrap().remove(0);
    assert_eq!(body(&recorded, 1)["VisibilityTimeout"], 60, "the queue's own is not known");
    assert!(matches!(queue.depth().await, Err(QueueError::Unavailable(_))));
    assert_eq!(recorded.requests().len(), 2, "it is not asked again");
    let error = queue.dead_letter(&delivery, "why").await.unwrap_err();
    assert!(matches!(&error, QueueError::Refused(text) if text.contains("sqs:GetQueueAttributes")), "{error:?}");
}

#[tokio::test]
async fn a_depth_is_whole_or_none() {
    let depth = |delayed: &str| {
        let both = r#""ApproximateNumberOfMessages":"7","ApproximateNumberOfMessagesNotVisible":"2""#;
        Response::json(200, &format!(r#"{{"Attributes":{{{both}{delayed}}}}}"#))
    };
    let (queue, recorded) =
        queue(vec![depth(r#","ApproximateNumberOfMessagesDelayed":"1""#), depth(""), messages(0..0)]).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 7, in_flight: 2, delayed: 1 });
    let error = queue.depth().await.unwrap_err();
    assert!(matches!(&error, QueueError::Unavailable(text) if text.contains("MessagesDelayed")), "{error:?}");
    queue.receive(1).await.unwrap();
    assert_eq!(body(&recorded, 3)["VisibilityTimeout"], serde_json::Value::Null, "the queue's own holds");
}

#[test]
fn an_attribute_is_never_empty_or_long() {
    assert_eq!(attribute_text("\u{0}"), "unknown");
    assert_eq!(attribute_text(&"é".repeat(1000)).len(), MAX_REASON);
    assert_eq!(attribute_text(&format!("x{}", "é".repeat(1000))).len(), MAX_REASON - 1);
}
