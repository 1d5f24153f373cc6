//! Who of those who want to write a tag is first.
//!
//! The protocol of OCI registries has no conditional write: a second push under a tag replaces the first. So it is decided
//! under a tag of its own, the claim, by Fischer's algorithm: look that nothing is there, write, wait, look whose it is.
//! That is right as long as nobody takes longer from the look to the end of the write than the others wait, which is
//! [`SETTLE`]; whoever was slow waits as long as that took. What was decided is then written under the tag that is
//! read, after a look whether it is there already. So a claim that comes late finds the decision made; harm comes of it
//! only between the moment in which somebody learns the decision and the moment in which it is written.
//!
//! In a registry whose tags cannot be moved (`IMMUTABLE` in Amazon ECR) a second write is refused, and nothing is left to time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::super::RegistryError;
use super::host::Host;
use crate::job::Digest;

/// For how long a claim is open. A manifest of some hundred bytes is written in a fraction of that.
const SETTLE: Duration = Duration::from_secs(1);

/// The tags of one repository.
#[async_trait]
pub(super) trait Tags: Sync {
    /// The manifest that a tag names now, or that has this digest.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, RegistryError>;

    /// Puts a manifest under a tag, once.
    async fn put(&self, tag: &str, manifest: &Bytes) -> Result<(), RegistryError>;

    /// For people.
    fn place(&self, name: &str) -> String;

    /// For how long a claim is open.
    fn settle(&self) -> Duration {
        SETTLE
    }
}

/// A repository of a registry server.
pub(super) struct Repository<'a>(pub(super) &'a Host, pub(super) &'a str);

#[async_trait]
impl Tags for Repository<'_> {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, RegistryError> {
        self.0.manifest(self.1, name).await
    }

    async fn put(&self, tag: &str, manifest: &Bytes) -> Result<(), RegistryError> {
        self.0.push_manifest(self.1, tag, manifest).await
    }

    fn place(&self, name: &str) -> String {
        self.0.place(self.1, name)
    }
}

/// The digest of the manifest that a tag names now.
pub(super) async fn resolve(tags: &impl Tags, tag: &str) -> Result<Option<Digest>, RegistryError> {
    Ok(tags.get(tag).await?.map(|manifest| Digest::of(&manifest)))
}

/// Puts a manifest under a tag and returns what is there then: something else if the registry moves no tags.
pub(super) async fn put(tags: &impl Tags, tag: &str, manifest: &Bytes) -> Result<Digest, RegistryError> {
    let pushed = tags.put(tag, manifest).await;
    found_after(tags, tag, pushed).await
}

/// Decides between those who want to write a manifest: all of them get the same answer.
pub(super) async fn claim(tags: &impl Tags, tag: &str, manifest: &Bytes) -> Result<Digest, RegistryError> {
    let began = Instant::now();
    let pushed = match resolve(tags, tag).await? {
        None => tags.put(tag, manifest).await,
        Some(_) => Ok(()),
    };
    tokio::time::sleep(tags.settle().max(began.elapsed())).await;
    found_after(tags, tag, pushed).await
}

/// Writes a tag once and for all: whether it is this manifest that stands there now.
pub(super) async fn write_once(
    tags: &impl Tags,
    claimed: &str,
    tag: &str,
    manifest: &Bytes,
) -> Result<bool, RegistryError> {
    let ours = Digest::of(manifest);
    let winner = claim(tags, claimed, manifest).await?;
    if let Some(found) = resolve(tags, tag).await? {
        return Ok(found == ours);
    }
    if winner == ours {
        return Ok(put(tags, tag, manifest).await? == ours);
    }
    // Whoever comes here ends it: the winner may be no more, and then nobody could ever go on.
    let Some(theirs) = tags.get(&winner.to_string()).await? else {
        let place = tags.place(&winner.to_string());
        return Err(RegistryError::Unavailable(format!("{place}, which was first to claim {tag}, is gone")));
    };
    Ok(put(tags, tag, &theirs).await? == ours)
}

