//! Follows a registry: looks for the next head all the time, prepares what it takes into use, and switches when that is ready.
//!
//! A release that cannot be used never is: what is in use stays, and the log, a metric and the registry say why. A registry that
//! does not answer changes nothing either. A compiler that takes its time holds up nothing: heads are looked for meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, select_all};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::canary::Canaries;
use super::head_memory::HeadMemory;
use super::pace::{PATIENCE, PERIOD};
use super::releases::Releases;
use crate::catalog::{Catalog, DatasetVersion, NotOpened, OnTrial, VersionSource, Versions};
use crate::job::Digest;
use crate::registry::{Attachment, Chosen, Head, InUse, Name, RegistryError, Trial, Version};
use crate::telemetry::metrics::Metrics;

/// How often what could not be used is looked at again. Each release has longer pauses of its own.
const AGAIN: Duration = Duration::from_secs(30);

/// Keeps a catalog as a registry has it.
pub struct Watch {
    catalog: Arc<Catalog>,
    releases: Arc<Releases>,
    metrics: Arc<Metrics>,
    /// The head that is in use, as far as that works.
    head: Option<Head>,
    /// Names whose versions are not all in use yet, each with when it is worth another look.
    unfinished: BTreeMap<Name, Instant>,
    /// Releases that are being opened, all at once.
    opening: HashMap<Digest, Opening>,
    /// Whether the last step waited for one of them.
    waited: bool,
    /// Reasons on their way into the registry.
    notes: JoinSet<()>,
    /// Why releases were refused, so that each reason is said once.
    said: HashMap<Digest, Arc<str>>,
    /// Datasets that are not the registry's to change.
    ours: HashSet<String>,
    canaries: Canaries,
    seen: Option<HeadMemory>,
}

/// A release that is being opened, unless it is not wanted any more.
struct Opening {
    name: Name,
    version: Version,
    /// A task of its own, whose end any number may wait for.
    ended: Shared<BoxFuture<'static, Result<Arc<DatasetVersion>, NotOpened>>>,
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
    /// A watch that has not looked yet. Datasets that the catalog has already stay as they are. `by` is who says so where this
    /// process changes the registry: for people.
    pub fn new(catalog: Arc<Catalog>, releases: Arc<Releases>, metrics: Arc<Metrics>, by: impl Into<String>) -> Self {
        catalog.attach(releases.clone());
        metrics.board.follows_a_registry();
        let ours = catalog.names().into_iter().collect();
        Self {
            canaries: Canaries::new(catalog.clone(), releases.registry.clone(), by.into()),
            catalog,
            releases,
            metrics,
            head: None,
            unfinished: BTreeMap::new(),
            opening: HashMap::new(),
            waited: false,
            notes: JoinSet::new(),
            said: HashMap::new(),
            ours,
            seen: None,
        }
    }

    /// Remembers below this folder, which only this user may write, how far the registry was: a registry that is taken back to an
    /// older state is then noticed by workers that start later, too.
    pub fn remembering(mut self, folder: &Path) -> Self {
        self.seen = Some(HeadMemory::below(folder, self.releases.registry.uri()));
        self
    }

