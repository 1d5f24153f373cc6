//! How datasets share a worker: slots, memory, and places for batches; in this process and in tokio's time.

use std::time::Duration;

use gristmill::callback::Answer;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::house::{House, Setup, message};

const DRAIN: Duration = Duration::from_secs(25);
/// What one item of `stations` counts for with the default limits: 64 MiB, 128 MiB for the host, twice 16 MiB of rows.
const ITEM: u64 = 224 << 20;

/// A worker with the datasets `stations` and `neighbour`.
async fn house(change: impl FnOnce(&mut Setup)) -> House {
    House::with(|setup| {
        setup.neighbour = true;
        change(setup);
    })
    .await
}

/// A batch of so many items that take ten seconds each. All give the same row, so that all but one are rejected: nothing
/// here is about rows.
fn send(house: &House, dataset: &str, batch: &str, items: usize) -> oneshot::Receiver<Answer> {
    let answer = house.waiting(batch);
    let mut body = message(batch, &vec!["slow/10/A.csv"; items]);
    body["dataset"] = dataset.into();
    house.queue.inner.send(body.to_string());
    answer
}

/// How many times ten seconds went by until then.
fn tens(start: Instant) -> u64 {
    start.elapsed().as_secs() / 10
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_dataset_leaves_another_its_half_of_the_slots() {
    let house = house(|_| ()).await;
    let flood: Vec<_> = (0..7).map(|n| send(&house, "stations", &format!("flood-{n}"), 40)).collect();
    let start = Instant::now();
    let worker = house.worker(8, DRAIN);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (small, large) = (send(&house, "neighbour", "small", 2), Instant::now());
    small.await.unwrap();
    assert!(tens(large) <= 2, "{:?}", large.elapsed());
    let asked = Instant::now();
    send(&house, "neighbour", "large", 40).await.unwrap();
    // Two of four slots: twenty rounds, and the one that runs when it asks. In the order of asking it would be eighty.
    assert!((20..=22).contains(&tens(asked)), "{:?}", asked.elapsed());
    for answer in flood {
        answer.await.unwrap();
    }
    // No slot was ever idle: 322 items over four of them.
    assert!(tens(start) <= 322 / 4 + 2, "{:?}", start.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dataset_at_its_ceiling_leaves_the_other_slots_to_others() {
    let house = house(|setup| setup.plugin = "max_slots = 1").await;
    let slow = send(&house, "stations", "slow", 8);
    let start = Instant::now();
    let worker = house.worker(4, DRAIN);
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&house, "neighbour", "quick", 9).await.unwrap();
    assert_eq!(tens(start), 3, "three slots for nine items");
    slow.await.unwrap();
    assert_eq!(tens(start), 8, "one slot for eight items");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn batches_beyond_the_ceiling_go_back_and_are_done_in_the_end() {
    let house = house(|setup| setup.plugin = "max_batches = 1").await;
    let flood: Vec<_> = (0..6).map(|n| send(&house, "stations", &format!("flood-{n}"), 4)).collect();
    let start = Instant::now();
    let worker = house.worker(2, DRAIN);
    // Behind six others in the queue; two permits would be taken by the first two for ten seconds, and so on.
    let alone = send(&house, "neighbour", "alone", 1);
    alone.await.unwrap();
    assert!(tens(start) <= 2, "{:?}", start.elapsed());
    for answer in flood {
        answer.await.unwrap();
    }
    house.settled().await;
    worker.stop().await;
    let fates: Vec<_> = house.lines().into_iter().map(|line| line["fate"].as_str().unwrap().to_owned()).collect();
    assert_eq!(fates.iter().filter(|fate| *fate == "acked").count(), 7, "{fates:?}");
    assert!(fates.iter().any(|fate| fate == "returned") && !fates.iter().any(|fate| fate == "parked"), "{fates:?}");
    // The third delivery is the last one here: it is worked on, ceiling or not.
    let receives: Vec<_> = house.lines().into_iter().map(|line| line["receives"].as_u64().unwrap()).collect();
    assert_eq!(receives.iter().max(), Some(&3), "{receives:?}");
    let returned = house.log().into_iter().find(|line| line["fate"] == "returned").unwrap();
    assert_eq!(returned["level"], "INFO", "it is no fault: {returned}");
    assert_eq!(returned["reason"], "dataset stations has its `max_batches` of 1 under way on this worker");
}

#[tokio::test(start_paused = true)]
async fn no_more_items_run_than_fit_into_the_memory() {
    let house = house(|setup| setup.memory = 2 * ITEM + ITEM / 2).await;
    let start = Instant::now();
    let answer = send(&house, "stations", "b", 6);
    let worker = house.worker(4, DRAIN);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(house.metric("gristmill_slots_busy"), 2.0);
    assert_eq!(house.metric("gristmill_memory_busy_bytes"), 2.0 * ITEM as f64);
    answer.await.unwrap();
    assert_eq!(tens(start), 3, "two at a time");
    assert_eq!(house.metric("gristmill_memory_busy_bytes"), 0.0);
    worker.stop().await;
}

/// Instances that are kept for the next item take memory with them: with room for one, datasets change places all the same.
#[tokio::test(start_paused = true)]
async fn an_instance_that_is_kept_does_not_keep_others_out() {
    let house = house(|setup| {
        setup.plugin = "instance = \"batch\"";
        setup.memory = ITEM;
    })
    .await;
    let start = Instant::now();
    let [a, b, c] = [("stations", "a"), ("stations", "b"), ("neighbour", "c")]
        .map(|(dataset, batch)| send(&house, dataset, batch, 5));
    let worker = house.worker(4, DRAIN);
    c.await.unwrap();
    assert!((9..=11).contains(&tens(start)), "they take turns: {:?}", start.elapsed());
    a.await.unwrap();
    b.await.unwrap();
    assert_eq!(tens(start), 15, "one at a time, and always one");
    worker.stop().await;
}
