//! Follows a registry: looks for the next head all the time, prepares what it takes into use, and switches when that is ready.
//!
//! A release that cannot be used never is: what is in use stays, and the log, a metric and the registry say why. A registry that
//! does not answer changes nothing either.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::judge::{Verdict, judge};
use super::{Catalog, Loaded, NotOpened, OnTrial, Releases, Versions};
use crate::job::Digest;
use crate::ledger::fleet::Tally;
use crate::registry::{Attachment, Change, Chosen, Head, InUse, Name, RegistryError, Trial, TrialKind};
use crate::telemetry::metrics::Metrics;

/// Between two looks at the registry. With a poll that takes half a second, a new head is noticed within 2 s.
pub const PERIOD: Duration = Duration::from_millis(1500);

/// Between two times that a worker adds what its batches under trial came to. All workers add to the same two entries of the
/// ledger, and DynamoDB takes 1,000 writes per second to one: enough for some thousand workers.
const TALLY: Duration = Duration::from_secs(5);

/// The same for a worker that has nothing to add, and asks only what others did.
const TALLY_WITHOUT_NEWS: Duration = Duration::from_secs(30);

/// How long a look may take before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps a catalog as a registry has it.
pub struct Watch {
    catalog: Arc<Catalog>,
    releases: Arc<Releases>,
    metrics: Arc<Metrics>,
    /// Who says so, where this process changes the registry: for people.
    by: String,
    /// The head that is in use, as far as that works.
    head: Option<Head>,
    /// Names whose versions could not be prepared because the registry did not answer.
    unfinished: HashSet<Name>,
    /// Releases that were refused, so that each is said once.
    refused: HashMap<Digest, Arc<str>>,
    /// Datasets that are not the registry's to change.
    ours: HashSet<String>,
    /// Trials that this process has ended for itself.
    ended: HashSet<u64>,
    /// When it added to the fleet's counts.
    tallied: Option<Instant>,
    /// Where this machine remembers how far the registry was.
    memory: Option<PathBuf>,
}

impl Watch {
    /// A watch that has not looked yet. Datasets that the catalog has already stay as they are.
    pub fn new(catalog: Arc<Catalog>, releases: Arc<Releases>, metrics: Arc<Metrics>, by: impl Into<String>) -> Self {
        catalog.attach(releases.clone());
        let ours = catalog.names().into_iter().collect();
        Self {
            catalog,
            releases,
            metrics,
            by: by.into(),
            head: None,
            unfinished: HashSet::new(),
            refused: HashMap::new(),
            ours,
            ended: HashSet::new(),
            tallied: None,
            memory: None,
        }
    }

    /// Remembers below this folder, which only this user may write, how far the registry was: a registry that is taken back to an
    /// older state is then noticed by workers that start later, too.
    pub fn remembering(mut self, folder: &Path) -> Self {
        let uri = Digest::of(self.releases.registry.uri().as_bytes());
        self.memory = Some(folder.join(format!("registry-{}", &uri.hex()[..16])));
        self
    }

