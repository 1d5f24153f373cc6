//! The worker's receive loop, its leases and its end, in this process and in tokio's time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use gristmill::callback::Answer;
use gristmill::job::{BatchId, Digest};
use gristmill::ledger::{Claim, ClaimRequest};
use gristmill::queue::{LONG_POLL, Queue};
use gristmill::worker::depth;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

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

/// More than the default heartbeat, which is half of a day.
pub(crate) fn a_day_later() -> SystemTime {
    SystemTime::now() + seconds(24 * 3600)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_spent_on_a_batch_whose_time_is_over() {
    let house = House::with(|setup| setup.now = a_day_later).await;
    let start = Instant::now();
    drop(house.send("over", &["slow/60/A.csv"]));
    let worker = house.worker(1, DRAIN);
    house.settled().await;
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
    assert_eq!(house.callback.beats.lock().unwrap().len(), 1, "one question");
    assert_eq!((house.rows(), house.callback.answers.lock().unwrap().len()), (vec![], 0));
    let line = &house.lines()[0];
    assert_eq!((&line["fate"], &line["heard"]), (&json!("acked"), &json!(false)), "{line:?}");
    // Nobody ever claimed it.
    let claim = ClaimRequest {
        id: id("over"),
        fingerprint: Digest::of(b"other"),
        component: Digest::of(b"other"),
        now: a_day_later(),
        lease: VISIBILITY,
    };
    match house.ledger.claim(&claim).await.unwrap() {
        Claim::Taken(claimed) => assert_eq!((claimed.fence, claimed.resumed), (1, false)),
        other => panic!("{other:?}"),
    }
    // One that waited as long, and that somebody still waits for, is done.
    success(house.send("late", &["stations/B.csv"]).await.unwrap());
    worker.stop().await;
    assert_eq!(house.rows(), ["B"]);
}

#[tokio::test(start_paused = true)]
async fn waits_are_measured_and_one_warning_says_that_they_grow_too_long() {
    let house = House::with(|setup| {
        setup.now = a_minute_later;
        setup.map = "heartbeat = \"100s\"";
    })
    .await;
    let answers: Vec<_> = (0..5).map(|n| house.send(&format!("b{n}"), &["stations/A.csv"])).collect();
    let worker = house.worker(1, DRAIN);
    for answer in answers {
        success(answer.await.unwrap());
    }
    worker.stop().await;
    let wait = |what: &str| house.metric(&format!("gristmill_batch_wait_seconds_{what}"));
    assert_eq!((wait("count{dataset=\"stations\"}"), wait("bucket{dataset=\"stations\",le=\"15\"}")), (5.0, 0.0));
    let sum = wait("sum{dataset=\"stations\"}");
    assert!((300.0..400.0).contains(&sum), "{sum}");
    let warnings: Vec<_> = house.log().into_iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let said = ["dataset", "waited", "heartbeat"].map(|key| warnings[0][key].as_str().unwrap().to_owned());
    assert_eq!((&*said[0], &said[1][..2], &*said[2]), ("stations", "1m", "1m 40s"), "{said:?}");
    assert!(warnings[0]["message"].as_str().unwrap().contains("lower `max_concurrency`"), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_asked_for_its_depth_seldom_and_may_refuse_to_tell() {
    let house = House::new().await;
    let queue: Arc<dyn Queue> = house.queue.clone();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(depth::watch(queue, "batches".into(), house.metrics.clone(), stop.clone()));
    let shown = || house.metrics.render().contains("gristmill_queue_messages");
    let visible = "gristmill_queue_messages{queue=\"batches\",state=\"visible\"}";
    (0..3).for_each(|n| drop(house.send(&n.to_string(), &["stations/A.csv"])));
    sleep(depth::EVERY).await;
    assert_eq!(house.metric(visible), 3.0);
    house.queue.refuses_depth.store(true, Relaxed);
    sleep(depth::EVERY * 60).await;
    assert!(!shown(), "what was known once is no answer");
    let asked = house.queue.depths.load(Relaxed);
    assert!((4..12).contains(&asked), "{asked} questions in half an hour");
    let warnings: Vec<_> = house.log().into_iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].to_string().contains("sqs:GetQueueAttributes"), "{warnings:?}");
    house.queue.refuses_depth.store(false, Relaxed);
    sleep(depth::EVERY * 20).await;
    assert_eq!(house.metric(visible), 3.0, "a permission came");
    stop.cancel();
    watch.await.unwrap();
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
