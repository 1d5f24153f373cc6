//! What is known of releases without asking: which are open, which were refused and why, and what was looked for in vain. And who
//! waits for whom while one is opened: whoever wants the same, and nobody else.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::catalog::{DatasetVersion, NotOpened};
use crate::job::Digest;
use crate::registry::Name;
use crate::runtime::Runtime;

/// How many releases of a dataset that nobody has under way are kept for whoever asks next: those that runs are pinned to, those
/// that were in use before.
const KEPT: usize = 4;

/// How large their components are together, in bytes, unless it is only one. Compiled they are some five times as large: a Rust
/// component of 250 kB is a MB then, a Python component of 19 MB is 40 to 100 MB.
const KEPT_BYTES: u64 = 16 << 20;

/// A release that was refused is looked at again after this time, and after twice as long each time, up to the longest: what was
/// missing (a signature, a variable, memory) may have come.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(600));

/// How many look-ups are remembered.
const MOST_FOUND: usize = 1000;

/// For how long it is believed that there is no such version. Each look-up asks for every version that there is, and a queue may
/// be full of batches that name the same one.
const MISSING: Duration = Duration::from_secs(10);

/// How many releases are in memory while they are read and compiled, each up to some hundred MiB.
const IN_MEMORY: usize = 8;

/// What is known of the releases of a registry.
pub struct KnownReleases {
    /// The latest last.
    kept: Mutex<VecDeque<Arc<DatasetVersion>>>,
    /// What was refused, why, and until when that is believed.
    refused: Mutex<HashMap<Key, Refused>>,
    /// The releases of components that were asked for; none was there, until when that is believed.
    found: Mutex<HashMap<Key, Result<Digest, Instant>>>,
    /// The datasets that have a version in use, as far as was asked just now.
    pub(super) promoted: tokio::sync::Mutex<Option<(Instant, BTreeSet<Name>)>>,
    /// What compiles while batches run.
    pub(super) background: OnceLock<Runtime>,
    /// Who opens a release, and who looks for one.
    pub(super) opening: Turns,
    pub(super) finding: Turns,
    /// Room for what is read.
    pub(super) in_memory: Semaphore,
}

/// A release or component of a dataset.
type Key = (Name, Digest);

struct Refused {
    why: String,
    until: Instant,
    pause: Duration,
}

impl Default for KnownReleases {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            refused: Mutex::default(),
            found: Mutex::default(),
            promoted: tokio::sync::Mutex::default(),
            background: OnceLock::new(),
            opening: Turns::default(),
            finding: Turns::default(),
            in_memory: Semaphore::new(IN_MEMORY),
        }
    }
}

impl KnownReleases {
    /// What is known of a release without looking.
    pub(super) fn known(&self, name: &Name, digest: &Digest) -> Option<Result<Arc<DatasetVersion>, NotOpened>> {
        if let Some(loaded) = self.find(name.as_str(), |loaded| loaded.release == Some(*digest)) {
            return Some(Ok(loaded));
        }
        let refused = lock(&self.refused);
        let refused = refused.get(&(name.clone(), *digest)).filter(|refused| Instant::now() < refused.until)?;
        Some(Err(NotOpened::Refused(refused.why.clone())))
    }

    /// What is open and fits.
    pub(super) fn find(&self, name: &str, fits: impl Fn(&DatasetVersion) -> bool) -> Option<Arc<DatasetVersion>> {
        let mut kept = lock(&self.kept);
        let at = kept.iter().rposition(|loaded| loaded.dataset.of() == name && fits(loaded))?;
        let loaded = kept.remove(at)?;
        kept.push_back(loaded.clone());
        Some(loaded)
    }

    /// What is in use is kept by whoever uses it; here are the latest, whoever uses them.
    pub(super) fn keep(&self, loaded: Arc<DatasetVersion>) {
        let name = loaded.dataset.of().to_owned();
        let mut kept = lock(&self.kept);
        let idle = |loaded: &Arc<DatasetVersion>| Arc::strong_count(loaded) == 1 && loaded.dataset.of() == name;
        kept.push_back(loaded);
        loop {
            let idle = || kept.iter().enumerate().filter(|(_, loaded)| idle(loaded));
            let sizes: Vec<u64> = idle().map(|(_, loaded)| loaded.plugin.size).collect();
            if sizes.len() <= 1 || (sizes.len() <= KEPT && sizes.iter().sum::<u64>() <= KEPT_BYTES) {
                break;
            }
            let Some((oldest, _)) = idle().next() else { break };
            kept.remove(oldest);
        }
    }

    pub(super) fn refuse(&self, name: &Name, digest: &Digest, why: &str) {
        let (mut refused, key) = (lock(&self.refused), (name.clone(), *digest));
        let pause = PAUSES.after(refused.get(&key).map_or(Duration::ZERO, |before| before.pause));
        refused.insert(key, Refused { why: why.to_owned(), until: Instant::now() + pause, pause });
    }

    /// What a look-up came to before: a release, or that there was none just now.
    pub(super) fn found(&self, name: &Name, wanted: &Digest) -> Option<Option<Digest>> {
        match lock(&self.found).get(&(name.clone(), *wanted))? {
            Ok(release) => Some(Some(*release)),
            Err(until) => (Instant::now() < *until).then_some(None),
        }
    }

    pub(super) fn remember(&self, name: &Name, wanted: &Digest, found: Option<Digest>) {
        let mut known = lock(&self.found);
        if known.len() >= MOST_FOUND {
            known.clear();
        }
        known.insert((name.clone(), *wanted), found.ok_or_else(|| Instant::now() + MISSING));
    }

    /// Forgets what was looked for in vain: the registry has changed.
    pub(super) fn look_again(&self) {
        lock(&self.found).retain(|_, found| found.is_ok());
    }
}

/// Of those who want the same, one after the other; who wants something else waits for none of them.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for one's turn, which lasts until this is dropped.
    pub(super) async fn take(&self, name: &Name, wanted: &Digest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.0);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let key = (name.clone(), *wanted);
            turns.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(key, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn who_wants_the_same_waits_and_nobody_else() {
        let turns = Turns::default();
        let (one, two): (Name, Name) = ("one".parse().unwrap(), "two".parse().unwrap());
        let digest = Digest::of(b"release");
        let take = |name: &Name, digest: &Digest| turns.take(name, digest).now_or_never();
        let turn = take(&one, &digest).unwrap();
        assert!(take(&one, &digest).is_none());
        assert!(take(&two, &digest).is_some() && take(&one, &Digest::of(b"another")).is_some());
        drop(turn);
        let _turn = take(&one, &digest).unwrap();
        assert_eq!(lock(&turns.0).len(), 1, "what nobody wants is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_believed_for_a_while() {
        let (opened, name, wanted) = (KnownReleases::default(), "one".parse().unwrap(), Digest::of(b"wanted"));
        assert_eq!(opened.found(&name, &wanted), None);
        opened.remember(&name, &wanted, None);
        assert_eq!(opened.found(&name, &wanted), Some(None));
        tokio::time::advance(MISSING).await;
        assert_eq!(opened.found(&name, &wanted), None);
        opened.remember(&name, &wanted, None);
        opened.look_again();
        assert_eq!(opened.found(&name, &wanted), None, "a new head may bring it");
        opened.remember(&name, &wanted, Some(wanted));
        opened.look_again();
        tokio::time::advance(MISSING * 2).await;
        assert_eq!(opened.found(&name, &wanted), Some(Some(wanted)), "what was there stays there");
    }
}
