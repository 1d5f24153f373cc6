//! From a release's digest to a dataset that can be worked on. Whatever is wrong with it is found here, before any batch runs on
//! it: signatures before the component is compiled, imports and grants before it runs, and its own sample before anything else.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Loaded;
use super::smoke;
use crate::admission::Admission;
use crate::dataset::{Dataset, Variables};
use crate::job::Digest;
use crate::registry::{Attachment, MAX_DOCUMENT, Name, Policy, Registry, RegistryError, Release, Version};
use crate::runtime::Runtime;
use crate::sink::Stores;

/// How many releases of a dataset that nobody has under way are kept for whoever asks next: those that runs are pinned to, those
/// that were in use before.
const KEPT: usize = 4;

/// How large their components are together, in bytes, unless it is only one. Compiled they are two or three times as large: some
/// 40 MB of memory for a Python component of 19 MB.
const KEPT_BYTES: u64 = 16 << 20;

/// A release that was refused is looked at again after this time, and after twice as long each time, up to the longest: what was
/// missing (a signature, a variable, memory) may have come.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How many components' releases are remembered.
const MOST_FOUND: usize = 1000;

/// Opens releases of a registry.
pub struct Releases {
    /// Where they are.
    pub registry: Arc<dyn Registry>,
    /// Who has to have signed them.
    pub policy: Policy,
    /// The values of `${NAME}` in their dataset files.
    pub variables: Variables,
    /// What compiles them: with all cores, until [`Releases::in_background`].
    pub runtime: Runtime,
    /// Where their outputs go.
    pub stores: Stores,
    /// What their items need is asked here, also those of samples.
    pub admission: Arc<Admission>,
    /// Where samples run.
    pub guests: Handle,
    /// What was opened.
    pub opened: Opened,
}

/// What was opened before, and is opened now.
#[derive(Default)]
pub struct Opened {
    /// The latest last.
    kept: Mutex<VecDeque<Arc<Loaded>>>,
    /// What was refused, why, and until when that is believed.
    refused: Mutex<HashMap<Digest, Refused>>,
    /// The releases of components that were asked for.
    found: Mutex<HashMap<Digest, Digest>>,
    /// What compiles while batches run.
    background: OnceLock<Runtime>,
    /// One at a time: compiling takes its share of the CPU only once, and nobody opens what another one is about to have.
    one: tokio::sync::Mutex<()>,
}

struct Refused {
    why: String,
    until: Instant,
    pause: Duration,
}

/// Why a release is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It may be another time: the registry did not answer.
    #[error("{0}")]
    Later(String),
    /// It never will be, as it is.
    #[error("{0}")]
    Refused(String),
}

