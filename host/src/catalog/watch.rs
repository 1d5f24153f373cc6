//! Follows a registry: looks for the next head all the time, prepares what it takes into use, and switches when that is ready.
//!
//! A release that cannot be used never is: what is in use stays, and the log, a metric and the registry say why. A registry that
//! does not answer changes nothing either. A compiler that takes its time holds up nothing: heads are looked for meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
    /// Names for which it is not done yet what the head says: the registry did not answer, or the compiler is at work.
    unfinished: HashSet<Name>,
    /// Releases that are being opened.
    opening: HashMap<Digest, Opening>,
    /// Releases that were refused, so that each is said once.
    refused: HashMap<Digest, Arc<str>>,
    /// Datasets that are not the registry's to change.
    ours: HashSet<String>,
    /// Trials that this process has ended for itself.
    ended: HashSet<u64>,
    /// When it added to the fleet's counts.
    tallied: Option<Instant>,
}

/// A release that is being opened, unless it is not wanted any more.
struct Opening {
    task: AbortOnDropHandle<Result<Arc<Loaded>, NotOpened>>,
    /// Whether the log has it that this takes a while.
    is_said: bool,
}

/// Why a version is not open yet.
enum NotYet {
    /// It is being opened.
    Opening,
    /// The registry did not answer.
    Unread(String),
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
            opening: HashMap::new(),
            refused: HashMap::new(),
            ours,
            ended: HashSet::new(),
            tallied: None,
        }
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
            self.take_up(Head::parse(newest, &document.ok_or_else(gone)?)?);
            self.apply(None).await;
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
            // A fleet that was started at once does not ask at once. A step that waits for the compiler is a pause by itself.
            let compiles = answered && !self.opening.is_empty();
            let pause = if compiles { Duration::ZERO } else { PERIOD.mul_f64(0.8 + fastrand::f64() / 5.0) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let step = tokio::select! {
                step = tokio::time::timeout(PATIENCE, self.step()) => step,
                () = stop.cancelled() => return,
            };
            let silent = |_| RegistryError::Unavailable(format!("no answer in {} s", PATIENCE.as_secs()));
            match step.map_err(silent).flatten() {
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

    /// Looks once: takes up every head that is there by now, and judges what is on trial. What is not open after one
    /// [`PERIOD`] is for a later step.
    pub async fn step(&mut self) -> Result<(), RegistryError> {
        let mut newer = None;
        let mut last = self.head.clone();
        loop {
            let number = last.as_ref().map_or(0, |head| head.number) + 1;
            let Some(document) = self.releases.registry.head(number).await? else { break };
            let head = Head::parse(number, &document)?;
            head.follows(last.as_ref())?;
            tracing::info!(head = head.number, by = head.by, change = head.change, "the registry has changed");
            last = Some(head);
            newer = last.clone();
        }
        if let Some(head) = newer {
            self.take_up(head);
        }
        if !self.unfinished.is_empty() {
            self.apply(Some(Instant::now() + PERIOD)).await;
        }
        self.judge().await
    }

    /// From now on this is what has to be done.
    fn take_up(&mut self, head: Head) {
        let theirs = head.names.keys().filter(|name| !self.ours.contains(name.as_str()));
        self.unfinished = theirs.cloned().collect();
        let on_trial = |in_use: &InUse| in_use.trial.as_ref().map(|trial| trial.chosen.release);
        let wanted = |in_use: &InUse, release| in_use.stable.release == release || on_trial(in_use) == Some(release);
        self.opening.retain(|release, _| head.names.values().any(|in_use| wanted(in_use, *release)));
        self.head = Some(head);
    }

    /// Takes into use what the head says, as far as that can be done by the deadline. It may be abandoned anywhere: what is not
    /// done stays unfinished.
    async fn apply(&mut self, deadline: Option<Instant>) {
        let Some(head) = self.head.clone() else { return };
        for (name, in_use) in head.names.iter().filter(|(name, _)| self.unfinished.contains(*name)).collect::<Vec<_>>()
        {
            match self.prepare(name, in_use, deadline).await {
                Ok(versions) => {
                    self.switch(name, versions);
                    self.unfinished.remove(name);
                }
                Err(NotYet::Opening) => {}
                Err(NotYet::Unread(why)) => {
                    tracing::warn!(
                        dataset = name.as_str(),
                        why,
                        "a version cannot be read yet; what is in use stays in use"
                    );
                }
            }
        }
        if self.unfinished.is_empty() {
            self.opening.clear();
            self.metrics.registry_head.set(i64::try_from(head.number).unwrap_or(i64::MAX));
        }
    }

    /// Everything that the head wants of a dataset, opened.
    async fn prepare(&mut self, name: &Name, in_use: &InUse, deadline: Option<Instant>) -> Result<Versions, NotYet> {
        let now = self.catalog.versions(name.as_str());
        let mut stable = match self.open(name, &in_use.stable, deadline).await? {
            Ok(loaded) => Ok(loaded),
            // The one that is in use stays. A worker that has none takes what was in use before.
            Err(why) => now.and_then(|now| now.stable.ok()).ok_or(why),
        };
        for before in &in_use.before {
            let Err(why) = &stable else { break };
            let why = why.clone();
            stable = self.open(name, before, deadline).await?.map_err(|_| why);
        }
        let trial = match &in_use.trial {
            Some(trial) if !self.ended.contains(&trial.chosen.head) => {
                let Trial { chosen, kind, share, .. } = trial;
                let opened = self.open(name, chosen, deadline).await?.ok();
                opened.map(|loaded| OnTrial { head: chosen.head, kind: *kind, share: *share, loaded })
            }
            _ => None,
        };
        let known = in_use.known().map(|chosen| chosen.release).collect();
        Ok(Versions { stable, trial, known })
    }

    /// Opens a version; the inner error is one that never can be.
    async fn open(
        &mut self,
        name: &Name,
        chosen: &Chosen,
        deadline: Option<Instant>,
    ) -> Result<Result<Arc<Loaded>, Arc<str>>, NotYet> {
        let release = chosen.release;
        if let Some(why) = self.refused.get(&release) {
            return Ok(Err(why.clone()));
        }
        let opening = self.opening.entry(release).or_insert_with(|| {
            let (releases, name) = (self.releases.clone(), name.clone());
            let task = tokio::spawn(async move { releases.open(&name, &release).await });
            Opening { task: AbortOnDropHandle::new(task), is_said: false }
        });
        let opened = match deadline {
            Some(deadline) => timeout_at(deadline, &mut opening.task).await.ok(),
            None => Some((&mut opening.task).await),
        };
        let Some(opened) = opened else {
            if !std::mem::replace(&mut opening.is_said, true) {
                let (dataset, version) = (name.as_str(), chosen.version.to_string());
                tracing::info!(
                    dataset,
                    version,
                    "this version is being prepared; what is in use stays in use until then"
                );
            }
            return Err(NotYet::Opening);
        };
        self.opening.remove(&release);
        match opened {
            Ok(Ok(loaded)) => Ok(Ok(loaded)),
            Ok(Err(NotOpened::Later(why))) => Err(NotYet::Unread(why)),
            Ok(Err(NotOpened::Refused(why))) => {
                let why: Arc<str> = why.into();
                self.refuse(name, chosen, &why).await;
                Ok(Err(why))
            }
            Err(lost) => Err(NotYet::Unread(format!("the host lost it: {lost}"))),
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
