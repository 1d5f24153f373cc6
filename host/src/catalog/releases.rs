//! From a release's digest to a dataset that can be worked on. Whatever is wrong with it is found here, before any batch runs on
//! it: signatures before the component is compiled, imports before it runs, and its own sample before anything else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::watch::PERIOD;
use super::{Loaded, Opened, smoke};
use crate::admission::Admission;
use crate::dataset::{Dataset, MAX_FILE, Variables};
use crate::job::Digest;
use crate::registry::{self, Attachment, MAX_DOCUMENT, Name, Registry, RegistryError, Release, Version};
use crate::runtime::Runtime;
use crate::sink::Stores;
use crate::trust::Policy;

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
        if release.dataset.size > MAX_FILE {
            let (title, size) = (release.title(), release.dataset.size);
            let why = format!("{title}: its dataset file has {size} bytes, and {MAX_FILE} are the most that is read");
            return Err(NotOpened::Refused(why));
        }
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
        let called: Option<Version> = loaded.version().parse().ok();
        if called.as_ref() != Some(&self.release.version) {
            let by = if loaded.dataset.release.version.is_some() {
                "dataset file calls it"
            } else {
                "component calls itself"
            };
            return Err(refused(format!("its {by} {}", loaded.version())));
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
        let _turn = self.opened.opening.take(name, digest).await;
        // Somebody else may have opened it meanwhile.
        if let Some(known) = self.opened.known(name, digest) {
            return known;
        }
        let opened = self.open_now(name, digest).await;
        match &opened {
            Ok(loaded) => self.opened.keep(loaded.clone()),
            Err(NotOpened::Refused(why)) => self.opened.refuse(name, digest, why),
            Err(NotOpened::Later(_)) => {}
        }
        opened
    }

    /// A release that takes long to read, or whose sample takes long, holds up no other one: only compilers wait for each other,
    /// where the runtime starts them. What is in the cache waits for none of them.
    async fn open_now(&self, name: &Name, digest: &Digest) -> Result<Arc<Loaded>, NotOpened> {
        let room = self.opened.in_memory.acquire().await;
        let fetched = Fetched::get(&*self.registry, &self.policy, name, digest).await?;
        let runtime = self.opened.background.get().unwrap_or(&self.runtime);
        let loaded = Arc::new(fetched.load(&self.variables, runtime, &self.stores).await?);
        let Fetched { release, sample, .. } = fetched;
        // The component's bytes are gone.
        drop(room);
        let refused = |why: String| NotOpened::Refused(format!("{}: {why}", release.title()));
        if let Some(objection) = self.admission.objection(&loaded.need()) {
            return Err(refused(objection));
        }
        let tried = smoke::test(&loaded, &sample, &self.admission, &self.guests, smoke::LIMIT).await;
        tried.map_err(|failure| refused(failure.to_string()))?;
        Ok(loaded)
    }

    /// What is known of a release without looking: that it is open, or why it was refused just now.
    pub fn known(&self, name: &Name, digest: &Digest) -> Option<Result<Arc<Loaded>, NotOpened>> {
        self.opened.known(name, digest)
    }

    /// What is open with this digest, of a release or of a component.
    pub fn opened(&self, name: &str, wanted: &Digest) -> Option<Arc<Loaded>> {
        self.opened.find(name, |loaded| loaded.release == Some(*wanted) || loaded.plugin.digest == *wanted)
    }

    /// The release with this digest, or the newest with this component. That there is none is believed for a while.
    pub async fn find(&self, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
        if let Some(found) = self.opened.found(name, wanted) {
            return Ok(found);
        }
        let _turn = self.opened.finding.take(name, wanted).await;
        if let Some(found) = self.opened.found(name, wanted) {
            return Ok(found);
        }
        let found = find_release(&*self.registry, name, wanted).await?;
        self.opened.remember(name, wanted, found);
        Ok(found)
    }

    /// Whether the registry has a version of this dataset in use. It is asked no more often than for heads.
    pub(super) async fn promotes(&self, dataset: &str) -> Result<bool, RegistryError> {
        let mut promoted = self.opened.promoted.lock().await;
        let names = match promoted.take().filter(|(asked, _)| asked.elapsed() < PERIOD) {
            Some(known) => known,
            None => {
                let head = registry::newest(&*self.registry).await?;
                (Instant::now(), head.into_iter().flat_map(|head| head.names.into_keys()).collect())
            }
        };
        let (_, names) = promoted.insert(names);
        Ok(names.iter().any(|name| name.as_str() == dataset))
    }

    /// Looks anew for what was not there: the registry has changed.
    pub(super) fn look_again(&self) {
        self.opened.look_again();
    }
}

/// The release with this digest, or the newest with this component.
pub async fn find_release(registry: &dyn Registry, name: &Name, wanted: &Digest) -> Result<Option<Digest>, NotOpened> {
    match registry.blob(name, wanted, MAX_DOCUMENT).await.map(|document| Release::parse(&document)) {
        Ok(Ok(release)) if release.name == *name => return Ok(Some(*wanted)),
        // Another dataset's.
        Ok(Ok(_)) => return Ok(None),
        // A component is no document, and may be larger than one.
        Ok(Err(_)) | Err(RegistryError::NotFound(_) | RegistryError::Invalid(_) | RegistryError::Damaged(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // One that cannot be read hides no other. But then nobody knows that there is none.
    let mut unread = None;
    for version in registry.versions(name).await?.into_iter().rev() {
        match of_version(registry, name, &version).await {
            Ok(Some((digest, release))) if release.component.digest == *wanted => return Ok(Some(digest)),
            Ok(_) | Err(RegistryError::Damaged(_) | RegistryError::NotFound(_)) => {}
            Err(error) if error.is_of_one_entry() => unread = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    unread.map_or(Ok(None), |error| Err(error.into()))
}

async fn of_version(
    registry: &dyn Registry,
    name: &Name,
    version: &Version,
) -> Result<Option<(Digest, Release)>, RegistryError> {
    let Some(digest) = registry.find(name, version).await? else { return Ok(None) };
    let document = registry.blob(name, &digest, MAX_DOCUMENT).await?;
    Release::parse(&document).map(|release| Some((digest, release)))
}