impl From<RegistryError> for NotOpened {
    fn from(error: RegistryError) -> Self {
        match error {
            // What lacks a right today may have it tomorrow: nothing is said about the release.
            RegistryError::Unavailable(why) | RegistryError::Denied(why) => Self::Later(why),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// A release that was read and verified, and not compiled yet.
pub struct Fetched {
    /// What it is.
    pub release: Release,
    /// Its own name.
    pub digest: Digest,
    /// The dataset file.
    pub text: String,
    /// The component.
    pub component: Bytes,
    /// The sample's objects by their path.
    pub sample: BTreeMap<String, Bytes>,
    /// Who signed it.
    pub signers: Vec<String>,
}

impl Fetched {
    /// Reads a release and verifies it: its bytes against their digests, its signatures against the policy.
    pub async fn get(
        registry: &dyn Registry,
        policy: &Policy,
        name: &Name,
        digest: &Digest,
    ) -> Result<Self, NotOpened> {
        let document = registry.blob(name, digest, MAX_DOCUMENT).await?;
        let release = Release::parse(&document)?;
        if release.name != *name {
            let why = format!("release {digest} is of {}, and was asked for as one of {name}", release.title());
            return Err(NotOpened::Refused(why));
        }
        // Who asks for none is given none: there may be many.
        let signatures = match policy.is_none() {
            true => Vec::new(),
            false => registry.attached(name, digest, Attachment::Signature).await?,
        };
        let signers = policy.verify(&document, &signatures);
        let signers = signers.map_err(|error| NotOpened::Refused(format!("{}: {error}", release.title())))?;
        let fetch = async |blob: &crate::registry::Blob| registry.blob(name, &blob.digest, blob.size).await;
        let text = fetch(&release.dataset).await?;
        let component = fetch(&release.component).await?;
        let mut sample = BTreeMap::new();
        for (path, blob) in &release.sample {
            sample.insert(path.clone(), fetch(blob).await?);
        }
        let text = String::from_utf8(text.to_vec()).map_err(|error| {
            NotOpened::Refused(format!("{}: its dataset file is no text: {error}", release.title()))
        })?;
        Ok(Self { release, digest: *digest, text, component, sample, signers })
    }

    /// The dataset file, with the variables of this process put in.
    pub fn dataset(&self, variables: &Variables) -> Result<Dataset, NotOpened> {
        let file = PathBuf::from(format!("{}-{}", self.release.name, self.release.version)).join("dataset.toml");
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", self.release.title()));
        let dataset = Dataset::parse(&self.text, &file, variables).map_err(|findings| refused(findings.to_string()))?;
        if dataset.name != self.release.name.as_str() {
            return Err(refused(format!("its file is of dataset {}", dataset.name)));
        }
        Ok(dataset)
    }

    /// The dataset with its component compiled, and both checked against each other.
    pub async fn load(&self, variables: &Variables, runtime: &Runtime, stores: &Stores) -> Result<Loaded, NotOpened> {
        let dataset = self.dataset(variables)?;
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", self.release.title()));
        let loaded = Loaded::of(dataset, &self.text, &self.component, runtime, stores).await;
        let loaded = loaded.map_err(|findings| refused(findings.to_string()))?;
        let described: Option<Version> = loaded.plugin.manifest.version.parse().ok();
        if described.as_ref() != Some(&self.release.version) {
            return Err(refused(format!("its component calls itself {}", loaded.plugin.manifest.version)));
        }
        Ok(Loaded { release: Some(self.digest), ..loaded })
    }
}

impl Releases {
    /// From now on compiles only with what CPU nobody else wants.
    pub fn in_background(&self) {
        match self.runtime.in_background() {
            Ok(runtime) => _ = self.opened.background.set(runtime),
            Err(error) => tracing::warn!(%error, "components are not compiled in the background"),
        }
    }

    /// The release, ready to be worked on. What is open already takes no time.
    pub async fn open(&self, name: &Name, digest: &Digest) -> Result<Arc<Loaded>, NotOpened> {
        if let Some(known) = self.opened.known(name, digest) {
            return known;
        }
        let _one = self.opened.one.lock().await;
        // Somebody else may have opened it meanwhile.
        if let Some(known) = self.opened.known(name, digest) {
            return known;
        }
        let opened = self.open_now(name, digest).await;
        match &opened {
            Ok(loaded) => self.opened.keep(loaded.clone()),
            Err(NotOpened::Refused(why)) => self.opened.refuse(digest, why),
            Err(NotOpened::Later(_)) => {}
        }
        opened
    }

    async fn open_now(&self, name: &Name, digest: &Digest) -> Result<Arc<Loaded>, NotOpened> {
        let fetched = Fetched::get(&*self.registry, &self.policy, name, digest).await?;
        let runtime = self.opened.background.get().unwrap_or(&self.runtime);
        let loaded = Arc::new(fetched.load(&self.variables, runtime, &self.stores).await?);
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", fetched.release.title()));
        if let Some(objection) = self.admission.objection(&loaded.need()) {
            return Err(refused(objection));
        }
        let tried = smoke::test(&loaded, &fetched.sample, &self.admission, &self.guests).await;
        tried.map_err(|failure| refused(failure.to_string()))?;
        Ok(loaded)
    }

    /// What is open with this digest, of a release or of a component.
    pub fn opened(&self, name: &str, wanted: &Digest) -> Option<Arc<Loaded>> {
        self.opened.find(name, |loaded| loaded.release == Some(*wanted) || loaded.plugin.digest == *wanted)
    }

    /// The release with this digest, or the newest with this component.
    pub async fn find(&self, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
        if let Some(found) = lock(&self.opened.found).get(wanted) {
            return Ok(Some(*found));
        }
        let found = find_release(&*self.registry, name, wanted).await?;
        let mut known = lock(&self.opened.found);
        if known.len() >= MOST_FOUND {
            known.clear();
        }
        known.extend(found.map(|found| (*wanted, found)));
        Ok(found)
    }
}

/// The release with this digest, or the newest with this component.
pub async fn find_release(registry: &dyn Registry, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
    match registry.blob(name, wanted, MAX_DOCUMENT).await.map(|document| Release::parse(&document)) {
        Ok(Ok(_)) => return Ok(Some(*wanted)),
        // A component is no document, and may be larger than one.
        Ok(Err(_)) | Err(RegistryError::NotFound(_) | RegistryError::Invalid(_) | RegistryError::Damaged(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for version in registry.versions(name).await?.into_iter().rev() {
        let Some(digest) = registry.find(name, &version).await? else { continue };
        let document = match registry.blob(name, &digest, MAX_DOCUMENT).await {
            // One that is damaged hides no other.
            Err(RegistryError::Damaged(_) | RegistryError::NotFound(_)) => continue,
            document => document?,
        };
        if Release::parse(&document).is_ok_and(|release| release.component.digest == *wanted) {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

impl Opened {
    /// What is known of a release without looking.
    fn known(&self, name: &Name, digest: &Digest) -> Option<Result<Arc<Loaded>, NotOpened>> {
        if let Some(loaded) = self.find(name.as_str(), |loaded| loaded.release == Some(*digest)) {
            return Some(Ok(loaded));
        }
        let refused = lock(&self.refused);
        let refused = refused.get(digest).filter(|refused| Instant::now() < refused.until)?;
        Some(Err(NotOpened::Refused(refused.why.clone())))
    }

    fn find(&self, name: &str, fits: impl Fn(&Loaded) -> bool) -> Option<Arc<Loaded>> {
        let mut kept = lock(&self.kept);
        let at = kept.iter().rposition(|loaded| loaded.dataset.name == name && fits(loaded))?;
        let loaded = kept.remove(at)?;
        kept.push_back(loaded.clone());
        Some(loaded)
    }

    /// What is in use is kept by whoever uses it; here are the latest, whoever uses them.
    fn keep(&self, loaded: Arc<Loaded>) {
        let name = loaded.dataset.name.clone();
        let mut kept = lock(&self.kept);
        let idle = |loaded: &Arc<Loaded>| Arc::strong_count(loaded) == 1 && loaded.dataset.name == name;
        kept.push_back(loaded);
        loop {
            let sizes: Vec<u64> = kept.iter().filter(|loaded| idle(loaded)).map(|loaded| loaded.plugin.size).collect();
            if sizes.len() <= 1 || (sizes.len() <= KEPT && sizes.iter().sum::<u64>() <= KEPT_BYTES) {
                break;
            }
            let oldest = kept.iter().position(idle);
            oldest.and_then(|at| kept.remove(at));
        }
    }

    fn refuse(&self, digest: &Digest, why: &str) {
        let mut refused = lock(&self.refused);
        let pause = refused.get(digest).map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        refused.insert(*digest, Refused { why: why.to_owned(), until: Instant::now() + pause, pause });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
