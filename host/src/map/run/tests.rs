//! Runs against workers that are a closure, on a clock that only sleeping moves.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream;
use serde_json::json;

use super::super::summary::RedoneBatches;
use super::*;
use crate::batch::Cause;
use crate::callback::Answer;
use crate::job::{Batch, Digest, FailureKind, ItemFailure, TaskToken};
use crate::report::{BatchReport, Component, Failures, ItemCounts};
use crate::sink::Written;

/// Sleeping takes no time and moves the clock; whoever sleeps lets everybody else go first.
#[derive(Default)]
struct FakeClock(Mutex<Duration>);

#[async_trait]
impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, time: Duration) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        *self.0.lock().unwrap() += time;
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Workers: what they answer, what they were sent, and how many batches they had at once.
struct Workers<F> {
    answer: F,
    sent: Mutex<Vec<Batch>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl<F: Fn(Batch) -> Answering<'static> + Send + Sync> Workers<F> {
    fn new(answer: F) -> Self {
        Self { answer, sent: Mutex::default(), running: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// Batch numbers and attempts, in the order in which they were sent.
    fn sent(&self) -> Vec<(usize, u32)> {
        self.sent.lock().unwrap().iter().map(|batch| (number(batch), batch.attempt)).collect()
    }
}

#[async_trait]
impl<F: Fn(Batch) -> Answering<'static> + Send + Sync> Submit for Workers<F> {
    async fn submit(&self, token: &TaskToken, body: String) -> Answer {
        let batch = Batch::parse(&body).unwrap();
        assert_eq!(&batch.token, token);
        self.sent.lock().unwrap().push(batch.clone());
        self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let answer = (self.answer)(batch).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

fn number(batch: &Batch) -> usize {
    batch.id.execution.rsplit(':').next().unwrap().parse().unwrap()
}

fn now(answer: Answer) -> Answering<'static> {
    Box::pin(async { answer })
}

fn never() -> Answering<'static> {
    Box::pin(std::future::pending())
}

fn report(batch: &Batch, rejected: u64) -> BatchReport {
    let total = batch.items.len() as u64;
    BatchReport {
        dataset: batch.dataset.clone(),
        component: Component { name: "p".into(), version: "1.0.0".into(), digest: Digest::of(b""), release: None },
        items: ItemCounts { total, succeeded: total - rejected, rejected },
        bytes_read: 1000,
        outputs: vec![Written {
            output: "o".into(),
            place: "table:t".into(),
            files: None,
            rows: total - rejected,
            bytes: 10,
            digest: None,
        }],
        failures: Failures {
            by_code: (rejected > 0).then(|| ("bad".to_owned(), rejected)).into_iter().collect(),
            first: (0..rejected)
                .map(|index| ItemFailure {
                    index: index as u32,
                    item: None,
                    code: "bad".into(),
                    message: "broken".into(),
                    kind: FailureKind::Rejected,
                })
                .collect(),
        },
        report: None,
        from_receipt: false,
    }
}

fn success(batch: &Batch) -> Answer {
    Answer::Success { output: report(batch, 0).to_output(10_000) }
}

fn failure(error: &str, cause: &str) -> Answer {
    Answer::Failure { error: error.into(), cause: cause.into() }
}

fn refused(_: &Batch) -> Answer {
    failure(error_names::BAD_PLUGIN, "no")
}

fn input() -> Box<RawValue> {
    serde_json::value::to_raw_value(&json!({"day": "2018-01-01"})).unwrap()
}

/// `items` numbers, ten to a batch, four batches at once.
fn plan(items: u64) -> Plan {
    let raw = |n: u64| Ok(serde_json::value::to_raw_value(&n).unwrap().into());
    Plan {
        window: None,
        values: Default::default(),
        dataset: "d".into(),
        run: names::run_name("d", &input()),
        input: input(),
        items: stream::iter(0..items).map(raw).boxed(),
        source: "a test".into(),
        select: None,
        batch_input: None,
        limits: Limits { items: 10, bytes: 10_000 },
        max_concurrency: 4,
        tolerance: Tolerance::new(None, 0.0),
        max_attempts: 3,
        grace: Duration::from_secs(10),
        redo: Redo::default(),
    }
}

async fn run_with(plan: Plan, submit: &dyn Submit, clock: &FakeClock, shutdown: &CancellationToken) -> Summary {
    sendable(run(plan, submit, clock, &mut Progress::for_stderr(true), shutdown)).await
}

/// A run may be spawned.
fn sendable<T: Future + Send>(future: T) -> T {
    future
}

async fn run_plan(plan: Plan, submit: &dyn Submit) -> Summary {
    run_with(plan, submit, &FakeClock::default(), &CancellationToken::new()).await
}

#[tokio::test]
async fn every_item_goes_once_in_batches_of_the_right_size_and_number() {
    let workers = Workers::new(|batch| now(success(&batch)));
    let summary = run_plan(plan(95), &workers).await;
    assert_eq!(summary.status, Status::Succeeded);
    assert_eq!((summary.items.total, summary.items.succeeded, summary.batches.done), (95, 95, 10));
    assert_eq!((summary.outputs[0].rows, summary.bytes_read), (95, 10_000));
    let sent = workers.sent.lock().unwrap();
    let mut items = BTreeMap::new();
    for batch in sent.iter() {
        assert_eq!((batch.dataset.as_str(), batch.id.state.as_str()), ("d", "Batch"));
        items.insert(number(batch), batch.items.iter().map(|item| item.body.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(items.into_values().flatten().collect::<Vec<_>>(), (0..95).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(workers.most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_repeated_run_sends_the_same_messages() {
    let messages = async || {
        let workers = Workers::new(|batch| now(success(&batch)));
        run_plan(plan(30), &workers).await;
        let sent = workers.sent.lock().unwrap();
        sent.iter().map(|batch| (batch.id.clone(), batch.items.clone())).collect::<Vec<_>>()
    };
    let first = messages().await;
    assert_eq!(first[0].0.execution, "arn:aws:states:local:000000000000:execution:d/a0030e5a0ce8:000000");
    assert_eq!(first, messages().await);
}

#[tokio::test]
async fn selector_and_batch_input_are_in_the_message() {
    let workers = Workers::new(|batch| now(success(&batch)));
    let select = Template(json!(["{$.day}", "{$$.Map.Item}"]));
    let batch_input = Some(serde_json::value::to_raw_value(&json!({"Bucket": "b"})).unwrap());
    run_plan(Plan { select: Some(select), batch_input, ..plan(12) }, &workers).await;
    let sent = workers.sent.lock().unwrap();
    let last = sent.last().unwrap();
    assert_eq!(&*last.batch_input, r#"{"Bucket":"b"}"#);
    assert_eq!(&*last.items[1].body, r#"["2018-01-01",{"Index":11,"Value":11}]"#);
}

#[tokio::test]
async fn what_was_done_before_is_said_to_be_nothing_new() {
    let workers = Workers::new(|batch| {
        let output = BatchReport { from_receipt: true, ..report(&batch, 0) }.to_output(10_000);
        now(Answer::Success { output })
    });
    let summary = run_plan(plan(20), &workers).await;
    assert!(summary.nothing_new());
    assert_eq!((summary.batches.replayed, summary.items.replayed, summary.bytes_read), (2, 20, 0));
}

#[tokio::test]
async fn a_batch_is_tried_again_with_a_new_token_after_a_growing_delay() {
    let workers = Workers::new(|batch| {
        now(match batch.attempt {
            0 => failure(error_names::RETRYABLE, "S3 is slow"),
            1 => failure(error_names::HOST_FAULT, "disk"),
            _ => success(&batch),
        })
    });
    let clock = FakeClock::default();
    let summary = run_with(plan(5), &workers, &clock, &CancellationToken::new()).await;
    assert_eq!((summary.status, summary.batches.done), (Status::Succeeded, 1));
    assert_eq!(workers.sent(), [(0, 0), (0, 1), (0, 2)]);
    let waited = clock.elapsed();
    assert!(waited >= Duration::from_millis(1500) && waited <= Duration::from_secs(3), "{waited:?}");
    let sent = workers.sent.lock().unwrap();
    assert!(sent[0].token != sent[1].token && sent[0].id == sent[1].id);
}

#[tokio::test]
async fn attempts_end_and_other_errors_are_final() {
    let workers = Workers::new(|_| now(failure(error_names::RETRYABLE, "S3 is away")));
    let summary = run_plan(plan(5), &workers).await;
    assert_eq!(workers.sent().len(), 4, "one attempt and max_attempts = 3 more");
    assert_eq!((summary.items.failed, summary.failures.by_code[error_names::RETRYABLE]), (5, 5));
    assert_eq!(summary.failures.first[0].message, "S3 is away");

    let workers = Workers::new(|_| now(failure(error_names::BAD_PLUGIN, "no component")));
    run_plan(plan(5), &workers).await;
    assert_eq!(workers.sent().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_report_is_a_fault() {
    let workers = Workers::new(|_| now(Answer::Success { output: "{}".into() }));
    let summary = run_plan(Plan { max_attempts: 0, ..plan(5) }, &workers).await;
    assert_eq!(summary.status, Status::Failed);
    assert!(summary.failures.first[0].message.contains("not what was asked for"), "{summary}");
}

#[tokio::test]
async fn too_many_failures_begin_nothing_new_and_let_the_rest_end() {
    let workers = Workers::new(|batch| {
        now(if number(&batch) == 2 { failure(error_names::BAD_PLUGIN, "no") } else { success(&batch) })
    });
    let summary = run_plan(plan(1000), &workers).await;
    let error = summary.error.unwrap();
    assert_eq!((summary.status, error.name), (Status::Failed, "States.ExceedToleratedFailureThreshold"));
    assert!(workers.sent().len() < 12, "{}", workers.sent().len());
    assert_eq!(workers.sent().len() as u64, summary.batches.done + summary.batches.failed);
}

#[tokio::test]
async fn a_failed_batch_counts_with_all_its_items_and_the_rows_of_the_good_ones_stay() {
    let answer = |batch: Batch| {
        let cause = report(&batch, 1).to_output(10_000);
        now(if number(&batch) == 0 { failure(error_names::ITEMS_REJECTED, &cause) } else { success(&batch) })
    };
    let tolerated = run_plan(Plan { tolerance: Tolerance::new(None, 10.0), ..plan(100) }, &Workers::new(answer)).await;
    assert_eq!((tolerated.status, tolerated.batches.failed, tolerated.batches.done), (Status::Succeeded, 1, 9));
    assert_eq!((tolerated.items.succeeded, tolerated.items.rejected, tolerated.items.failed), (99, 1, 0));
    assert_eq!((tolerated.outputs[0].rows, tolerated.failures.by_code["bad"]), (99, 1));
    assert_eq!(tolerated.failures.first[0].item.as_deref(), Some("batch 000000, item 0"));

    let failed = run_plan(Plan { tolerance: Tolerance::new(None, 9.9), ..plan(100) }, &Workers::new(answer)).await;
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.error.unwrap().cause, "10 of 100 items failed, tolerated_failure_percentage is 9.9");
}

#[tokio::test]
async fn items_that_cannot_be_read_fail_the_run_after_what_was_begun() {
    let broken = reader::ReadError::Object(crate::object::ObjectError::NotFound("there is no s3://b/x".into()));
    let items = plan(25).items.chain(stream::iter([Err(broken)])).boxed();
    let workers = Workers::new(|batch| now(success(&batch)));
    let summary = run_plan(Plan { items, ..plan(0) }, &workers).await;
    let error = summary.error.unwrap();
    assert_eq!((error.name, error.cause.as_str()), ("States.ItemReaderFailed", "there is no s3://b/x"));
    assert_eq!(summary.items.total, 25);
}

#[tokio::test]
async fn an_item_that_fits_no_batch_fails_the_run() {
    let plan = Plan { limits: Limits { items: 10, bytes: 14 }, ..plan(200) };
    let summary = run_plan(plan, &Workers::new(|batch| now(success(&batch)))).await;
    let error = summary.error.unwrap();
    assert_eq!(error.name, "States.DataLimitExceeded");
    assert!(error.cause.starts_with("item 100 (100) makes a batch of 15 bytes"), "{}", error.cause);
}

#[tokio::test]
async fn a_selector_that_does_not_fit_fails_the_run() {
    let select = Template(json!({"x": "{$.x}"}));
    let summary = run_plan(Plan { select: Some(select), ..plan(3) }, &Workers::new(|_| never())).await;
    assert_eq!(summary.error.unwrap().name, "States.ParameterPathFailure");
}

#[tokio::test]
async fn no_items_are_a_success() {
    let summary = run_plan(plan(0), &Workers::new(|_| never())).await;
    assert_eq!((summary.status, summary.items.total), (Status::Succeeded, 0));
}

#[tokio::test]
async fn ctrl_c_begins_nothing_new_and_waits_a_while() {
    let shutdown = CancellationToken::new();
    let workers = Workers::new({
        let shutdown = shutdown.clone();
        move |batch| match number(&batch) {
            0 => never(),
            1 => {
                shutdown.cancel();
                now(success(&batch))
            }
            _ => now(success(&batch)),
        }
    });
    let clock = FakeClock::default();
    let summary = run_with(plan(1000), &workers, &clock, &shutdown).await;
    assert_eq!((summary.status, summary.error), (Status::Interrupted, None));
    assert_eq!(clock.elapsed(), Duration::from_secs(10), "the batch that never ends gets the grace and no more");
    // Four at once: the first four, and what took the place of those that were done before the second.
    assert!(workers.sent().len() <= 6, "{:?}", workers.sent());
    assert_eq!(summary.batches.done + 1, workers.sent().len() as u64, "what was under way is counted");
}

#[tokio::test]
async fn ctrl_c_when_only_the_last_batches_are_left_changes_nothing() {
    for (answers, status) in [(success as fn(&Batch) -> Answer, Status::Succeeded), (refused, Status::Failed)] {
        let shutdown = CancellationToken::new();
        let workers = Workers::new({
            let shutdown = shutdown.clone();
            move |batch| {
                let shutdown = shutdown.clone();
                Box::pin(async move {
                    // The end of the items is known by then, and no batch has its answer.
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    shutdown.cancel();
                    tokio::task::yield_now().await;
                    answers(&batch)
                })
            }
        });
        let summary = run_with(plan(30), &workers, &FakeClock::default(), &shutdown).await;
        assert_eq!((summary.status, summary.batches.total(), summary.items.total), (status, 3, 30));
        assert_eq!(summary.error.is_some(), status == Status::Failed);
    }
}

#[tokio::test]
async fn ctrl_c_gives_up_a_batch_that_waits_for_its_next_attempt() {
    let shutdown = CancellationToken::new();
    let workers = Workers::new({
        let shutdown = shutdown.clone();
        move |_| {
            shutdown.cancel();
            now(failure(error_names::RETRYABLE, "later"))
        }
    });
    let summary = run_with(plan(5), &workers, &FakeClock::default(), &shutdown).await;
    assert_eq!((summary.status, workers.sent().len()), (Status::Interrupted, 1));
    assert_eq!((summary.batches.failed, summary.items.total), (0, 5), "it did not fail: it was not run to its end");
}

#[tokio::test]
async fn ctrl_c_on_a_failed_run_ends_it_at_once() {
    let shutdown = CancellationToken::new();
    let workers = Workers::new({
        let shutdown = shutdown.clone();
        move |batch| match number(&batch) {
            0 => now(failure(error_names::BAD_PLUGIN, "no")),
            1 => {
                let shutdown = shutdown.clone();
                Box::pin(async move {
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    shutdown.cancel();
                    std::future::pending().await
                })
            }
            _ => never(),
        }
    });
    let clock = FakeClock::default();
    let summary = run_with(plan(1000), &workers, &clock, &shutdown).await;
    assert_eq!((summary.status, clock.elapsed()), (Status::Failed, Duration::ZERO));
}

#[tokio::test]
async fn reading_ahead_is_bounded() {
    let taken = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let item = format!("\"{}\"", "x".repeat(100_000));
    let items = stream::iter(0..10_000).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(RawValue::from_string(item.clone()).unwrap().into())
    });
    let shutdown = CancellationToken::new();
    let workers = Workers::new(|_| never());
    let limits = Limits { items: 1, bytes: 200_000 };
    let plan = Plan { items: items.boxed(), limits, ..plan(0) };
    let clock = FakeClock::default();
    let stop = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    let (summary, ()) = tokio::join!(run_with(plan, &workers, &clock, &shutdown), stop);
    assert_eq!(summary.status, Status::Interrupted);
    let taken = taken.load(Ordering::SeqCst);
    assert!((160..200).contains(&taken), "{taken} items of 100 kB were read with 16 MiB of room");
}

#[tokio::test]
async fn what_no_waiting_cures_ends_the_run_at_once_with_one_sentence() {
    let workers = Workers::new(|batch| match number(&batch) {
        0 => now(success(&batch)),
        2 => now(failure(error_names::OUTPUT_REFUSED, "dataset d, batch 000002: the disk with `t` is full: make room")),
        _ => never(),
    });
    let clock = FakeClock::default();
    let summary = run_with(plan(100), &workers, &clock, &CancellationToken::new()).await;
    let cause = "the disk with `t` is full: make room".into();
    assert_eq!(summary.error, Some(RunError { name: error_names::OUTPUT_REFUSED, cause }));
    assert_eq!((summary.status, summary.batches.failed, summary.items.failed), (Status::Failed, 0, 0));
    assert!(summary.failures.by_code.is_empty(), "{:?}", summary.failures);
    // Neither tried again nor waited for those that are under way.
    assert_eq!(clock.elapsed(), Duration::ZERO);
    assert_eq!(workers.sent().iter().filter(|(number, _)| *number == 2).count(), 1);
    assert!(workers.sent().len() <= 5, "{:?}", workers.sent());
}

#[tokio::test]
async fn what_is_done_again_is_counted_if_it_runs() {
    let workers = Workers::new(|batch| match number(&batch) {
        // Another run over the same folder was quicker.
        3 => {
            let report = BatchReport { from_receipt: true, ..report(&batch, 0) };
            now(Answer::Success { output: report.to_output(10_000) })
        }
        _ => now(success(&batch)),
    });
    let redo = Redo::of([
        (0, Cause::InputsChanged, "s3://b/x"),
        (1, Cause::OutputsGone, "table:t"),
        (2, Cause::InputsChanged, "s3://b/y"),
        (3, Cause::InputsChanged, "s3://b/z"),
        (9, Cause::InputsChanged, "s3://b/of a batch that is no more"),
    ]);
    let summary = run_plan(Plan { redo, ..plan(50) }, &workers).await;
    let of = |cause, batches, first: &str, batch| RedoneBatches { cause, batches, first: Some(first.into()), batch };
    let expected = [of(Cause::InputsChanged, 2, "s3://b/x", 0), of(Cause::OutputsGone, 1, "table:t", 1)];
    let mut again = summary.again;
    again.sort_by_key(|repeated| repeated.cause);
    assert_eq!((summary.batches.done, again), (4, expected.to_vec()));
}
