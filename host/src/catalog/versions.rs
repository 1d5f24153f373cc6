//! All datasets of a process, each with the versions that are in use. What is in use changes in one step; whoever has a batch
//! under way keeps the version that it began with.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::source::{NotOpened, VersionSource};
use super::version::DatasetVersion;
use crate::dataset::StageSpec;
use crate::job::{Batch, Digest};
use crate::ledger::fleet::{Fleet, FleetOfOne, Tally};
use crate::registry::{Share, TrialKind};

/// The versions of one dataset that are in use.
#[derive(Clone)]
pub struct Versions {
    /// What batches run on, or why they cannot.
    pub stable: Result<Arc<DatasetVersion>, Arc<str>>,
    /// What a share of them runs on.
    pub trial: Option<OnTrial>,
    /// The releases that a run may still be pinned to: those in use and those before, but not what was rolled back.
    pub known: Arc<[Digest]>,
    /// The head that says so; 0 without a registry.
    pub head: u64,
}

/// A version that a share of the batches goes to.
#[derive(Clone)]
pub struct OnTrial {
    /// The head that began the trial: its name.
    pub head: u64,
    /// What for.
    pub kind: TrialKind,
    /// How many.
    pub share: Share,
    /// The version.
    pub loaded: Arc<DatasetVersion>,
}

impl Versions {
    /// One version, or the reason why there is none.
    pub fn only(stable: Result<Arc<DatasetVersion>, Arc<str>>) -> Self {
        Self { stable, trial: None, known: Arc::default(), head: 0 }
    }
}

/// What a trial is known by: the dataset, the head that began it, and whether the new version is meant or the stable one.
pub type Side = (String, u64, bool);

/// All datasets of a process. One that cannot be worked on is kept with the reason, so that its batches can be told.
pub struct Catalog {
    datasets: RwLock<BTreeMap<String, Versions>>,
    /// Where further versions come from.
    releases: OnceLock<Arc<dyn VersionSource>>,
    /// With whom this process agrees on a run's version.
    fleet: Arc<dyn Fleet>,
    /// Versions of runs, as they were agreed on.
    pins: Mutex<HashMap<String, Pinned>>,
    /// What batches under trial came to and nobody was told yet.
    untold: Mutex<HashMap<Side, Tally>>,
    /// Who runs shadows.
    shadows: OnceLock<mpsc::Sender<Shadowed>>,
}

/// A batch that shall run once more, with two versions.
#[derive(Clone)]
pub struct Shadowed {
    /// The batch.
    pub batch: Arc<Batch>,
    /// Where its clock stands.
    pub started: SystemTime,
    /// The version that it ran on.
    pub old: Arc<DatasetVersion>,
    /// The version that is tried.
    pub new: Arc<DatasetVersion>,
    /// The head that began the trial.
    pub head: u64,
}

/// How many batches may wait for their shadow; further ones have none: work that counts is never held up by it.
const MOST_SHADOWED: usize = 16;

/// The version of a run, as the first worker to see the run had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    /// The release.
    pub(super) release: Digest,
    /// The head that had it in use.
    pub(super) head: u64,
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.release, self.head)
    }
}

impl FromStr for Pinned {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An earlier gristmill wrote no head: what is known now decides then.
        let (release, head) = text.split_once('@').unwrap_or((text, "0"));
        Ok(Self { release: release.parse()?, head: head.parse().map_err(|_| "no head")? })
    }
}

/// How many runs' versions are remembered before they are asked for again.
const MOST_PINS: usize = 10_000;

impl Default for Catalog {
    fn default() -> Self {
        Self::with(Arc::new(FleetOfOne::default()))
    }
}

impl Catalog {
    /// No datasets yet, in this fleet.
    pub fn with(fleet: Arc<dyn Fleet>) -> Self {
        Self {
            datasets: RwLock::default(),
            releases: OnceLock::new(),
            fleet,
            pins: Mutex::default(),
            untold: Mutex::default(),
            shadows: OnceLock::new(),
        }
    }

