//! All items of a batch into a table, 25 at a time, until DynamoDB has taken every one.

use std::time::Duration;

use futures::{Stream, TryStreamExt};
use tokio::time::Instant;

use super::super::error::SinkError;
use super::super::lease_check::LeaseCheck;
use super::item::Item;
use super::tables::{TableError, Tables};
use crate::backoff::{Backoff, spread};

/// Requests in flight for one batch. Batches also run beside each other, so a few requests keep a table busy.
const REQUESTS: usize = 4;

/// The waits between attempts give a table time to grow that was taken by surprise.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const WAITS: Backoff = Backoff::new(Duration::from_millis(50), LONGEST_WAIT);

/// How long to go on while DynamoDB takes no item at all. It is usually away for less.
const PATIENCE: Duration = Duration::from_secs(120);

/// Writes the items of each request together. A request is made when it is its turn, so that a large batch is not in memory
/// twice.
pub(super) async fn write_all(
    tables: &dyn Tables,
    table: &str,
    requests: impl Stream<Item = Result<Vec<Item>, SinkError>> + Send,
    lease: &LeaseCheck,
) -> Result<(), SinkError> {
    requests.try_for_each_concurrent(REQUESTS, |items| write(tables, table, items, lease)).await
}

async fn write(tables: &dyn Tables, table: &str, mut items: Vec<Item>, lease: &LeaseCheck) -> Result<(), SinkError> {
    let (mut waits, mut since) = (Waits::default(), Instant::now());
    loop {
        lease.check()?;
        let before = items.len();
        let why = match tables.write(table, items.clone()).await {
            Ok(unprocessed) if unprocessed.is_empty() => return Ok(()),
            Ok(unprocessed) => {
                items = unprocessed;
                "it left items unprocessed".to_owned()
            }
            Err(TableError::Retry(why)) => why,
            Err(TableError::Refused(why)) => {
                return Err(SinkError::Refused(format!("DynamoDB refuses rows for table `{table}`: {why}")));
            }
        };
        if items.len() < before {
            (waits, since) = (Waits::default(), Instant::now());
        }
        // Requests that hang take time too.
        let Some(wait) = waits.next(fastrand::f64()).filter(|_| since.elapsed() < PATIENCE) else {
            return Err(SinkError::Unavailable(format!(
                "DynamoDB took no row for table `{table}` in {} s: {why}; raise the table's write capacity, or lower \
                 the dataset's `max_concurrency`",
                PATIENCE.as_secs()
            )));
        };
        tables.pause(wait).await;
    }
}

/// The waits since DynamoDB took an item.
#[derive(Default)]
struct Waits {
    attempts: u32,
    waited: Duration,
}

impl Waits {
    /// The next wait; none when patience has ended.
    fn next(&mut self, chance: f64) -> Option<Duration> {
        if self.waited >= PATIENCE {
            return None;
        }
        let wait = spread(WAITS.whole(self.attempts), chance);
        self.attempts += 1;
        self.waited += wait;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::super::requests::ITEMS_PER_REQUEST;
    use super::super::tables::Description;
    use super::*;

    /// Answers each request by a rule, and remembers what it took.
    struct Scripted<F> {
        rule: F,
        calls: AtomicUsize,
        taken: Mutex<Vec<String>>,
        running: AtomicUsize,
        most: AtomicUsize,
        waited: Mutex<Duration>,
    }

    impl<F: Fn(usize, usize) -> Result<usize, TableError>> Scripted<F> {
        /// `rule(call, items)` says how many of the items are taken.
        fn new(rule: F) -> Self {
            let zero = || AtomicUsize::new(0);
            Self {
                rule,
                calls: zero(),
                taken: Mutex::default(),
                running: zero(),
                most: zero(),
                waited: Mutex::default(),
            }
        }

        fn taken(&self) -> Vec<String> {
            let mut taken = self.taken.lock().unwrap().clone();
            taken.sort();
            taken
        }
    }

    #[async_trait]
    impl<F: Fn(usize, usize) -> Result<usize, TableError> + Send + Sync + 'static> Tables for Scripted<F> {
        async fn describe(&self, _: &str) -> Result<Description, TableError> {
            Err(TableError::Refused("not asked for here".into()))
        }

        async fn write(&self, table: &str, items: Vec<Item>) -> Result<Vec<Item>, TableError> {
            assert_eq!(table, "stations");
            assert!(!items.is_empty() && items.len() <= 25, "{} items", items.len());
            self.most.fetch_max(1 + self.running.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            let take = (self.rule)(self.calls.fetch_add(1, Ordering::SeqCst), items.len())?;
            let (taken, left) = items.split_at(take);
            let ids = taken.iter().map(|item| item["id"].as_s().unwrap().clone());
            self.taken.lock().unwrap().extend(ids);
            Ok(left.to_vec())
        }

        async fn pause(&self, wait: Duration) {
            *self.waited.lock().unwrap() += wait;
        }
    }

    fn items(count: usize) -> impl Stream<Item = Result<Vec<Item>, SinkError>> + Send {
        let item = |n| Item::from([("id".into(), AttributeValue::S(format!("{n:03}")))]);
        let items: Vec<_> = (0..count).map(item).collect();
        let requests: Vec<_> = items.chunks(ITEMS_PER_REQUEST).map(|items| Ok(items.to_vec())).collect();
        futures::stream::iter(requests)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:03}")).collect()
    }