    /// The number of the head that is in use; 0 before the first.
    pub fn number(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.number)
    }

    /// Looks once, from the newest head on: for the start. Compiles with all cores.
    pub async fn start(&mut self) -> Result<(), RegistryError> {
        let registry = self.releases.registry.clone();
        // Asked first: whatever was seen is there.
        let seen = self.seen.as_ref().map_or(0, HeadMemory::number);
        let newest = registry.newest().await?;
        if let Some(memory) = self.seen.as_ref().filter(|_| newest < seen) {
            return Err(memory.taken_back(registry.uri(), newest, seen));
        }
        if newest > 0 {
            let document = registry.head(newest).await?;
            let gone = || RegistryError::Damaged(format!("head {newest} of the registry is listed and is not there"));
            self.take_up(Head::parse(newest, &document.ok_or_else(gone)?)?);
            self.apply(None).await;
        } else {
            tracing::warn!(
                registry = registry.uri(),
                "nothing is in use in this registry yet: `gristmill promote NAME VERSION`"
            );
        }
        self.step().await?;
        // What was refused waits for something to change, and is worth no wait.
        match self.unfinished.iter().find(|(_, again)| **again <= Instant::now()) {
            Some((name, _)) => Err(RegistryError::Unavailable(format!("{name}: its version could not be read yet"))),
            None => Ok(()),
        }
    }

    /// Looks until told to stop. Compiles in the background from now on.
    pub async fn run(&mut self, stop: CancellationToken) {
        self.releases.in_background();
        let mut answered = true;
        loop {
            // A fleet that was started at once does not ask at once. A step that waits for the compiler is a pause by itself.
            let compiles = answered && self.waited;
            let pause = if compiles { Duration::ZERO } else { PERIOD.mul_f64(0.8 + fastrand::f64() / 5.0) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            let step = tokio::select! {
                step = self.step() => step,
                () = stop.cancelled() => return,
            };
            let registry = self.releases.registry.uri();
            match &step {
                Ok(()) if !answered => tracing::info!(registry, "the registry can be followed again"),
                Ok(()) => {}
                Err(error) if answered => {
                    tracing::warn!(registry, %error, "the registry cannot be followed; what is in use stays in use");
                }
                Err(error) => tracing::debug!(%error, "the registry still cannot be followed"),
            }
            answered = step.is_ok();
            self.metrics.registry_answers.set(i64::from(answered));
        }
    }

    /// Looks once: takes up every head that is there by now, and judges what is on trial. What is not open after one [`PERIOD`]
    /// is for a later step.
    pub async fn step(&mut self) -> Result<(), RegistryError> {
        let looked = self.look().await;
        // A registry that is away keeps nobody from ending a trial that goes badly.
        let judged = self.canaries.judge(self.head.as_ref()).await;
        looked.and(judged)
    }

    async fn look(&mut self) -> Result<(), RegistryError> {
        let (mut last, mut followed) = (self.head.clone(), Ok(()));
        loop {
            let number = last.as_ref().map_or(0, |head| head.number) + 1;
            match self.next(number, last.as_ref()).await {
                Ok(Some(head)) => last = Some(head),
                Ok(None) => break,
                // What was read before it counts.
                Err(error) => {
                    followed = Err(error);
                    break;
                }
            }
        }
        if let Some(head) = last.filter(|head| head.number > self.number()) {
            self.take_up(head);
        }
        self.waited = false;
        if self.unfinished.values().any(|again| *again <= Instant::now()) {
            self.apply(Some(Instant::now() + PERIOD)).await;
        }
        followed
    }

    async fn next(&self, number: u64, last: Option<&Head>) -> Result<Option<Head>, RegistryError> {
        let probe = timeout(PATIENCE, self.releases.registry.head(number)).await;
        let silent = |_| RegistryError::Unavailable(format!("no answer in {} s", PATIENCE.as_secs()));
        let Some(document) = probe.map_err(silent).flatten()? else { return Ok(None) };
        let head = Head::parse(number, &document)?;
        head.follows(last)?;
        tracing::info!(head = head.number, by = head.by, change = head.change, "the registry has changed");
        Ok(Some(head))
    }

    /// From now on this is what has to be done.
    fn take_up(&mut self, head: Head) {
        let theirs = head.names.keys().filter(|name| !self.ours.contains(name.as_str()));
        self.unfinished = theirs.map(|name| (name.clone(), Instant::now())).collect();
        // What is not wanted any more gives way to what is.
        self.opening.retain(|release, _| head.names.values().any(|in_use| in_use.wants(release)));
        // A trial that is over is over now, whatever else takes its time.
        for (name, in_use) in &head.names {
            let on = |trial: &OnTrial| in_use.trial.as_ref().is_some_and(|wanted| wanted.chosen.head == trial.head);
            if let Some(versions) = self.catalog.versions(name.as_str())
                && versions.trial.as_ref().is_some_and(|trial| !on(trial))
                && !self.ours.contains(name.as_str())
            {
                self.catalog.set(name.as_str(), Versions { trial: None, ..versions });
            }
        }
        let wanted = |release: &Digest| head.names.values().any(|in_use| in_use.wants(release));
        self.metrics.board.forget_refusals(|release| !wanted(release));
        if let Some(seen) = &self.seen {
            seen.remember(head.number);
        }
        // What was not there may have come with it.
        self.releases.look_again();
        self.head = Some(head);
    }

    /// Takes into use what the head says, as far as that can be done by the deadline. Each dataset switches as soon as its own
    /// versions are open, whatever others take. It may be abandoned anywhere: what is not done stays unfinished.
    async fn apply(&mut self, deadline: Option<Instant>) {
        let Some(head) = self.head.clone() else { return };
        let now = Instant::now();
        let mut due: Vec<Name> =
            self.unfinished.iter().filter(|(_, again)| **again <= now).map(|(name, _)| name.clone()).collect();
        loop {
            let mut opening = Vec::new();
            for name in due {
                match self.prepare(&name, &head.names[&name], head.number) {
                    Ok(true) => _ = self.unfinished.remove(&name),
                    Ok(false) => _ = self.unfinished.insert(name, Instant::now() + AGAIN),
                    Err(NotYet::Opening) => opening.push(name),
                    Err(NotYet::Unread(why)) => {
                        let dataset = name.as_str();
                        tracing::warn!(dataset, why, "a version cannot be read yet; what is in use stays in use");
                    }
                }
            }
            due = opening;
            if due.is_empty() || !self.one_more_has_ended(deadline).await {
                break;
            }
        }
        self.waited = !due.is_empty();
        for opening in self.opening.values_mut().filter(|opening| opening.ended.peek().is_none()) {
            if !std::mem::replace(&mut opening.is_said, true) {
                let (dataset, version) = (opening.name.as_str(), opening.version.to_string());
                tracing::info!(
                    dataset,
                    version,
                    "this version is being prepared; what is in use stays in use until then"
                );
            }
        }
        // What is refused is done, as far as this head is concerned.
        if self.unfinished.values().all(|again| *again > Instant::now()) {
            self.opening.clear();
            // Whoever sees this worker at the head finds its reasons in the registry, unless that is slow.
            let noted = async { while self.notes.join_next().await.is_some() {} };
            let _ = timeout(PERIOD, noted).await;
            self.metrics.registry_head.set(i64::try_from(head.number).unwrap_or(i64::MAX));
        }
    }

    /// Waits until one more of the releases that are being opened is, or is refused; not beyond the deadline.
    async fn one_more_has_ended(&self, deadline: Option<Instant>) -> bool {
        let under_way = self.opening.values().filter(|opening| opening.ended.peek().is_none());
        let under_way: Vec<_> = under_way.map(|opening| opening.ended.clone()).collect();
        if under_way.is_empty() {
            return true;
        }
        match deadline {
            Some(deadline) => timeout_at(deadline, select_all(under_way)).await.is_ok(),
            None => {
                let _ = select_all(under_way).await;
                true
            }
        }
    }

    /// Opens and takes into use everything that the head wants of a dataset; says whether nothing of it was refused.
    fn prepare(&mut self, name: &Name, in_use: &InUse, head: u64) -> Result<bool, NotYet> {
        let now = self.catalog.versions(name.as_str());
        let wanted = self.open(name, &in_use.stable)?;
        let mut all = wanted.is_ok();
        let mut stable = match wanted {
            Ok(loaded) => Ok(loaded),
            // The one that is in use stays. A worker that has none takes what was in use before.
            Err(why) => now.as_ref().and_then(|now| now.stable.clone().ok()).ok_or(why),
        };
        for before in &in_use.before {
            let Err(why) = &stable else { break };
            let why = why.clone();
            stable = self.open(name, before)?.map_err(|_| why);
        }
        let known = in_use.known().map(|chosen| chosen.release).collect();
        // First without the trial: what is stable does not wait for what is tried.
        let kept = now.and_then(|now| now.trial).filter(|trial| {
            in_use.trial.as_ref().is_some_and(|wanted| wanted.chosen.head == trial.head)
                && !self.canaries.is_over(trial.head)
        });
        let mut versions = Versions { stable, trial: kept, known, head };
        self.switch(name, versions.clone());
        if let Some(trial) = in_use.trial.as_ref().filter(|trial| !self.canaries.is_over(trial.chosen.head)) {
            let Trial { chosen, kind, share, .. } = trial;
            match self.open(name, chosen)? {
                Ok(loaded) => {
                    versions.trial = Some(OnTrial { head: chosen.head, kind: *kind, share: *share, loaded });
                    self.catalog.set(name.as_str(), versions);
                }
                Err(_) => all = false,
            }
        }
        Ok(all)
    }

    /// Opens a version; the inner error is one that cannot be used as it is.
    fn open(&mut self, name: &Name, chosen: &Chosen) -> Result<Result<Arc<DatasetVersion>, Arc<str>>, NotYet> {
        let why = match self.opened(name, chosen)? {
            // The head's word for it is for people, and has to be the release's own.
            Ok(loaded) if loaded.version() != chosen.version.to_string() => {
                format!("{name} {}: the head calls it so, and it is version {}", chosen.version, loaded.version())
            }
            Ok(loaded) => {
                self.said.remove(&chosen.release);
                self.metrics.board.forget_refusals(|release| *release == chosen.release);
                return Ok(Ok(loaded));
            }
            Err(NotOpened::Later(why)) => return Err(NotYet::Unread(why)),
            Err(NotOpened::Refused(why)) => why,
        };
        let why: Arc<str> = why.into();
        self.metrics.board.refused(name.as_str(), &chosen.version.to_string(), chosen.release, &why);
        if self.said.insert(chosen.release, why.clone()).as_ref() != Some(&why) {
            self.refuse(name, chosen, &why);
        }
        Ok(Err(why))
    }

    /// What came of opening a version, in a task of its own.
    fn opened(&mut self, name: &Name, chosen: &Chosen) -> Result<Result<Arc<DatasetVersion>, NotOpened>, NotYet> {
        let release = chosen.release;
        if let Some(known) = self.releases.known(name, &release) {
            self.opening.remove(&release);
            return Ok(known);
        }
        let opening = self.opening.entry(release).or_insert_with(|| {
            let ended = opened(self.releases.clone(), name.clone(), chosen.clone()).boxed().shared();
            Opening { name: name.clone(), version: chosen.version.clone(), ended, is_said: false }
        });
        let ended = opening.ended.clone().now_or_never().ok_or(NotYet::Opening)?;
        self.opening.remove(&release);
        Ok(ended)
    }

    /// Says why a release is not used: in the log, as a metric, and, without waiting for that, where `gristmill status` finds it.
    fn refuse(&mut self, name: &Name, chosen: &Chosen, why: &Arc<str>) {
        let (dataset, version) = (name.as_str(), chosen.version.to_string());
        // A backtrace has lines of its own; a line of the log is one line.
        let line = why.split_whitespace().collect::<Vec<_>>().join(" ");
        tracing::error!(dataset, version, release = %chosen.release, "this version is not taken into use: {line}");
        self.metrics.version_refused(dataset);
        // The same reason by all workers is one attachment.
        let note = Bytes::from(why.to_string());
        let (registry, name, release) = (self.releases.registry.clone(), name.clone(), chosen.release);
        self.notes.spawn(async move {
            match timeout(PATIENCE, registry.attach(&name, &release, Attachment::Refusal, note)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the registry was not told why a version is refused"),
                Err(_) => tracing::debug!("the registry was not told why a version is refused: no answer"),
            }
        });
    }

    fn switch(&self, name: &Name, versions: Versions) {
        let dataset = name.as_str();
        let before = self.catalog.versions(dataset);
        let identity = |versions: &Versions| versions.stable.as_ref().ok().map(|loaded| loaded.identity());
        let (was, is) = (before.as_ref().and_then(identity), identity(&versions));
        match &versions.stable {
            Ok(loaded) if was != is => {
                let version = loaded.version();
                let release = loaded.identity().to_string();
                let compiled_millis = loaded.plugin.compiled_in.map(|time| time.as_millis() as u64);
                tracing::info!(dataset, version, release, compiled_millis, "this version is in use now");
                self.metrics.version(dataset, &version);
            }
            _ => {}
        }
        self.catalog.set(dataset, versions);
    }
}

/// Opens a version in a task of its own, which ends when this is dropped.
async fn opened(releases: Arc<Releases>, name: Name, chosen: Chosen) -> Result<Arc<DatasetVersion>, NotOpened> {
    let task = {
        let (releases, name, release) = (releases.clone(), name.clone(), chosen.release);
        tokio::spawn(async move { releases.open(&name, &release).await })
    };
    AbortOnDropHandle::new(task).await.unwrap_or_else(|lost| match lost.is_panic() {
        true => {
            let why = format!("{name} {}: the host broke on it: {lost}", chosen.version);
            releases.known.refuse(&name, &chosen.release, &why);
            Err(NotOpened::Refused(why))
        }
        false => Err(NotOpened::Later(format!("the host lost it: {lost}"))),
    })
}
