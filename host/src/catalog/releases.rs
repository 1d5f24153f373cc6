//! From a release's digest to a dataset that can be worked on. Whatever is wrong with it is found here, before any batch runs on
//! it: signatures before the component is compiled, imports and grants before it runs, and its own sample before anything else.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::Loaded;
use super::smoke;
use crate::admission::Admission;
use crate::dataset::{Dataset, Variables};
use crate::job::Digest;
use crate::registry::{Attachment, MAX_DOCUMENT, Name, Policy, Registry, RegistryError, Release, Version};
use crate::runtime::Runtime;
use crate::sink::Stores;

/// How many releases that nobody has under way are kept for whoever asks next: those that runs are pinned to, those that were
/// in use before.
const KEPT: usize = 4;

/// How large their components are together, in bytes, unless it is only one. Compiled they are some five times as large: a Rust
/// component of 250 kB is a MB then, a Python component of 19 MB is 40 to 100 MB.
const KEPT_BYTES: u64 = 16 << 20;

/// Opens releases of a registry.
pub struct Releases {
    /// Where they are.
    pub registry: Arc<dyn Registry>,
    /// Who has to have signed them.
    pub policy: Policy,
    /// The values of `${NAME}` in their dataset files.
    pub variables: Variables,
    /// What compiles them.
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
    /// One at a time: compiling takes its share of the CPU only once, and nobody opens what another one is about to have.
    one: tokio::sync::Mutex<()>,
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
        let signatures = registry.attached(name, digest, Attachment::Signature).await?;
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
    /// The release, ready to be worked on. What is open already takes no time.
    pub async fn open(&self, name: &Name, digest: &Digest) -> Result<Arc<Loaded>, NotOpened> {
        if let Some(loaded) = self.opened.find(name, digest) {
            return Ok(loaded);
        }
        let _one = self.opened.one.lock().await;
        if let Some(loaded) = self.opened.find(name, digest) {
            return Ok(loaded);
        }
        let fetched = Fetched::get(&*self.registry, &self.policy, name, digest).await?;
        let loaded = Arc::new(fetched.load(&self.variables, &self.runtime, &self.stores).await?);
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", fetched.release.title()));
        if let Some(objection) = self.admission.objection(&loaded.need()) {
            return Err(refused(objection));
        }
        let tried = smoke::test(&loaded, &fetched.sample, &self.admission, &self.guests).await;
        tried.map_err(|failure| refused(failure.to_string()))?;
        self.opened.keep(loaded.clone());
        Ok(loaded)
    }

    /// The release with this digest, or the newest with this component.
    pub async fn find(&self, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
        find_release(&*self.registry, name, wanted).await
    }
}

/// The release with this digest, or the newest with this component.
pub async fn find_release(registry: &dyn Registry, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
    match registry.blob(name, wanted, MAX_DOCUMENT).await.map(|document| Release::parse(&document)) {
        Ok(Ok(_)) => return Ok(Some(*wanted)),
        // A component is no document.
        Ok(Err(_)) | Err(RegistryError::NotFound(_) | RegistryError::Invalid(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for version in registry.versions(name).await?.into_iter().rev() {
        let Some(digest) = registry.find(name, &version).await? else { continue };
        let document = registry.blob(name, &digest, MAX_DOCUMENT).await?;
        if Release::parse(&document).is_ok_and(|release| release.component.digest == *wanted) {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

impl Opened {
    fn find(&self, name: &Name, digest: &Digest) -> Option<Arc<Loaded>> {
        let mut kept = self.kept();
        let at =
            kept.iter().position(|loaded| loaded.release == Some(*digest) && loaded.dataset.name == name.as_str())?;
        let loaded = kept.remove(at)?;
        kept.push_back(loaded.clone());
        Some(loaded)
    }

    /// What is in use is kept by whoever uses it; here are the latest, whoever uses them.
    fn keep(&self, loaded: Arc<Loaded>) {
        let mut kept = self.kept();
        kept.push_back(loaded);
        loop {
            let idle = || kept.iter().enumerate().filter(|(_, loaded)| Arc::strong_count(loaded) == 1);
            let sizes: Vec<u64> = idle().map(|(_, loaded)| loaded.plugin.size).collect();
            if sizes.len() <= 1 || (sizes.len() <= KEPT && sizes.iter().sum::<u64>() <= KEPT_BYTES) {
                break;
            }
            let Some((oldest, _)) = idle().next() else { break };
            kept.remove(oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Loaded>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