    #[test]
    fn waits_double_up_to_a_limit_and_end() {
        let waits = |chance| {
            let mut waits = Waits::default();
            std::iter::from_fn(move || waits.next(chance)).collect::<Vec<_>>()
        };
        let (shortest, longest) = (waits(0.0), waits(1.0));
        assert_eq!(longest[..3], [50, 100, 200].map(Duration::from_millis));
        assert_eq!(shortest[..3], [25, 50, 100].map(Duration::from_millis));
        assert_eq!(longest.last(), Some(&LONGEST_WAIT));
        for waits in [shortest, longest] {
            assert!((PATIENCE..PATIENCE + LONGEST_WAIT).contains(&waits.iter().sum::<Duration>()));
        }
    }

    #[tokio::test]
    async fn items_go_25_at_a_time_and_a_few_requests_at_once() {
        let tables = Scripted::new(|_, items| Ok(items));
        write_all(&tables, "stations", items(260), &LeaseCheck::new(|| true)).await.unwrap();
        assert_eq!(tables.taken(), names(260));
        assert_eq!(tables.calls.into_inner(), 11);
        assert_eq!(tables.most.into_inner(), REQUESTS);
    }

    #[tokio::test]
    async fn unprocessed_items_are_sent_again_until_all_are_taken() {
        let tables = Scripted::new(|call, items| Ok(if call % 2 == 0 { 0 } else { items.min(3) }));
        write_all(&tables, "stations", items(30), &LeaseCheck::new(|| true)).await.unwrap();
        assert_eq!(tables.taken(), names(30));
    }

    #[tokio::test]
    async fn throttling_is_waited_out_with_growing_waits() {
        let tables =
            Scripted::new(|call, items| if call < 6 { Err(TableError::Retry("throttled".into())) } else { Ok(items) });
        write_all(&tables, "stations", items(5), &LeaseCheck::new(|| true)).await.unwrap();
        assert_eq!(tables.taken(), names(5));
        // 50 + 100 + ... + 1600 ms, of which each at least a half.
        let waited = tables.waited.into_inner().unwrap();
        assert!((Duration::from_millis(1_575)..=Duration::from_millis(3_160)).contains(&waited), "{waited:?}");
    }

    #[tokio::test]
    async fn a_table_that_takes_nothing_is_given_up_after_a_while() {
        let tables = Scripted::new(|_, _| Ok(0));
        let error = write_all(&tables, "stations", items(5), &LeaseCheck::new(|| true)).await.unwrap_err();
        assert!(
            matches!(&error, SinkError::Unavailable(why)
                if why.starts_with("DynamoDB took no row for table `stations` in 120 s: it left items unprocessed")),
            "{error}"
        );
        assert!((PATIENCE..PATIENCE + LONGEST_WAIT).contains(&tables.waited.into_inner().unwrap()));
        assert!(tables.calls.into_inner() < 60);
    }

    #[tokio::test]
    async fn a_table_that_takes_little_is_not_given_up() {
        let tables = Scripted::new(|call, _| Ok(usize::from(call % 12 == 11)));
        write_all(&tables, "stations", items(25), &LeaseCheck::new(|| true)).await.unwrap();
        assert_eq!(tables.taken(), names(25));
        assert!(tables.waited.into_inner().unwrap() > PATIENCE * 2);
    }

    #[tokio::test]
    async fn a_refusal_is_not_repeated() {
        let tables = Scripted::new(|_, _| Err(TableError::Refused("no permission".into())));
        let error = write_all(&tables, "stations", items(5), &LeaseCheck::new(|| true)).await.unwrap_err();
        assert_eq!(error, SinkError::Refused("DynamoDB refuses rows for table `stations`: no permission".into()));
        assert_eq!(tables.calls.into_inner(), 1);
    }
}
