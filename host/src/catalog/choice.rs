//! Which version a batch runs on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::source::NotOpened;
use super::version::DatasetVersion;
use super::versions::{Catalog, OnTrial, Pinned, Shadowed, Versions};
use crate::dataset::{Pin, StageSpec};
use crate::job::{Batch, Digest};
use crate::ledger::fleet::Tally;
use crate::registry::{Name, TrialKind};

/// How long a batch waits for its version: nobody extends the message's visibility meanwhile, which is 30 s or more, and the claim
/// is still to come. What takes longer is there when the message comes back.
const PATIENCE: Duration = Duration::from_secs(8);

/// The version that a batch runs on.
pub struct Choice {
    /// The version.
    pub loaded: Arc<DatasetVersion>,
    /// The trial that is on, and whether the batch runs on the new version.
    trial: Option<(u64, bool)>,
    /// The version that shall run beside it, with nothing written.
    pub shadow: Option<OnTrial>,
}

/// Why there is no version for a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVersion {
    /// There is no such dataset.
    #[error(
        "this worker has no such dataset (it has {0}): put its file into the folder of `--datasets`, or promote it in the registry"
    )]
    Unknown(String),
    /// The dataset has no such stage.
    #[error("the dataset has {}", stages_or_none(.0))]
    NoStage(Vec<String>),
    /// The dataset cannot be worked on.
    #[error("{0}")]
    Broken(Arc<str>),
    /// The message asks for what there is not.
    #[error("the message asks for component {wanted}, this worker has {ours}{}", because(.why))]
    Other {
        /// What it asks for.
        wanted: Digest,
        /// What is in use.
        ours: Digest,
        /// What was found out about it.
        why: Option<String>,
    },
    /// It may be another time, or another worker.
    #[error("{0}")]
    Later(String),
}

