//! What every [`Queue`] has to do, as a suite that runs against the embedded queue and against an SQS.

// A suite fails by panicking.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::{Delivery, Depth, Queue, Receipt};

/// Runs the suite on an empty queue that has a dead-letter queue, and leaves it empty but for one dead letter. `send`
/// adds a message. Time-outs of seconds are waited for: real ones, unless the clock is tokio's and paused.
pub async fn suite(queue: &dyn Queue, send: impl AsyncFn(String)) {
    what_is_sent_is_received_and_deleted(queue, &send).await;
    what_waits_and_what_is_at_work_is_counted(queue, &send).await;
    more_than_ten_at_once(queue, &send).await;
    what_is_not_deleted_comes_again(queue, &send).await;
    an_extended_message_stays_hidden(queue, &send).await;
    a_dead_lettered_message_is_gone(queue, &send).await;
}

async fn receive_one(queue: &dyn Queue) -> Delivery {
    let mut received = queue.receive(1).await.unwrap();
    assert_eq!(received.len(), 1);
    received.remove(0)
}

async fn delete(queue: &dyn Queue, deliveries: &[Delivery]) {
    let receipts: Vec<Receipt> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
    assert_eq!(queue.delete(&receipts).await.unwrap(), []);
}

async fn what_is_sent_is_received_and_deleted(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    let body = r#"{"a": "é\n<>&\"", "b":[ ]}"#;
    send(body.into()).await;
    let delivery = receive_one(queue).await;
    assert_eq!((delivery.body.as_str(), delivery.receives), (body, 1));
    assert!(delivery.sent.elapsed().unwrap_or_default() < Duration::from_secs(3600));
    delete(queue, std::slice::from_ref(&delivery)).await;
    // Repeating it is harmless. A queue may or may not say that there is nothing left to delete.
    queue.delete(&[delivery.receipt]).await.unwrap();
}

async fn what_waits_and_what_is_at_work_is_counted(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    for n in 0..3 {
        send(n.to_string()).await;
    }
    let first = receive_one(queue).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 2, in_flight: 1, delayed: 0 });
    let mut others = vec![first];
    while others.len() < 3 {
        others.extend(queue.receive(3).await.unwrap());
    }
    delete(queue, &others).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

async fn more_than_ten_at_once(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    for n in 0..25 {
        send(n.to_string()).await;
    }
    let mut received = Vec::new();
    while received.len() < 25 {
        let more = queue.receive(23).await.unwrap();
        assert!(!more.is_empty() && more.len() <= 23, "{}", more.len());
        received.extend(more);
    }
    let hide: Vec<_> = received.iter().map(|delivery| (delivery.receipt.clone(), Duration::from_secs(30))).collect();
    assert_eq!(queue.change_visibility(&hide).await.unwrap(), []);
    delete(queue, &received).await;
    let mut bodies: Vec<u32> = received.iter().map(|delivery| delivery.body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..25).collect::<Vec<_>>());
}

async fn what_is_not_deleted_comes_again(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    send("again".into()).await;
    let first = receive_one(queue).await;
    assert_eq!(queue.change_visibility(&[(first.receipt.clone(), Duration::ZERO)]).await.unwrap(), []);
    let second = receive_one(queue).await;
    assert_eq!((&second.id, second.receives, second.sent), (&first.id, 2, first.sent));
    assert_ne!(second.receipt, first.receipt);
    // The older receipt must not take the message from whoever has it now.
    let stale = first.receipt;
    assert_eq!(queue.change_visibility(&[(stale, Duration::ZERO)]).await.unwrap().len(), 1);
    // Not deleted in time: it comes again by itself.
    assert_eq!(queue.change_visibility(&[(second.receipt, Duration::from_secs(1))]).await.unwrap(), []);
    let third = receive_one(queue).await;
    assert_eq!(third.receives, 3);
    delete(queue, &[third]).await;
}

async fn an_extended_message_stays_hidden(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    send("extended".into()).await;
    let first = receive_one(queue).await;
    assert_eq!(queue.change_visibility(&[(first.receipt.clone(), Duration::from_secs(40))]).await.unwrap(), []);
    send("other".into()).await;
    let others = queue.receive(10).await.unwrap();
    assert_eq!(others.iter().map(|other| &*other.body).collect::<Vec<_>>(), ["other"]);
    delete(queue, &others).await;
    delete(queue, &[first]).await;
}

async fn a_dead_lettered_message_is_gone(queue: &dyn Queue, send: &impl AsyncFn(String)) {
    send("poison".into()).await;
    let poison = receive_one(queue).await;
    queue.dead_letter(&poison, "not a batch:\u{0} \u{1b}[31m").await.unwrap();
    send("next".into()).await;
    let next = receive_one(queue).await;
    assert_eq!(next.body, "next");
    delete(queue, &[next]).await;
}