    fn remember(&self) -> Result<(), RegistryError> {
        let Some(file) = &self.memory else { return Ok(()) };
        let number = self.number();
        // Without a memory work goes on: what it would have noticed is rare, and the registry is not what failed.
        let seen = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if number < seen {
            return Err(RegistryError::Damaged(format!(
                "{}: its newest head is {number}, and head {seen} was seen on this machine before: somebody took the registry back to an \
                 older state. If that was meant, remove {}",
                self.releases.registry.uri(),
                file.display()
            )));
        }
        if number > seen {
            let kept = file
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(file, format!("{number}\n")));
            if let Err(error) = kept {
                tracing::debug!(%error, "how far the registry was is not remembered");
            }
        }
        Ok(())
    }

    /// The number of the head that is in use; 0 before the first.
    pub fn number(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.number)
    }

    /// Looks once, from the newest head on: for the start.
    pub async fn start(&mut self) -> Result<(), RegistryError> {
        let newest = self.releases.registry.newest().await?;
        if newest > 0 {
            let document = self.releases.registry.head(newest).await?;
            let gone = || RegistryError::Damaged(format!("head {newest} of the registry is listed and is not there"));
            self.head = Some(Head::parse(newest, &document.ok_or_else(gone)?)?);
        }
        self.remember()?;
        if newest > 0 {
            self.apply().await;
        } else {
            let registry = self.releases.registry.uri();
            tracing::warn!(registry, "nothing is in use in this registry yet: `gristmill promote NAME VERSION`");
        }
        self.step().await?;
        if let Some(name) = self.unfinished.iter().next() {
            return Err(RegistryError::Unavailable(format!("{name}: its version could not be read yet")));
        }
        Ok(())
    }

    /// Looks until told to stop.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut answered = true;
        loop {
            // A fleet that was started at once does not ask at once.
            let pause = PERIOD.mul_f64(0.8 + fastrand::f64() / 5.0);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let step = tokio::select! {
                step = self.step() => step,
                () = stop.cancelled() => return,
            };
            match step {
                Ok(()) if !answered => {
                    answered = true;
                    tracing::info!(registry = self.releases.registry.uri(), "the registry answers again");
                }
                Ok(()) => {}
                Err(error) if answered => {
                    answered = false;
                    let registry = self.releases.registry.uri();
                    tracing::warn!(registry, %error, "the registry cannot be followed; what is in use stays in use");
                }
                Err(error) => tracing::debug!(%error, "the registry still cannot be followed"),
            }
            self.metrics.registry_answers.set(i64::from(answered));
        }
    }

    /// Looks once: takes up every head that is there by now, and judges what is on trial.
    pub async fn step(&mut self) -> Result<(), RegistryError> {
        let mut newer = None;
        let mut last = self.head.clone();
        loop {
            let number = last.as_ref().map_or(0, |head| head.number) + 1;
            let probe = timeout(PATIENCE, self.releases.registry.head(number)).await;
            let silent = |_| RegistryError::Unavailable(format!("no answer in {} s", PATIENCE.as_secs()));
            let Some(document) = probe.map_err(silent).flatten()? else { break };
            let head = Head::parse(number, &document)?;
            head.follows(last.as_ref())?;
            tracing::info!(head = head.number, by = head.by, change = head.change, "the registry has changed");
            last = Some(head);
            newer = last.clone();
        }
        if newer.is_some() {
            self.head = newer;
            self.remember()?;
            self.apply().await;
        } else if !self.unfinished.is_empty() {
            self.apply().await;
        }
        self.judge().await
    }

    /// Takes into use what the head says, as far as it can be used.
    async fn apply(&mut self) {
        let Some(head) = self.head.clone() else { return };
        self.unfinished = head.names.keys().filter(|name| !self.ours.contains(name.as_str())).cloned().collect();
        for name in self.unfinished.clone() {
            match self.prepare(&name, &head.names[&name]).await {
                Ok(versions) => {
                    self.switch(&name, versions);
                    self.unfinished.remove(&name);
                }
                Err(why) => {
                    let dataset = name.as_str();
                    tracing::warn!(dataset, why, "a version cannot be read yet; what is in use stays in use");
                }
            }
        }
        self.metrics.registry_head.set(i64::try_from(head.number).unwrap_or(i64::MAX));
    }

    /// Everything that the head wants of a dataset, opened. An error is a registry that did not answer.
    async fn prepare(&mut self, name: &Name, in_use: &InUse) -> Result<Versions, String> {
        let now = self.catalog.versions(name.as_str());
        let mut stable = match self.open(name, &in_use.stable).await? {
            Ok(loaded) => Ok(loaded),
            // The one that is in use stays. A worker that has none takes what was in use before.
            Err(why) => now.and_then(|now| now.stable.ok()).ok_or(why),
        };
        for before in &in_use.before {
            let Err(why) = &stable else { break };
            let why = why.clone();
            stable = self.open(name, before).await?.map_err(|_| why);
        }
        let trial = match &in_use.trial {
            Some(trial) if !self.ended.contains(&trial.chosen.head) => {
                let Trial { chosen, kind, share, .. } = trial;
                let opened = self.open(name, chosen).await?.ok();
                opened.map(|loaded| OnTrial { head: chosen.head, kind: *kind, share: *share, loaded })
            }
            _ => None,
        };
        let known = in_use.known().map(|chosen| chosen.release).collect();
        Ok(Versions { stable, trial, known })
    }

    /// Opens a version; the inner error is one that never can be.
    async fn open(&mut self, name: &Name, chosen: &Chosen) -> Result<Result<Arc<Loaded>, Arc<str>>, String> {
        if let Some(why) = self.refused.get(&chosen.release) {
            return Ok(Err(why.clone()));
        }
        match self.releases.open(name, &chosen.release).await {
            Ok(loaded) => Ok(Ok(loaded)),
            Err(NotOpened::Later(why)) => Err(why),
            Err(NotOpened::Refused(why)) => {
                let why: Arc<str> = why.into();
                self.refuse(name, chosen, &why).await;
                Ok(Err(why))
            }
        }
    }

    /// Says why a release is not used: in the log, as a metric, and where `gristmill status` finds it.
    async fn refuse(&mut self, name: &Name, chosen: &Chosen, why: &Arc<str>) {
        let (dataset, version) = (name.as_str(), chosen.version.to_string());
        // A backtrace has lines of its own; a line of the log is one line.
        let line = why.split_whitespace().collect::<Vec<_>>().join(" ");
        tracing::error!(dataset, version, release = %chosen.release, "this version is not taken into use: {line}");
        self.metrics.version_refused(dataset);
        self.refused.insert(chosen.release, why.clone());
        // The same reason by all workers is one attachment.
        let note = Bytes::from(why.to_string());
        let noted = self.releases.registry.attach(name, &chosen.release, Attachment::Refusal, note).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the registry was not told why a version is refused");
        }
    }

    fn switch(&self, name: &Name, versions: Versions) {
        let dataset = name.as_str();
        let before = self.catalog.versions(dataset);
        let identity = |versions: &Versions| versions.stable.as_ref().ok().map(|loaded| loaded.identity());
        let (was, is) = (before.as_ref().and_then(identity), identity(&versions));
        match &versions.stable {
            Ok(loaded) if was != is => {
                let version = &loaded.plugin.manifest.version;
                let release = loaded.identity().to_string();
                let compiled_millis = loaded.plugin.compiled_in.map(|time| time.as_millis() as u64);
                tracing::info!(dataset, version, release, compiled_millis, "this version is in use now");
                self.metrics.version(dataset, version);
            }
            _ => {}
        }
        self.catalog.set(dataset, versions);
    }

    /// Adds what batches under trial came to, and ends the trial if that says enough.
    async fn judge(&mut self) -> Result<(), RegistryError> {
        let Some(head) = self.head.clone() else { return Ok(()) };
        let silence = if self.catalog.has_news() { TALLY } else { TALLY_WITHOUT_NEWS };
        if self.tallied.is_some_and(|tallied| tallied.elapsed() < silence) {
            return Ok(());
        }
        self.tallied = Some(Instant::now());
        let mut told = self.catalog.told();
        for (name, in_use) in &head.names {
            let Some(trial) = in_use.trial.as_ref().filter(|trial| trial.kind == TrialKind::Canary) else { continue };
            let (dataset, began) = (name.as_str(), trial.chosen.head);
            let mut tallies = [Tally::default(); 2];
            for (new, sum) in [false, true].into_iter().zip(&mut tallies) {
                let more = told.remove(&(dataset.to_owned(), began, new)).unwrap_or_default();
                // Whoever did nothing asks too: the last word may be said when everything is done.
                let key = format!("{dataset}#{began}#{}", if new { "canary" } else { "stable" });
                match self.catalog.fleet().tally(&key, more, std::time::SystemTime::now()).await {
                    Ok(tally) => *sum = tally,
                    Err(error) => {
                        tracing::debug!(%error, "what a canary came to is not known yet");
                        self.catalog.tell((dataset.to_owned(), began, new), more);
                    }
                }
            }
            let [stable, canary] = tallies;
            let Some(Ok(loaded)) = self.catalog.get(dataset) else { continue };
            let age = (OffsetDateTime::now_utc() - trial.since).try_into().unwrap_or_default();
            let Some(verdict) = judge(&loaded.dataset.release.canary, &canary, &stable, age) else { continue };
            self.end_trial(&head, name, began, verdict).await?;
        }
        Ok(())
    }

    async fn end_trial(&mut self, head: &Head, name: &Name, began: u64, verdict: Verdict) -> Result<(), RegistryError> {
        let dataset = name.as_str();
        let change = match verdict {
            Verdict::Accept => Change::Accept { trial: began },
            Verdict::Reject(why) => {
                // Here at once, whether or not this process may write to the registry.
                if self.ended.insert(began)
                    && let Some(versions) = self.catalog.versions(dataset)
                {
                    tracing::error!(dataset, why, "the canary is rolled back");
                    self.catalog.set(dataset, Versions { trial: None, ..versions });
                }
                Change::Reject { trial: began, why }
            }
        };
        let now = OffsetDateTime::now_utc();
        let Ok(next) = Head::after(Some(head), name, &change, &self.by, now) else { return Ok(()) };
        match self.releases.registry.advance(next.number, next.document()).await {
            // Whoever was first: the next look finds it.
            Ok(_) => Ok(()),
            Err(RegistryError::Denied(why)) => {
                tracing::warn!(
                    dataset,
                    why,
                    "the trial is over, and this worker may not say so in the registry: end it by hand"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