fn stages_or_none(stages: &[String]) -> String {
    match stages {
        [_] => "no stages: the state machine is of another version of its file".into(),
        stages => format!("the stages {}, and a message names one of them", stages.join(", ")),
    }
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

/// The stage that a message names.
fn called(loaded: &Arc<DatasetVersion>, name: &str) -> Result<Arc<DatasetVersion>, NoVersion> {
    let names = || loaded.stages().map(|stage| stage.dataset.name.clone()).collect();
    loaded.called(name).ok_or_else(|| NoVersion::NoStage(names()))
}

impl Catalog {
    /// The version for this batch: what the message asks for; else the canary's, if the batch is in its share; else the one
    /// of its run; else the stable one.
    pub async fn choose(&self, batch: &Batch) -> Result<Choice, NoVersion> {
        let late = |_| {
            let seconds = PATIENCE.as_secs();
            NoVersion::Later(format!(
                "its version was not ready within {seconds} s: it is read or compiled, or the ledger does not answer"
            ))
        };
        let choice = timeout(PATIENCE, self.find(batch)).await.map_err(late).flatten()?;
        let shadow =
            choice.shadow.and_then(|trial| Some(OnTrial { loaded: trial.loaded.called(&batch.dataset)?, ..trial }));
        Ok(Choice { loaded: called(&choice.loaded, &batch.dataset)?, shadow, ..choice })
    }

    async fn find(&self, batch: &Batch) -> Result<Choice, NoVersion> {
        let dataset = StageSpec::dataset_of(&batch.dataset);
        let Some(versions) = self.versions(dataset) else { return Err(self.unknown(dataset).await) };
        let stable = versions.stable.clone().map_err(NoVersion::Broken)?;
        if let Some(wanted) = batch.component {
            let loaded = self.asked_for(&versions, &stable, &wanted).await?;
            return Ok(Choice { loaded, trial: None, shadow: None });
        }
        let key = batch.id.key();
        let on_trial = |kind| versions.trial.as_ref().filter(|trial| trial.kind == kind);
        // A version that has no such stage takes none of its batches.
        let has_stage = |trial: &&OnTrial| trial.loaded.called(&batch.dataset).is_some();
        let canary = on_trial(TrialKind::Canary).filter(has_stage);
        if let Some(trial) = canary.filter(|trial| trial.share.takes(&trial.loaded.identity(), &key)) {
            return Ok(Choice { loaded: trial.loaded.clone(), trial: Some((trial.head, true)), shadow: None });
        }
        let loaded = self.of_the_run(batch, &versions, stable.clone()).await?;
        let is_stable = loaded.identity() == stable.identity();
        let trial = canary.filter(|_| is_stable).map(|trial| (trial.head, false));
        let shadow = on_trial(TrialKind::Shadow).filter(|_| is_stable);
        Ok(Choice { loaded, trial, shadow: shadow.cloned() })
    }

    /// The version with this identity, wherever it is: for a batch that somebody began with it.
    pub async fn version(&self, dataset: &str, identity: &Digest) -> Result<Arc<DatasetVersion>, NoVersion> {
        let versions = self.versions(StageSpec::dataset_of(dataset));
        let versions = versions.ok_or_else(|| NoVersion::Unknown(self.names().join(", ")))?;
        let stable = versions.stable.clone().map_err(NoVersion::Broken)?;
        called(&self.asked_for(&versions, &stable, identity).await?, dataset)
    }

    /// Has a batch that is answered shadowed, if its version has a shadow and the batch is in its share.
    pub(crate) fn answered(&self, choice: &Choice, batch: &Arc<Batch>, started: SystemTime) {
        let Some(trial) = &choice.shadow else { return };
        if trial.share.takes(&trial.loaded.identity(), &batch.id.key()) {
            let (old, new) = (choice.loaded.clone(), trial.loaded.clone());
            self.shadow(Shadowed { batch: batch.clone(), started, old, new, head: trial.head });
        }
    }

    /// Counts how a batch did, where that is of interest.
    pub(crate) fn count(&self, choice: &Choice, tally: Tally) {
        if let Some((head, new)) = choice.trial {
            self.tell((choice.loaded.dataset.of().to_owned(), head, new), tally);
        }
    }

    /// A dataset that was promoted just now is not unknown: it is not here yet.
    async fn unknown(&self, dataset: &str) -> NoVersion {
        let unknown = NoVersion::Unknown(self.names().join(", "));
        let Some(releases) = self.releases() else { return unknown };
        match releases.promotes(dataset).await {
            Ok(true) => NoVersion::Later("its first version is not open here yet".into()),
            Ok(false) => unknown,
            Err(error) => NoVersion::Later(format!("whether there is such a dataset is not known: {error}")),
        }
    }

    async fn asked_for(
        &self,
        versions: &Versions,
        stable: &Arc<DatasetVersion>,
        wanted: &Digest,
    ) -> Result<Arc<DatasetVersion>, NoVersion> {
        let in_use = [Some(stable), versions.trial.as_ref().map(|trial| &trial.loaded)];
        let fits = |loaded: &&Arc<DatasetVersion>| loaded.plugin.digest == *wanted || loaded.release == Some(*wanted);
        if let Some(loaded) = in_use.into_iter().flatten().find(fits) {
            return Ok(loaded.clone());
        }
        let other = |why: Option<String>| NoVersion::Other { wanted: *wanted, ours: stable.plugin.digest, why };
        let Some((releases, name)) = self.releases().zip(stable.dataset.of().parse::<Name>().ok()) else {
            return Err(other(None));
        };
        if let Some(loaded) = releases.opened(&name, wanted) {
            return Ok(loaded);
        }
        // A task of its own: it goes on when nobody waits any more, and is remembered.
        let found = {
            let (releases, name, wanted) = (releases.clone(), name.clone(), *wanted);
            tokio::spawn(async move { releases.find(&name, &wanted).await })
        };
        match found.await.unwrap_or_else(|_| Err(NotOpened::Later("the host lost it".into()))) {
            Ok(Some(release)) => match self.open(versions, name.as_str(), &release).await {
                Err(NoVersion::Broken(why)) => Err(other(Some(why.to_string()))),
                opened => opened,
            },
            Ok(None) => Err(other(Some(format!("no version of {name} in the registry has it")))),
            Err(NotOpened::Later(why)) => Err(NoVersion::Later(why)),
            Err(NotOpened::Refused(why)) => Err(other(Some(why))),
        }
    }

    /// All batches of a run have one version, if the dataset has it so. One that was rolled back is nobody's any more.
    async fn of_the_run(
        &self,
        batch: &Batch,
        versions: &Versions,
        stable: Arc<DatasetVersion>,
    ) -> Result<Arc<DatasetVersion>, NoVersion> {
        let (Some(run), Some(proposal), Pin::Run) = (&batch.run, stable.release, stable.dataset.release.pin) else {
            return Ok(stable);
        };
        let proposal = Pinned { release: proposal, head: versions.head };
        let dataset = stable.dataset.of().to_owned();
        let pinned = self.pinned(&dataset, run, proposal).await;
        let pinned = pinned.map_err(|error| NoVersion::Later(error.to_string()))?;
        // What a later head took into use cannot have been rolled back before.
        let rolled_back = pinned.head <= versions.head && !versions.known.contains(&pinned.release);
        if pinned.release == proposal.release || rolled_back {
            return Ok(stable);
        }
        match self.open(versions, &dataset, &pinned.release).await {
            Err(NoVersion::Broken(why)) => {
                Err(NoVersion::Later(format!("its run is of a version that is refused here: {why}")))
            }
            opened => opened,
        }
    }

    async fn open(&self, versions: &Versions, name: &str, identity: &Digest) -> Result<Arc<DatasetVersion>, NoVersion> {
        let in_use = [versions.stable.as_ref().ok(), versions.trial.as_ref().map(|trial| &trial.loaded)];
        if let Some(loaded) = in_use.into_iter().flatten().find(|loaded| loaded.identity() == *identity) {
            return Ok(loaded.clone());
        }
        let later = |why: &str| NoVersion::Later(format!("version {identity} is not open: {why}"));
        let Some((releases, name)) = self.releases().zip(name.parse::<Name>().ok()) else {
            return Err(later("this worker has no registry"));
        };
        // A task of its own: it goes on when nobody waits any more.
        let (releases, identity) = (releases.clone(), *identity);
        match tokio::spawn(async move { releases.open(&name, &identity).await }).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(NotOpened::Later(why))) => Err(later(&why)),
            Ok(Err(NotOpened::Refused(why))) => Err(NoVersion::Broken(why.into())),
            Err(_) => Err(later("the host lost it")),
        }
    }
}
