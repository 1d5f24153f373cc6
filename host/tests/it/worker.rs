//! The worker's receive loop, its leases and its end, in this process and in tokio's time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use gristmill::callback::Answer;
use gristmill::job::{BatchId, Digest};
use gristmill::ledger::{Claim, ClaimRequest};
use gristmill::queue::{LONG_POLL, Queue as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::house::{House, VISIBILITY, message, token};

const DRAIN: Duration = Duration::from_secs(25);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn id(batch: &str) -> BatchId {
    let execution = format!("arn:aws:states:us-east-1:000000000000:execution:map/stations:{batch}");
    BatchId { execution, state: "Batch".into() }
}

fn success(answer: Answer) -> Value {
    match answer {
        Answer::Success { output } => serde_json::from_str(&output).unwrap(),
        Answer::Failure { error, cause } => panic!("{error}: {cause}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_no_more_than_it_has_permits_and_the_next_as_soon_as_one_is_free() {
    let house = House::new().await;
    let long = house.send("long", &["slow/100/A.csv"]);
    let short: Vec<_> = (0..9).map(|n| house.send(&format!("short-{n}"), &["slow/10/B.csv"])).collect();
    let start = Instant::now();
    let worker = house.worker(2, DRAIN);
    for (answered, answer) in short.into_iter().enumerate() {
        sleep(seconds(5)).await;
        let counts = house.queue.inner.counts();
        assert_eq!((counts.in_flight, counts.visible), (2, 8 - answered), "what it has no permit for it leaves");
        success(answer.await.unwrap());
    }
    // One after the other in the second permit, while the first one is taken.
    let took = start.elapsed();
    assert!(took >= seconds(90) && took < seconds(92), "{took:?}");
    assert_eq!(house.metric("gristmill_batches_in_flight"), 1.0);
    success(long.await.unwrap());
    house.settled().await;
    worker.stop().await;
    assert_eq!(house.metric("gristmill_batches_in_flight"), 0.0);
    assert_eq!(house.metric("gristmill_batches_total{dataset=\"stations\",fate=\"acked\"}"), 10.0);
    assert_eq!(house.rows(), ["A", "B"]);
}

#[tokio::test(start_paused = true)]
async fn messages_are_deleted_together_by_ten_at_most_and_never_wait_for_a_tenth() {
    let house = House::new().await;
    for n in 0..25 {
        drop(house.send(&format!("batch-{n}"), &["slow/5/A.csv"]));
    }
    // The state waits for none of them any more; they are deleted all the same.
    let worker = house.worker(25, DRAIN);
    house.settled().await;
    let deletes = std::mem::take(&mut *house.queue.deletes.lock().unwrap());
    assert_eq!(deletes.iter().sum::<usize>(), 25);
    assert!(deletes.len() <= 8 && deletes.iter().all(|messages| *messages <= 10), "{deletes:?}");
    let answered = house.send("alone", &["stations/A.csv"]);
    success(answered.await.unwrap());
    let start = Instant::now();
    house.settled().await;
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_could_not_be_deleted_comes_again_and_is_answered_from_the_ledger() {
    let house = House::new().await;
    house.queue.keeps_everything.store(true, Relaxed);
    let answer = house.send("b", &["stations/A.csv", "stations/B.csv"]);
    let worker = house.worker(4, DRAIN);
    assert_eq!(success(answer.await.unwrap())["replayed"], false);
    sleep(VISIBILITY / 2).await;
    house.queue.keeps_everything.store(false, Relaxed);
    let again = house.waiting("b");
    let again = success(again.await.unwrap());
    assert_eq!((&again["replayed"], &again["items"]["succeeded"]), (&json!(true), &json!(2)));
    house.settled().await;
    worker.stop().await;
    assert_eq!(house.metric("gristmill_items_total{dataset=\"stations\",outcome=\"succeeded\"}"), 2.0, "not run again");
    let said = house.log().into_iter().filter(|line| line["message"].as_str().unwrap().contains("was not deleted"));
    assert_eq!(said.count(), 1);
    let replayed: Vec<_> = house.lines().iter().map(|line| line["replayed"].clone()).collect();
    assert_eq!(replayed, [json!(false), json!(true)]);
}

#[tokio::test(start_paused = true)]
async fn what_lapses_is_renewed_three_times_per_period_for_as_long_as_a_batch_takes() {
    let house = House::new().await;
    let start = Instant::now();
    let answer = house.send("b", &["slow/3600/A.csv"]);
    let worker = house.worker(1, DRAIN);
    success(answer.await.unwrap());
    assert!(start.elapsed() >= seconds(3600));
    house.settled().await;
    worker.stop().await;
    assert_eq!(house.lines()[0]["receives"], 1, "the message was never visible in between");
    let beats = house.callback.beats.lock().unwrap().clone();
    let hidden: Vec<_> = house.queue.hidden.lock().unwrap().iter().map(|(when, _)| *when).collect();
    for renewals in [beats, hidden] {
        assert!(renewals.len() >= 359, "{}", renewals.len());
        assert!(renewals.windows(2).all(|two| two[1] - two[0] <= VISIBILITY / 3 + seconds(1)));
    }
}

/// The shortest of what lapses sets the pace of all.
#[tokio::test(start_paused = true)]
async fn a_short_lease_is_renewed_three_times_too() {
    let lease = seconds(6);
    let house = House::with(|setup| setup.lease = lease).await;
    let answer = house.send("b", &["slow/60/A.csv"]);
    let worker = house.worker(1, DRAIN);
    sleep(seconds(30)).await;
    let held = ClaimRequest {
        id: id("b"),
        fingerprint: Digest::of(b"other"),
        component: Digest::of(b"other"),
        now: SystemTime::now(),
        lease,
    };
    match house.ledger.claim(&held).await.unwrap() {
        Claim::Held { remaining } => assert!(remaining <= lease, "{remaining:?}"),
        other => panic!("{other:?}"),
    }
    success(answer.await.unwrap());
    let beats = house.callback.beats.lock().unwrap().clone();
    assert!(beats.len() >= 29 && beats.windows(2).all(|two| two[1] - two[0] <= lease / 3 + seconds(1)), "{beats:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_hangs_does_not_cost_the_message() {
    let house = House::new().await;
    house.callback.hangs.store(true, Relaxed);
    let answer = house.send("b", &["slow/300/A.csv"]);
    let worker = house.worker(1, DRAIN);
    success(answer.await.unwrap());
    house.settled().await;
    worker.stop().await;
    assert_eq!(house.lines()[0]["receives"], 1);
    assert!(house.log().iter().any(|line| line["message"].as_str().unwrap().starts_with("the heartbeat was not")));
}

/// The wall clock of a worker that takes a message a minute after it was sent.
fn a_minute_later() -> SystemTime {
    SystemTime::now() + seconds(60)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waited_long_gets_its_heartbeat_at_once() {
    let house = House::with(|setup| setup.now = a_minute_later).await;
    let answer = house.send("b", &["slow/1/A.csv"]);
    let worker = house.worker(1, DRAIN);
    success(answer.await.unwrap());
    assert_eq!(house.callback.beats.lock().unwrap().len(), 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_nobody_waits_any_more_the_work_ends_and_the_message_with_it() {
    let house = House::new().await;
    drop(house.send("b", &["slow/3600/A.csv", "stations/B.csv"]));
    let start = Instant::now();
    let worker = house.worker(1, DRAIN);
    house.settled().await;
    assert!(start.elapsed() < VISIBILITY, "{:?}", start.elapsed());
    worker.stop().await;
    assert_eq!(house.rows(), [""; 0]);
    assert!(house.callback.answers.lock().unwrap().is_empty());
    let lines = house.lines();
    assert_eq!((lines.len(), &lines[0]["fate"], &lines[0]["heard"]), (1, &json!("acked"), &json!(false)));
    // Its claim is nobody's either: the state's next attempt need not wait for it.
    let answer = house.send("b", &["stations/A.csv"]);
    let worker = house.worker(1, DRAIN);
    let start = Instant::now();
    success(answer.await.unwrap());
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_another_worker_took_ends_the_work() {
    let house = House::new().await;
    let _answer = house.send("b", &["slow/3600/A.csv", "stations/B.csv"]);
    let worker = house.worker(1, DRAIN);
    sleep(seconds(5)).await;
    let other = ClaimRequest {
        id: id("b"),
        fingerprint: Digest::of(b"other"),
        component: Digest::of(b"other"),
        now: SystemTime::now() + seconds(3600),
        lease: seconds(3600),
    };
    assert!(matches!(house.ledger.claim(&other).await.unwrap(), Claim::Taken(_)));
    sleep(VISIBILITY).await;
    let lines = house.lines();
    assert_eq!((&lines[0]["fate"], &lines[0]["level"]), (&json!("returned"), &json!("WARN")));
    assert!(lines[0]["reason"].as_str().unwrap().contains("lost to another worker"), "{lines:?}");
    // It came again, and found the batch held.
    assert_eq!(lines[1]["reason"], "another worker holds the batch");
    worker.stop().await;
    assert_eq!(house.rows(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_gone_ends_the_work() {
    let house = House::new().await;
    let _answer = house.send("b", &["slow/3600/A.csv", "stations/B.csv"]);
    // Somebody else's receive, which the worker overtakes.
    let other = house.queue.inner.receive(1).await.unwrap().remove(0);
    house.queue.inner.change_visibility(&[(other.receipt.clone(), Duration::ZERO)]).await.unwrap();
    let worker = house.worker(1, DRAIN);
    sleep(seconds(5)).await;
    let purged = gristmill::queue::Receipt("1-2".into());
    assert!(house.queue.inner.delete(&[purged]).await.unwrap().is_empty());
    sleep(VISIBILITY).await;
    let lines = house.lines();
    assert_eq!((lines.len(), &lines[0]["fate"]), (1, &json!("returned")));
    assert!(lines[0]["reason"].as_str().unwrap().contains("visibility could not be extended"), "{lines:?}");
    worker.stop().await;
    assert_eq!(house.rows(), [""; 0]);
}

/// Two guests burn both threads that guests have; heartbeats and extensions go on beside them, in real time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_go_on_while_guests_burn_every_thread() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let house = House::with(|setup| {
        setup.guests = Some(threads.handle().clone());
        setup.visibility = seconds(1);
    })
    .await;
    let _answer = house.waiting("b");
    let mut body = message("b", &["1", "2", "3", "4"]);
    body["dataset"] = "endless".into();
    house.queue.inner.send(body.to_string());
    let worker = house.worker(1, Duration::ZERO);
    sleep(seconds(3)).await;
    assert_eq!(house.metric("gristmill_slots_busy"), 4.0);
    assert_eq!(house.queue.inner.counts().visible, 0);
    let (beats, hidden) = (house.callback.beats.lock().unwrap().clone(), house.queue.hidden.lock().unwrap().clone());
    for renewals in [beats, hidden.iter().map(|(when, _)| *when).collect()] {
        assert!(renewals.len() >= 4, "{}", renewals.len());
        assert!(renewals.windows(2).all(|two| two[1] - two[0] < seconds(1)), "{renewals:?}");
    }
    // Told to stop without time to drain, the batch is given up in the middle of its loop.
    assert!(worker.stop().await < seconds(3));
    assert_eq!(house.queue.inner.counts().visible, 1);
    // A guest notices at its next epoch.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(house.metric("gristmill_slots_busy"), 0.0);
    threads.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_within_its_poll_and_returns_what_that_brings() {
    let house = House::new().await;
    let worker = house.worker(4, DRAIN);
    sleep(seconds(61)).await;
    assert!(worker.stop().await <= LONG_POLL);
    let worker = house.worker(4, DRAIN);
    sleep(LONG_POLL / 4).await;
    worker.stop.cancel();
    sleep(LONG_POLL / 4).await;
    drop(house.send("late", &["stations/A.csv"]));
    worker.stop().await;
    assert_eq!(house.queue.inner.counts().visible, 1);
    assert_eq!(house.queue.inner.receive(1).await.unwrap()[0].receives, 2, "the poll had taken it");
    assert!(house.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_finishes_what_it_can_and_leaves_the_rest_to_others_at_once() {
    let house = House::new().await;
    let quick = house.send("quick", &["slow/20/A.csv"]);
    let slow = house.send("slow", &["slow/40/B.csv"]);
    let worker = house.worker(2, DRAIN);
    sleep(seconds(1)).await;
    let untouched = house.send("untouched", &["stations/C.csv"]);
    let took = worker.stop().await;
    assert!(took >= DRAIN && took < DRAIN + seconds(1), "{took:?}");
    success(quick.await.unwrap());
    assert_eq!(house.queue.inner.counts().visible, 2, "the slow one and the one that it never took");
    assert_eq!(house.rows(), ["A"]);
    let other = house.worker(2, DRAIN);
    let start = Instant::now();
    success(untouched.await.unwrap());
    success(slow.await.unwrap());
    assert!(start.elapsed() < seconds(41), "it had to wait for nobody's lease: {:?}", start.elapsed());
    house.settled().await;
    other.stop().await;
    assert_eq!(house.rows(), ["A", "B", "C"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_drain() {
    let house = House::new().await;
    let _answer = house.send("slow", &["slow/3600/A.csv"]);
    let worker = house.worker(1, DRAIN);
    sleep(seconds(1)).await;
    worker.hurry.cancel();
    assert!(worker.stop().await < seconds(1));
    assert_eq!(house.queue.inner.counts().visible, 1);
    assert!(!house.callback.answers.lock().unwrap().iter().any(|(to, _)| *to == token("slow")));
}