    /// A catalog of one dataset.
    pub fn of(loaded: Arc<DatasetVersion>) -> Self {
        let catalog = Self::default();
        let name = loaded.dataset.of().to_owned();
        catalog.set(&name, Versions::only(Ok(loaded)));
        catalog
    }

    /// Whether there is this dataset, or this stage of one.
    pub fn knows(&self, name: &str) -> bool {
        match self.get(StageSpec::dataset_of(name)) {
            Some(Ok(loaded)) => loaded.called(name).is_some(),
            Some(Err(_)) => StageSpec::dataset_of(name) == name,
            None => false,
        }
    }

    /// The stable version of this dataset, or why it cannot be worked on.
    pub fn get(&self, name: &str) -> Option<Result<Arc<DatasetVersion>, Arc<str>>> {
        self.versions(name).map(|versions| versions.stable)
    }

    /// The names of all datasets.
    pub fn names(&self) -> Vec<String> {
        self.datasets.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The datasets that cannot be worked on, each with the reason.
    pub fn broken(&self) -> Vec<(String, Arc<str>)> {
        let datasets = self.datasets.read().unwrap_or_else(PoisonError::into_inner);
        datasets.iter().filter_map(|(name, versions)| Some((name.clone(), versions.stable.clone().err()?))).collect()
    }

    /// What is in use of a dataset.
    pub fn versions(&self, name: &str) -> Option<Versions> {
        self.datasets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// From now on batches begin with these versions.
    pub fn set(&self, name: &str, versions: Versions) {
        let before = {
            let mut datasets = self.datasets.write().unwrap_or_else(PoisonError::into_inner);
            datasets.insert(name.to_owned(), versions)
        };
        // Freeing compiled code takes a moment: not while everybody waits for the lock.
        drop(before);
    }

    /// From now on further versions come from there.
    pub fn attach(&self, releases: Arc<dyn VersionSource>) {
        let _ = self.releases.set(releases);
    }

    /// The version of a run: the one that the fleet agreed on, or else `proposal`, from then on.
    pub(super) async fn pinned(&self, dataset: &str, run: &str, proposal: Pinned) -> Result<Pinned, NotOpened> {
        let key = format!("{run}#{dataset}");
        if let Some(pinned) = lock(&self.pins).get(&key) {
            return Ok(*pinned);
        }
        let now = SystemTime::now();
        let agreed = self.fleet.agree(&key, &proposal.to_string(), now).await;
        let agreed =
            agreed.map_err(|error| NotOpened::Later(format!("the version of its run is not known: {error}")))?;
        let pinned = agreed.parse().unwrap_or(proposal);
        let mut pins = lock(&self.pins);
        if pins.len() >= MOST_PINS {
            pins.clear();
        }
        pins.insert(key, pinned);
        Ok(pinned)
    }

    /// From now on whoever has this gets batches for shadows. There is one.
    pub fn shadows(&self) -> Option<mpsc::Receiver<Shadowed>> {
        let (sender, receiver) = mpsc::channel(MOST_SHADOWED);
        self.shadows.set(sender).ok().map(|()| receiver)
    }

    /// Has a batch shadowed, if anybody does that and is not behind.
    pub(super) fn shadow(&self, work: Shadowed) {
        if let Some(shadows) = self.shadows.get() {
            let _ = shadows.try_send(work);
        }
    }

    pub(super) fn releases(&self) -> Option<&Arc<dyn VersionSource>> {
        self.releases.get()
    }

    pub(crate) fn fleet(&self) -> &dyn Fleet {
        &*self.fleet
    }

    /// Remembers how a batch did, until somebody asks.
    pub(crate) fn tell(&self, side: Side, tally: Tally) {
        *lock(&self.untold).entry(side).or_default() += tally;
    }

    /// Whether batches came to something that nobody was told yet.
    pub(crate) fn has_news(&self) -> bool {
        !lock(&self.untold).is_empty()
    }

    /// What batches came to since this was asked last.
    pub(crate) fn told(&self) -> HashMap<Side, Tally> {
        std::mem::take(&mut *lock(&self.untold))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