/// What a tag names after somebody tried to write it. An error of the write counts only if nothing is there.
async fn found_after(tags: &impl Tags, tag: &str, pushed: Result<(), RegistryError>) -> Result<Digest, RegistryError> {
    match (resolve(tags, tag).await?, pushed) {
        (Some(found), _) => Ok(found),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(RegistryError::Unavailable(format!("{} was written and is not there", tags.place(tag)))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use futures::future::join_all;
    use proptest::prelude::*;

    use super::*;

    /// A registry that is as far away as a property says, with tags that can or cannot be moved.
    #[derive(Clone)]
    struct Far {
        tags: Arc<Mutex<BTreeMap<String, Bytes>>>,
        immutable: bool,
        settle: Duration,
        /// How long requests take to get there, and answers to come back, in milliseconds; over and over.
        delays: Arc<Mutex<std::iter::Cycle<std::vec::IntoIter<u64>>>>,
        /// How much longer the write of a claim takes to get there.
        slow: Duration,
    }

    impl Far {
        fn new(immutable: bool, settle: Duration) -> Self {
            let delays = Arc::new(Mutex::new(vec![0].into_iter().cycle()));
            Self { tags: Arc::default(), immutable, settle, delays, slow: Duration::ZERO }
        }

        /// The same registry, seen by another one.
        fn seen(&self, delays: Vec<u64>, slow: u64) -> Self {
            let delays = Arc::new(Mutex::new(delays.into_iter().cycle()));
            Self { delays, slow: Duration::from_millis(slow), ..self.clone() }
        }

        async fn travel(&self) {
            let delay = self.delays.lock().unwrap().next().unwrap();
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }

    #[async_trait]
    impl Tags for Far {
        async fn get(&self, name: &str) -> Result<Option<Bytes>, RegistryError> {
            self.travel().await;
            let found = self.tags.lock().unwrap().get(name).cloned();
            self.travel().await;
            Ok(found)
        }

        async fn put(&self, tag: &str, manifest: &Bytes) -> Result<(), RegistryError> {
            self.travel().await;
            if tag == "claim" {
                tokio::time::sleep(self.slow).await;
            }
            let refused = {
                let mut tags = self.tags.lock().unwrap();
                let refused = self.immutable && tags.contains_key(tag);
                if !refused {
                    tags.insert(tag.to_owned(), manifest.clone());
                    tags.insert(Digest::of(manifest).to_string(), manifest.clone());
                }
                refused
            };
            self.travel().await;
            if refused { Err(RegistryError::Invalid("the tag cannot be moved".into())) } else { Ok(()) }
        }

        fn place(&self, name: &str) -> String {
            name.into()
        }

        fn settle(&self) -> Duration {
            self.settle
        }
    }

    /// Who begins when, how far away the registry is from there, and how much its claim is delayed, in milliseconds.
    type Racer = (u64, Vec<u64>, u64);

    /// Lets all of them write; returns who was told that it won, and whose manifest stands there at the end.
    fn race(immutable: bool, settle: Duration, racers: Vec<Racer>) -> (Vec<usize>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let far = Far::new(immutable, settle);
            let run = async |(number, (begin, delays, slow)): (usize, Racer)| {
                tokio::time::sleep(Duration::from_millis(begin)).await;
                let tags = far.seen(delays, slow);
                write_once(&tags, "claim", "tag", &format!("{number}").into()).await.unwrap().then_some(number)
            };
            let won = join_all(racers.into_iter().enumerate().map(run)).await;
            let stands = String::from_utf8(far.tags.lock().unwrap()["tag"].to_vec()).unwrap();
            (won.into_iter().flatten().collect(), stands.parse().unwrap())
        })
    }

    /// Four ways of one request and its answer, twice: less than the claim is open.
    fn near() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(0..200_u64, 1..12)
    }

    proptest! {
        #[test]
        fn of_many_one_wins(racers in prop::collection::vec((0..2500_u64, near(), Just(0)), 1..9), immutable: bool) {
            let (won, stands) = race(immutable, SETTLE, racers);
            prop_assert_eq!(won, [stands]);
        }

        #[test]
        fn a_claim_that_comes_late_finds_the_decision_made(
            late in (0..2500_u64, near(), 0..10_000_u64),
            other in (0..2500_u64, near(), Just(0)),
        ) {
            let (won, stands) = race(false, SETTLE, vec![late, other]);
            prop_assert_eq!(won, [stands]);
        }

        #[test]
        fn where_tags_cannot_be_moved_nothing_depends_on_time(
            racers in prop::collection::vec((0..9000_u64, prop::collection::vec(0..5000_u64, 1..12), 0..20_000_u64), 1..9),
        ) {
            let (won, stands) = race(true, SETTLE, racers);
            prop_assert_eq!(won, [stands]);
        }
    }

    /// Most ways are short, some are long: what the wait is for.
    #[test]
    fn without_the_wait_two_would_win_and_with_it_the_same_schedules_have_one_winner() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut wrong, rounds) = (0, 3000);
        for _ in 0..rounds {
            let mut racer = || {
                let delays = (0..16).map(|_| if random.u8(..4) == 0 { random.u64(..200) } else { random.u64(..10) });
                let delays = delays.collect();
                (random.u64(..100), delays, 0)
            };
            let racers = vec![racer(), racer(), racer()];
            let (won, stands) = race(false, Duration::ZERO, racers.clone());
            wrong += usize::from(won != [stands]);
            let (won, stands) = race(false, SETTLE, racers);
            assert_eq!(won, [stands]);
        }
        assert!(wrong > 0, "none of {rounds} schedules needs the wait: this shows nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_began_who_is_no_more_is_ended_by_the_next() {
        let far = Far::new(false, SETTLE);
        claim(&far, "claim", &"first".into()).await.unwrap();
        assert!(!write_once(&far, "claim", "tag", &"second".into()).await.unwrap());
        assert_eq!(far.get("tag").await.unwrap().unwrap(), "first");
        // The first, had it only slept, learns that it has won.
        assert!(write_once(&far, "claim", "tag", &"first".into()).await.unwrap());
    }
}
